"""Entries of the local backend: from what the system says of a file to an `Entry`, a directory at a time."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import sys
from collections.abc import Iterator
from typing import Final

from ._failures import Translated
from ._names import HiddenNames, from_bytes, visible_target
from ._tree import Descriptor
from .base import Entry, EntryKind

__all__ = ["LocalScan", "local_entry"]

_KINDS: Final = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.LINK,
}
# os.scandir decodes with the locale's encoding; where that is not UTF-8 the octets are taken back out of it.
_LOCALE_IS_UTF8: Final = sys.getfilesystemencoding().lower() in ("utf-8", "utf8")


def local_entry(name: str, status: os.stat_result, *, link_target: str | None = None) -> Entry:
    """Return the entry for a name and its status."""
    return Entry(
        name=name,
        kind=_KINDS.get(stat.S_IFMT(status.st_mode), EntryKind.OTHER),
        size=status.st_size,
        modified=status.st_mtime,
        mode=status.st_mode & 0o777,
        unique=f"{status.st_dev:x}g{status.st_ino:x}",
        owner=_owner_name(status.st_uid),
        group=_group_name(status.st_gid),
        link_target=link_target,
    )


class LocalScan:
    """The entries of one open directory; see `EntryScan`."""

    __slots__ = ("_depth", "_entries", "_folder", "_names", "_path", "_scanner")

    def __init__(self, folder: Descriptor, names: HiddenNames, *, path: str, depth: int) -> None:
        self._folder = folder
        self._names = names
        self._path = path
        self._depth = depth
        # The iterator reads through a duplicate; the entries' stat goes through our own descriptor.
        self._scanner = os.scandir(folder.number)
        self._entries: Iterator[os.DirEntry[str]] | None = iter(self._scanner)

    def __iter__(self) -> LocalScan:
        return self

    def __next__(self) -> Entry:
        while self._entries is not None:
            with Translated(self._path):
                found = next(self._entries, None)
                if found is None:
                    break
                name = found.name if _LOCALE_IS_UTF8 else from_bytes(os.fsencode(found.name))
                if self._names.hides(name):
                    continue
                with contextlib.suppress(FileNotFoundError):  # it vanished between the listing and the look
                    return self._entry(name, found)
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Give the descriptors back; may be called twice."""
        self._entries = None
        self._scanner.close()
        with contextlib.suppress(OSError):
            self._folder.close()

    def __del__(self) -> None:
        # The scanner would warn of its own when it is collected unexhausted.
        with contextlib.suppress(Exception):
            self.close()

    def _entry(self, name: str, found: os.DirEntry[str]) -> Entry:
        status = found.stat(follow_symlinks=False)
        target = None
        if stat.S_ISLNK(status.st_mode):
            raw = os.readlink(os.fsencode(found.name), dir_fd=self._folder.number)
            target = visible_target(from_bytes(raw), self._depth)
            if target is not None and any(self._names.hides(part) for part in target.split("/")):
                target = None
        return local_entry(name, status, link_target=target)


@functools.lru_cache(4096)
def _owner_name(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError, OSError):
        return str(number)


@functools.lru_cache(4096)
def _group_name(number: int) -> str:
    try:
        import grp

        return grp.getgrgid(number).gr_name
    except (ImportError, KeyError, OSError):
        return str(number)
