"""How many sessions and data endpoints there may be; counts only, must not close anything itself.

An IPv6 client has a whole /64 to itself, so that is what counts as one address.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from lockgate.accounts.throttle import client_network

__all__ = ["Admission", "ConnectionRate", "DataBudget", "Repeats", "Slot", "Waiting"]

_T = TypeVar("_T")


class Admission:
    """Counts control connections, in all, by address and by account. Used on the event loop only.

    Args:
        sessions: Most connections at once.
        per_address: Most connections of one address at once.
    """

    __slots__ = ("_by_account", "_by_address", "_count", "per_address", "sessions")

    def __init__(self, sessions: int, per_address: int) -> None:
        self.sessions = sessions
        self.per_address = per_address
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._by_account: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Connections there are."""
        return self._count

    def enter(self, address: str) -> str:
        """Count a connection and return "", or return why it may not stay.

        Those who may not stay are not counted: one address that comes again and again must not fill the house
        with connections that are being closed.
        """
        key = client_network(address)
        if self._count >= self.sessions:
            return "Too many sessions; try again later."
        if self._by_address[key] >= self.per_address:
            return "Too many sessions from your address."
        self._count += 1
        self._by_address[key] += 1
        return ""

    def leave(self, address: str) -> None:
        """Count out a connection that was counted."""
        self._count -= 1
        _take_one(self._by_address, client_network(address))

    def log_in(self, account: str, limit: int) -> bool:
        """Count a session of an account; False when it has `limit` already (0: any number)."""
        if 0 < limit <= self._by_account[account]:
            return False
        self._by_account[account] += 1
        return True

    def log_out(self, account: str) -> None:
        """Count out a session of an account that was counted."""
        _take_one(self._by_account, account)


def _take_one(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]


class Waiting(Generic[_T]):
    """Those that wait for something, by address; the heaviest address makes room. Event loop only.

    So a crowd that only waits keeps nobody out: whoever comes from another address takes the place of the
    crowd's oldest.

    Args:
        limit: Most of them at once.
    """

    __slots__ = ("_by_network", "_count", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._count = 0
        self._by_network: dict[str, OrderedDict[_T, None]] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, address: str, one: _T) -> _T | None:
        """Add one, and return the one that has to go for it: the oldest of the address that has most."""
        self._by_network.setdefault(client_network(address), OrderedDict())[one] = None
        self._count += 1
        if self._count <= self.limit:
            return None
        heaviest = max(self._by_network, key=lambda network: len(self._by_network[network]))
        return next(iter(self._by_network[heaviest]))

    def of_heavier(self, address: str) -> Iterator[_T]:
        """Return those of addresses with more than this one: the heaviest address first, oldest first."""
        own = len(self._by_network.get(client_network(address), ()))
        for crowd in sorted(self._by_network.values(), key=len, reverse=True):
            if len(crowd) > max(own, 1):
                yield from crowd

    def remove(self, address: str, one: _T) -> None:
        """Take one out; nothing happens when it is out already."""
        network = client_network(address)
        crowd = self._by_network.get(network)
        if crowd is None or one not in crowd:
            return
        del crowd[one]
        self._count -= 1
        if not crowd:
            del self._by_network[network]


class ConnectionRate:
    """How fast one address may connect: a token bucket each, of a tenth of a minute's connections.

    Args:
        per_minute: Connections a minute; 0: any number.
        clock: A monotonic clock in seconds.
    """

    __slots__ = ("_buckets", "_clock", "per_minute")

    _REMEMBERED = 10_000

    def __init__(self, per_minute: int, *, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> bool:
        """Count a connection; False when the address connects too fast."""
        if not self.per_minute:
            return True
        key, now = client_network(address), self._clock()
        burst = max(self.per_minute / 10, 1.0)
        tokens, since = self._buckets.get(key, (burst, now))
        tokens = min(burst, tokens + (now - since) * self.per_minute / 60)
        is_allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if is_allowed else tokens, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._REMEMBERED:
            self._buckets.popitem(last=False)
        return is_allowed


class Repeats:
    """Keeps a log short when one thing happens again and again: when to say so, and how often it was.

    Args:
        seconds: How long nothing more is said of one thing.
        clock: A monotonic clock in seconds.
    """

    __slots__ = ("_clock", "_seconds", "_told")

    _REMEMBERED = 1000

    def __init__(self, seconds: float, *, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, what: str) -> int:
        """Count an event; return how many there were since the last that was told, or 0: say nothing."""
        now = self._clock()
        told_at, silent = self._told.get(what, (float("-inf"), 0))
        if now - told_at < self._seconds:
            self._told[what] = (told_at, silent + 1)
            return 0
        self._told[what] = (now, 0)
        self._told.move_to_end(what)
        if len(self._told) > self._REMEMBERED:
            self._told.popitem(last=False)
        return silent + 1


class Slot(NamedTuple):
    """A transfer's place, and who has it."""

    network: str
    account: str


class DataBudget(Generic[_T]):
    """Counts running transfers, and keeps the passive endpoints that wait for one. Event loop only.

    What waits costs its owner nothing, so it takes no transfer's place: it has as many places of its own,
    where the address with the most makes room. A transfer may take long, so an address or an account gets at
    most nine times as many places as it leaves free: one alone never gets the last tenth.

    Args:
        transfers: Most transfers at once, and most endpoints that wait.

    Attributes:
        transfers: Most transfers at once.
        count: Transfers there are.
        waiting: Endpoints that wait for a transfer command.
    """

    __slots__ = ("_by_account", "_by_network", "_listening", "count", "transfers", "waiting")

    _SHARE = 9

    def __init__(self, transfers: int) -> None:
        self.transfers = transfers
        self.count = 0
        self.waiting: Waiting[_T] = Waiting(transfers)
        self._by_network: Counter[str] = Counter()
        self._by_account: Counter[str] = Counter()
        self._listening: Counter[str] = Counter()

    def resize(self, transfers: int) -> None:
        """Change how many there may be, for those to come."""
        self.transfers = self.waiting.limit = transfers

    def take(self, address: str, account: str) -> Slot | None:
        """Count a transfer; None when there are too many, or too many of this address or account."""
        slot = Slot(client_network(address), account)
        free = self.transfers - self.count
        held = max(self._by_network[slot.network], self._by_account[account])
        if free <= 0 or held >= self._SHARE * free:
            return None
        self.count += 1
        self._by_network[slot.network] += 1
        self._by_account[account] += 1
        return slot

    def give_back(self, slot: Slot) -> None:
        """Count a transfer out."""
        assert self._by_network[slot.network] > 0
        self.count -= 1
        _take_one(self._by_network, slot.network)
        _take_one(self._by_account, slot.account)

    def listen(self, address: str, ports: int) -> bool:
        """Count a passive port that is open; False when the address has its share of `ports` (0: any number).

        One address gets half of a range, and one port at least, so that it cannot use up the range.
        """
        key = client_network(address)
        if ports and self._listening[key] >= max(ports // 2, 1):
            return False
        self._listening[key] += 1
        return True

    def stop_listening(self, address: str) -> None:
        """Count an open passive port out."""
        _take_one(self._listening, client_network(address))
