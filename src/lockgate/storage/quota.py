"""A storage that may hold so much and no more: bytes, and names (files and directories).

Everything counts that lies there: what clients see, the hidden parts of interrupted uploads, uploads under
way. An upload that replaces a file takes room for itself before the old content goes, as it does on the disk.
Who is over the quota gets `QuotaExceeded`; how much others hold is told to nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lockgate.errors import StorageError

from .base import Entry, EntryKind, EntryScan, QuotaExceeded, ReadHandle, WriteMode
from .ledger import Ledger
from .usage import NOTHING, CountedHandle, CountedStorage, Usage

__all__ = ["Quota", "QuotaStorage", "QuotaWriter"]

_FULL = "the quota is used up"


@dataclass(frozen=True, slots=True)
class Quota:
    """How much there may be.

    Attributes:
        bytes: Length of everything together; None is no limit.
        files: Files, directories, links and hidden files of uploads together; None is no limit.
    """

    bytes: int | None = None
    files: int | None = None


class QuotaStorage:
    """A storage and its quota, as a `Storage`; thread-safe.

    Args:
        storage: What holds the files.
        ledger: Counts them; shared by all who work in the same files, whatever their quotas.
        quota: What holds for those who use this object.
    """

    __slots__ = ("_inner", "_ledger", "_quota")

    def __init__(self, storage: CountedStorage, ledger: Ledger, quota: Quota) -> None:
        self._inner = storage
        self._ledger = ledger
        self._quota = quota

    def for_account(self, account: str) -> QuotaStorage:
        """Return the same files, and the same quota, as another account finds them."""
        return QuotaStorage(self._inner.for_account(account), self._ledger, self._quota)

    # What changes nothing that counts.

    def stat(self, path: str) -> Entry:
        """Return what is known about a path."""
        return self._inner.stat(path)

    def scan(self, path: str) -> EntryScan:
        """Return the entries of a directory."""
        return self._inner.scan(path)

    def open_read(self, path: str) -> ReadHandle:
        """Open a file for reading."""
        return self._inner.open_read(path)

    def set_modified(self, path: str, timestamp: float) -> None:
        """Set the time of the last change."""
        self._inner.set_modified(path, timestamp)

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits."""
        self._inner.set_mode(path, mode)

    def resumable_size(self, path: str) -> int | None:
        """Return how many bytes of an interrupted upload are kept."""
        return self._inner.resumable_size(path)

    def close(self) -> None:
        """Give the root back."""
        self._inner.close()

    def free_bytes(self, path: str) -> int | None:
        """Return how much fits into the quota and onto the disk.

        Raises:
            FilesBeingCounted: What is there is not known yet.
        """
        free = self._inner.free_bytes(path)
        if self._quota.bytes is None:
            return free
        self._ledger.ensure_counted()
        room = max(self._quota.bytes - self._ledger.used.bytes, 0)
        return room if free is None else min(free, room)

    # What does.

    def open_write(self, path: str, mode: WriteMode, *, offset: int = 0) -> QuotaWriter:
        """Begin an upload.

        Raises:
            QuotaExceeded: The quota is used up already.
            FilesBeingCounted: What is there is not known yet.
        """
        goes_on = mode in (WriteMode.APPEND, WriteMode.RESUME)
        # Going on with a kept part takes no further file.
        has_file = goes_on and self._inner.resumable_size(path) is not None
        self._find_room(lambda: self._lacks_bytes() or self._lacks_files(0 if has_file else 1))
        with self._ledger.changes():
            before = self._inner.usage(path)
            handle = self._inner.open_write(path, mode, offset=offset)
            return self._counted(handle, before, mode)

    def create_unique(self, directory: str, prefix: str) -> tuple[str, QuotaWriter]:
        """Begin an upload under a new name; raises as `open_write`."""
        self._find_room(lambda: self._lacks_bytes() or self._lacks_files(1))
        with self._ledger.changes():
            name, handle = self._inner.create_unique(directory, prefix)
            return name, self._counted(handle, NOTHING, WriteMode.CREATE_NEW)

    def remove(self, path: str) -> None:
        """Remove a file or a link."""
        with self._measured(lambda: self._inner.usage(path)):
            self._inner.remove(path)

    def make_directory(self, path: str) -> None:
        """Make a directory, which counts as a file.

        Raises:
            QuotaExceeded: There are as many files as there may be.
        """
        self._find_room(lambda: self._lacks_files(1))
        with self._measured(lambda: self._inner.usage(path)):
            if self._lacks_files(1):
                raise QuotaExceeded(_FULL)
            self._inner.make_directory(path)

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        with self._measured(lambda: self._inner.usage(path) + self._hidden_in(path)):
            self._inner.remove_directory(path)

    def rename(self, source: str, target: str) -> None:
        """Give something another name; what it replaces is given back."""
        with self._measured(lambda: self._inner.usage(source) + self._inner.usage(target)):
            if not self._is_file(source):
                self._ledger.directory_moves()
            below = self._hidden_in(target)
            self._inner.rename(source, target)
            if self._inner.usage(source) == NOTHING:  # and not both names of one directory
                self._ledger.record(below, NOTHING)

    @contextlib.contextmanager
    def _measured(self, measure: Callable[[], Usage]) -> Iterator[None]:
        """Count the difference that a block makes, also one that fails half way."""
        with self._ledger.changes():
            before = measure()
            try:
                yield
            finally:
                self._ledger.record(before, measure())

    def _counted(self, handle: CountedHandle, before: Usage, mode: WriteMode) -> QuotaWriter:
        """Count an upload that has begun, or end it where there may be no further file."""
        try:
            with contextlib.closing(handle.place()) as place:
                own, around = place.own(), place.around()
                more = own + around - before
                is_too_many = more.files > 0 and self._lacks_files(more.files)
                if is_too_many:
                    handle.discard()
                    own, around = place.own(), place.around()
        except BaseException:
            handle.close()
            raise
        self._ledger.record(before, own + around)
        if is_too_many:
            raise QuotaExceeded(_FULL)
        is_cut = mode is WriteMode.RESUME and around.bytes != handle.position
        return QuotaWriter(handle, self._ledger, self._quota.bytes, own=own, is_cut=is_cut)

    def _find_room(self, lacks_room: Callable[[], bool]) -> None:
        """Refuse what has no room at all, after a look whether others have made some."""
        self._ledger.ensure_counted()
        if lacks_room():
            self._ledger.refresh()
            if lacks_room():
                raise QuotaExceeded(_FULL)

    def _lacks_bytes(self) -> bool:
        return self._quota.bytes is not None and self._ledger.used.bytes >= self._quota.bytes

    def _lacks_files(self, count: int) -> bool:
        return self._quota.files is not None and self._ledger.used.files + count > self._quota.files

    def _hidden_in(self, path: str) -> Usage:
        """Return what is hidden in a directory; where something else is in it, it does not go anyway."""
        found = NOTHING
        try:
            for one in self._inner.holdings(path):
                if not one.is_hidden:
                    return NOTHING
                found += one.usage
        except StorageError:
            return NOTHING
        return found

    def _is_file(self, path: str) -> bool:
        try:
            return self._inner.stat(path).kind is EntryKind.FILE
        except StorageError:
            return False


