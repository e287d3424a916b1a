"""What a storage backend must offer: the Protocols, the data they exchange, their rules.

A backend keeps the files of one account root. It blocks, is called from worker threads, and knows no sockets,
commands or reply codes: what goes wrong is a `StorageError` subclass. It must not trust its caller: a path
that leads out of the root is refused here, whoever checked it before.

Paths are virtual: `str`, absolute, "/"-separated and normalised (no empty, "." or ".." component), decoded
from UTF-8 with `surrogateescape`, so that every name a file system can hold survives the way there and back.
"/" is the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from lockgate.errors import NoSpace, StorageError

__all__ = [
    "Entry",
    "EntryKind",
    "EntryScan",
    "OffsetBeyondEnd",
    "QuotaExceeded",
    "ReadHandle",
    "Storage",
    "TargetBusy",
    "WriteCancelled",
    "WriteHandle",
    "WriteMode",
]


class OffsetBeyondEnd(StorageError):
    """A restart offset lies behind the end of what is stored (RFC 3659 section 5)."""


class QuotaExceeded(NoSpace):
    """There is as much as there may be; removing something helps (RFC 959 section 4.2, reply 552)."""


class TargetBusy(StorageError):
    """The file is being written, or is no longer the one that was continued; later it may work."""


class WriteCancelled(StorageError):
    """An upload was ended by `WriteHandle.cancel` while the content that it continues was copied."""


class EntryKind(Enum):
    """What a name stands for."""

    FILE = "file"
    DIRECTORY = "dir"
    LINK = "link"
    OTHER = "other"


class WriteMode(Enum):
    """How an upload relates to what is already stored under its name.

    What is visible under a name is what counts: SIZE and RETR speak of it, so APPEND and RESUME continue it
    and nothing else. A kept partial upload counts only while nothing is visible; it is dropped when something
    takes its name. It shows in no listing and by no `Storage.stat`, only by `Storage.resumable_size`.

    Attributes:
        REPLACE: The upload is the whole new content (STOR).
        APPEND: The upload continues the existing content; without a target, a kept partial upload, of the
            size that `Storage.resumable_size` tells; without either, it is the whole content (APPE).
        CREATE_NEW: The name must be free, when the upload begins and when it is committed (STOU).
        RESUME: The upload continues at an offset of the existing content; without a target, of a kept partial
            upload (REST and STOR). Whatever was stored behind the offset is gone once the upload is
            committed.
    """

    REPLACE = "replace"
    APPEND = "append"
    CREATE_NEW = "create-new"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory and what is known about it.

    Attributes:
        name: The last component of the path; "/" for the root.
        kind: What the name stands for. Only `Storage.scan` reports LINK; `Storage.stat` follows links.
        size: Length in bytes (for directories whatever the backend has).
        modified: Time of the last change, seconds since 1970 UTC.
        mode: Permission bits, 0 to 0o777.
        unique: The same text for two names of the same file, and for nothing else (RFC 3659 section 7.5.2).
        owner: Name of the owner, or a number as text.
        group: Name of the group, or a number as text.
        link_target: Where a LINK points to, when that can be shown without telling names outside the root.
    """

    name: str
    kind: EntryKind
    size: int
    modified: float
    mode: int
    unique: str
    owner: str
    group: str
    link_target: str | None = None


@runtime_checkable
class EntryScan(Protocol):
    """The entries of one directory, produced one by one; blocks in `__next__`.

    The descriptor goes back at the end, at `close`, and when the object is collected.
    """

    def __iter__(self) -> EntryScan:
        """Return itself."""
        ...

    def __next__(self) -> Entry:
        """Return the next entry, in no order; entries that vanish meanwhile are left out."""
        ...

    def close(self) -> None:
        """End the scan and give its descriptor back; may be called twice."""
        ...


