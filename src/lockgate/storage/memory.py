"""Files in memory: for tests, demonstrations and ephemeral servers; everything is gone with the object.

Keeps the same rules as a disk (names, hidden partial uploads, atomic commits), so that what works here works
there. It has no links, and permission bits are remembered, not enforced.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from lockgate.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    IsADirectory,
    NameRejected,
    NotADirectory,
    NotFound,
    OutsideRoot,
    PermissionDenied,
    StorageError,
    shorten,
)

from ._kept import KEPT_LIMIT, has_room
from ._memory import (
    MemoryFile,
    MemoryFolder,
    MemoryReader,
    MemoryScan,
    MemoryStart,
    MemoryState,
    MemoryWriter,
    check_replaceable,
    holdings_of,
    is_occupied,
    memory_entry,
    usage_of,
)
from ._names import HIDDEN_PREFIX, NAME_LIMIT_BYTES, HiddenNames, from_bytes, unique_name
from .base import Entry, OffsetBeyondEnd, WriteMode
from .usage import NOTHING, Holding, Usage

__all__ = ["MemoryStorage"]

_MODE_BITS = 0o777
_LAST_SECOND = 2**63 / 10**9


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
        self._state = MemoryState()
        self._umask = umask
        self._lock = threading.Lock()
        self._root = MemoryFolder(mode=_MODE_BITS & ~umask, modified=clock())
        # By the folder's number and the name: what each account has.
        self._kept: dict[tuple[int, bytes], dict[str, bytes]] = {}
        self._kept_limit = kept_limit
        self._account = ""

    def for_account(self, account: str) -> MemoryStorage:
        """Return the same files as another account finds them."""
        view = copy.copy(self)
        view._account = account  # noqa: SLF001 - of this class
        return view

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
            exclusive = mode is WriteMode.CREATE_NEW
            upload = MemoryWriter(self, folder, name, start=start, exclusive=exclusive)
            folder.uploads.add(upload)
            return upload

    def create_unique(self, directory: str, prefix: str) -> tuple[str, MemoryWriter]:
        """Begin an upload under a new name (RFC 1123 section 4.1.2.9) and return name and upload."""
        while True:
            name = unique_name(prefix)
            try:
                return name, self.open_write(f"{directory.rstrip('/')}/{name}", WriteMode.CREATE_NEW)
            except AlreadyExists:
                continue

    def remove(self, path: str) -> None:
        """Remove a file, and kept partial uploads of that name."""
        parts = self._existing_name(path)
        with self._lock:
            node = self._node(parts, path)
            if isinstance(node, MemoryFolder):
                raise IsADirectory(f"a file is needed and this is a directory: {shorten(path)}")
            folder = self._folder(parts[:-1], path)
            del folder.entries[parts[-1]]
            self._kept.pop((folder.number, parts[-1]), None)
            self._state.used_bytes -= len(node.content)
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
                self._state.used_bytes -= len(replaced.content)
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
                kept = self._kept_part((self._folder(parts[:-1], path).number, parts[-1]))
        except (NotFound, NotADirectory, PermissionDenied):
            return None
        return None if kept is None else len(kept)

    def free_bytes(self, path: str) -> int | None:
        """Return what is left of the capacity; None without one."""
        self.stat(path)
        room = self.room_beside(0)
        return None if room is None else max(room, 0)

    def usage(self, path: str) -> Usage:
        """Return what a name takes by itself, and the parts kept for it."""
        try:
            parts = self._names.existing(path)
            with self._lock:
                folder = self._folder(parts[:-1], path) if parts else None
        except (NotFound, NotADirectory, NameRejected, OutsideRoot):
            return NOTHING
        return NOTHING if folder is None else self.usage_in(folder, parts[-1])

    def usage_in(self, folder: MemoryFolder, name: bytes) -> Usage:
        """Return what a name in a directory takes, and the parts kept for it. For handles."""
        with self._lock:
            kept = self._kept.get((folder.number, name), {}).values()
            return usage_of(folder.entries.get(name)) + Usage(sum(map(len, kept)), len(kept))

    def holdings(self, path: str) -> Iterator[Holding]:
        """Return everything in a directory, hidden content too, as it is now."""
        parts = self._names.existing(path)
        with self._lock:
            folder = self._folder(parts, path)
            kept = [
                len(one)
                for key, all_of in self._kept.items()
                if key[0] == folder.number
                for one in all_of.values()
            ]
            return iter(holdings_of(folder, kept))

    def close(self) -> None:
        """End the storage; open handles go on. May be called twice."""
        self._state.is_open = False

    def room_beside(self, size: int) -> int | None:
        """Return how many bytes still fit beside an upload of this size; None is no limit. For handles."""
        return None if self._capacity_bytes is None else self._capacity_bytes - self._state.used_bytes - size

    def publish(self, upload: MemoryWriter, content: bytes, start: MemoryStart) -> None:
        """Put an upload in its place. For handles."""
        folder, name = upload.folder, upload.name
        with self._lock:
            existing = folder.entries.get(name)
            if upload.exclusive and existing is not None:
                raise AlreadyExists("the name has been taken meanwhile")
            start.check(existing)
            if isinstance(existing, MemoryFolder):
                raise IsADirectory("a directory of that name has been made meanwhile")
            mode = 0o666 & ~self._umask if existing is None else existing.mode
            # A new object, as a rename brings a new inode: whoever reads the old one keeps it.
            folder.entries[name] = MemoryFile(content, mode=mode, modified=self._clock())
            self._kept.pop((folder.number, name), None)
            folder.uploads.discard(upload)
            self._state.used_bytes += len(content) - (0 if existing is None else len(existing.content))
            folder.modified = self._clock()

    def abandon(self, upload: MemoryWriter, kept: bytes, *, was_kept: bool) -> None:
        """End an upload, keeping what there is of it if nothing is visible. For handles."""
        key = (upload.folder.number, upload.name)
        with self._lock:
            upload.folder.uploads.discard(upload)
            held = Counter(account for parts in self._kept.values() for account in parts)
            is_known = was_kept or self._kept_part(key) is not None
            may_stay = is_known or has_room(held, held[self._account], limit=self._kept_limit)
            if kept and may_stay and upload.name not in upload.folder.entries:
                self._kept.setdefault(key, {})[self._account] = kept

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
            content = self._kept_part(key) or b""
        count = offset if mode is WriteMode.RESUME else len(content)
        if count > len(content):
            raise OffsetBeyondEnd(f"cannot continue at {count}: only {len(content)} bytes are stored")
        is_resumed = existing is None and self._take_part(key)
        return MemoryStart(
            content,
            count,
            is_visible=existing is not None,
            is_continued=True,
            expected=existing,
            is_resumed=is_resumed,
            is_keepable=is_keepable,
        )

    def _kept_part(self, key: tuple[int, bytes]) -> bytes | None:
        return self._kept.get(key, {}).get(self._account)

    def _take_part(self, key: tuple[int, bytes]) -> bool:
        parts = self._kept.get(key, {})
        is_there = parts.pop(self._account, None) is not None
        if not parts:
            self._kept.pop(key, None)
        return is_there

    def _forget_folder(self, folder: MemoryFolder) -> None:
        for key in [key for key in self._kept if key[0] == folder.number]:
            del self._kept[key]

    def _existing_name(self, path: str) -> tuple[bytes, ...]:
        parts = self._names.existing(path)
        if not parts:
            raise PermissionDenied("the root itself cannot be changed, renamed or removed")
        return parts

    def _node(self, parts: Sequence[bytes], path: str) -> MemoryFile | MemoryFolder:
        if not self._state.is_open:
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
