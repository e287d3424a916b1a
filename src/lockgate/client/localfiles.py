"""Local files of transfers: downloads grow beside their target and replace it at a verified end.

Blocks for disk access. Must not know the protocol.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from random import Random

from lockgate.errors import IsADirectory, NameRejected, NotFound, StorageError, shorten

__all__ = ["DownloadTarget", "SourceFile", "safe_local_name"]

_CREATE = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_CREATE |= getattr(os, "O_CLOEXEC", 0)
_WINDOWS_FORBIDDEN = frozenset('\\:*?"<>|')


class DownloadTarget:
    """A file that is being downloaded: `write`, then `commit` or `discard`.

    Until `commit` the target keeps its old content, or does not exist. Not thread-safe.

    Args:
        path: The target.
        random: Where the temporary name comes from.
        resume_key: What identifies the remote file's content. With it an interrupted download stays, hidden
            beside the target, and the next one with the same key goes on where it ended.

    Raises:
        IsADirectory: The target is a directory.
        NotFound: Its folder does not exist.
        StorageError: The file cannot be made.
    """

    __slots__ = ("_descriptor", "_is_kept", "_partial", "_path", "offset")

    def __init__(self, path: Path, *, random: Random, resume_key: str | None = None) -> None:
        if path.is_dir():
            raise IsADirectory(f"{shorten(str(path), 200)} is a directory: name the file in it")
        self._path = path
        self._is_kept = resume_key is not None
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
        left = memoryview(data)
        total = len(left)
        while left:
            left = left[os.write(self._descriptor, left) :]
        return total

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
            if not self._is_kept or not self._partial.stat().st_size:
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
        size: Length when it was opened.
    """

    _descriptor: int
    size: int

    @classmethod
    def open(cls, path: Path) -> SourceFile:
        """Open a file.

        Raises:
            NotFound: It does not exist.
            IsADirectory: It is a directory.
            StorageError: It cannot be read.
        """
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        # A pipe without a writer would block the open for ever.
        flags |= getattr(os, "O_NONBLOCK", 0)
        try:
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
        """Return the descriptor, whose position is ours."""
        return self._descriptor

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
