"""Turns at work that is scarce: so many at once, and round by owner and address. Must not know the work."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple

from lockgate.accounts.throttle import client_network

if TYPE_CHECKING:
    from lockgate.errors import LockgateError

__all__ = ["Turns"]

_WAITING_LIMIT = 1000
_WAIT_SECONDS = 30.0

_Queue = deque["asyncio.Future[None]"]
_Crowd = OrderedDict[str, _Queue]


class _Who(NamedTuple):
    owner: str
    network: str


class Turns:
    """Gives out a number of turns: owners in rotation, and of each owner its addresses. Event loop only.

    An IPv6 client's /64 counts as one address. When too many wait, the owner with the most waiting loses the
    newest of its heaviest address, and a newcomer that would be that one is refused: nobody can keep another
    out.

    Args:
        at_once: Turns that are out at the same time.
        refused: What those hear that wait in vain; made with a text.
        waiting_limit: How many may wait, at least 1.
        wait_seconds: How long `take` waits at most.
    """

    def __init__(
        self,
        at_once: int,
        *,
        refused: type[LockgateError],
        waiting_limit: int = _WAITING_LIMIT,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self.at_once = at_once
        self._refused = refused
        self._waiting_limit = waiting_limit
        self._wait_seconds = wait_seconds
        self._out = 0
        self._count = 0
        self._waiting: OrderedDict[str, _Crowd] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait; may be asked by any thread."""
        return self._count

    @property
    def out(self) -> int:
        """How many turns are out."""
        return self._out

    def resize(self, at_once: int) -> None:
        """Change how many turns are out at the same time; those that are out already stay."""
        self.at_once = at_once
        self._go_on()

    async def take(self, address: str, owner: str = "") -> None:
        """Wait for a turn; whoever gets one gives it back.

        Raises:
            LockgateError: Too many wait, or the turn did not come in time: what `refused` makes.
        """
        turn = self.ask(address, owner)
        who = _Who(owner, client_network(address))
        timer = asyncio.get_running_loop().call_later(self._wait_seconds, self._refuse, who, turn)
        try:
            await turn
        except asyncio.CancelledError:
            self.drop(turn)
            raise
        finally:
            timer.cancel()

    def ask(self, address: str, owner: str = "") -> asyncio.Future[None]:
        """Return what is done when the turn has come; for `drop` when it is not wanted any more.

        Raises:
            LockgateError: Too many wait.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._out < self.at_once and not self._count:
            self._out += 1
            turn.set_result(None)
            return turn
        who = _Who(owner, client_network(address))
        self._make_room(who)
        self._waiting.setdefault(who.owner, OrderedDict()).setdefault(who.network, deque()).append(turn)
        self._count += 1
        turn.add_done_callback(lambda _: self._remove(who, turn))
        return turn

    def drop(self, turn: asyncio.Future[None]) -> None:
        """Give up a turn, whether it has come or not."""
        if not turn.cancel() and not turn.cancelled() and turn.exception() is None:
            self.give_back()

    def give_back(self) -> None:
        """Give a turn back; the next in the round gets it."""
        self._out -= 1
        self._go_on()

    def refuse_all(self) -> None:
        """Refuse everyone who waits: the server ends."""
        for owner, crowd in list(self._waiting.items()):
            for network, queue in list(crowd.items()):
                for turn in list(queue):
                    self._refuse(_Who(owner, network), turn)

    def _go_on(self) -> None:
        while self._out < self.at_once and self._waiting:
            owner, crowd = next(iter(self._waiting.items()))
            network, queue = next(iter(crowd.items()))
            turn = queue[0]
            self._remove(_Who(owner, network), turn)
            if network in crowd:
                crowd.move_to_end(network)
            if owner in self._waiting:
                self._waiting.move_to_end(owner)
            if not turn.done():
                self._out += 1
                turn.set_result(None)

    def _make_room(self, who: _Who) -> None:
        if self._count < self._waiting_limit:
            return
        owner = max(self._waiting, key=self._weight)
        if self._weight(owner) <= self._weight(who.owner) + 1:
            owner = who.owner
        crowd = self._waiting.get(owner, _Crowd())
        network = max(crowd, key=lambda one: len(crowd[one]), default=who.network)
        mine = len(crowd.get(who.network, ())) if owner == who.owner else 0
        if owner == who.owner and len(crowd.get(network, ())) <= mine + 1:
            raise self._refused(f"{self._count} wait already")
        self._refuse(_Who(owner, network), crowd[network][-1])

    def _weight(self, owner: str) -> int:
        return sum(len(queue) for queue in self._waiting.get(owner, _Crowd()).values())

    def _refuse(self, who: _Who, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            self._remove(who, turn)
            turn.set_exception(self._refused("too many before this one"))

    def _remove(self, who: _Who, turn: asyncio.Future[None]) -> None:
        crowd = self._waiting.get(who.owner, _Crowd())
        queue = crowd.get(who.network)
        if queue is None or turn not in queue:
            return
        queue.remove(turn)
        self._count -= 1
        if not queue:
            del crowd[who.network]
        if not crowd:
            del self._waiting[who.owner]
