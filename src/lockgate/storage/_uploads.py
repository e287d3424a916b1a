"""Beginning an upload on the local disk: which content it starts from, under which hidden name it grows.

The existing target is only ever opened for reading here; it is copied when the upload's first bytes come.
Where something is visible under the name, the upload has to do with that and with no kept part.

Every upload has a hidden file of its own beside the target (so that the commit is a rename within one
directory); an interrupted one that is kept has one fixed hidden name per target, and whoever resumes it first
takes it away under a name of his own, so that no two uploads ever write to one file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from lockgate.errors import AlreadyExists, IsADirectory, NameRejected, PermissionDenied, StorageError, shorten

from ._alive import mark_alive
from ._existing import Existing
from ._handles import LocalWriter, Upload
from ._holdings import Writing
from ._inplace import InPlaceWriter, begin_in_place
from ._kept import KeptParts, kept_size
from ._names import HiddenNames, beside
from ._tree import Descriptor, Tree, check_regular
from .base import OffsetBeyondEnd, TargetBusy, WriteMode
from .settings import FileSettings

__all__ = ["UploadSettings", "begin_upload"]

_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """What holds for every upload of one storage.

    Attributes:
        names: The hidden names.
        parts: The kept parts.
        writing: The files that are written in place.
        files: What the operator decides.
        account: Whose uploads they are.
    """

    names: HiddenNames
    parts: KeptParts
    writing: Writing
    files: FileSettings
    account: str = ""

    def kept(self, target: bytes) -> bytes:
        """Return the hidden name under which an interrupted upload is kept."""
        # What drops in has parts of its own: whether others have taken the name must not show in them.
        return self.names.kept(b"/" + target if self.files.drop_box else target, self.account)

    def guard(self, target: bytes) -> bytes:
        """Return the name that makes a kept part void as soon as it is taken."""
        return self.names.working(target) if self.files.drop_box else target


def begin_upload(
    tree: Tree, settings: UploadSettings, path: str, *, mode: WriteMode, offset: int
) -> LocalWriter | InPlaceWriter:
    """Begin an upload; see `Storage.open_write`. Raises `OSError` and storage errors."""
    parts = settings.names.new(path)
    if not parts:
        raise IsADirectory("the root is a directory")
    # Whether the name is taken or not, so that a refusal does not tell.
    if settings.files.drop_box and len(list(beside(parts[-1], settings.names))) == 1:
        raise NameRejected("every name beside this one is hidden: the operator's patterns leave none")
    folder = tree.folder(parts[:-1])
    try:
        return _begin(tree, settings, path, parts=parts, folder=folder, mode=mode, offset=offset)
    except BaseException:
        folder.close()  # now, not when somebody drops the error with its frames
        raise


def _begin(
    tree: Tree,
    settings: UploadSettings,
    path: str,
    *,
    parts: Sequence[bytes],
    folder: Descriptor,
    mode: WriteMode,
    offset: int,
) -> LocalWriter | InPlaceWriter:
    target = parts[-1]
    is_looked_at = not settings.files.in_place and not settings.files.drop_box
    existing = _look_at_target(tree, folder.number, parts) if is_looked_at else None
    if mode is WriteMode.CREATE_NEW and existing is not None:
        raise AlreadyExists(f"the name is taken: {shorten(path)}")
    replaced = existing if existing is not None and stat.S_ISREG(existing.st_mode) else None
    upload = Upload(
        path=path,
        folder=folder,
        target=target,
        working=settings.names.working(target),
        kept=settings.kept(target),
        hidden=settings.names,
        stem=settings.names.kept_stem(target),
        parts=settings.parts,
        writing=settings.writing,
        guard=settings.guard(target),
        # Over an existing target a part would be of no use; nobody knows the name of a unique upload.
        is_keepable=existing is None and mode is not WriteMode.CREATE_NEW,
        # As writing into the file would have left it; set-uid and the like do not survive new content.
        mode=settings.files.file_mode if replaced is None else replaced.st_mode & 0o777,
        refusal=_refusal(existing, mode),
        files=settings.files,
    )
    if settings.files.in_place:
        return begin_in_place(upload, mode=mode, offset=offset)
    if mode not in (WriteMode.APPEND, WriteMode.RESUME):
        return _fresh(upload)
    wanted = offset if mode is WriteMode.RESUME else None
    if existing is None:
        return _continue_kept(upload, offset=wanted)
    # What is visible is what SIZE and RETR speak of: a part that is older than it must not come back.
    upload.drop_parts()
    if replaced is not None:
        return _continue_target(tree, upload, parts, count=wanted)
    return _continue_nothing(upload, offset=wanted, size=0)


def _refusal(existing: os.stat_result | None, mode: WriteMode) -> type[StorageError] | None:
    """Return what is said to an upload that finds its name taken when it is committed."""
    if mode is WriteMode.CREATE_NEW:
        return AlreadyExists
    # It goes on with what nobody sees, or begins what others may begin too: neither may undo the other.
    is_continued = mode in (WriteMode.APPEND, WriteMode.RESUME)
    return TargetBusy if is_continued and existing is None else None


def _look_at_target(tree: Tree, folder: int, parts: Sequence[bytes]) -> os.stat_result | None:
    """Return the target's status, None if the name is free; refuse what an upload may not replace.

    The rename at the commit would replace anything, so what writing in place would have refused is refused
    here. A link is judged by what it leads to and replaced itself; what it leads to stays as it is.
    """
    name = parts[-1]
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        try:
            status = tree.stat(parts)
        except FileNotFoundError:
            return status
        check_regular(status)
        return status
    check_regular(status)
    if not os.access(name, os.W_OK, dir_fd=folder, effective_ids=True):
        raise PermissionDenied("the file is write-protected")
    return status


def _fresh(upload: Upload) -> LocalWriter:
    return LocalWriter(upload, _create(upload), position=0)


def _create(upload: Upload) -> Descriptor:
    flags = _WRITE | os.O_CREAT | os.O_EXCL
    folder = upload.folder.number
    opened = Descriptor(os.open(upload.working, flags, 0o600, dir_fd=folder))
    try:
        mark_alive(opened.number)
        upload.files.hand_over(opened.number)  # now: what is not allowed is refused before anything comes
    except BaseException:
        opened.close()
        os.unlink(upload.working, dir_fd=folder)
        raise
    return opened


def _continue_kept(upload: Upload, *, offset: int | None) -> LocalWriter:
    """Go on with the kept part, if there is one, at an offset (None: at its end)."""
    size = kept_size(upload.folder.number, kept=upload.kept, target=upload.guard)
    wanted = offset if offset is not None else size
    if size is not None and wanted is not None and size >= wanted:
        writer = _take_kept(upload, wanted)
        if writer is not None:
            return writer
    return _continue_nothing(upload, offset=offset, size=size or 0)


def _continue_nothing(upload: Upload, *, offset: int | None, size: int) -> LocalWriter:
    if offset:
        raise OffsetBeyondEnd(f"cannot continue at {offset}: only {size} bytes are stored")
    return _fresh(upload)


def _take_kept(upload: Upload, offset: int) -> LocalWriter | None:
    """Make the kept partial this upload's own, cut to the offset; None when somebody else was faster."""
    folder = upload.folder.number
    try:
        # First the time: the clean-up judges by it and must not take the file out of our hands.
        os.utime(upload.kept, dir_fd=folder, follow_symlinks=False)
        os.rename(upload.kept, upload.working, src_dir_fd=folder, dst_dir_fd=folder)
    except FileNotFoundError:
        return None
    opened = Descriptor(os.open(upload.working, _WRITE, dir_fd=folder))
    mark_alive(opened.number)
    if os.fstat(opened.number).st_size < offset:  # another, shorter one was kept in between
        opened.close()
        os.rename(upload.working, upload.kept, src_dir_fd=folder, dst_dir_fd=folder)
        return None
    os.lseek(opened.number, offset, os.SEEK_SET)
    return LocalWriter(upload, opened, position=offset, is_resumed=True)


def _named(upload: Upload, opened: os.stat_result) -> os.stat_result:
    """Return the status of the target's own name, which leads to what has just been opened.

    Asked after the opening: what is open keeps its number, so that no other file can get it meanwhile.
    """
    named = os.stat(upload.target, dir_fd=upload.folder.number, follow_symlinks=False)
    if not stat.S_ISLNK(named.st_mode) and not os.path.samestat(named, opened):
        raise TargetBusy("the file has been replaced at this moment")
    return named


def _continue_target(tree: Tree, upload: Upload, parts: Sequence[bytes], *, count: int | None) -> LocalWriter:
    """Go on behind the first `count` bytes of the target (None: all of it), which are copied later."""
    source, status = tree.open_regular(parts)
    wanted = status.st_size if count is None else count
    try:
        named = _named(upload, status)
        if wanted <= status.st_size:
            existing = Existing(source, status, named, count=wanted, is_whole=wanted == status.st_size)
            return LocalWriter(upload, _create(upload), position=wanted, existing=existing)
    except BaseException:
        source.close()
        raise
    source.close()
    raise OffsetBeyondEnd(f"cannot continue at {wanted}: only {status.st_size} bytes are stored")
