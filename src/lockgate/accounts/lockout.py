"""Who may not try passwords for a while after many failures: addresses, and names (RFC 2577 section 5).

Counts only; what a refusal looks like is the caller's. Names count whether an account has them or not, so
that being locked out tells nothing. It must not grow with the number of addresses and names seen.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .throttle import client_network

__all__ = ["Lockout", "LockoutLimits"]

_K = TypeVar("_K", str, bytes)


@dataclass(frozen=True, slots=True)
class LockoutLimits:
    """After how many failures whom to lock out, and for how long.

    Attributes:
        per_address: Failures of one address, whatever the names; 0: never.
        per_name: Failures on one name, from addresses that it never logged in from; 0: never.
        seconds: How long a lock-out lasts, and after how long without a failure they are forgotten.
        remembered: How many addresses, names and familiar pairs are remembered, of each so many; beyond, the
            oldest is forgotten.
    """

    per_address: int = 50
    per_name: int = 20
    seconds: float = 900.0
    remembered: int = 50_000


class Lockout:
    """Counts failed logins per address and per name; safe for several threads, never blocks for long.

    An IPv6 client's /64 counts as one address. An address from which a name has logged in before is familiar
    with it: its failures do not count for the name, and the name is never locked for it. So nobody can lock
    the owner of an account out from afar. A success does not clear a count, else guesses between a busy
    device's logins would go on for ever.

    Args:
        limits: The numbers; may be replaced.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self, limits: LockoutLimits | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits or LockoutLimits()
        self._clock = clock
        self._addresses: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._names: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._familiar: OrderedDict[tuple[bytes, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._addresses) + len(self._names) + len(self._familiar)

    def locks_address(self, address: str) -> bool:
        """Return whether no password from this address is looked at now."""
        with self._lock:
            return self._is_locked(self._addresses, client_network(address), self.limits.per_address)

    def is_familiar(self, name: str, address: str) -> bool:
        """Return whether a name has logged in from an address."""
        with self._lock:
            return (_digest(name), client_network(address)) in self._familiar

    def locks_name(self, name: str, address: str) -> bool:
        """Return whether no password for this name is looked at now when it comes from this address."""
        key, network = _digest(name), client_network(address)
        with self._lock:
            if (key, network) in self._familiar:
                return False
            return self._is_locked(self._names, key, self.limits.per_name)

    def failed(self, name: str, address: str) -> bool:
        """Count a failed login; return whether it is the one that locks the address or the name."""
        key, network = _digest(name), client_network(address)
        with self._lock:
            now = self._clock()
            locked = self._count(self._addresses, network, now) == self.limits.per_address
            if (key, network) not in self._familiar:
                locked |= self._count(self._names, key, now) == self.limits.per_name
            return locked

    def succeeded(self, name: str, address: str) -> None:
        """Note that a name has logged in from an address."""
        pair = (_digest(name), client_network(address))
        with self._lock:
            self._familiar[pair] = None
            self._familiar.move_to_end(pair)
            if len(self._familiar) > self.limits.remembered:
                self._familiar.popitem(last=False)

    def _is_locked(self, counts: OrderedDict[_K, tuple[int, float]], key: _K, limit: int) -> bool:
        count, last = counts.get(key, (0, 0.0))
        return 0 < limit <= count and self._clock() - last < self.limits.seconds

    def _count(self, counts: OrderedDict[_K, tuple[int, float]], key: _K, now: float) -> int:
        count, last = counts.get(key, (0, now))
        count = 1 if now - last >= self.limits.seconds else count + 1
        counts[key] = (count, now)
        counts.move_to_end(key)
        if len(counts) > self.limits.remembered:
            counts.popitem(last=False)
        return count


def _digest(name: str) -> bytes:
    """What stands for a name: as short for the longest line that a client can send."""
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).digest()
