"""Counting what a storage holds: how much a name takes, and what a backend must tell for it.

A quota (`quota`) is kept by these alone. What counts is what lies there, hidden or not: a file or an upload
by its length, a directory or a link as a name without length. Must not decide how much is too much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from lockgate.errors import StorageError

from .base import Storage, WriteHandle, WriteMode

__all__ = [
    "NOTHING",
    "CountedHandle",
    "CountedStorage",
    "FilesBeingCounted",
    "Holding",
    "UploadPlace",
    "Usage",
]


class FilesBeingCounted(StorageError):
    """How much is stored is not known yet; it will be soon: try again."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How much something takes.

    Attributes:
        bytes: Length of files; directories, links and everything else have none.
        files: Names: files, directories, links, hidden files of uploads.
    """

    bytes: int = 0
    files: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.bytes + other.bytes, self.files + other.files)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.bytes - other.bytes, self.files - other.files)


NOTHING = Usage()
"""What takes no room."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One name in a directory, hidden ones included.

    Attributes:
        name: The last component of the path.
        usage: What the name itself takes, without what is below it.
        is_directory: There may be more below it; a link is never one.
        is_hidden: It is the backend's own: a kept part or an upload under way.
    """

    name: str
    usage: Usage
    is_directory: bool
    is_hidden: bool


class UploadPlace(Protocol):
    """Where an upload is written and will be published; it outlives the upload, whose end it measures.

    All methods block shortly.
    """

    def own(self) -> Usage:
        """Return what the upload's hidden content takes; nothing once it has ended."""
        ...

    def around(self) -> Usage:
        """Return what stands under the upload's name, links not followed, and the parts kept for it."""
        ...

    def close(self) -> None:
        """Give it back; may be called twice."""
        ...


class CountedHandle(WriteHandle, Protocol):
    """An upload that can be counted."""

    def place(self) -> UploadPlace:
        """Return where the upload is; only before its end.

        Raises:
            StorageError: The upload has ended, or there are too many open files.
        """
        ...

    def prepare(self) -> None:
        """Do now what takes long in `commit`: copy, synchronise. Blocks; nothing may be written afterwards.

        Raises as `commit`, and changes nothing that anybody sees.
        """
        ...


class CountedStorage(Storage, Protocol):
    """A storage that can be counted."""

    def for_account(self, account: str) -> CountedStorage:
        """Return the same files as another account finds them; see `Storage.for_account`."""
        ...

    def open_write(self, path: str, mode: WriteMode, *, offset: int = 0) -> CountedHandle:
        """Begin an upload; see `Storage.open_write`."""
        ...

    def create_unique(self, directory: str, prefix: str) -> tuple[str, CountedHandle]:
        """Begin an upload under a new name; see `Storage.create_unique`."""
        ...

    def usage(self, path: str) -> Usage:
        """Return what stands under a name by itself, links not followed, and the parts kept for it.

        What is below a directory is not in it. A name that is free takes nothing; where no name could be, or
        the path is the root, the answer is nothing too.
        """
        ...

    def holdings(self, path: str) -> Iterator[Holding]:
        """Return everything in a directory, hidden names too, links not followed, read piece by piece.

        Raises:
            NotADirectory: The path is something else, or became a link.
        """
        ...
