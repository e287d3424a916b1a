"""From errors and outcomes to replies: the one place where storage and transfer meet reply codes.

Never a peer's text, a traceback or a path outside the account's root in a reply.
"""

from __future__ import annotations

from lockgate.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    IsADirectory,
    LockgateError,
    NameRejected,
    NoSpace,
    NotADirectory,
    NotFound,
    OutsideRoot,
    PermissionDenied,
    StorageError,
)
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.storage.base import OffsetBeyondEnd, QuotaExceeded, TargetBusy
from lockgate.storage.usage import FilesBeingCounted
from lockgate.transfer.outcome import Outcome, OutcomeStatus

__all__ = ["outcome_reply", "storage_reply"]

_C = ReplyCode
_INVALID_REST = 554  # RFC 3659 §5

_STORAGE: tuple[tuple[type[Exception], int, str], ...] = (
    (NotFound, _C.FILE_UNAVAILABLE, "No such file or directory."),
    (AlreadyExists, _C.FILE_UNAVAILABLE, "The name is taken."),
    (PermissionDenied, _C.FILE_UNAVAILABLE, "Permission denied."),
    (IsADirectory, _C.FILE_UNAVAILABLE, "It is a directory."),
    (NotADirectory, _C.FILE_UNAVAILABLE, "Not a directory."),
    (DirectoryNotEmpty, _C.FILE_UNAVAILABLE, "The directory is not empty."),
    (OutsideRoot, _C.FILE_UNAVAILABLE, "The path leads out of your files."),
    (NameRejected, _C.NAME_NOT_ALLOWED, "The name is not allowed."),
    (QuotaExceeded, _C.STORAGE_EXCEEDED, "Your storage quota is used up; remove something first."),
    (FilesBeingCounted, _C.FILE_BUSY, "Your files are still being counted; try again soon."),
    (NoSpace, _C.NO_SPACE, "No space left."),
    (TargetBusy, _C.FILE_BUSY, "Somebody else writes, or has written, to this file; try again."),
    (OffsetBeyondEnd, _INVALID_REST, "The offset lies beyond the end of the file."),
)


# What tells one who sees nothing whether a name is taken; and one answer for all of it.
_TELLING = (
    *(NotFound, AlreadyExists, PermissionDenied, IsADirectory, NotADirectory, DirectoryNotEmpty),
    OutsideRoot,
)


def storage_reply(error: Exception | None, *, is_blind: bool = False) -> Reply:
    """Return the refusal that a storage's error stands for.

    Args:
        error: The error.
        is_blind: The account may neither read nor list: the reply must not tell what is there.
    """
    if is_blind and isinstance(error, _TELLING):
        return Reply.of(_C.FILE_UNAVAILABLE, "Permission denied.")
    for kind, code, text in _STORAGE:
        if isinstance(error, kind):
            return Reply.of(code, text)
    return Reply.of(_C.LOCAL_ERROR, "The file system had an error.")


_OUTCOMES: dict[OutcomeStatus, tuple[int, str]] = {
    OutcomeStatus.COMPLETE: (_C.TRANSFER_COMPLETE, "Transfer complete."),
    OutcomeStatus.TRUNCATED: (_C.TRANSFER_CUT, "The data ended without close_notify, so it may be cut."),
    OutcomeStatus.RESET: (_C.TRANSFER_CUT, "The data connection broke."),
    OutcomeStatus.STALLED: (_C.TRANSFER_CUT, "Nothing moved for too long."),
    OutcomeStatus.ABORTED: (_C.TRANSFER_CUT, "The transfer was aborted."),
    OutcomeStatus.HANDSHAKE_FAILED: (_C.DATA_TLS_REFUSED, "TLS on the data connection failed."),
    OutcomeStatus.NOT_OPENED: (_C.CANNOT_OPEN_DATA, "The data connection could not be opened."),
}


def outcome_reply(outcome: Outcome, *, is_blind: bool = False) -> Reply:
    """Return the final reply of a transfer (RFC 959 §4.2, RFC 4217 §10.2)."""
    if outcome.status is OutcomeStatus.STORAGE_FAILED:
        return storage_reply(
            outcome.error if isinstance(outcome.error, StorageError) else None, is_blind=is_blind
        )
    if outcome.status is OutcomeStatus.NOT_ACCEPTABLE:
        # RFC 4217 §10.2: the 522 says what would be acceptable; the words are binding.py's own.
        reason = str(outcome.error) if isinstance(outcome.error, LockgateError) else "not acceptable"
        return Reply.of(_C.DATA_TLS_REFUSED, f"TLS refused: {reason}.")
    if outcome.status is OutcomeStatus.BAD_COMPRESSION:
        # The words are deflate.py's own.
        return Reply.of(_C.LOCAL_ERROR, f"Nothing was stored: {outcome.detail}.")
    code, text = _OUTCOMES[outcome.status]
    return Reply.of(code, text)
