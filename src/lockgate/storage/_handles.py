"""Open files of the local backend: reading one, writing one that nobody sees yet.

Each handle belongs to one thread at a time. They work on descriptors; no path is resolved here.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from dataclasses import dataclass

from lockgate.errors import StorageError, shorten

from ._existing import Existing, copy_content
from ._failures import Translated, storage_error
from ._holdings import LocalPlace, Writing
from ._kept import KeptParts
from ._names import HiddenNames, beside, from_bytes
from ._openat2 import rename_exclusively
from ._tree import Descriptor
from .base import OffsetBeyondEnd
from .settings import FileSettings

__all__ = ["LocalReader", "LocalWriter", "Upload", "synchronise_folder"]

_log = logging.getLogger(__name__)


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
        hidden: The names that are not there for clients.
        stem: What the hidden names of all accounts' kept parts begin with; the target's name makes them void.
        parts: Where parts that are kept are counted.
        writing: Where files that are written in place are noted.
        guard: The name that makes a kept part void as soon as it is taken.
        is_keepable: An interrupted upload may be kept: nothing was visible under the name at the beginning.
        mode: Permission bits of the published file.
        refusal: What is raised when the name is taken at the commit; None: what has it is replaced.
        files: Whose it will be, and whether it is synchronised.
    """

    path: str
    folder: Descriptor
    target: bytes
    working: bytes
    kept: bytes
    hidden: HiddenNames
    stem: bytes
    parts: KeptParts
    writing: Writing
    guard: bytes
    is_keepable: bool
    mode: int
    refusal: type[StorageError] | None
    files: FileSettings

    def all_parts(self, folder: int) -> set[bytes]:
        """Return the names of what may be kept for the upload's name, by all accounts and by its own."""
        return {self.kept, *self.parts.of_all(folder, self.stem)}

    def drop_parts(self) -> None:
        """Remove the parts that are void when something has the name: its own, and those of all accounts."""
        # The own one of a drop box is under another stem.
        self.parts.drop(self.folder.number, self.kept)
        self.parts.drop_all(self.folder.number, self.stem)