@runtime_checkable
class ReadHandle(Protocol):
    """An open file to read from; used by one thread at a time, every call may block."""

    @property
    def size(self) -> int:
        """Length in bytes when the file was opened."""
        ...

    def fileno(self) -> int | None:
        """Return a descriptor fit for sendfile, positioned as this handle is, or None."""
        ...

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer as far as possible in one go and return the number of bytes; 0 at the end."""
        ...

    def seek(self, offset: int) -> None:
        """Continue at an offset from the start.

        Raises:
            OffsetBeyondEnd: The offset is negative or behind the end.
        """
        ...

    def close(self) -> None:
        """Give the file back; may be called twice."""
        ...


@runtime_checkable
class WriteHandle(Protocol):
    """An upload under way, seen by nobody before `commit`.

    Used by one thread at a time, except for `cancel`; every other call may block. It ends with exactly one of
    `commit`, `discard` and `close`; later calls of these do nothing.
    """

    @property
    def position(self) -> int:
        """Bytes from the start of the file up to here, what was there before included."""
        ...

    @property
    def stored_name(self) -> str:
        """The last component of the name that it has, or will have; certain once it is committed.

        A drop box stores an upload under another name than was asked for where that is taken.
        """
        ...

    def write(self, data: memoryview | bytes) -> int:
        """Write all of the bytes and return their number.

        The first bytes of an upload that continues existing content wait until that has been copied.

        Raises:
            NoSpace: The disk or the quota is full; what fitted is written and may be kept.
            WriteCancelled: `cancel` ended the copying.
        """
        ...

    def commit(self) -> None:
        """Publish the upload under its name in one step, synchronised to the disk if so configured.

        When it raises, the target is untouched and the upload still open: `discard` it. An upload that adds
        nothing to the whole of the existing content leaves the target as it is.

        Raises:
            AlreadyExists: The mode was CREATE_NEW and somebody took the name meanwhile.
            TargetBusy: The mode was APPEND or RESUME, and what stands under the name is no longer what stood
                there when the upload began: committing would lose what others have stored.
            WriteCancelled: `cancel` ended the copying of existing content.
        """
        ...

    def discard(self, keep: bool = False) -> None:
        """End without publishing; what stood under the name before is untouched.

        Args:
            keep: Keep what was written, hidden, so that APPEND and RESUME can go on there (an interrupted
                upload); otherwise delete it (a refused or aborted one). An upload that resumed a kept partial
                and wrote nothing gives it back as it was, either way. Nothing is kept where something is or
                was visible under the name, of CREATE_NEW, and where the storage keeps too much already.
        """
        ...

    def cancel(self) -> None:
        """Let the copying of existing content end soon, now or to come, with `WriteCancelled`.

        Any thread; does not block. Changes nothing else: the upload still wants its `discard`.
        """
        ...

    def close(self) -> None:
        """As `discard(keep=False)` when neither it nor `commit` was called; never raises."""
        ...


@runtime_checkable
class Storage(Protocol):
    """The files of one account root. All methods block and are thread-safe.

    Names that start with the backend's hidden prefix belong to the backend: for everything that asks for
    something existing they raise NotFound, for everything that makes a name NameRejected. Besides those that
    are listed, every method may raise NotFound, NotADirectory (a file in the middle of the path),
    PermissionDenied, NameRejected, OutsideRoot, NoSpace and plain StorageError.
    """

    def for_account(self, account: str) -> Storage:
        """Return the same files as another account finds them; closing either closes both.

        Files are shared, kept partial uploads are not: `open_write` and `resumable_size` know those of one
        account only. All are dropped when something takes their name, whosever they are. A storage that was
        not asked for an account has parts of its own.

        Args:
            account: What it is called, in this process and in later ones.
        """
        ...

    def stat(self, path: str) -> Entry:
        """Return what is known about a path; links inside the root are followed."""
        ...

    def scan(self, path: str) -> EntryScan:
        """Return the entries of a directory, unsorted, hidden names left out.

        Close the scan when it is not read to its end. The directory is opened now, so that errors show here
        and not after the transfer's first reply.

        Raises:
            NotADirectory: The path is something else.
        """
        ...

    def open_read(self, path: str) -> ReadHandle:
        """Open a regular file for reading.

        Raises:
            IsADirectory: The path is a directory.
            PermissionDenied: Not allowed, or neither a file nor a directory (FIFO, device, socket).
        """
        ...

    def open_write(self, path: str, mode: WriteMode, *, offset: int = 0) -> WriteHandle:
        """Begin an upload; the existing target stays as it is until `WriteHandle.commit`.

        Two uploads to one name do not disturb each other: each has its own hidden content, the last commit
        wins. Of two that continue the same content the second is refused at its commit. The content that
        APPEND and RESUME continue is that of now; it is opened here, and copied by the first
        `WriteHandle.write` (or the commit), which takes its time for large files.

        Args:
            path: The target; its parent must exist.
            mode: How the upload relates to what is there.
            offset: Where to continue, in bytes from the start; only with RESUME, else 0.

        Raises:
            AlreadyExists: The mode is CREATE_NEW and the name is taken.
            IsADirectory: The target is a directory.
            OffsetBeyondEnd: There is less than `offset` to continue on.
        """
        ...

    def create_unique(self, directory: str, prefix: str) -> tuple[str, WriteHandle]:
        """Begin an upload under a new name (STOU, RFC 1123 section 4.1.2.9) and return name and upload.

        Args:
            directory: Where the file will be.
            prefix: What the name begins with; may be empty.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file or a link (not what it points to); an older kept partial goes with it.

        Raises:
            IsADirectory: The path is a directory.
            TargetBusy: An upload is written into the file in place; `rename` says so too.
        """
        ...

    def make_directory(self, path: str) -> None:
        """Make a directory; its parent must exist. A kept partial upload of that name is dropped.

        Raises:
            AlreadyExists: The name is taken.
        """
        ...

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory; kept partial uploads in it go with it.

        Raises:
            DirectoryNotEmpty: It still has entries, or an upload into it is under way.
            NotADirectory: The path is something else.
        """
        ...

    def rename(self, source: str, target: str) -> None:
        """Give something another name in one step, replacing an existing file (RFC 959 RNFR, RNTO).

        A caller that does not want this asks `stat` first. Kept partials of both names are dropped.

        Raises:
            IsADirectory: A file would replace a directory.
            NotADirectory: A directory would replace a file.
            DirectoryNotEmpty: A directory would replace one that has entries.
            NameRejected: A directory would become part of itself.
        """
        ...

    def set_modified(self, path: str, timestamp: float) -> None:
        """Set the time of the last change, in seconds since 1970 UTC (MFMT).

        Raises:
            PermissionDenied: The path leads to the root: it is the operator's.
        """
        ...

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits (SITE CHMOD).

        Raises:
            PermissionDenied: The mode has bits beyond 0o777 (set-uid, set-gid and sticky are not for
                clients), or the path leads to the root: it is the operator's.
        """
        ...

    def resumable_size(self, path: str) -> int | None:
        """Return how many bytes of an interrupted upload to this name are kept; never NotFound.

        None without one, and while something is visible under the name: its own size counts then.
        """
        ...

    def free_bytes(self, path: str) -> int | None:
        """Return how many more bytes can be stored at a path that exists (AVBL, ALLO); None: not known.

        It is the least of all limits that hold here: the disk, a quota. Others may use it up meanwhile.
        """
        ...

    def close(self) -> None:
        """Give the root back; running calls and open handles are not disturbed. May be called twice."""
        ...
