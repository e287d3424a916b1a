"""How long answers to logins are held back after failures, per address (RFC 2577 section 5).

Counts only; the caller waits. It must not sleep, and it must not grow with the number of addresses seen.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LoginThrottle", "ThrottleLimits", "client_network"]


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """How fast the delay grows and how it ends; times in seconds.

    Attributes:
        first_seconds: How long the answer to a first wrong password is held back.
        longest_seconds: The delay never exceeds this.
        free_failures: After so many failures the *next* attempt is delayed too, whatever its password.
        forgive_seconds: One failure is forgotten in every such span.
        addresses: How many addresses are remembered; beyond, the one that failed longest ago is forgotten.
    """

    first_seconds: float = 1.0
    longest_seconds: float = 15.0
    free_failures: int = 3
    forgive_seconds: float = 60.0
    addresses: int = 10_000


class LoginThrottle:
    """Counts failed logins per address; safe for several threads, never blocks for long.

    An IPv6 client has a whole /64 to itself, so that is what counts as its address. A successful login does
    not clear the count: else one who has an account could log in between two guesses at another's.

    Args:
        limits: The numbers.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self, limits: ThrottleLimits | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits or ThrottleLimits()
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._levels)

    def failed(self, address: str) -> float:
        """Count a failed login; return for how many seconds its answer must be held back."""
        key = client_network(address)
        with self._lock:
            now = self._clock()
            level = self._level(key, now) + 1.0
            self._levels[key] = (level, now)
            self._levels.move_to_end(key)
            while len(self._levels) > self._limits.addresses:
                self._levels.popitem(last=False)
        return self._delay(level)

    def delay(self, address: str) -> float:
        """Return how many seconds to wait before a password from this address is looked at; usually 0.

        Waiting before, and not after, keeps those who guess from hanging up as soon as the answer is late.
        """
        key = client_network(address)
        with self._lock:
            level = self._level(key, self._clock())
            if level <= 0:
                self._levels.pop(key, None)
        return self._delay(level) if level >= self._limits.free_failures else 0.0

    def _level(self, key: str, now: float) -> float:
        level, since = self._levels.get(key, (0.0, now))
        return max(0.0, level - (now - since) / self._limits.forgive_seconds)

    def _delay(self, level: float) -> float:
        # The exponent is bounded before the power is taken: a count of thousands would overflow a float.
        doublings = min(max(level - 1.0, 0.0), 60.0)
        return min(self._limits.longest_seconds, self._limits.first_seconds * math.exp2(doublings))


@functools.lru_cache(maxsize=1024)
def client_network(address: str) -> str:
    """Return what counts as one client."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
