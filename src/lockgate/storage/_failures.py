"""What the operating system's errors mean here.

Messages name virtual paths only: they may reach a client, and a client learns nothing of the host's
directories.
"""

from __future__ import annotations

import errno
from types import TracebackType
from typing import Final

from lockgate.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    IsADirectory,
    NameRejected,
    NoSpace,
    NotADirectory,
    NotFound,
    OutsideRoot,
    PermissionDenied,
    StorageError,
    shorten,
)

from .base import QuotaExceeded

__all__ = ["Translated", "storage_error"]

_MEANINGS: Final[dict[int, tuple[type[StorageError], str]]] = {
    errno.ENOENT: (NotFound, "no such file or directory"),
    errno.EEXIST: (AlreadyExists, "the name is taken"),
    errno.EACCES: (PermissionDenied, "the file system does not allow it"),
    errno.EPERM: (PermissionDenied, "the file system does not allow it"),
    errno.EROFS: (PermissionDenied, "the file system is read-only"),
    errno.EISDIR: (IsADirectory, "a file is needed and this is a directory"),
    errno.ENOTDIR: (NotADirectory, "a directory is needed and this is none"),
    errno.ENOTEMPTY: (DirectoryNotEmpty, "the directory has entries"),
    errno.ENAMETOOLONG: (NameRejected, "the name is too long"),
    errno.EINVAL: (NameRejected, "the file system does not take this name"),
    errno.EILSEQ: (NameRejected, "the file system does not take this name"),
    # openat2 says EXDEV when a path leaves the root and ELOOP for a magic link; the walk says ELOOP for any
    # link.
    errno.EXDEV: (OutsideRoot, "the path leads out of the root"),
    errno.ELOOP: (OutsideRoot, "the path goes through a link that is not followed"),
    errno.ENOSPC: (NoSpace, "the disk is full"),
    errno.EDQUOT: (QuotaExceeded, "the quota is used up"),
    errno.EFBIG: (NoSpace, "the file would be larger than the file system takes"),
}


def storage_error(error: OSError, path: str) -> StorageError:
    """Return the storage error for a system error; raise it `from` the latter.

    Args:
        error: What the system said.
        path: The virtual path that was asked for.
    """
    number = error.errno or 0
    if number in _MEANINGS:
        kind, words = _MEANINGS[number]
        return kind(f"{words}: {shorten(path)}")
    name = errno.errorcode.get(number, "unknown error")
    return StorageError(f"the storage failed ({name}): {shorten(path)}")


class Translated:
    """A block in which system errors become storage errors; `with Translated(path): ...`."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise storage_error(error, self._path) from error
