"""Files on the local disk, below one root directory that nothing leads out of.

Every access starts at the root's descriptor and is resolved by the kernel (`openat2`) or by a walk that
follows no link; calls on names work relative to a descriptor of the parent directory. No absolute path is
ever put together here.
Blocking: called in worker threads.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import errno
import math
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lockgate.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    NameRejected,
    NotADirectory,
    NotFound,
    OutsideRoot,
    PermissionDenied,
    StorageError,
    shorten,
)

from ._alive import is_abandoned
from ._failures import Translated, storage_error
from ._handles import LocalReader, LocalWriter
from ._holdings import Writing, local_holdings, usage_of
from ._inplace import InPlaceWriter, check_unwritten
from ._kept import KEPT_LIMIT, KeptParts, kept_size
from ._names import HIDDEN_PREFIX, HiddenNames, from_bytes, unique_name
from ._openat2 import O_PATH
from ._scan import LocalScan, local_entry
from ._tree import Descriptor, Tree
from ._uploads import UploadSettings, begin_upload
from .base import Entry, WriteMode
from .settings import FileSettings
from .usage import NOTHING, Holding, Usage

__all__ = ["LocalStorage", "TreeState"]

_DEFAULTS: Final = FileSettings()
_LISTED: Final = os.O_RDONLY | os.O_DIRECTORY
# Names with 32 random bits collide once in a directory of some ten thousand; eight in a row do not.
_UNIQUE_ATTEMPTS: Final = 8
# An upload's file is marked in the same moment as it is made; another process may look in between.
_MARKING_SECONDS: Final = 1.0


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True)
class TreeState:
    """What storages of one directory know together, whatever their settings are.

    Attributes:
        parts: The kept parts, which are counted against one limit.
        writing: The files that uploads in place write to.
    """

    parts: KeptParts = dataclasses.field(default_factory=KeptParts)
    writing: Writing = dataclasses.field(default_factory=Writing)


class LocalStorage:
    """A directory of the local disk as a `Storage`; thread-safe, one instance can serve many sessions.

    Symbolic links inside the tree are followed while they stay inside, unless the settings say otherwise;
    without openat2 none is followed. Uploads to a link replace the link.

    Args:
        root: The directory that is "/" to clients; it must exist.
        settings: What the operator decides.
        hidden_prefix: What the backend's own hidden files start with; clients can neither see nor make such
            names.
        kept_limit: How many parts of interrupted uploads are kept at most, in the whole tree; when there are
            so many, the newest is not kept. Those count that this object has kept within the last day.
        state: The `state` of another storage of the same directory, with other settings: the two keep no more
            parts than one then, and know of each other's uploads when they are measured.
        use_openat2: None asks the kernel; False forces the component walk.

    Attributes:
        state: What it shares with others that were given it.

    Raises:
        StorageError: The root cannot be opened.
    """

    def __init__(
        self,
        root: Path,
        settings: FileSettings = _DEFAULTS,
        *,
        hidden_prefix: str = HIDDEN_PREFIX,
        kept_limit: int = KEPT_LIMIT,
        state: TreeState | None = None,
        use_openat2: bool | None = None,
    ) -> None:
        names = HiddenNames(hidden_prefix, settings.hidden)
        with Translated("/"):
            self._tree = Tree(root, names, follow_links=settings.follow_links, use_openat2=use_openat2)
        self._names = names
        # What the operator hides counts as what he does not.
        self._own = HiddenNames(hidden_prefix)
        self._settings = settings
        self.state = TreeState(KeptParts(kept_limit, names=names)) if state is None else state
        self._parts, self._writing = self.state.parts, self.state.writing
        self._uploads = UploadSettings(names=names, parts=self._parts, writing=self._writing, files=settings)

    def for_account(self, account: str) -> LocalStorage:
        """Return the same files as another account finds them; it shares the root's descriptor."""
        view = copy.copy(self)
        view._uploads = dataclasses.replace(self._uploads, account=account)  # noqa: SLF001 - of this class
        return view

    def stat(self, path: str) -> Entry:
        """Return what is known about a path; links inside the root are followed."""
        parts = self._names.existing(path)
        with Translated(path):
            return local_entry(from_bytes(parts[-1]) if parts else "/", self._tree.stat(parts))

    def scan(self, path: str) -> LocalScan:
        """Return the entries of a directory, unsorted; opened at once, read piece by piece."""
        parts = self._names.existing(path)
        with Translated(path):
            folder = self._tree.open(parts, _LISTED)
            return LocalScan(folder, self._names, path=path, depth=len(parts))

    def open_read(self, path: str) -> LocalReader:
        """Open a regular file for reading; FIFOs and devices are refused without waiting."""
        parts = self._names.existing(path)
        with Translated(path):
            opened, status = self._tree.open_regular(parts)
            return LocalReader(opened, status.st_size, path=path)

    def open_write(self, path: str, mode: WriteMode, *, offset: int = 0) -> LocalWriter | InPlaceWriter:
        """Begin an upload, in a hidden file beside its target or in place; see `Storage.open_write`."""
        if (offset and mode is not WriteMode.RESUME) or offset < 0:
            raise StorageError(f"offset {offset} does not go with {mode.value}")
        with Translated(path):
            return begin_upload(self._tree, self._uploads, path, mode=mode, offset=offset)

    def create_unique(self, directory: str, prefix: str) -> tuple[str, LocalWriter | InPlaceWriter]:
        """Begin an upload under a new name (RFC 1123 section 4.1.2.9) and return name and upload."""
        for _ in range(_UNIQUE_ATTEMPTS):
            name = unique_name(prefix)
            try:
                return name, self.open_write(f"{directory.rstrip('/')}/{name}", WriteMode.CREATE_NEW)
            except AlreadyExists:
                continue
        raise AlreadyExists(f"no unused name was found in {shorten(directory)}")

    def remove(self, path: str) -> None:
        """Remove a file or a link, and kept partial uploads of that name."""
        parts = self._existing_name(path)
        with Translated(path), self._tree.folder(parts[:-1]) as folder:
            self._check_unwritten(folder, parts[-1])
            os.unlink(parts[-1], dir_fd=folder)
            self._drop_parts(folder, parts[-1])

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        parts = self._names.new(path)
        if not parts:
            raise AlreadyExists("the root is there already")
        with Translated(path), self._tree.folder(parts[:-1]) as folder:
            os.mkdir(parts[-1], 0o700, dir_fd=folder)
            self._settle_folder(parts[-1], folder)
            self._drop_parts(folder, parts[-1])

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory; kept partial uploads in it go with it."""
        parts = self._existing_name(path)
        with Translated(path), self._tree.folder(parts[:-1]) as folder:
            try:
                os.rmdir(parts[-1], dir_fd=folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                self._drop_kept(parts[-1], folder, path=path)
                os.rmdir(parts[-1], dir_fd=folder)

    def rename(self, source: str, target: str) -> None:
        """Give something another name in one step; an existing file of that name is replaced."""
        old = self._existing_name(source)
        new = self._names.new(target)
        if not new:
            raise PermissionDenied("the root cannot be replaced")
        with Translated(source):
            old_folder = self._tree.folder(old[:-1])
        with Translated(target):
            new_folder = self._tree.folder(new[:-1])
        with old_folder as old_number, new_folder as new_number:
            self._check_unwritten(old_number, old[-1])
            self._check_unwritten(new_number, new[-1])
            try:
                os.rename(old[-1], new[-1], src_dir_fd=old_number, dst_dir_fd=new_number)
            except OSError as error:
                raise _rename_error(error, source, target) from error
            # Neither the name that is free now nor the one that is taken stands for an older part.
            self._drop_parts(old_number, old[-1])
            self._drop_parts(new_number, new[-1])

    def set_modified(self, path: str, timestamp: float) -> None:
        """Set the time of the last change, in seconds since 1970 UTC; the time of access stays."""
        parts = self._names.existing(path)
        try:
            seconds = math.floor(timestamp)
            modified = seconds * 10**9 + int((timestamp - seconds) * 10**9)
            with Translated(path), self._tree.changeable(parts) as held:
                accessed = os.stat(held).st_atime_ns  # noqa: PTH116 - held may be a descriptor
                os.utime(held, ns=(accessed, modified))
        except (OverflowError, ValueError) as error:
            raise StorageError(f"the file system cannot keep the time {timestamp}") from error

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits; anything beyond 0o777 is refused."""
        if mode & ~0o777:
            raise PermissionDenied(f"only the permission bits 0 to 777 can be set, not {mode:o}")
        parts = self._names.existing(path)
        with Translated(path), self._tree.changeable(parts) as held:
            status = os.stat(held).st_mode  # noqa: PTH116 - held may be a descriptor
            if stat.S_ISDIR(status):
                mode |= status & stat.S_ISGID  # the operator's: new files take the directory's group
            os.chmod(held, mode)  # noqa: PTH101

    def resumable_size(self, path: str) -> int | None:
        """Return how many bytes of an interrupted upload are kept for a name that is free, else None."""
        try:
            parts = self._existing_name(path)
            with Translated(path), self._tree.folder(parts[:-1]) as folder:
                uploads = self._uploads
                return kept_size(folder, kept=uploads.kept(parts[-1]), target=uploads.guard(parts[-1]))
        except (NotFound, NotADirectory, PermissionDenied):
            return None

    def free_bytes(self, path: str) -> int | None:
        """Return how much the disk under a path still takes from us; None where it does not say."""
        parts = self._names.existing(path)
        with Translated(path), self._tree.open(parts, O_PATH) as number:
            found = os.fstatvfs(number)
        # Some network and user-space file systems answer with zeros: that is no answer.
        return found.f_bavail * found.f_frsize if found.f_blocks else None

    def usage(self, path: str) -> Usage:
        """Return what a name takes by itself, links not followed, and the parts kept for it."""
        try:
            parts = self._own.existing(path)
            if not parts:
                return NOTHING
            with Translated(path), self._tree.folder(parts[:-1]) as folder:
                kept = self._parts.of_all(folder, self._names.kept_stem(parts[-1]))
                return usage_of(folder, {parts[-1], self._uploads.kept(parts[-1]), *kept}, self._writing)
        except (NotFound, NotADirectory, NameRejected, OutsideRoot):
            return NOTHING

    def holdings(self, path: str) -> Iterator[Holding]:
        """Yield everything in a directory, hidden names too; the directory is opened by the first step."""
        parts = self._own.existing(path)
        with Translated(path):
            yield from local_holdings(self._tree.open(parts, _LISTED | os.O_NOFOLLOW), self._own)

    def clean_partials(self, older_than_seconds: float, *, now: float | None = None) -> int:
        """Remove partial uploads that nobody has written to for so long, and return how many.

        Those of a killed server, which nobody can go on with, are removed whatever their age. Where the file
        system has no locks they are told from uploads under way by their age only, so the limit must be
        longer than a transfer may stall. Walks the whole tree and blocks as long:
        for a worker.

        Args:
            older_than_seconds: The least age of what is removed of the others.
            now: The present, seconds since 1970 UTC; None asks the clock.
        """
        present = time.time() if now is None else now
        limit = present - older_than_seconds
        removed = 0
        waiting: list[tuple[bytes, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            try:
                folder = self._tree.open(parts, _LISTED | os.O_NOFOLLOW)
            except OSError:
                continue  # vanished, or not for us
            with folder as number, os.scandir(number) as found:
                below, gone = self._clean_folder(
                    found, number, limit=limit, settled=present - _MARKING_SECONDS
                )
            removed += gone
            waiting.extend((*parts, name) for name in below)
        return removed

    def close(self) -> None:
        """Give the root back as soon as no call uses it; open handles go on. May be called twice."""
        self._tree.close()

    def _existing_name(self, path: str) -> tuple[bytes, ...]:
        parts = self._names.existing(path)
        if not parts:
            raise PermissionDenied("the root itself cannot be renamed or removed")
        return parts

    def _check_unwritten(self, folder: int, name: bytes) -> None:
        if self._settings.in_place:
            check_unwritten(folder, name)

    def _drop_parts(self, folder: int, name: bytes) -> None:
        self._parts.drop_all(folder, self._names.kept_stem(name))

    def _settle_folder(self, name: bytes, parent: int) -> None:
        """Give a new directory its mode, whatever the process's umask is, and its owner; or take it back."""
        settings = self._settings
        try:
            flags = _LISTED | os.O_NOFOLLOW | os.O_CLOEXEC
            with Descriptor(os.open(name, flags, dir_fd=parent)) as made:
                settings.hand_over(made)
                # Set-group-id comes from the directory above, where it is the operator's.
                inherited = os.fstat(made).st_mode & stat.S_ISGID
                os.fchmod(made, settings.folder_mode | inherited)
        except OSError:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=parent)
            raise

    def _drop_kept(self, name: bytes, parent: int, *, path: str) -> None:
        """Empty a directory that holds nothing but kept partials: to the client it is empty."""
        with Descriptor(os.open(name, _LISTED | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)) as folder:
            with os.scandir(folder) as found:
                names = [entry.name for entry in found]
            if not all(self._names.is_kept(entry) for entry in names):
                visible = any(not self._names.is_own(entry) for entry in names)
                told = "the directory has entries" if visible else "an upload into the directory is under way"
                raise DirectoryNotEmpty(f"{told}: {shorten(path)}")
            for entry in names:
                self._parts.drop(folder, os.fsencode(entry))

    def _is_abandoned(self, name: str, folder: int) -> bool:
        return not self._names.is_kept(name) and is_abandoned(name, folder)

    def _clean_folder(
        self, found: Iterator[os.DirEntry[str]], folder: int, *, limit: float, settled: float
    ) -> tuple[list[bytes], int]:
        below: list[bytes] = []
        removed = 0
        for entry in found:
            try:
                if entry.is_dir(follow_symlinks=False):
                    below.append(os.fsencode(entry.name))
                elif self._names.is_partial(entry.name):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and (
                        status.st_mtime < limit
                        or (status.st_mtime < settled and self._is_abandoned(entry.name, folder))
                    ):
                        removed += self._parts.drop(folder, os.fsencode(entry.name))
            except OSError:
                continue  # taken over by its owner, or not for us
        return below, removed


def _rename_error(error: OSError, source: str, target: str) -> StorageError:
    if error.errno == errno.EXDEV:  # of a rename it speaks of file systems, not of the root
        return StorageError(f"{shorten(source)} and {shorten(target)} are on different file systems")
    if error.errno == errno.EEXIST:
        return DirectoryNotEmpty(f"the directory has entries: {shorten(target)}")
    if error.errno == errno.EINVAL:
        return NameRejected(f"a directory cannot become part of itself: {shorten(target)}")
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.ENAMETOOLONG):
        return storage_error(error, target)
    return storage_error(error, source)
