"""The kept parts of interrupted uploads: whose they are, how many there may be, and when one goes.

A part is of one account, and its name says of which. It counts only while nothing is visible under its
target's name; whoever makes something visible drops it here, whosever it is.
Works on names relative to a directory's descriptor; no path is resolved here. Thread-safe.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from ._names import HiddenNames, from_bytes, split_kept

__all__ = ["KEPT_LIMIT", "KeptParts", "has_room", "kept_size"]

KEPT_LIMIT: Final = 256
# Parts that somebody else removes (the clean-up of another process, the operator) are not noticed here: a
# day later they do not count any more.
_COUNTED_SECONDS: Final = 24 * 3600.0
# Directories that are known to hold no parts but those that are counted here; the others are looked at.
_SEEN_LIMIT: Final = 1024

# Device and number of a directory, not its path: one that is renamed takes its parts along.
_Folder = tuple[int, int]


def has_room(held: Mapping[bytes, int] | Mapping[str, int], own: int, *, limit: int) -> bool:
    """Say whether an account may have one more part kept.

    So that no account uses up what others need, one that has less than an equal share may, however many
    parts there are: with a limit of 256 that makes 256 + 256/2 + 256/3 and so on at the very most.

    Args:
        held: How many parts each account has that has any.
        own: How many this one has.
        limit: How many there may be of all accounts.
    """
    holders = len(held) + (own == 0)
    return sum(held.values()) < limit or own < limit // holders


class KeptParts:
    """Knows the parts that are kept in one tree, without ever walking it.

    What an earlier process has left in a directory is found when something is done there for the first time.

    Args:
        limit: How many there may be; see `has_room`. Those count that were kept within the last day.
        names: Which names are those of kept parts.
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_kept_at", "_limit", "_lock", "_names", "_seen")

    def __init__(
        self,
        limit: int = KEPT_LIMIT,
        *,
        names: HiddenNames | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._names = HiddenNames() if names is None else names
        self._clock = clock
        self._lock = threading.Lock()
        # By directory and stem: the names of all accounts' parts for one target, and since when.
        self._kept_at: dict[tuple[_Folder, bytes], dict[bytes, float]] = {}
        self._seen: OrderedDict[_Folder, None] = OrderedDict()

    def keep(self, folder: int, *, working: bytes, kept: bytes, target: bytes, was_kept: bool) -> bool:
        """Give an interrupted upload the name under which it is found again, unless it is one too many.

        Args:
            folder: The directory's descriptor.
            working: What the file is called.
            kept: What it shall be called.
            target: The name that makes the part void when it is taken.
            was_kept: It was kept before: going on with it makes no further file.

        Returns:
            False when the limit is reached; the file is still called `working` then.

        Raises:
            OSError: It could not be renamed.
        """
        if not self._admit(_number(folder), kept, always=was_kept):
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

    def drop_all(self, folder: int, stem: bytes) -> None:
        """Remove the parts of all accounts for one target, whose name was taken or is free again."""
        for kept in self.of_all(folder, stem):
            self.drop(folder, kept)

    def of_all(self, folder: int, stem: bytes) -> tuple[bytes, ...]:
        """Return the names of the parts of all accounts for one target, as far as they are known.

        Raises:
            OSError: The directory's descriptor is of no use.
        """
        number = _number(folder)
        if number not in self._seen:
            self._look(folder, number)
        with self._lock:
            return tuple(self._kept_at.get((number, stem), ()))

    def release(self, folder: int, kept: bytes) -> None:
        """Count a part no more, if it is gone."""
        if not self._kept_at:
            return
        with contextlib.suppress(OSError):
            if not _is_there(folder, kept):
                place = (_number(folder), split_kept(kept)[0])
                with self._lock:
                    parts = self._kept_at.get(place, {})
                    parts.pop(kept, None)
                    if not parts:
                        self._kept_at.pop(place, None)

    def _admit(self, folder: _Folder, kept: bytes, *, always: bool) -> bool:
        now = self._clock()
        stem, mark = split_kept(kept)
        with self._lock:
            held = self._held()
            if held.total() >= self._limit:
                self._forget(now - _COUNTED_SECONDS)
                held = self._held()
            is_known = kept in self._kept_at.get((folder, stem), ())
            if not (always or is_known or has_room(held, held[mark], limit=self._limit)):
                return False
            self._kept_at.setdefault((folder, stem), {})[kept] = now
            return True

    def _held(self) -> Counter[bytes]:
        return Counter(split_kept(kept)[1] for parts in self._kept_at.values() for kept in parts)

    def _forget(self, before: float) -> None:
        fresh = {
            place: {kept: at for kept, at in parts.items() if at > before}
            for place, parts in self._kept_at.items()
        }
        self._kept_at = {place: parts for place, parts in fresh.items() if parts}

    def _look(self, folder: int, number: _Folder) -> None:
        """Take in what others have kept in a directory; one that may not be listed shows nothing."""
        found: list[bytes] = []
        # The descriptor at hand is good for working relative to it, not for listing.
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            opened = os.open(b".", flags, dir_fd=folder)
            try:
                with os.scandir(opened) as entries:
                    names = (os.fsencode(entry.name) for entry in entries if entry.name.endswith(".part"))
                    found = [name for name in names if self._names.has_account(from_bytes(name))]
            finally:
                os.close(opened)
        now = self._clock()
        with self._lock:
            for kept in found[: self._limit]:
                self._kept_at.setdefault((number, split_kept(kept)[0]), {}).setdefault(kept, now)
            self._seen[number] = None
            while len(self._seen) > _SEEN_LIMIT:
                self._seen.popitem(last=False)


def kept_size(folder: int, *, kept: bytes, target: bytes) -> int | None:
    """Return the length of the part kept for a name, None without one or when something has the name."""
    if _is_there(folder, target):
        return None
    try:
        status = os.stat(kept, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _number(folder: int) -> _Folder:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
