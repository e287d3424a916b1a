"""Uploads that are written under their own name as they come, for programs that read along.

What was received stays there, also when the upload fails; nothing is touched before its first bytes come.
One writes to a file at a time: the lock is of the file (flock), so it holds between processes too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import logging
import os
import stat

from lockgate.errors import StorageError

from ._failures import Translated, storage_error
from ._handles import Upload, synchronise_folder
from ._holdings import InPlacePlace
from ._kept import kept_size
from ._names import beside, from_bytes
from ._openat2 import rename_exclusively
from ._tree import Descriptor, check_regular
from .base import OffsetBeyondEnd, TargetBusy, WriteMode
from .usage import NOTHING, Usage

__all__ = ["InPlaceWriter", "begin_in_place", "check_unwritten"]

_log = logging.getLogger(__name__)
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class InPlaceWriter:
    """An upload under its own name; see `WriteHandle`.

    Args:
        upload: Where it is written; the writer owns the descriptor in it.
        opened: The target, locked; the writer owns it.
        position: Where the next byte goes.
        is_new: The target was made for this upload.
        asked: The name that was asked for, where that is another.
    """

    __slots__ = ("_asked", "_elsewhere", "_ended", "_is_begun", "_is_new", "_opened", "_position", "_upload")

    def __init__(
        self, upload: Upload, opened: Descriptor, *, position: int, is_new: bool, asked: bytes = b""
    ) -> None:
        self._upload = upload
        self._opened = opened
        self._position = position
        self._is_new = is_new
        self._asked = asked or upload.target
        self._is_begun = False
        self._ended = False
        self._elsewhere = NOTHING
        upload.writing.begin(os.fstat(opened.number))

    @property
    def position(self) -> int:
        """Bytes from the start of the file up to here."""
        return self._position

    @property
    def stored_name(self) -> str:
        """The last component of the name that it has, or will have; certain once it is committed."""
        return from_bytes(self._upload.target)

    def write(self, data: memoryview | bytes) -> int:
        """Write all of the bytes, for everybody to see; blocks."""
        if self._ended:
            raise StorageError("the upload has ended")
        view = memoryview(data)
        try:
            if view:
                self._begin()
            while view:
                done = os.write(self._opened.number, view)
                self._position += done
                view = view[done:]
        except OSError as error:
            raise storage_error(error, self._upload.path) from error
        return len(data)

    def place(self) -> InPlacePlace:
        """Return where the upload is, to measure its end; see `CountedHandle`."""
        if self._ended:
            raise StorageError("the upload has ended")
        upload = self._upload
        with Translated(upload.path):
            folder = Descriptor(os.dup(upload.folder.number))
            status = os.fstat(self._opened.number)
        asked = {self._asked} - {upload.target}
        return InPlacePlace(
            folder,
            status,
            name=upload.target,
            others=lambda: asked | upload.all_parts(folder.number),
            writing=upload.writing,
            elsewhere=lambda: self._elsewhere,
        )

    def prepare(self) -> None:
        """Cut and synchronise now, so that `commit` does not take long; blocks."""
        with Translated(self._upload.path):
            if not self._ended and not self._adds_nothing():
                self._settle()

    def commit(self) -> None:
        """End as complete: cut off what was behind, synchronise if so configured.

        Raises:
            TargetBusy: The name does not stand for the file any more; what came is in the file all the same.
        """
        if self._ended:
            return
        upload = self._upload
        folder = upload.folder.number
        with Translated(upload.path):
            if not self._has_name():
                raise TargetBusy("the file was removed, renamed or replaced during the upload")
            if not self._adds_nothing():
                self._settle()
            self._ended = True
            upload.writing.end(os.fstat(self._opened.number))
            self._opened.close()
        if self._is_new and upload.files.fsync:
            synchronise_folder(folder)
        upload.folder.close()

    def discard(self, keep: bool = False) -> None:
        """End as it is: what came stays. A file that was made for an upload that brought nothing goes."""
        if self._ended:
            return
        self._ended = True
        upload = self._upload
        with contextlib.suppress(OSError):
            status = os.fstat(self._opened.number)
            upload.writing.end(status)
            if not _leads_to(upload, status):
                # Somebody has given it another name: it is there, and counted nowhere else.
                self._elsewhere = Usage(status.st_size, 1) if status.st_nlink else NOTHING
            elif self._is_new and not self._is_begun:
                os.unlink(upload.target, dir_fd=upload.folder.number)
        with contextlib.suppress(OSError):
            self._opened.close()
        upload.folder.close()

    def cancel(self) -> None:
        """Do nothing: nothing is copied here."""

    def close(self) -> None:
        """As `discard()` when the upload has not ended yet; never raises."""
        self.discard()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.discard()

    def _begin(self) -> None:
        """Cut the file where the upload goes on: only now, when there is something to put there."""
        if self._is_begun:
            return
        opened = self._opened.number
        status = os.fstat(opened)
        if status.st_mode & 0o7000:
            os.fchmod(opened, status.st_mode & 0o777)  # not for what somebody else has written
        if status.st_size != self._position:
            os.ftruncate(opened, self._position)
        os.lseek(opened, self._position, os.SEEK_SET)
        self._is_begun = True

    def _settle(self) -> None:
        self._begin()
        if self._upload.files.fsync:
            os.fsync(self._opened.number)

    def _adds_nothing(self) -> bool:
        if self._is_begun or self._is_new:
            return False
        return os.fstat(self._opened.number).st_size == self._position

    def _has_name(self) -> bool:
        return _leads_to(self._upload, os.fstat(self._opened.number))


def begin_in_place(upload: Upload, *, mode: WriteMode, offset: int) -> InPlaceWriter:
    """Open or make the target and lock it; raises as `Storage.open_write`, or `OSError`."""
    if upload.files.drop_box:
        return _drop_in(upload, offset)
    is_continued = mode in (WriteMode.APPEND, WriteMode.RESUME)
    found = None if mode is WriteMode.CREATE_NEW else _open(upload)
    if found is None and is_continued and _show_kept(upload, offset):
        found = _open(upload)
    if found is None and offset:
        raise OffsetBeyondEnd(f"cannot continue at {offset}: nothing is stored")
    is_new = found is None
    opened = _create(upload) if found is None else found
    try:
        position = _lock(upload, opened)
        if mode is not WriteMode.APPEND:
            if offset > position:
                _refuse_offset(offset, position)
            position = offset
        return InPlaceWriter(upload, opened, position=position, is_new=is_new)
    except BaseException:
        opened.close()
        raise


def _drop_in(upload: Upload, offset: int) -> InPlaceWriter:
    """Begin a file of its own, whatever has the name."""
    if offset:
        raise OffsetBeyondEnd(f"cannot continue at {offset}: nothing is stored")
    for name in beside(upload.target, upload.hidden):
        try:
            own = dataclasses.replace(upload, target=name)
            opened = _create(own)
        except FileExistsError:
            continue
        _lock(own, opened)
        return InPlaceWriter(own, opened, position=0, is_new=True, asked=upload.target)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def check_unwritten(folder: int, name: bytes) -> None:
    """Refuse to take a file's name away while an upload writes to it. Raises `OSError` and TargetBusy."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with Descriptor(os.open(name, flags, dir_fd=folder)) as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TargetBusy("an upload into the file is under way") from None
    except OSError as error:  # not there, not readable, no locks: what was asked for will tell
        _log.debug("= not looked at for a lock: %s", error.strerror)


