"""What lies in the local backend's directories, counted: names, kept parts, uploads under way.

Works on names relative to a directory's descriptor; follows no link.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ._names import HiddenNames, from_bytes
from ._tree import Descriptor
from .usage import NOTHING, Holding, Usage

__all__ = ["InPlacePlace", "LocalPlace", "Writing", "local_holdings", "usage_of"]

# os.scandir decodes with the locale's encoding; where that is not UTF-8 the octets are taken back out of it.
_LOCALE_IS_UTF8: Final = sys.getfilesystemencoding().lower() in ("utf-8", "utf8")


class Writing:
    """The files that uploads in place write to at this moment, in one tree. Thread-safe.

    Such a file counts for its upload, which takes the room for what it writes, and for none of its names: a
    name that is measured before and after some change would count once more what was written in between.
    """

    __slots__ = ("_files",)

    def __init__(self) -> None:
        self._files: set[tuple[int, int]] = set()

    def begin(self, status: os.stat_result) -> None:
        """Take a file in, when its upload has it for itself."""
        self._files.add((status.st_dev, status.st_ino))

    def end(self, status: os.stat_result) -> None:
        """Let a file count for its name again; may be called twice."""
        self._files.discard((status.st_dev, status.st_ino))

    def has(self, status: os.stat_result) -> bool:
        """Say whether an upload writes to a file."""
        return (status.st_dev, status.st_ino) in self._files


class LocalPlace:
    """Where an upload is; see `UploadPlace`. It has a descriptor of its own.

    Args:
        folder: The directory; owned by this object.
        working: The hidden name of the upload.
        names: Tells the names that it is, or may be, published under, and those of the parts kept for it.
        writing: What counts for uploads in place.
    """

    __slots__ = ("_folder", "_names", "_working", "_writing")

    def __init__(
        self,
        folder: Descriptor,
        *,
        working: bytes,
        names: Callable[[], Iterable[bytes]],
        writing: Writing,
    ) -> None:
        self._folder = folder
        self._writing = writing
        self._working = working
        self._names = names

    def own(self) -> Usage:
        """Return what the upload's hidden content takes."""
        return usage_of(self._folder.number, (self._working,), self._writing)

    def around(self) -> Usage:
        """Return what stands under the upload's name, and the parts kept for it."""
        return usage_of(self._folder.number, self._names(), self._writing)

    def close(self) -> None:
        """Give the descriptor back; may be called twice."""
        with contextlib.suppress(OSError):
            self._folder.close()


class InPlacePlace:
    """Where an upload under its own name is; see `UploadPlace`. It has a descriptor of its own.

    Args:
        folder: The directory; owned by this object.
        opened: The status of the upload's file.
        name: The name of the upload.
        others: Tells the names of parts kept for it, and others that counted before it.
        writing: What counts for uploads in place: this file, until the upload ends.
        elsewhere: Tells what the upload has left under another name than its own.
    """

    __slots__ = ("_elsewhere", "_folder", "_name", "_opened", "_others", "_writing")

    def __init__(
        self,
        folder: Descriptor,
        opened: os.stat_result,
        *,
        name: bytes,
        others: Callable[[], Iterable[bytes]],
        writing: Writing,
        elsewhere: Callable[[], Usage],
    ) -> None:
        self._folder = folder
        self._opened = opened
        self._name = name
        self._others = others
        self._writing = writing
        self._elsewhere = elsewhere

    def own(self) -> Usage:
        """Return what the upload's file takes, while it is under way and has its name."""
        found = self._named()
        return _usage(found) if found is not None and self._is_own(found) else NOTHING

    def around(self) -> Usage:
        """Return what else stands under the name, the parts kept for it, and what came to be elsewhere."""
        names = {self._name, *self._others()}
        return usage_of(self._folder.number, names, self._writing) + self._elsewhere()

    def close(self) -> None:
        """Give the descriptor back; may be called twice."""
        with contextlib.suppress(OSError):
            self._folder.close()

    def _named(self) -> os.stat_result | None:
        try:
            return os.stat(self._name, dir_fd=self._folder.number, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _is_own(self, found: os.stat_result) -> bool:
        return self._writing.has(found) and os.path.samestat(found, self._opened)


def usage_of(folder: int, names: Iterable[bytes], writing: Writing) -> Usage:
    """Return what some names in a directory take, but for what counts for uploads; raises `OSError`."""
    found = NOTHING
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not writing.has(status):
                found += _usage(status)
    return found


def local_holdings(folder: Descriptor, names: HiddenNames) -> Iterator[Holding]:
    """Yield everything in a directory, whose descriptor this takes over; raises `OSError`."""
    with folder as number, os.scandir(number) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # vanished between the listing and the look
            name = entry.name if _LOCALE_IS_UTF8 else from_bytes(os.fsencode(entry.name))
            yield Holding(
                name,
                _usage(status),
                is_directory=stat.S_ISDIR(status.st_mode),
                is_hidden=names.hides(name),
            )


def _usage(status: os.stat_result) -> Usage:
    return Usage(status.st_size if stat.S_ISREG(status.st_mode) else 0, 1)
