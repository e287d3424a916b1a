"""What the errors of a data connection's system calls mean, in words; must not touch the connection."""

from __future__ import annotations

import errno
import socket
import ssl

from lockgate.errors import (
    CertificateRejected,
    ConnectionLost,
    LockgateError,
    TlsError,
    TransferAborted,
    TruncatedStream,
)
from lockgate.transfer import kernel
from lockgate.transfer.stop import Stop

__all__ = ["NETWORK_ERRORS", "explain_break", "explain_eof"]

NETWORK_ERRORS = frozenset(
    {
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
    }
)
"""Of `sendfile`: what the connection is to blame for, and not the file."""

# Of a FIN and of a reset: the peer's system decides which of them comes, and neither tells what is missing.
_NO_CLOSE_NOTIFY = "the data connection ended without close_notify: what came may not be all"


def explain_break(error: OSError, stop: Stop) -> LockgateError:
    """Return the error that a failed call on a data connection stands for."""
    if stop.requested:
        return TransferAborted("the transfer was ended on request")
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLSyscallError)):
        reason = error.reason or "unknown TLS error"
        if "ALERT" in reason and "CERTIFICATE" in reason:
            # TLS 1.3: a server's verdict on the client's certificate comes after the handshake.
            return CertificateRejected(f"the peer did not accept our certificate ({reason})")
        return TlsError(f"TLS on the data connection broke: {reason}")
    if isinstance(error, ssl.SSLError):
        # The words of these two are Python's own.
        return ConnectionLost("the data connection broke: the peer closed it without close_notify")
    return ConnectionLost(f"the data connection broke: {error.strerror or 'reset by the peer'}")


def explain_eof(error: ssl.SSLEOFError, sock: socket.socket, stop: Stop) -> LockgateError:
    """Return what an end without close_notify stands for: a truncation, or a reset.

    CPython 3.11 reports a reset as SSLEOFError too; the reason tells them apart, and so does the kernel.
    """
    if stop.requested:
        return explain_break(error, stop)
    if error.reason != "UNEXPECTED_EOF_WHILE_READING" or kernel.is_gone(sock):
        return ConnectionLost(_NO_CLOSE_NOTIFY)
    return TruncatedStream(_NO_CLOSE_NOTIFY)
