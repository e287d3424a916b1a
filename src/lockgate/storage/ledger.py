"""How much a storage holds: counted once by a walk, then kept up to date, now and then counted again.

One ledger for each tree of files, whoever works in it. It must not refuse anything: `quota` does.

*Changes of names* (begin and end of an upload, remove, make, rename) are measured just before and just after,
one at a time under one lock, so that no two of them count the same bytes. *Growth of uploads* is taken before
it is written, so that many of them at once never hold more than was there to take.

*Counting again.* What others do to the files (the operator's programs, the clean-up of old parts) is seen by
a new walk only. It runs beside the changes, so it may see a changed thing before, after, twice or never. The
truth therefore lies between what it found less everything that was there before a change, and what it found
and everything that was there after one. When the kept number lies in between nothing is learned and it stays,
exact as it was; else it is moved to the nearer bound. Without changes during the walk both bounds are what
was found. A directory that is moved can hide a whole tree from the walk: then it is given up and begun anew.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from lockgate.errors import NameRejected, NotADirectory, NotFound, OutsideRoot, PermissionDenied

from .usage import NOTHING, CountedStorage, FilesBeingCounted, Holding, Usage

__all__ = ["Ledger"]

_PATIENCE_SECONDS: Final = 1.0
# Changes of names are quick; longer than this only a disk that hangs holds one up.
_ENDING_SECONDS: Final = 30.0
_REFRESH_SECONDS: Final = 30.0
# Of the time, counting for those who were refused may take one part in so many.
_REFRESH_SHARE: Final = 20
_ENTRIES_A_LOOK: Final = 256
_SKIPPED = (NotFound, NotADirectory, PermissionDenied, OutsideRoot, NameRejected)


class Ledger:
    """What one tree of files holds; thread-safe.

    Args:
        storage: Where it lies.
        patience_seconds: The longest that a caller counts, or waits for others who do.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        storage: CountedStorage,
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._names = threading.RLock()
        self._numbers = threading.Lock()
        self._walker = threading.Lock()
        self._walk: _Walk | None = None
        self._used = NOTHING
        self._writing_bytes = 0
        self._is_counted = self._is_in_use = False
        self._refresh_at = 0.0

    @property
    def used(self) -> Usage:
        """What there is, uploads under way and what they have taken included."""
        return self._used

    @property
    def is_in_use(self) -> bool:
        """Whether anything was changed, or wanted, since the last count."""
        return self._is_in_use

    def ensure_counted(self) -> None:
        """Count what there is if that was never done. Blocks, not for long.

        Raises:
            FilesBeingCounted: It takes longer; the next call goes on where this one stopped.
        """
        self._is_in_use = True
        if self._is_counted:
            return
        self._recount(self._patience_seconds, is_first=True)
        if not self._is_counted:
            raise FilesBeingCounted("the files are still being counted; try again soon")

    @contextlib.contextmanager
    def changes(self, *, seconds: float = _ENDING_SECONDS) -> Iterator[None]:
        """Hold all names as they are, but for what the caller changes; blocks while others change some.

        Raises:
            FilesBeingCounted: The first count is not done, or a change hangs.
        """
        self.ensure_counted()
        if not self._names.acquire(timeout=seconds):
            raise FilesBeingCounted("another change of these files takes very long; try again later")
        try:
            yield
        finally:
            self._names.release()

    def record(self, before: Usage, after: Usage) -> None:
        """Count what a change of names has made of what was there; inside `changes`."""
        with self._numbers:
            self._used += after - before
            if self._walk is not None:
                self._walk.note(before, after)

    def directory_moves(self) -> None:
        """Note that a directory gets another place; inside `changes`."""
        with self._numbers:
            self._walk = None

    def take(self, wanted_bytes: int, limit_bytes: int | None) -> int:
        """Take room for bytes that are about to be written, and return how many there was room for.

        Args:
            wanted_bytes: How many.
            limit_bytes: How many there may be in all; None is no limit.
        """
        with self._numbers:
            room = wanted_bytes if limit_bytes is None else max(limit_bytes - self._used.bytes, 0)
            granted = min(wanted_bytes, room)
            taken = Usage(granted)
            self._used += taken
            self._writing_bytes += granted
            if self._walk is not None:
                self._walk.note(NOTHING, taken)
            return granted

    def settle(self, taken_bytes: int, unused_bytes: int) -> None:
        """Note that the writing is over for which bytes were taken; give back those that it did not need."""
        with self._numbers:
            self._writing_bytes -= taken_bytes
            unused = Usage(unused_bytes)
            self._used -= unused
            if self._walk is not None:
                self._walk.note(unused, NOTHING)

    def refresh(self) -> None:
        """Count again, if that was not done lately: somebody is about to be refused. Blocks, not for long."""
        if self._clock() >= self._refresh_at:
            self._recount(self._patience_seconds)

    def recount(self, seconds: float) -> bool:
        """Count again, for at most `seconds`; return whether it was done to the end. Blocks.

        A count that was not done to the end is gone on with by the next call. One caller counts at a time.
        """
        return self._recount(seconds)

    def _recount(self, seconds: float, *, is_first: bool = False) -> bool:
        deadline = self._clock() + seconds
        if not self._walker.acquire(timeout=seconds):
            return False
        try:
            if is_first and self._is_counted:
                return True
            began = self._clock()
            is_done = self._count_until(deadline)
            took = self._clock() - began
            self._refresh_at = self._clock() + max(_REFRESH_SECONDS, _REFRESH_SHARE * took)
            return is_done
        finally:
            self._walker.release()

    def _count_until(self, deadline: float) -> bool:
        walk = self._walk
        if walk is None:
            # No change is half done where a walk begins or ends.
            with self._names, self._numbers:
                walk = self._walk = _Walk(self._storage)
                walk.note(NOTHING, Usage(self._writing_bytes))
        try:
            if not walk.advance(deadline, self._clock):
                return False
        except BaseException:
            self._walk = None
            raise
        with self._names, self._numbers:
            if self._walk is not walk:
                return False
            self._walk = None
            self._used = walk.corrected(self._used) if self._is_counted else walk.found
            self._is_counted = True
            self._is_in_use = False
            return True