class QuotaWriter:
    """An upload that takes from the ledger what it needs; see `WriteHandle`.

    Args:
        inner: The upload.
        ledger: Where it is counted.
        limit_bytes: How much there may be in all; None is no limit.
        own: What the upload is counted for now.
        is_cut: Its commit copies existing content even when nothing is written.
    """

    __slots__ = ("_inner", "_is_cut", "_is_ended", "_ledger", "_limit_bytes", "_own")

    def __init__(
        self, inner: CountedHandle, ledger: Ledger, limit_bytes: int | None, *, own: Usage, is_cut: bool
    ) -> None:
        self._inner = inner
        self._ledger = ledger
        self._limit_bytes = limit_bytes
        self._own = own
        self._is_cut = is_cut
        self._is_ended = False

    @property
    def position(self) -> int:
        """Bytes from the start of the file up to here."""
        return self._inner.position

    @property
    def stored_name(self) -> str:
        """The last component of the name that it has, or will have; certain once it is committed."""
        return self._inner.stored_name

    def write(self, data: memoryview | bytes) -> int:
        """Write all of the bytes.

        Raises:
            QuotaExceeded: They do not fit into the quota; what fits is written.
        """
        if self._is_ended or not len(data):
            return self._inner.write(data)
        short = self._grow(
            len(data), lambda fits: self._inner.write(data[:fits] if fits < len(data) else data)
        )
        if short:
            raise QuotaExceeded(_FULL)
        return len(data)

    def commit(self) -> None:
        """Publish the upload; what it replaces is given back then."""
        if self._is_ended:
            return
        if self._is_cut and self._inner.position > self._own.bytes:
            if self._grow(0, lambda _: self._inner.prepare()):
                raise QuotaExceeded(_FULL)
        else:
            self._inner.prepare()
        self._end(self._inner.commit)

    def discard(self, keep: bool = False) -> None:
        """End without publishing; a part that is kept goes on counting."""
        if self._is_ended:
            return
        try:
            self._end(lambda: self._inner.discard(keep=keep))
        except StorageError:
            # It cannot be measured: it goes all the same, and the next count says what that made.
            self._is_ended = True
            self._inner.discard(keep=keep)

    def cancel(self) -> None:
        """Let the copying of existing content end; any thread, does not block."""
        self._inner.cancel()

    def close(self) -> None:
        """As `discard()` when the upload has not ended yet; never raises."""
        self.discard()

    def _grow(self, count: int, work: Callable[[int], object]) -> int:
        """Do what brings the upload `count` bytes behind its position, or as far as there is room.

        Returns:
            How many bytes lacked; when it was all of them, or existing content has no room, nothing is done.
        """
        counted = self._own.bytes
        wanted = max(self._inner.position + count - counted, 0)
        taken = self._take(wanted)
        short = wanted - taken
        reached = counted
        try:
            if short == 0 or short < count:
                work(count - short)
                reached = self._inner.position
            return short
        except BaseException:
            reached = self._measured_bytes(at_most=counted + taken)
            raise
        finally:
            self._ledger.settle(taken, counted + taken - reached)
            self._own = Usage(reached, self._own.files)

    def _measured_bytes(self, *, at_most: int) -> int:
        """Return what a failed call has left: no position tells whether a part was cut or content copied."""
        try:
            with contextlib.closing(self._inner.place()) as place:
                return min(place.own().bytes, at_most)
        except (StorageError, OSError):
            return at_most

    def _take(self, wanted: int) -> int:
        taken = self._ledger.take(wanted, self._limit_bytes)
        if taken < wanted:
            self._ledger.refresh()
            taken += self._ledger.take(wanted - taken, self._limit_bytes)
        return taken

    def _end(self, action: Callable[[], None]) -> None:
        with self._ledger.changes(), contextlib.closing(self._inner.place()) as place:
            before = self._own + place.around()
            try:
                action()
                self._is_ended = True
            finally:
                self._own = place.own()
                self._ledger.record(before, self._own + place.around())
