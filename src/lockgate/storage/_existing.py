"""Content that an upload continues: held since the upload began, copied when it goes on, checked at its end.

Works on descriptors; no path is resolved here.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ._tree import Descriptor
from .base import TargetBusy, WriteCancelled

__all__ = ["Existing", "copy_content"]

_log = logging.getLogger(__name__)
# One copy_file_range call at most this much: an ABOR or a shutdown waits for one piece, not for a whole disk.
# A multiple of every block size, so that file systems which can share blocks do.
_COPY_BYTES: Final = 16 << 20
_PIECE_BYTES: Final = 1 << 18
_CANNOT_COPY: Final = (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF)


@dataclass(frozen=True, slots=True)
class Existing:
    """The visible content that an upload continues.

    Attributes:
        source: The target, open for reading since the upload began, whatever the name stands for now.
        before: Its status then.
        named: The status of the name itself then: of the same file, or of a link to it.
        count: How much of it the upload begins with.
        is_whole: That is all of it.
    """

    source: Descriptor
    before: os.stat_result
    named: os.stat_result
    count: int
    is_whole: bool

    def hold(self, folder: int, name: bytes) -> None:
        """Make sure that the name still stands for the content, and lock that until `source` is closed.

        Two uploads that continue one file both lock it before they look, so of two at the same moment, in
        whatever processes, one is refused, and waits for nothing. Whoever writes into the file without
        asking is seen by its length and its time.

        Raises:
            TargetBusy: Another one has it, or it is no longer what it was.
        """
        source = self.source.number
        try:
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TargetBusy("somebody else is writing to the file") from None
        except OSError as error:  # a file system without locks: looking must do
            _log.debug("= a file cannot be locked: %s", error.strerror)
        try:
            now, named = os.fstat(source), os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            raise TargetBusy("the file that was continued is gone") from None
        is_same_link = named.st_mtime_ns == self.named.st_mtime_ns or not stat.S_ISLNK(named.st_mode)
        is_same_name = os.path.samestat(named, self.named) and is_same_link
        if not is_same_name or _content_mark(now) != _content_mark(self.before):
            raise TargetBusy("the file has been changed since the upload began")


def _content_mark(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def copy_content(source: int, target: int, count: int, *, is_cancelled: Callable[[], bool]) -> None:
    """Copy bytes between the current positions of two descriptors, inside the kernel where it can; blocks.

    Args:
        source: Where they are read.
        target: Where they are written.
        count: How many.
        is_cancelled: Asked before each piece.

    Raises:
        WriteCancelled: `is_cancelled` said so.
        OSError: As the kernel says; EIO when the source has become shorter meanwhile.
    """
    left = count
    while left:
        _check(is_cancelled)
        try:
            moved = os.copy_file_range(source, target, min(left, _COPY_BYTES))
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _CANNOT_COPY:
                raise
            break
        if not moved:
            break
        left -= moved
    while left:
        _check(is_cancelled)
        piece = os.read(source, min(left, _PIECE_BYTES))
        if not piece:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        left -= len(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]


def _check(is_cancelled: Callable[[], bool]) -> None:
    if is_cancelled():
        raise WriteCancelled("the upload was ended while the content that it continues was copied")