def _open(upload: Upload) -> Descriptor | None:
    """Open the target, None if the name is free; a link is not written through, a FIFO not waited for."""
    folder = upload.folder.number
    try:
        status = os.stat(upload.target, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    check_regular(status)  # a link is none either: what it leads to is not written to
    opened = Descriptor(os.open(upload.target, _WRITE, dir_fd=folder))
    try:
        check_regular(os.fstat(opened.number))
    except BaseException:
        opened.close()
        raise
    return opened


def _create(upload: Upload) -> Descriptor:
    """Make the target; raises FileExistsError when the name is taken."""
    folder = upload.folder.number
    opened = Descriptor(os.open(upload.target, _WRITE | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
    try:
        upload.files.hand_over(opened.number)
        os.fchmod(opened.number, upload.mode)
    except BaseException:
        opened.close()
        os.unlink(upload.target, dir_fd=folder)
        raise
    upload.drop_parts()
    return opened


def _lock(upload: Upload, opened: Descriptor) -> int:
    """Become the only one who writes to the file, and return its length."""
    try:
        fcntl.flock(opened.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TargetBusy("somebody else is writing to the file") from None
    except OSError as error:  # a file system without locks
        _log.warning("! %s cannot be locked, so two may write to it: %s", upload.path, error.strerror)
    status = os.fstat(opened.number)
    # Whoever had the lock before may have taken the file away.
    if not _leads_to(upload, status):
        raise TargetBusy("the file has been removed or replaced at this moment")
    return status.st_size


def _show_kept(upload: Upload, offset: int) -> bool:
    """Give the part that an atomic upload has left its name, when the offset lies in it."""
    folder = upload.folder.number
    size = kept_size(folder, kept=upload.kept, target=upload.target)
    if size is None or size < offset:
        return False
    try:
        rename_exclusively(folder, upload.kept, upload.target)
    except FileNotFoundError:
        return False
    upload.parts.release(folder, upload.kept)
    with Descriptor(os.open(upload.target, _WRITE, dir_fd=folder)) as opened:
        upload.files.hand_over(opened)
        os.fchmod(opened, upload.mode)
    return True


def _refuse_offset(offset: int, size: int) -> None:
    raise OffsetBeyondEnd(f"cannot continue at {offset}: only {size} bytes are stored")


def _leads_to(upload: Upload, status: os.stat_result) -> bool:
    try:
        named = os.stat(upload.target, dir_fd=upload.folder.number, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, status)
