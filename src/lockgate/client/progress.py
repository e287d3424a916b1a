"""Tells the caller how far a transfer is, a few times a second. Must not print anything itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Meter", "Progress", "ProgressCallback", "shown_bytes"]

_INTERVAL_SECONDS = 0.1
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is.

    Attributes:
        path: The remote path.
        done: Bytes so far, those of an earlier attempt included.
        total: Bytes in all, or None when that is not known.
        seconds: Since the transfer began.
        rate: Bytes a second in this attempt.
    """

    path: str
    done: int
    total: int | None
    seconds: float
    rate: float

    def __str__(self) -> str:
        rate = f"{shown_bytes(self.rate)}/s"
        if self.total is None:
            return f"{self.path}: {shown_bytes(self.done)}, {rate}"
        percent = 100 if not self.total else min(100, self.done * 100 // self.total)
        return f"{self.path}: {shown_bytes(self.done)} of {shown_bytes(self.total)} ({percent} %), {rate}"


ProgressCallback = Callable[[Progress], object]
"""Called in the thread that moves the data; what it raises ends the transfer."""


class Meter:
    """Counts the pieces of one transfer and calls back now and then, and once at the end."""

    __slots__ = ("_began", "_callback", "_done", "_offset", "_path", "_told_at", "_total")

    def __init__(
        self, callback: ProgressCallback | None, path: str, *, total: int | None, offset: int = 0
    ) -> None:
        self._callback = callback
        self._path = path
        self._total = total
        self._offset = self._done = offset
        self._began = self._told_at = time.monotonic()

    @property
    def on_piece(self) -> Callable[[int], None] | None:
        """What the pump is to call, or None where nobody listens."""
        return None if self._callback is None else self._add

    def finish(self) -> None:
        """Tell the end."""
        if self._callback is not None:
            self._tell(time.monotonic())

    def _add(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._told_at >= _INTERVAL_SECONDS:
            self._tell(now)

    def _tell(self, now: float) -> None:
        assert self._callback is not None
        self._told_at = now
        seconds = now - self._began
        rate = (self._done - self._offset) / seconds if seconds > 0 else 0.0
        self._callback(Progress(self._path, self._done, self._total, seconds, rate))


def shown_bytes(count: float) -> str:
    """Return a number of bytes as people read it: "1.5 MiB"."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
