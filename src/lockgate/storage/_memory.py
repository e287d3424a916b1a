"""The pieces of the memory backend: its nodes, what reads, lists and writes them, and the rules between them.

No locks here: the functions are called with the storage's held, and the handles call the storage.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.errors import (
    DirectoryNotEmpty,
    IsADirectory,
    NoSpace,
    NotADirectory,
    StorageError,
    shorten,
)

from ._names import from_bytes
from .base import Entry, EntryKind, OffsetBeyondEnd, TargetBusy, WriteCancelled
from .usage import NOTHING, Holding, Usage

if TYPE_CHECKING:
    from .memory import MemoryStorage

__all__ = [
    "MemoryFile",
    "MemoryFolder",
    "MemoryPlace",
    "MemoryReader",
    "MemoryScan",
    "MemoryStart",
    "MemoryState",
    "MemoryWriter",
    "check_replaceable",
    "holdings_of",
    "is_occupied",
    "memory_entry",
    "usage_of",
]

_numbers = itertools.count(1)


@dataclass(slots=True)
class MemoryState:
    """What changes as a whole: how much all files take, and whether the storage has not been closed."""

    used_bytes: int = 0
    is_open: bool = True


class MemoryFile:
    """Published content; it is replaced as a whole, never changed, so readers need no lock."""

    __slots__ = ("content", "mode", "modified", "number")

    def __init__(self, content: bytes, *, mode: int, modified: float) -> None:
        self.content = content
        self.mode = mode
        self.modified = modified
        self.number = next(_numbers)


class MemoryFolder:
    """A directory: its entries, and which uploads into it are under way."""

    __slots__ = ("entries", "mode", "modified", "number", "uploads")

    def __init__(self, *, mode: int, modified: float) -> None:
        self.entries: dict[bytes, MemoryFile | MemoryFolder] = {}
        self.uploads: set[MemoryWriter] = set()
        self.mode = mode
        self.modified = modified
        self.number = next(_numbers)


class MemoryReader:
    """A file open for reading; see `ReadHandle`."""

    __slots__ = ("_content", "_is_open", "_position")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0
        self._is_open = True

    @property
    def size(self) -> int:
        """Length in bytes when the file was opened."""
        return len(self._content)

    def fileno(self) -> None:
        """Return None: there is no descriptor."""
        return

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer as far as possible; 0 at the end."""
        if not self._is_open:
            raise StorageError("the file has been closed")
        piece = memoryview(self._content)[self._position : self._position + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def seek(self, offset: int) -> None:
        """Continue at an offset from the start (RFC 3659 section 5)."""
        if not 0 <= offset <= len(self._content):
            raise OffsetBeyondEnd(f"offset {offset} is not within the {len(self._content)} bytes of the file")
        self._position = offset

    def close(self) -> None:
        """Give the file back; may be called twice."""
        self._is_open = False


class MemoryScan:
    """The entries of one directory as they were when the scan began; see `EntryScan`."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries: Iterator[Entry] = iter(entries)

    def __iter__(self) -> MemoryScan:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def close(self) -> None:
        """End the scan; may be called twice."""
        self._entries = iter(())


@dataclass(frozen=True, slots=True)
class MemoryStart:
    """What an upload begins with.

    Attributes:
        content: The whole of what it continues.
        count: How many bytes of it.
        is_visible: It is a file's content.
        is_continued: At the commit the name must stand for what it stood for at the beginning.
        expected: That, when it is not nothing.
        is_resumed: It is a kept partial, which the upload has taken away.
        is_keepable: What comes may be kept when the upload is interrupted.
    """

    content: bytes = b""
    count: int = 0
    is_visible: bool = False
    is_continued: bool = False
    expected: MemoryFile | None = None
    is_resumed: bool = False
    is_keepable: bool = True

    def check(self, found: MemoryFile | MemoryFolder | None) -> None:
        """Refuse a commit that would undo what others have stored meanwhile."""
        if self.is_continued and found is not self.expected:
            raise TargetBusy("the file has been changed since the upload began")

    @property
    def is_whole_file(self) -> bool:
        """Whether an upload that adds nothing leaves the visible file as it is."""
        return self.is_visible and self.count == len(self.content)


class MemoryWriter:
    """An upload under way; see `WriteHandle`.

    Attributes:
        folder: Where it will be.
        name: Its name there.
        exclusive: The name must be free at the commit.
    """

    __slots__ = (
        "_buffer",
        "_is_begun",
        "_is_cancelled",
        "_is_open",
        "_start",
        "_storage",
        "exclusive",
        "folder",
        "name",
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
        self.folder = folder
        self.name = name
        self._buffer = bytearray()
        # Copied when something comes: see LocalWriter.
        self._start = start
        self._is_begun = False
        self._is_cancelled = False
        self.exclusive = exclusive
        self._is_open = True

    @property
    def position(self) -> int:
        """Bytes from the start of the file up to here."""
        return len(self._buffer) if self._is_begun else self._start.count

    @property
    def held_bytes(self) -> int:
        """How much hidden content there is."""
        if self._is_begun:
            return len(self._buffer)
        return len(self._start.content) if self._start.is_resumed else 0

    @property
    def stored_name(self) -> str:
        """The last component of the name that it has, or will have; certain once it is committed."""
        return from_bytes(self.name)

    def place(self) -> MemoryPlace:
        """Return where the upload is, to measure its end."""
        if not self._is_open:
            raise StorageError("the upload has ended")
        return MemoryPlace(self._storage, self)

    def prepare(self) -> None:
        """Copy now, so that `commit` does not."""
        if self._is_open and not self._adds_nothing():
            self._begin()

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
        if self._adds_nothing():
            self.discard()  # the target stays as it is
            return
        self._begin()
        self._storage.publish(self, bytes(self._buffer), self._start)
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
        self._storage.abandon(self, kept, was_kept=start.is_resumed)

    def cancel(self) -> None:
        """Let the copying of existing content end; any thread, does not block."""
        self._is_cancelled = True

    def close(self) -> None:
        """As `discard()` when the upload has not ended yet."""
        self.discard()

    def _adds_nothing(self) -> bool:
        return not self._is_begun and self._start.is_whole_file

    def _begin(self) -> None:
        if self._is_begun:
            return
        if self._is_cancelled and self._start.is_visible:
            raise WriteCancelled("the upload was ended while the content that it continues was copied")
        self._buffer += memoryview(self._start.content)[: self._start.count]
        self._is_begun = True


class MemoryPlace:
    """Where an upload is; see `UploadPlace`."""

    __slots__ = ("_storage", "_upload")

    def __init__(self, storage: MemoryStorage, upload: MemoryWriter) -> None:
        self._storage = storage
        self._upload = upload

    def own(self) -> Usage:
        """Return what the upload's hidden content takes."""
        upload = self._upload
        return Usage(upload.held_bytes, 1) if upload in upload.folder.uploads else NOTHING

    def around(self) -> Usage:
        """Return what stands under the upload's name, and the parts kept for it."""
        return self._storage.usage_in(self._upload.folder, self._upload.name)

    def close(self) -> None:
        """There is nothing to give back."""


def is_occupied(folder: MemoryFolder) -> bool:
    """Say whether a directory has entries or uploads under way; kept partials do not count."""
    return bool(folder.entries or folder.uploads)


def check_replaceable(
    node: MemoryFile | MemoryFolder, replaced: MemoryFile | MemoryFolder | None, target: str
) -> None:
    """Refuse a rename onto something that it may not replace."""
    if isinstance(node, MemoryFile) and isinstance(replaced, MemoryFolder):
        raise IsADirectory(f"a file cannot replace a directory: {shorten(target)}")
    if isinstance(node, MemoryFolder) and isinstance(replaced, MemoryFile):
        raise NotADirectory(f"a directory cannot replace a file: {shorten(target)}")
    if isinstance(replaced, MemoryFolder) and is_occupied(replaced):
        raise DirectoryNotEmpty(f"the directory has entries or uploads under way: {shorten(target)}")


def memory_entry(name: str, node: MemoryFile | MemoryFolder) -> Entry:
    """Return the entry for a name and its node."""
    is_file = isinstance(node, MemoryFile)
    return Entry(
        name=name,
        kind=EntryKind.FILE if is_file else EntryKind.DIRECTORY,
        size=len(node.content) if isinstance(node, MemoryFile) else 0,
        modified=node.modified,
        mode=node.mode,
        unique=f"{node.number:x}",
        owner="0",
        group="0",
    )


def usage_of(node: MemoryFile | MemoryFolder | None) -> Usage:
    """Return what a node takes by itself."""
    if node is None:
        return NOTHING
    return Usage(len(node.content) if isinstance(node, MemoryFile) else 0, 1)


def holdings_of(folder: MemoryFolder, kept: Sequence[int]) -> list[Holding]:
    """Return everything in a directory: entries, the lengths of its kept parts, uploads under way."""
    found = [
        Holding(from_bytes(name), usage_of(node), isinstance(node, MemoryFolder), is_hidden=False)
        for name, node in folder.entries.items()
    ]
    hidden = [*kept, *(upload.held_bytes for upload in folder.uploads)]
    found += [Holding("", Usage(size, 1), is_directory=False, is_hidden=True) for size in hidden]
    return found
