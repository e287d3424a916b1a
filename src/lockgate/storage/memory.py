"""Files in memory: for tests, demonstrations and ephemeral servers; everything is gone with the object.

Keeps the same rules as a disk (names, hidden partial uploads, atomic commits), so that what works here works
there. It has no links, and permission bits are remembered, not enforced.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from lockgate.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    IsADirectory,
    NameRejected,
    NoSpace,
    NotADirectory,
    NotFound,
    PermissionDenied,
    StorageError,
    shorten,
)

from ._kept import KEPT_LIMIT
from ._memory import (
    MemoryFile,
    MemoryFolder,
    MemoryReader,
    MemoryScan,
    MemoryStart,
    check_replaceable,
    is_occupied,
    memory_entry,
)
from ._names import HIDDEN_PREFIX, NAME_LIMIT_BYTES, HiddenNames, from_bytes, unique_name
from .base import Entry, OffsetBeyondEnd, WriteCancelled, WriteMode

__all__ = ["MemoryStorage"]

_MODE_BITS = 0o777
_LAST_SECOND = 2**63 / 10**9


class MemoryWriter:
    """An upload under way; see `WriteHandle`."""

    __slots__ = (
        "_buffer",
        "_exclusive",
        "_folder",
        "_is_begun",
        "_is_cancelled",
        "_is_open",
        "_name",
        "_start",
        "_storage",
    )

    def __init__(
        self,
        storage: MemoryStorage,
        folder: MemoryFolder,
        name: bytes,
        *,
        start: MemoryStart,
        exclusive: bool,
    ) -> None:
        self._storage = storage
        self._folder = folder
        self._name = name
        self._buffer = bytearray()
        # Copied when something comes: see LocalWriter.
        self._start = start
        self._is_begun = False
        self._is_cancelled = False
        self._exclusive = exclusive
        self._is_open = True

    @property
    def position(self) -> int:
        """Bytes from the start of the file up to here."""
        return len(self._buffer) if self._is_begun else self._start.count

    def write(self, data: memoryview | bytes) -> int:
        """Write all of the bytes."""
        if not self._is_open:
            raise StorageError("the upload has ended")
        if not len(data):
            return 0
        self._begin()
        room = self._storage.room_beside(len(self._buffer))
        self._buffer += data if room is None else data[: max(room, 0)]
        if room is not None and room < len(data):
            raise NoSpace("the memory set aside for this storage is full")
        return len(data)

    def commit(self) -> None:
        """Publish the upload under its name in one step."""
        if not self._is_open:
            return
        if not self._is_begun and self._start.is_whole_file:
            self.discard()  # nothing was added: the target stays as it is
            return
        self._begin()
        self._storage.publish(self._folder, self._name, bytes(self._buffer), exclusive=self._exclusive)
        self._is_open = False

    def discard(self, keep: bool = False) -> None:
        """End without publishing; with `keep` what was written stays for APPEND and RESUME."""
        if not self._is_open:
            return
        self._is_open = False
        start, kept = self._start, b""
        if start.is_resumed and not self._is_begun:
            kept = start.content
        elif keep and start.is_keepable:
            kept = bytes(self._buffer)
        self._storage.abandon(self._folder, self._name, kept, was_kept=start.is_resumed)

    def cancel(self) -> None:
        """Let the copying of existing content end; any thread, does not block."""
        self._is_cancelled = True

    def close(self) -> None:
        """As `discard()` when the upload has not ended yet."""
        self.discard()

    def _begin(self) -> None:
        if self._is_begun:
            return
        if self._is_cancelled and self._start.is_visible:
            raise WriteCancelled("the upload was ended while the content that it continues was copied")
        self._buffer += memoryview(self._start.content)[: self._start.count]
        self._is_begun = True


class MemoryStorage:
    """A directory tree in memory as a `Storage`; thread-safe.

    Args:
        capacity_bytes: How much all files together may hold; None is no limit.
        umask: Permission bits that new files and directories do not get.
        hidden_prefix: Names that clients can neither see nor make, as with the other backends.
        kept_limit: How many parts of interrupted uploads are kept at most; then the newest is not.
        clock: Seconds since 1970 UTC.
    """

    def __init__(
        self,
        *,
        capacity_bytes: int | None = None,
        umask: int = 0o027,
        hidden_prefix: str = HIDDEN_PREFIX,
        kept_limit: int = KEPT_LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._names = HiddenNames(hidden_prefix)
        self._clock = clock
        self._capacity_bytes = capacity_bytes
        self._used_bytes = 0
        self._umask = umask
        self._lock = threading.Lock()
        self._root = MemoryFolder(mode=_MODE_BITS & ~umask, modified=clock())
        # By the folder's number and the name.
        self._kept: dict[tuple[int, bytes], bytes] = {}
        self._kept_limit = kept_limit
        self._is_open = True

    def stat(self, path: str) -> Entry:
        """Return what is known about a path."""
        parts = self._names.existing(path)
        with self._lock:
            return memory_entry(from_bytes(parts[-1]) if parts else "/", self._node(parts, path))

    def scan(self, path: str) -> MemoryScan:
        """Return the entries of a directory, unsorted."""
        parts = self._names.existing(path)
        with self._lock:
            folder = self._folder(parts, path)
            return MemoryScan([memory_entry(from_bytes(name), node) for name, node in folder.entries.items()])

    def open_read(self, path: str) -> MemoryReader:
        """Open a file for reading; later uploads to its name do not change what this handle reads."""
        parts = self._names.existing(path)
        with self._lock:
            node = self._node(parts, path)
            if isinstance(node, MemoryFolder):
                raise IsADirectory(f"a file is needed and this is a directory: {shorten(path)}")
            return MemoryReader(node.content)

    def open_write(self, path: str, mode: WriteMode, *, offset: int = 0) -> MemoryWriter:
        """Begin an upload; see `Storage.open_write`."""
        if (offset and mode is not WriteMode.RESUME) or offset < 0:
            raise StorageError(f"offset {offset} does not go with {mode.value}")
        parts = self._names.new(path)
        if not parts:
            raise IsADirectory("the root is a directory")
        with self._lock:
            folder, name = self._place(parts, path)
            existing = folder.entries.get(name)
            if mode is WriteMode.CREATE_NEW and existing is not None:
                raise AlreadyExists(f"the name is taken: {shorten(path)}")
            if isinstance(existing, MemoryFolder):
                raise IsADirectory(f"a file is needed and this is a directory: {shorten(path)}")
            start = self._start(folder, name, existing, mode=mode, offset=offset)
            folder.uploads += 1
            return MemoryWriter(self, folder, name, start=start, exclusive=mode is WriteMode.CREATE_NEW)

    def create_unique(self, directory: str, prefix: str) -> tuple[str, MemoryWriter]:
        """Begin an upload under a new name (RFC 1123 section 4.1.2.9) and return name and upload."""
        while True:
            name = unique_name(prefix)
            try:
                return name, self.open_write(f"{directory.rstrip('/')}/{name}", WriteMode.CREATE_NEW)
            except AlreadyExists:
                continue

    def remove(self, path: str) -> None:
        """Remove a file, and a kept partial upload of that name."""
        parts = self._existing_name(path)
        with self._lock:
            node = self._node(parts, path)
            if isinstance(node, MemoryFolder):
                raise IsADirectory(f"a file is needed and this is a directory: {shorten(path)}")
            folder = self._folder(parts[:-1], path)
            del folder.entries[parts[-1]]
            self._kept.pop((folder.number, parts[-1]), None)
            self._used_bytes -= len(node.content)
            folder.modified = self._clock()

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        parts = self._names.new(path)
        if not parts:
            raise AlreadyExists("the root is there already")
        with self._lock:
            folder, name = self._place(parts, path)
            if name in folder.entries:
                raise AlreadyExists(f"the name is taken: {shorten(path)}")
            folder.entries[name] = MemoryFolder(mode=_MODE_BITS & ~self._umask, modified=self._clock())
            self._kept.pop((folder.number, name), None)
            folder.modified = self._clock()

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory; kept partial uploads in it go with it."""
        parts = self._existing_name(path)
        with self._lock:
            folder = self._folder(parts, path)
            if is_occupied(folder):
                raise DirectoryNotEmpty(f"the directory has entries or uploads under way: {shorten(path)}")
            self._forget_folder(folder)
            parent = self._folder(parts[:-1], path)
            del parent.entries[parts[-1]]
            parent.modified = self._clock()

    def rename(self, source: str, target: str) -> None:
        """Give something another name in one step; an existing file of that name is replaced."""
        old = self._existing_name(source)
        new = self._names.new(target)
        if not new:
            raise PermissionDenied("the root cannot be replaced")
        with self._lock:
            node = self._node(old, source)
            folder, name = self._place(new, target)
            replaced = folder.entries.get(name)
            if replaced is node:
                return
            if isinstance(node, MemoryFolder) and new[: len(old)] == old:
                raise NameRejected(f"a directory cannot become part of itself: {shorten(target)}")
            check_replaceable(node, replaced, target)
            if isinstance(replaced, MemoryFile):
                self._used_bytes -= len(replaced.content)
            elif replaced is not None:
                self._forget_folder(replaced)
            source_folder = self._folder(old[:-1], source)
            del source_folder.entries[old[-1]]
            folder.entries[name] = node
            self._kept.pop((source_folder.number, old[-1]), None)
            self._kept.pop((folder.number, name), None)
            source_folder.modified = folder.modified = self._clock()

    def set_modified(self, path: str, timestamp: float) -> None:
        """Set the time of the last change, in seconds since 1970 UTC."""
        # What a disk keeps: 64 bits of nanoseconds, until 2262; NaN is no time either.
        if not -_LAST_SECOND < timestamp < _LAST_SECOND:
            raise StorageError(f"no file system keeps the time {timestamp}")
        parts = self._existing_name(path)
        with self._lock:
            self._node(parts, path).modified = timestamp

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits; anything beyond 0o777 is refused."""
        if mode & ~_MODE_BITS:
            raise PermissionDenied(f"only the permission bits 0 to 777 can be set, not {mode:o}")
        parts = self._existing_name(path)
        with self._lock:
            self._node(parts, path).mode = mode

    def resumable_size(self, path: str) -> int | None:
        """Return how many bytes of an interrupted upload are kept for a name that is free, else None."""
        try:
            parts = self._existing_name(path)
            with self._lock:
                kept = self._kept.get((self._folder(parts[:-1], path).number, parts[-1]))
        except (NotFound, NotADirectory, PermissionDenied):
            return None
        return None if kept is None else len(kept)

    def close(self) -> None:
        """End the storage; open handles go on. May be called twice."""
        self._is_open = False

    def room_beside(self, size: int) -> int | None:
        """Return how many bytes still fit beside an upload of this size; None is no limit. For handles."""
        return None if self._capacity_bytes is None else self._capacity_bytes - self._used_bytes - size

    def publish(self, folder: MemoryFolder, name: bytes, content: bytes, *, exclusive: bool) -> None:
        """Put an upload in its place. For handles."""
        with self._lock:
            existing = folder.entries.get(name)
            if exclusive and existing is not None:
                raise AlreadyExists("the name has been taken meanwhile")
            if isinstance(existing, MemoryFolder):
                raise IsADirectory("a directory of that name has been made meanwhile")
            mode = 0o666 & ~self._umask if existing is None else existing.mode
            # A new object, as a rename brings a new inode: whoever reads the old one keeps it.
            folder.entries[name] = MemoryFile(content, mode=mode, modified=self._clock())
            self._kept.pop((folder.number, name), None)
            folder.uploads -= 1
            self._used_bytes += len(content) - (0 if existing is None else len(existing.content))
            folder.modified = self._clock()

    def abandon(self, folder: MemoryFolder, name: bytes, kept: bytes, *, was_kept: bool) -> None:
        """End an upload, keeping what there is of it if nothing is visible. For handles."""
        key = (folder.number, name)
        with self._lock:
            folder.uploads -= 1
            has_room = was_kept or key in self._kept or len(self._kept) < self._kept_limit
            if kept and has_room and name not in folder.entries:
                self._kept[key] = kept

    def _start(
        self, folder: MemoryFolder, name: bytes, existing: MemoryFile | None, *, mode: WriteMode, offset: int
    ) -> MemoryStart:
        """Return what an upload begins with; resuming takes the kept partial away."""
        is_keepable = existing is None and mode is not WriteMode.CREATE_NEW
        if mode not in (WriteMode.APPEND, WriteMode.RESUME):
            return MemoryStart(is_keepable=is_keepable)
        key = (folder.number, name)
        if existing is not None:
            self._kept.pop(key, None)  # what is visible counts
            content = existing.content
        else:
            content = self._kept.get(key, b"")
        count = offset if mode is WriteMode.RESUME else len(content)
        if count > len(content):
            raise OffsetBeyondEnd(f"cannot continue at {count}: only {len(content)} bytes are stored")
        is_resumed = existing is None and self._kept.pop(key, None) is not None
        return MemoryStart(
            content, count, is_visible=existing is not None, is_resumed=is_resumed, is_keepable=is_keepable
        )

    def _forget_folder(self, folder: MemoryFolder) -> None:
        for key in [key for key in self._kept if key[0] == folder.number]:
            del self._kept[key]

    def _existing_name(self, path: str) -> tuple[bytes, ...]:
        parts = self._names.existing(path)
        if not parts:
            raise PermissionDenied("the root itself cannot be changed, renamed or removed")
        return parts

    def _node(self, parts: Sequence[bytes], path: str) -> MemoryFile | MemoryFolder:
        if not self._is_open:
            raise StorageError("this storage has been closed")
        node: MemoryFile | MemoryFolder = self._root
        for part in parts:
            if isinstance(node, MemoryFile):
                raise NotADirectory(f"a directory is needed and this is none: {shorten(path)}")
            if len(part) > NAME_LIMIT_BYTES:
                raise NameRejected(f"the name is too long: {shorten(path)}")
            found = node.entries.get(part)
            if found is None:
                raise NotFound(f"no such file or directory: {shorten(path)}")
            node = found
        return node

    def _folder(self, parts: Sequence[bytes], path: str) -> MemoryFolder:
        node = self._node(parts, path)
        if isinstance(node, MemoryFile):
            raise NotADirectory(f"a directory is needed and this is none: {shorten(path)}")
        return node

    def _place(self, parts: Sequence[bytes], path: str) -> tuple[MemoryFolder, bytes]:
        """Return where a new name goes."""
        if len(parts[-1]) > NAME_LIMIT_BYTES:
            raise NameRejected(f"the name is too long: {shorten(path)}")
        return self._folder(parts[:-1], path), parts[-1]
