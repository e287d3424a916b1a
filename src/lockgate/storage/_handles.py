"""Open files of the local backend: reading one, writing one that nobody sees yet.

Each handle belongs to one thread at a time. They work on descriptors; no path is resolved here.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from dataclasses import dataclass
from typing import Final

from ._failures import Translated, storage_error
from ._openat2 import rename_exclusively
from ._tree import Descriptor
from .base import OffsetBeyondEnd

__all__ = ["LocalReader", "LocalWriter", "Upload", "copy_content"]

_log = logging.getLogger(__name__)
# One copy_file_range call at most this much, so that a signal or a shutdown is not held up for a whole disk.
_COPY_BYTES: Final = 1 << 30
_PIECE_BYTES: Final = 1 << 18
_CANNOT_COPY: Final = (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF)


class LocalReader:
    """A regular file open for reading; see `ReadHandle`."""

    __slots__ = ("_opened", "_path", "_size")

    def __init__(self, opened: Descriptor, size: int, *, path: str) -> None:
        self._opened = opened
        self._size = size
        self._path = path

    @property
    def size(self) -> int:
        """Length in bytes when the file was opened."""
        return self._size

    def fileno(self) -> int:
        """Return the descriptor, for sendfile; it stays this handle's."""
        return self._opened.number

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer as far as one system call does; 0 at the end. Blocks."""
        try:
            return os.readv(self._opened.number, (buffer,))
        except OSError as error:
            raise storage_error(error, self._path) from error

    def seek(self, offset: int) -> None:
        """Continue at an offset from the start (RFC 3659 section 5)."""
        if not 0 <= offset <= self._size:
            raise OffsetBeyondEnd(f"offset {offset} is not within the {self._size} bytes of the file")
        with Translated(self._path):
            os.lseek(self._opened.number, offset, os.SEEK_SET)

    def close(self) -> None:
        """Give the descriptor back; may be called twice."""
        with contextlib.suppress(OSError):
            self._opened.close()


@dataclass(frozen=True, slots=True)
class Upload:
    """Where an upload is written and what becomes of it.

    Attributes:
        path: The virtual path of the target, for messages.
        folder: The directory; the writer owns this descriptor.
        target: The name to publish under.
        working: The hidden name while it is written.
        kept: The hidden name if it is interrupted and kept.
        mode: Permission bits of the published file.
        exclusive: The target's name must be free at the commit.
        fsync: Synchronise file and directory at the commit.
    """

    path: str
    folder: Descriptor
    target: bytes
    working: bytes
    kept: bytes
    mode: int
    exclusive: bool
    fsync: bool


class LocalWriter:
    """An upload in its hidden file; see `WriteHandle`.

    Args:
        upload: Where it is written and what becomes of it; the writer owns the descriptor in it.
        opened: The hidden file, positioned; the writer owns it.
        position: Where the next byte goes.
        is_resumed: The hidden file is a partial that was kept. It is cut to the position only when something
            comes: a data connection that never opens must not cost what was there already.
    """

    __slots__ = ("_ended", "_is_uncut", "_opened", "_position", "_upload")

    def __init__(
        self, upload: Upload, opened: Descriptor, *, position: int, is_resumed: bool = False
    ) -> None:
        self._upload = upload
        self._opened = opened
        self._position = position
        self._is_uncut = is_resumed
        self._ended = False

    @property
    def position(self) -> int:
        """Bytes from the start of the file up to here."""
        return self._position

    def write(self, data: memoryview | bytes) -> int:
        """Write all of the bytes; blocks."""
        total = len(data)
        done = 0
        descriptor = self._opened.number
        try:
            if self._is_uncut:
                self._cut()
            # Disks nearly always take all at once; the loop is for a full one, where the next write says so.
            done = os.write(descriptor, data)
            while done < total:
                done += os.write(descriptor, memoryview(data)[done:])
        except OSError as error:
            raise storage_error(error, self._upload.path) from error
        finally:
            self._position += done
        return total

    def commit(self) -> None:
        """Publish the upload under its name in one step; blocks, longer with fsync."""
        if self._ended:
            return
        upload = self._upload
        folder = upload.folder.number
        with Translated(upload.path):
            self._settle()
            if upload.exclusive:
                rename_exclusively(folder, upload.working, upload.target)
            else:
                os.rename(upload.working, upload.target, src_dir_fd=folder, dst_dir_fd=folder)
        self._ended = True
        # An older partial of this name is answered by this upload: resuming it would mix two files.
        with contextlib.suppress(OSError):
            os.unlink(upload.kept, dir_fd=folder)
        if upload.fsync:
            self._synchronise_folder()
        upload.folder.close()

    def discard(self, keep: bool = False) -> None:
        """End without publishing; with `keep` what was written stays, hidden, for APPEND and RESUME."""
        if self._ended:
            return
        self._ended = True
        upload = self._upload
        folder = upload.folder.number
        with contextlib.suppress(OSError):
            self._opened.close()
        try:
            if self._is_uncut or (keep and self._position):
                os.rename(upload.working, upload.kept, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                os.unlink(upload.working, dir_fd=folder)
        except FileNotFoundError:
            pass  # removed as stale meanwhile
        except OSError as error:
            _log.warning("! a partial upload stays behind until it is cleaned up: %s", error.strerror)
        upload.folder.close()

    def close(self) -> None:
        """As `discard()` when the upload has not ended yet; never raises."""
        self.discard()

    def __del__(self) -> None:
        # Never reached by correct callers; a forgotten upload must not leave its file behind.
        with contextlib.suppress(Exception):
            self.discard()

    def _cut(self) -> None:
        os.ftruncate(self._opened.number, self._position)
        self._is_uncut = False

    def _settle(self) -> None:
        """Bring the file into its final shape; close says what a network file system held back until now."""
        if self._opened.number < 0:
            return
        if self._is_uncut:
            self._cut()
        os.fchmod(self._opened.number, self._upload.mode)
        if self._upload.fsync:
            os.fsync(self._opened.number)
        self._opened.close()

    def _synchronise_folder(self) -> None:
        # The file is published; a directory that cannot be opened for reading cannot be synchronised either.
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            with Descriptor(os.open(b".", flags, dir_fd=self._upload.folder.number)) as number:
                os.fsync(number)
        except OSError as error:
            _log.warning("! the directory of an upload was not synchronised: %s", error.strerror)


def copy_content(source: int, target: int, count: int) -> None:
    """Copy bytes between the current positions of two descriptors, inside the kernel where it can; blocks.

    Raises:
        OSError: As the kernel says; EIO when the source has become shorter meanwhile.
    """
    left = count
    while left:
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
        piece = os.read(source, min(left, _PIECE_BYTES))
        if not piece:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        left -= len(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]