class _Walk:
    """One count of everything, in pieces; what changes meanwhile widens what it can say."""

    __slots__ = ("_added", "_bytes", "_entries", "_files", "_path", "_removed", "_storage", "_waiting")

    def __init__(self, storage: CountedStorage) -> None:
        self._storage = storage
        self._waiting = ["/"]
        self._entries: Iterator[Holding] | None = None
        self._path = "/"
        self._bytes = self._files = 0
        self._added = self._removed = NOTHING

    @property
    def found(self) -> Usage:
        return Usage(self._bytes, self._files)

    def note(self, before: Usage, after: Usage) -> None:
        """Take a change in, whole: whether its two sides are seen is not known."""
        self._added += after
        self._removed += before

    def corrected(self, kept: Usage) -> Usage:
        """Return what can be true and is nearest to the number that was kept."""
        least, most = self.found - self._removed, self.found + self._added
        return Usage(
            min(max(kept.bytes, least.bytes), most.bytes), min(max(kept.files, least.files), most.files)
        )

    def advance(self, deadline: float, clock: Callable[[], float]) -> bool:
        """Go on until the deadline; return whether everything has been counted. Blocks."""
        while self._entries is not None or self._waiting:
            if self._entries is None:
                self._path = self._waiting.pop()
                self._entries = self._begin(self._path)
            if self._count_some(self._entries):
                self._entries = None
            if clock() >= deadline:
                break
        return self._entries is None and not self._waiting

    def _begin(self, path: str) -> Iterator[Holding]:
        try:
            yield from self._storage.holdings(path)
        except _SKIPPED:
            if path == "/":
                raise

    def _count_some(self, entries: Iterator[Holding]) -> bool:
        """Count the next few entries of a directory; return whether these were the last."""
        parent = self._path.rstrip("/")
        for _ in range(_ENTRIES_A_LOOK):
            one = next(entries, None)
            if one is None:
                return True
            self._bytes += one.usage.bytes
            self._files += one.usage.files
            if one.is_directory:
                self._waiting.append(f"{parent}/{one.name}")
        return False
