"""Local files of transfers: downloads grow beside their target and replace it at a verified end.

Devices and pipes are written through, never replaced. Blocks for disk access. Must not know the protocol.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from random import Random

from lockgate.errors import (
    IsADirectory,
    LocalProtocolError,
    NameRejected,
    NoSpace,
    NotFound,
    StorageError,
    shorten,
)

__all__ = ["DownloadTarget", "SourceFile", "StreamTarget", "is_stream", "open_target", "safe_local_name"]

_CREATE = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_CREATE |= getattr(os, "O_CLOEXEC", 0)
_WINDOWS_FORBIDDEN = frozenset('\\:*?"<>|')
_OPEN_ALREADY = re.compile(r"/dev/(?P<name>stdin|stdout|stderr)|(?:/dev|/proc/self)/fd/(?P<number>\d{1,6})")
_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


def open_target(
    path: Path, *, random: Random, resume_key: str | None = None
) -> DownloadTarget | StreamTarget:
    """Open what a download is written to. Blocks for disk access.

    A plain file, or a name that is free, is replaced at the end; where a symbolic link leads to a plain file,
    that file is, and the link stays. A character device, a pipe, and `/dev/stdout` and its like are written
    to as the bytes come. Everything else is refused.

    Args:
        path: The target.
        random: As for `DownloadTarget`.
        resume_key: As for `DownloadTarget`.

    Raises:
        IsADirectory: The target is a directory, or a link to one.
        NotFound: Its folder does not exist, or it is a link that leads nowhere.
        LocalProtocolError: Resuming was asked for, and the target is a device or a pipe.
        StorageError: It cannot be written to.
    """
    if not is_stream(path):
        return DownloadTarget(_behind_links(path), random=random, resume_key=resume_key)
    if resume_key is not None:
        raise LocalProtocolError(
            f"{shorten(str(path), 200)} is no plain file: a download to it cannot resume"
        )
    return StreamTarget(path)


def is_stream(path: Path) -> bool:
    """Tell whether a download to a path is written through: a character device, a pipe, `/dev/stdout`."""
    if _OPEN_ALREADY.fullmatch(str(path)):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _behind_links(path: Path) -> Path:
    """Return the path to replace: where links lead, if that is a plain file or nothing but a free name."""
    shown = shorten(str(path), 200)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        if path.is_symlink():
            raise NotFound(f"{shown} is a link that leads nowhere: remove it, or name the file") from error
        return path
    except OSError as error:
        raise _failed("write", path, error) from error
    if stat.S_ISDIR(mode):
        raise IsADirectory(f"{shown} is a directory: name the file in it")
    if not stat.S_ISREG(mode):
        raise StorageError(f"{shown} is no plain file, and it is not replaced: name another")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


class StreamTarget:
    """A device or pipe that a download is written to as it comes; `discard` cannot take anything back.

    Blocks while nobody takes what is written. Not thread-safe.

    Raises:
        StorageError: It cannot be opened, or nobody reads from the pipe.
    """

    __slots__ = ("_descriptor", "_path", "offset")

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0
        try:
            self._descriptor = _open_already(path)
            if self._descriptor < 0:
                # A pipe without a reader would block the open for ever.
                flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
                self._descriptor = os.open(path, flags)
                os.set_blocking(self._descriptor, True)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise StorageError(f"nobody reads from {shorten(str(path), 200)}") from error
            raise _failed("write to", path, error) from error

    @property
    def part(self) -> Path | None:
        """Nothing is kept."""
        return None

    def write(self, data: memoryview | bytes) -> int:
        """Write all of `data`."""
        return _write_all(self._descriptor, data, self._path)

    def restart(self) -> None:
        """Do nothing: every download to a stream is a first one."""

    def commit(self, *, modified: float | None = None) -> None:
        """Close; a stream has no time of its own."""
        del modified
        self.discard()

    def discard(self) -> None:
        """Close."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _open_already(path: Path) -> int:
    """Return a copy of the descriptor that a path such as /dev/stdout stands for, or -1.

    Opening the path anew would begin at the start of a file that the output goes to, and fails for sockets.
    """
    found = _OPEN_ALREADY.fullmatch(str(path))
    if found is None:
        return -1
    name, number = found["name"], found["number"]
    return os.dup(_STANDARD[name] if name else int(number))


def _write_all(descriptor: int, data: memoryview | bytes, path: Path) -> int:
    left = memoryview(data)
    total = len(left)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError as error:
        kind = NoSpace if error.errno in _FULL else StorageError
        raise kind(f"cannot write {shorten(str(path), 200)}: {error.strerror or error}") from error
    return total


