"""Password checks of all sessions: so many hashes at once, and turns that go round by address.

A hash takes tens of megabytes, so what bounds their number bounds the memory that a flood of logins can take.
Must not know replies; what a hash is, `lockgate.accounts` knows.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from lockgate.accounts.passwords import PasswordChecker
from lockgate.accounts.throttle import client_network
from lockgate.errors import AccountError
from lockgate.transfer.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockgate.accounts.base import Account, AccountStore

    from .config import Config

__all__ = ["HashingBusy", "PasswordChecks", "Turns"]

_WAITING_LIMIT = 1000
_WAIT_SECONDS = 30.0


class HashingBusy(AccountError):
    """A password was not checked, because too many others are: try again later."""


class Turns:
    """Gives out a number of turns, to waiting addresses in rotation. Event loop only.

    An IPv6 client's /64 counts as one address. When too many wait, the address with the most waiting loses
    its newest one, and a newcomer that would be that one is refused: no address can keep another out.

    Args:
        at_once: Turns that are out at the same time.
        waiting_limit: How many may wait.
        wait_seconds: How long one waits at most.
    """

    def __init__(
        self, at_once: int, *, waiting_limit: int = _WAITING_LIMIT, wait_seconds: float = _WAIT_SECONDS
    ) -> None:
        self.at_once = at_once
        self._waiting_limit = waiting_limit
        self._wait_seconds = wait_seconds
        self._out = 0
        self._count = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._count

    def resize(self, at_once: int) -> None:
        """Change how many turns are out at the same time; those that are out already stay."""
        self.at_once = at_once
        self._go_on()

    async def take(self, address: str) -> None:
        """Wait for a turn; whoever gets one gives it back.

        Raises:
            HashingBusy: Too many wait, or the turn did not come in time.
        """
        if self._out < self.at_once and not self._count:
            self._out += 1
            return
        key = client_network(address)
        self._make_room(key)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        self._count += 1
        timer = loop.call_later(self._wait_seconds, self._refuse, key, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._remove(key, turn)
            elif turn.exception() is None:
                self.give_back()
            raise
        finally:
            timer.cancel()

    def give_back(self) -> None:
        """Give a turn back; the next address in the round gets it."""
        self._out -= 1
        self._go_on()

    def refuse_all(self) -> None:
        """Refuse everyone who waits: the server ends."""
        for key, queue in list(self._waiting.items()):
            for turn in list(queue):
                self._refuse(key, turn)

    def _go_on(self) -> None:
        while self._out < self.at_once and self._waiting:
            key, queue = next(iter(self._waiting.items()))
            turn = queue[0]
            self._remove(key, turn)
            if key in self._waiting:
                self._waiting.move_to_end(key)
            if not turn.done():
                self._out += 1
                turn.set_result(None)

    def _make_room(self, key: str) -> None:
        if self._count < self._waiting_limit:
            return
        heaviest = max(self._waiting, key=lambda one: len(self._waiting[one]))
        if len(self._waiting[heaviest]) <= len(self._waiting.get(key, ())) + 1:
            raise HashingBusy(f"{self._count} password checks wait already")
        self._refuse(heaviest, self._waiting[heaviest][-1])

    def _refuse(self, key: str, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            self._remove(key, turn)
            turn.set_exception(HashingBusy("too many password checks before this one"))

    def _remove(self, key: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(key)
        if queue is None or turn not in queue:
            return
        queue.remove(turn)
        self._count -= 1
        if not queue:
            del self._waiting[key]


class PasswordChecks:
    """Checks passwords for sessions: those remembered at once, others when their turn comes. Event loop only.

    Args:
        config: The configuration; see `reconfigure`.
    """

    def __init__(self, config: Config) -> None:
        at_once = config.hashes_at_once()
        self.checker = PasswordChecker(
            config.passwords.parameters(), remember_seconds=config.passwords.remember_seconds
        )
        self.turns = Turns(at_once)
        # The turns bound the work; the queue is for the moment until a thread that is done says so.
        self._threads = Workers(at_once, queue_limit=at_once, name="lockgate-hasher")

    async def check(
        self,
        store: AccountStore,
        name: str,
        password: str,
        *,
        address: str,
        is_wanted: Callable[[], bool],
        may_enter: Callable[[Account], bool] = lambda _account: True,
    ) -> Account | None:
        """Return the account that the password opens and that may enter, or None after the same time.

        Args:
            store: Where accounts are looked up.
            name: The account's name.
            password: What the client sent.
            address: The client's, for its share of the turns.
            may_enter: Asked of an account whose password is right. One that may not is told nothing of that:
                a password that was right a moment ago is hashed again for it.
            is_wanted: Asked when the turn has come; False: nobody waits for the answer any more.

        Raises:
            AccountError: The accounts cannot be read.
            HashingBusy: Too many checks wait, or nobody waits for this one any more.
        """
        # Whoever was right a moment ago does not wait behind those who guess.
        known = store.recall_password(name, password)
        if known is not None and may_enter(known):
            return known
        await self.turns.take(address)
        try:
            if not is_wanted():
                raise HashingBusy("the client left before its turn")
            if known is not None:
                like = known.password_hash
                work = self._threads.submit(lambda: self.checker.check(name, password, None, like=like))
                await asyncio.wrap_future(work)
                return None
            found = await asyncio.wrap_future(
                self._threads.submit(lambda: store.check_password(name, password))
            )
            return found if found is not None and may_enter(found) else None
        finally:
            self.turns.give_back()

    def reconfigure(self, config: Config) -> None:
        """Take another configuration, for checks to come."""
        self.checker.reconfigure(config.passwords.parameters(), config.passwords.remember_seconds)
        at_once = config.hashes_at_once()
        self._threads.resize(at_once, queue_limit=at_once)
        self.turns.resize(at_once)

    def refuse_all(self) -> None:
        """Refuse the checks that wait."""
        self.turns.refuse_all()

    def close(self, *, seconds: float) -> None:
        """End the threads; blocks until they have ended, or for so long."""
        self._threads.close(seconds=seconds)
