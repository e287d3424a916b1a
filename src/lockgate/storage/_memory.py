"""The pieces of the memory backend: its nodes, what reads and lists them, and the rules between them.

No locks here: whoever calls these functions holds the storage's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lockgate.errors import DirectoryNotEmpty, IsADirectory, NotADirectory, StorageError, shorten

from .base import Entry, EntryKind, OffsetBeyondEnd

__all__ = [
    "MemoryFile",
    "MemoryFolder",
    "MemoryReader",
    "MemoryScan",
    "MemoryStart",
    "check_replaceable",
    "is_occupied",
    "memory_entry",
]

_numbers = itertools.count(1)


class MemoryFile:
    """Published content; it is replaced as a whole, never changed, so readers need no lock."""

    __slots__ = ("content", "mode", "modified", "number")

    def __init__(self, content: bytes, *, mode: int, modified: float) -> None:
        self.content = content
        self.mode = mode
        self.modified = modified
        self.number = next(_numbers)


class MemoryFolder:
    """A directory: its entries, and how many uploads into it are under way."""

    __slots__ = ("entries", "mode", "modified", "number", "uploads")

    def __init__(self, *, mode: int, modified: float) -> None:
        self.entries: dict[bytes, MemoryFile | MemoryFolder] = {}
        self.uploads = 0
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
        is_resumed: It is a kept partial, which the upload has taken away.
        is_keepable: What comes may be kept when the upload is interrupted.
    """

    content: bytes = b""
    count: int = 0
    is_visible: bool = False
    is_resumed: bool = False
    is_keepable: bool = True

    @property
    def is_whole_file(self) -> bool:
        """Whether an upload that adds nothing leaves the visible file as it is."""
        return self.is_visible and self.count == len(self.content)


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
