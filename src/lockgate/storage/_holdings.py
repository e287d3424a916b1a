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

__all__ = ["InPlacePlace", "LocalPlace", "local_holdings", "usage_of"]

# os.scandir decodes with the locale's encoding; where that is not UTF-8 the octets are taken back out of it.
_LOCALE_IS_UTF8: Final = sys.getfilesystemencoding().lower() in ("utf-8", "utf8")


class LocalPlace:
    """Where an upload is; see `UploadPlace`. It has a descriptor of its own.

    Args:
        folder: The directory; owned by this object.
        working: The hidden name of the upload.
        names: Tells the names that it is, or may be, published under, and those of the parts kept for it.
    """

    __slots__ = ("_folder", "_names", "_working")

    def __init__(self, folder: Descriptor, *, working: bytes, names: Callable[[], Iterable[bytes]]) -> None:
        self._folder = folder
        self._working = working
        self._names = names

    def own(self) -> Usage:
        """Return what the upload's hidden content takes."""
        return usage_of(self._folder.number, (self._working,))

    def around(self) -> Usage:
        """Return what stands under the upload's name, and the parts kept for it."""
        return usage_of(self._folder.number, self._names())

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
        is_open: Says whether the upload has not ended yet: until then its file is the upload's own.
    """

    __slots__ = ("_folder", "_is_open", "_name", "_opened", "_others")

    def __init__(
        self,
        folder: Descriptor,
        opened: os.stat_result,
        *,
        name: bytes,
        others: Callable[[], Iterable[bytes]],
        is_open: Callable[[], bool],
    ) -> None:
        self._folder = folder
        self._opened = opened
        self._name = name
        self._others = others
        self._is_open = is_open

    def own(self) -> Usage:
        """Return what the upload's file takes, while it is under way and has its name."""
        found = self._named()
        return _usage(found) if found is not None and self._is_own(found) else NOTHING

    def around(self) -> Usage:
        """Return what else stands under the name, and the parts kept for it."""
        found, kept = self._named(), usage_of(self._folder.number, self._others())
        return kept if found is None or self._is_own(found) else kept + _usage(found)

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
        return self._is_open() and os.path.samestat(found, self._opened)


def usage_of(folder: int, names: Iterable[bytes]) -> Usage:
    """Return what some names in a directory take; raises `OSError`."""
    found = NOTHING
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            found += _usage(os.stat(name, dir_fd=folder, follow_symlinks=False))
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
