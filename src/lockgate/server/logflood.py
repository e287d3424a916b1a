"""Keeps a log from growing with every attempt of one who tries for ever.

What strangers can cause again and again, and what is refused to accounts, is written some times a minute for
each address, and after that counted; the count is written with the next line that comes once the minute is
over. What accounts did (logins, transfers, changes) is always written. Must not know what lines mean beyond
the event's name.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from lockgate.accounts.throttle import client_network

from .audit import record

__all__ = ["LogFlood"]

_REPEATED = frozenset(
    {
        "auth-refused",
        "bounce",
        "file-refused",
        "login-failed",
        "login-refused",
        "locked-out",
        "made-room",
        "refused",
        "stranger",
        "timeout",
        "tls-failed",
        "tls-refused",
        "transfer-refused",
    }
)
_MINUTE = 60.0


class LogFlood(logging.Filter):
    """A filter for the handlers of a server's log; used from several threads.

    Args:
        per_address: Lines of one event and one address in a minute.
        in_all: Lines of one event, or of one warning, in a minute.
        remembered: How many addresses are counted at once.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self,
        *,
        per_address: int = 20,
        in_all: int = 600,
        remembered: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._per_address = per_address
        self._in_all = in_all
        self._remembered = remembered
        self._clock = clock
        self._began = clock()
        self._lines: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._left_out: OrderedDict[tuple[str, str], int] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be written."""
        event = getattr(record, "lockgate_event", None)
        if self._clock() - self._began >= _MINUTE:
            self._tell()
        if event is None:
            return record.levelno < logging.WARNING or self._has_room(str(record.msg), "", self._in_all)
        if event not in _REPEATED:
            return True
        peer = client_network(getattr(record, "lockgate_peer", ""))
        if self._has_room(event, peer, self._per_address) and self._has_room(event, "", self._in_all):
            return True
        self._count(self._left_out, (event, peer))
        return False

    def _has_room(self, what: str, peer: str, limit: int) -> bool:
        return self._count(self._lines, (what, peer)) <= limit

    def _count(self, counts: OrderedDict[tuple[str, str], int], key: tuple[str, str]) -> int:
        if key not in counts and len(counts) >= self._remembered:
            # Of addresses without number, those beyond count as one.
            key = (key[0], "others")
        counts[key] = counts.get(key, 0) + 1
        return counts[key]

    def _tell(self) -> None:
        told, self._left_out = self._left_out, OrderedDict()
        self._lines.clear()
        self._began = self._clock()
        for (event, peer), count in told.items():
            # A bound here too: a line for each address of a large crowd would be the flood again.
            record("left-out", event=event, peer=peer, count=count)