class DownloadTarget:
    """A file that is being downloaded: `write`, then `commit` or `discard`.

    Until `commit` the target keeps its old content, or does not exist. Not thread-safe. `open_target` knows
    what may be replaced.

    Args:
        path: The target; a link would be replaced.
        random: Where the temporary name comes from.
        resume_key: What identifies the remote file's content. With it an interrupted download stays, hidden
            beside the target, and the next one with the same key goes on where it ended.

    Raises:
        NotFound: Its folder does not exist.
        StorageError: The file cannot be made.
    """

    __slots__ = ("_descriptor", "_is_kept", "_partial", "_path", "offset", "part")

    def __init__(self, path: Path, *, random: Random, resume_key: str | None = None) -> None:
        self._path = path
        self._is_kept = resume_key is not None
        self.part: Path | None = None
        """After `discard`: what is kept to be resumed."""
        # A long name leaves no room for more on most file systems (255 bytes).
        stem = os.fsencode(path.name)[:180].decode("utf-8", "ignore")
        mark = resume_key if resume_key is not None else f"{random.getrandbits(64):016x}"
        self._partial = path.with_name(f".{stem}.{mark}.lockgate-part")
        flags = _CREATE if self._is_kept else _CREATE | os.O_EXCL
        try:
            self._descriptor = os.open(self._partial, flags, 0o666)
        except FileNotFoundError as error:
            raise NotFound(f"there is no local folder {shorten(str(path.parent), 200)}") from error
        except OSError as error:
            raise _failed("write beside", path, error) from error
        self.offset = os.lseek(self._descriptor, 0, os.SEEK_END)

    def write(self, data: memoryview | bytes) -> int:
        """Write all of `data`."""
        return _write_all(self._descriptor, data, self._path)

    def restart(self) -> None:
        """Throw away what an earlier attempt brought."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.offset = 0

    def commit(self, *, modified: float | None = None) -> None:
        """Put the file in the target's place, in one step.

        Args:
            modified: The time that the file is to carry, seconds since 1970 UTC.

        Raises:
            StorageError: The file system refuses; nothing is left behind.
        """
        try:
            self._keep_mode()
            if modified is not None:
                os.utime(
                    self._descriptor if os.utime in os.supports_fd else self._partial, (modified, modified)
                )
            self._close()
            self._partial.replace(self._path)
        except OSError as error:
            self._is_kept = False
            self.discard()
            raise _failed("replace", self._path, error) from error

    def discard(self) -> None:
        """Give up: nothing shows; only a download that can be resumed stays, hidden."""
        self._close()
        with contextlib.suppress(OSError):
            if self._is_kept and self._partial.stat().st_size:
                self.part = self._partial
            else:
                self._partial.unlink()

    def _keep_mode(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if hasattr(os, "fchmod"):
                os.fchmod(self._descriptor, mode)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


@dataclass(slots=True)
class SourceFile:
    """A local file that is being uploaded; what `transfer.pump.send` reads from.

    Attributes:
        size: Length when it was opened; None for a stream.
    """

    _descriptor: int
    size: int | None

    @classmethod
    def open(cls, path: Path) -> SourceFile:
        """Open a file, or what is open already: `/dev/stdin` is read to its end.

        Raises:
            NotFound: It does not exist.
            IsADirectory: It is a directory.
            StorageError: It cannot be read.
        """
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        # A pipe without a writer would block the open for ever.
        flags |= getattr(os, "O_NONBLOCK", 0)
        try:
            if (descriptor := _open_already(path)) >= 0:
                return cls(descriptor, None)
            descriptor = os.open(path, flags)
        except FileNotFoundError as error:
            raise NotFound(f"there is no local file {shorten(str(path), 200)}") from error
        except OSError as error:
            raise _failed("read", path, error) from error
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return cls(descriptor, status.st_size)
        os.close(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectory(f"{shorten(str(path), 200)} is a directory: upload it as a tree")
        raise StorageError(f"{shorten(str(path), 200)} is no plain file and is not uploaded")

    def fileno(self) -> int | None:
        """Return the descriptor, whose position is ours; None for a stream."""
        return None if self.size is None else self._descriptor

    def seek(self, offset: int) -> None:
        """Go on reading at an offset."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of `buffer`; 0 at the end."""
        return os.readv(self._descriptor, [buffer])

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def safe_local_name(name: str) -> str:
    """Return a name from a listing if it can be a local file name and nothing else (RSEC-C-path).

    Raises:
        NameRejected: It would mean another place, or something else, on this system.
    """
    is_bad = name in ("", ".", "..") or "/" in name or "\0" in name or os.sep in name
    if os.name == "nt":
        is_bad = is_bad or not _WINDOWS_FORBIDDEN.isdisjoint(name) or name[-1:] in (".", " ")
    if is_bad:
        raise NameRejected(f"'{shorten(name)}' from the server's listing cannot be a file name here")
    return name


def _failed(what: str, path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot {what} {shorten(str(path), 200)}: {error.strerror or error}")