class LocalWriter:
    """An upload in its hidden file; see `WriteHandle`.

    Args:
        upload: Where it is written and what becomes of it; the writer owns the descriptor in it.
        opened: The hidden file, positioned; the writer owns it.
        position: Where the next byte goes.
        is_resumed: The hidden file is a partial that was kept. It is cut to the position only when something
            comes: a data connection that never opens must not cost what was there already.
        existing: What the hidden file begins with; the writer owns the descriptor in it. It is copied only
            when something comes: beginning an upload must cost neither time nor space.
    """

    __slots__ = (
        "_ended",
        "_existing",
        "_is_cancelled",
        "_is_copied",
        "_is_resumed",
        "_is_uncut",
        "_opened",
        "_position",
        "_published",
        "_upload",
    )

    def __init__(
        self,
        upload: Upload,
        opened: Descriptor,
        *,
        position: int,
        is_resumed: bool = False,
        existing: Existing | None = None,
    ) -> None:
        self._upload = upload
        self._opened = opened
        self._position = position
        self._is_resumed = self._is_uncut = is_resumed
        self._existing = existing
        self._is_copied = existing is None
        self._is_cancelled = False
        self._ended = False
        self._published = upload.target

    @property
    def position(self) -> int:
        """Bytes from the start of the file up to here."""
        return self._position

    @property
    def stored_name(self) -> str:
        """The last component of the name that it has, or will have; certain once it is committed."""
        return from_bytes(self._published)

    def write(self, data: memoryview | bytes) -> int:
        """Write all of the bytes; blocks."""
        total = len(data)
        done = 0
        if not total:
            return 0
        descriptor = self._opened.number
        try:
            self._begin()
            # Disks nearly always take all at once; the loop is for a full one, where the next write says so.
            done = os.write(descriptor, data)
            while done < total:
                done += os.write(descriptor, memoryview(data)[done:])
        except OSError as error:
            raise storage_error(error, self._upload.path) from error
        finally:
            self._position += done
        return total

    def place(self) -> LocalPlace:
        """Return where the upload is, to measure its end; see `CountedHandle`."""
        if self._ended:
            raise StorageError("the upload has ended")
        upload = self._upload
        with Translated(upload.path):
            folder = Descriptor(os.dup(upload.folder.number))
        return LocalPlace(
            folder,
            working=upload.working,
            names=lambda: {upload.target, self._published, *upload.all_parts(folder.number)},
            writing=upload.writing,
        )

    def prepare(self) -> None:
        """Copy and synchronise now, so that `commit` does not take long; blocks."""
        if not self._ended and not self._adds_nothing():
            with Translated(self._upload.path):
                self._settle()

    def commit(self) -> None:
        """Publish the upload under its name in one step; blocks, longer with fsync."""
        if self._ended:
            return
        if self._adds_nothing():
            self.discard()  # the target stays as it is
            return
        upload = self._upload
        folder = upload.folder.number
        with Translated(upload.path):
            self._settle()
            self._publish(upload, folder)
        self._ended = True
        if self._existing is not None:
            self._existing.source.close()
        # An older partial of this name is answered by this upload: resuming it would mix two files.
        upload.drop_parts()
        if upload.files.fsync:
            synchronise_folder(folder)
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
        if self._existing is not None:
            self._existing.source.close()
        try:
            if not ((self._is_uncut or (keep and self._position)) and self._keep()):
                os.unlink(upload.working, dir_fd=folder)
                upload.parts.release(folder, upload.kept)
        except FileNotFoundError:
            pass  # removed as stale meanwhile
        except OSError as error:
            _log.warning("! a partial upload stays behind until it is cleaned up: %s", error.strerror)
        upload.folder.close()

    def cancel(self) -> None:
        """Let the copying of existing content end, now or to come; any thread, does not block."""
        self._is_cancelled = True

    def close(self) -> None:
        """As `discard()` when the upload has not ended yet; never raises."""
        self.discard()

    def __del__(self) -> None:
        # Never reached by correct callers; a forgotten upload must not leave its file behind.
        with contextlib.suppress(Exception):
            self.discard()

    def _publish(self, upload: Upload, folder: int) -> None:
        if self._existing is not None:
            self._existing.hold(folder, upload.target)
        if upload.files.drop_box:
            self._published = publish_beside(upload, folder)
        elif upload.refusal is None:
            os.rename(upload.working, upload.target, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            try:
                rename_exclusively(folder, upload.working, upload.target)
            except FileExistsError as error:
                raise upload.refusal("the name has been taken since the upload began") from error

    def _adds_nothing(self) -> bool:
        """Say whether nothing came after the whole of the existing content."""
        existing = self._existing
        # Still open: its copying did not fail either.
        return (
            existing is not None and not self._is_copied and existing.is_whole and existing.source.number >= 0
        )

    def _begin(self) -> None:
        """Bring the hidden file to the position where the upload goes on; blocks while content is copied."""
        if self._is_uncut:
            os.ftruncate(self._opened.number, self._position)
            self._is_uncut = False
        existing = self._existing
        if existing is not None and not self._is_copied:
            try:
                copy_content(
                    existing.source.number,
                    self._opened.number,
                    existing.count,
                    is_cancelled=lambda: self._is_cancelled,
                )
            except BaseException:
                existing.source.close()  # a second try would go on somewhere in the middle
                raise
            self._is_copied = True

    def _keep(self) -> bool:
        upload = self._upload
        return upload.is_keepable and upload.parts.keep(
            upload.folder.number,
            working=upload.working,
            kept=upload.kept,
            target=upload.guard,
            was_kept=self._is_resumed,
        )

    def _settle(self) -> None:
        """Bring the file into its final shape; close says what a network file system held back until now."""
        if self._opened.number < 0:
            return
        self._begin()
        # The owner first: a change of it takes permission bits away.
        self._upload.files.hand_over(self._opened.number)
        os.fchmod(self._opened.number, self._upload.mode)
        if self._upload.files.fsync:
            os.fsync(self._opened.number)
        self._opened.close()


def publish_beside(upload: Upload, folder: int) -> bytes:
    """Publish an upload under its name, or under one beside it where that is taken; return the name.

    Raises:
        OSError: It cannot be published, or every name that was tried is taken.
    """
    for name in beside(upload.target, upload.hidden):
        try:
            rename_exclusively(folder, upload.working, name)
        except FileExistsError:
            continue
        if name != upload.target:
            _log.info("= %s was taken: stored as %s", shorten(upload.path), shorten(from_bytes(name)))
        return name
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def synchronise_folder(folder: int) -> None:
    """Synchronise a directory that a file was published in; a failure goes to the log."""
    # A directory that cannot be opened for reading cannot be synchronised either.
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        with Descriptor(os.open(b".", flags, dir_fd=folder)) as number:
            os.fsync(number)
    except OSError as error:
        _log.warning("! the directory of an upload was not synchronised: %s", error.strerror)
