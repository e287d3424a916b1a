"""How a transfer ended; must not know reply codes: server and client map statuses to what they say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lockgate.errors import (
    CertificateMismatch,
    HandshakeFailed,
    LockgateError,
    SessionReuseRequired,
    StorageError,
    TransferAborted,
    TransferError,
    TransferTimeout,
    TruncatedStream,
    TruncatedTransfer,
)
from lockgate.transfer.deflate import BadCompression

__all__ = ["NotOpened", "Outcome", "OutcomeStatus", "failure"]


class NotOpened(TransferError):
    """No data connection: nobody rightful connected, the peer did not answer, or no port was free."""


class OutcomeStatus(Enum):
    """How a transfer ended."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    """The stream ended without close_notify where one is required."""
    RESET = "reset"
    """The connection broke, or TLS found it damaged."""
    STALLED = "stalled"
    """Nothing moved for longer than the limit."""
    ABORTED = "aborted"
    """Ended on request (`Stop.interrupt`)."""
    HANDSHAKE_FAILED = "handshake failed"
    NOT_ACCEPTABLE = "not acceptable"
    """TLS came about, but it is not bound to the control connection as the policy demands."""
    NOT_OPENED = "not opened"
    BAD_COMPRESSION = "bad compression"
    """The bytes came in order, but MODE Z cannot be made of them, or only to do harm."""
    STORAGE_FAILED = "storage failed"
    """The reader or the writer failed, not the network."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one transfer ended.

    Attributes:
        status: The kind of end. Only after COMPLETE may the receiver commit.
        bytes_moved: Payload bytes, as on the wire (after TYPE A conversion when sending). When receiving:
        bytes
            that arrived and were handed to the writer.
        verified_end: Receiving: TLS said that this is all (close_notify, RFC 8446 section 6.1). Sending: the
            peer ended in order after everything was acknowledged. Always False in clear, which cannot tell
            an end from a cut.
        seconds: How long it took.
        error: The cause when the status is not COMPLETE.
        detail: One line for the log, without the peer's words.
    """

    status: OutcomeStatus
    bytes_moved: int = 0
    verified_end: bool = False
    seconds: float = 0.0
    error: Exception | None = None
    detail: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether everything was moved."""
        return self.status is OutcomeStatus.COMPLETE


_STATUS_BY_ERROR: tuple[tuple[type[Exception], OutcomeStatus], ...] = (
    (TransferAborted, OutcomeStatus.ABORTED),
    (TransferTimeout, OutcomeStatus.STALLED),
    (TruncatedStream, OutcomeStatus.TRUNCATED),
    (TruncatedTransfer, OutcomeStatus.TRUNCATED),
    (NotOpened, OutcomeStatus.NOT_OPENED),
    (BadCompression, OutcomeStatus.BAD_COMPRESSION),
    (HandshakeFailed, OutcomeStatus.HANDSHAKE_FAILED),
    (CertificateMismatch, OutcomeStatus.NOT_ACCEPTABLE),
    (SessionReuseRequired, OutcomeStatus.NOT_ACCEPTABLE),
    (StorageError, OutcomeStatus.STORAGE_FAILED),
    # ConnectionLost, and TLS that no longer makes sense (a damaged record).
    (LockgateError, OutcomeStatus.RESET),
    # The functions of this package translate the network's errors; a bare OSError is a file's.
    (OSError, OutcomeStatus.STORAGE_FAILED),
)


def failure(error: Exception, *, bytes_moved: int = 0, seconds: float = 0.0) -> Outcome:
    """Return the outcome that an exception of `establish`, `streams`, `pump` or a storage stands for.

    Raises:
        Exception: `error` itself, when it is none of these (a bug must not look like a broken transfer).
    """
    for kind, status in _STATUS_BY_ERROR:
        if isinstance(error, kind):
            detail = str(error) or type(error).__name__
            return Outcome(status, bytes_moved, seconds=seconds, error=error, detail=detail)
    raise error
