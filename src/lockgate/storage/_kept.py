"""The kept parts of interrupted uploads: how many there may be, and when one goes.

A part counts only while nothing is visible under its name; whoever makes something visible drops it here.
Works on names relative to a directory's descriptor; no path is resolved here. Thread-safe.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["KEPT_LIMIT", "KeptParts", "kept_size"]

KEPT_LIMIT: Final = 256
# Parts that somebody else removes (the clean-up of another process, the operator) are not noticed here: a
# day later they do not count any more.
_COUNTED_SECONDS: Final = 24 * 3600.0

_Key = tuple[int, int, bytes]


class KeptParts:
    """Counts the parts that one storage keeps, without ever walking its tree.

    Only those count that this object has kept within the last day: what an earlier process left is for the
    clean-up by age.

    Args:
        limit: How many there may be; the next one is not kept.
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_kept_at", "_limit", "_lock")

    def __init__(self, limit: int = KEPT_LIMIT, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        # By the directory's number, not its path: a directory that is renamed takes its parts along.
        self._kept_at: dict[_Key, float] = {}

    def keep(self, folder: int, *, working: bytes, kept: bytes, target: bytes, was_kept: bool) -> bool:
        """Give an interrupted upload the name under which it is found again, unless it is one too many.

        Args:
            folder: The directory's descriptor.
            working: What the file is called.
            kept: What it shall be called.
            target: The name that the upload was for.
            was_kept: It was kept before: going on with it makes no further file.

        Returns:
            False when the limit is reached; the file is still called `working` then.

        Raises:
            OSError: It could not be renamed.
        """
        if not self._admit(_key(folder, kept), always=was_kept):
            return False
        try:
            os.rename(working, kept, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            self.release(folder, kept)
            raise
        # Only now: whoever makes the target visible after this look drops the part himself.
        if _is_there(folder, target):
            self.drop(folder, kept)
        return True

    def drop(self, folder: int, kept: bytes) -> bool:
        """Remove a part if there is one, and say whether there was; what keeps it there is not reported."""
        is_removed = False
        with contextlib.suppress(OSError):
            os.unlink(kept, dir_fd=folder)
            is_removed = True
        self.release(folder, kept)
        return is_removed

    def release(self, folder: int, kept: bytes) -> None:
        """Count a part no more, if it is gone."""
        if not self._kept_at:
            return
        with contextlib.suppress(OSError):
            if not _is_there(folder, kept):
                key = _key(folder, kept)
                with self._lock:
                    self._kept_at.pop(key, None)

    def _admit(self, key: _Key, *, always: bool) -> bool:
        now = self._clock()
        with self._lock:
            if len(self._kept_at) >= self._limit:
                fresh = {key: at for key, at in self._kept_at.items() if now - at < _COUNTED_SECONDS}
                self._kept_at = fresh
            if len(self._kept_at) >= self._limit and key not in self._kept_at and not always:
                return False
            self._kept_at[key] = now
            return True


def kept_size(folder: int, *, kept: bytes, target: bytes) -> int | None:
    """Return the length of the part kept for a name, None without one or when something has the name."""
    if _is_there(folder, target):
        return None
    try:
        status = os.stat(kept, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _key(folder: int, kept: bytes) -> _Key:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino, kept


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
