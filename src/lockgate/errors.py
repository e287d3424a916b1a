"""The exception tree. Every exception Lockgate raises on purpose is a `LockgateError`.

    LockgateError
    ├── LocalProtocolError        we would break the rules (also a ValueError)
    ├── RemoteProtocolError       the peer broke them
    ├── ReplyError                a refusal received; `ReplyError.lookup(code)` is the subclass
    │   ├── TransientReplyError   4xx: ServiceNotAvailable 421, CannotOpenData 425, TransferCut 426,
    │   │                         FileBusy 450, LocalProcessingError 451, InsufficientStorage 452,
    │   │                         SecurityResourceUnavailable 431
    │   └── PermanentReplyError   5xx: CommandUnrecognised 500, BadArgument 501, NotImplementedByServer 502,
    │                             BadSequence 503, ParameterNotImplemented 504, DataLevelRefused 521,
    │                             DataTlsRefused 522, NotLoggedIn 530, AccountNeeded 532, LevelDenied 533,
    │                             PolicyDenied 534, LevelNotSupported 536, FileUnavailable 550,
    │                             StorageExceeded 552, NameNotAllowed 553
    ├── TlsError
    │   ├── HandshakeFailed       ├── CertificateRejected    ├── CertificateMismatch
    │   ├── SessionReuseRequired  ├── ProtectionRefused      └── TruncatedStream
    ├── TransferError
    │   ├── TruncatedTransfer     ├── TransferTimeout        ├── TransferAborted   └── ConnectionLost
    ├── StorageError
    │   ├── NotFound  ├── AlreadyExists  ├── PermissionDenied  ├── IsADirectory  ├── NotADirectory
    │   ├── DirectoryNotEmpty  ├── NameRejected  ├── OutsideRoot  └── NoSpace
    ├── AccountError
    └── ConfigError

This module imports nothing of the project; every other package may import it.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AccountError",
    "AccountNeeded",
    "AlreadyExists",
    "BadArgument",
    "BadSequence",
    "CannotOpenData",
    "CertificateMismatch",
    "CertificateRejected",
    "CommandUnrecognised",
    "ConfigError",
    "ConnectionLost",
    "DataLevelRefused",
    "DataTlsRefused",
    "DirectoryNotEmpty",
    "FileBusy",
    "FileUnavailable",
    "HandshakeFailed",
    "InsufficientStorage",
    "IsADirectory",
    "LevelDenied",
    "LevelNotSupported",
    "LocalProcessingError",
    "LocalProtocolError",
    "LockgateError",
    "NameNotAllowed",
    "NameRejected",
    "NoSpace",
    "NotADirectory",
    "NotFound",
    "NotImplementedByServer",
    "NotLoggedIn",
    "OutsideRoot",
    "ParameterNotImplemented",
    "PermanentReplyError",
    "PermissionDenied",
    "PolicyDenied",
    "ProtectionRefused",
    "RemoteProtocolError",
    "ReplyError",
    "SecurityResourceUnavailable",
    "ServiceNotAvailable",
    "SessionReuseRequired",
    "StorageError",
    "StorageExceeded",
    "TlsError",
    "TransferAborted",
    "TransferCut",
    "TransferError",
    "TransferTimeout",
    "TransientReplyError",
    "TruncatedStream",
    "TruncatedTransfer",
    "shorten",
]


def shorten(value: str | bytes, limit: int = 60) -> str:
    """Return a value fit for a message: escaped, on one line, at most `limit` characters."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    shown = text.encode("unicode_escape", "backslashreplace").decode("ascii")
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


class LockgateError(Exception):
    """Root of everything that Lockgate raises on purpose."""


class LocalProtocolError(LockgateError, ValueError):
    """The caller asked for something that would break the protocol; nothing was sent."""


class RemoteProtocolError(LockgateError):
    """The peer sent something that the protocol does not allow."""


class ReplyError(LockgateError):
    """The server refused a command.

    Attributes:
        code: The three-digit reply code.
        lines: The reply's text lines, without codes and line ends; the peer's words, not to be trusted.
        command: The verb that was refused ("" for the greeting).
    """

    codes: ClassVar[tuple[int, ...]] = ()
    meaning: ClassVar[str] = "The server refused the command."

    def __init__(self, code: int, lines: tuple[str, ...] = (), command: str = "") -> None:
        self.code = code
        self.lines = lines
        self.command = command
        said = shorten(" / ".join(lines), 300)
        super().__init__(f"{command or 'greeting'}: {code} {said} ({self.meaning})")

    def __reduce__(self) -> tuple[type[ReplyError], tuple[int, tuple[str, ...], str]]:
        return type(self), (self.code, self.lines, self.command)

    @staticmethod
    def lookup(code: int) -> type[ReplyError]:
        """Return the exception class for a reply code; 4xx and 5xx fall back to their family."""
        found = _BY_CODE.get(code)
        if found is not None:
            return found
        if 400 <= code < 500:
            return TransientReplyError
        return PermanentReplyError if 500 <= code < 600 else ReplyError


class TransientReplyError(ReplyError):
    """4xx: the same command may succeed later."""

    meaning = "a passing refusal: trying again later may help"


class PermanentReplyError(ReplyError):
    """5xx: the same command will be refused again."""

    meaning = "a lasting refusal: trying again will not help"


class ServiceNotAvailable(TransientReplyError):
    """421: the server ends the session."""

    codes = (421,)
    meaning = "the server ended the session: connect again later"


class CannotOpenData(TransientReplyError):
    """425: no data connection."""

    codes = (425,)
    meaning = "the data connection could not be opened: check firewalls, or try active mode"


class TransferCut(TransientReplyError):
    """426: the data connection broke or the transfer was aborted."""

    codes = (426,)
    meaning = "the transfer was cut: resume or repeat it"


class SecurityResourceUnavailable(TransientReplyError):
    """431: TLS cannot be started just now."""

    codes = (431,)
    meaning = "the server has no TLS to offer just now"


class FileBusy(TransientReplyError):
    """450: the file is busy."""

    codes = (450,)
    meaning = "the file is busy: try again later"


class LocalProcessingError(TransientReplyError):
    """451: an error on the server's side."""

    codes = (451,)
    meaning = "the server had an error of its own"


class InsufficientStorage(TransientReplyError):
    """452: no space left."""

    codes = (452,)
    meaning = "no space left on the server"


class CommandUnrecognised(PermanentReplyError):
    """500: the server does not know the command."""

    codes = (500,)
    meaning = "the server does not know this command"


class BadArgument(PermanentReplyError):
    """501: the argument is wrong."""

    codes = (501,)
    meaning = "the server does not take this argument"


class NotImplementedByServer(PermanentReplyError):
    """502: the server knows the command and does not implement it."""

    codes = (502,)
    meaning = "the server does not implement this command"


class BadSequence(PermanentReplyError):
    """503: the command does not fit here."""

    codes = (503,)
    meaning = "the command does not fit at this point of the session"


class ParameterNotImplemented(PermanentReplyError):
    """504: the parameter is not implemented."""

    codes = (504,)
    meaning = "the server does not implement this parameter"


class DataLevelRefused(PermanentReplyError):
    """521: the data protection level does not suffice for this transfer (RFC 4217 section 10.2)."""

    codes = (521,)
    meaning = "this transfer needs another data protection level: PROT P, or PROT C if the server forbids P"


class DataTlsRefused(PermanentReplyError):
    """522: TLS on the data connection failed or was not acceptable (RFC 4217 section 10.2)."""

    codes = (522,)
    meaning = "the server did not accept TLS on the data connection; it may demand a resumed session"


class NotLoggedIn(PermanentReplyError):
    """530: not logged in, or the login failed."""

    codes = (530,)
    meaning = "not logged in: check user name and password"


class AccountNeeded(PermanentReplyError):
    """532 (and 332): the server wants an account (ACCT)."""

    codes = (332, 532)
    meaning = "the server wants an account: pass one"


class LevelDenied(PermanentReplyError):
    """533: the command needs a protected control connection."""

    codes = (533,)
    meaning = "this command needs another protection of the control connection"


class PolicyDenied(PermanentReplyError):
    """534: the server's policy forbids it."""

    codes = (534,)
    meaning = "the server's policy forbids this"


class LevelNotSupported(PermanentReplyError):
    """536: the mechanism does not support the protection level asked for."""

    codes = (536,)
    meaning = "TLS knows the protection levels C and P only"


class FileUnavailable(PermanentReplyError):
    """550: no such file, or no permission."""

    codes = (550,)
    meaning = "the server will not do this with this path"


class StorageExceeded(PermanentReplyError):
    """552: over the storage allotted."""

    codes = (552,)
    meaning = "over the storage allotted on the server"


class NameNotAllowed(PermanentReplyError):
    """553: the file name is not allowed."""

    codes = (553,)
    meaning = "the server does not take this file name"


class TlsError(LockgateError):
    """TLS did not do what was asked of it."""


class HandshakeFailed(TlsError):
    """A TLS handshake did not complete."""


class CertificateRejected(HandshakeFailed):
    """The peer's certificate was not acceptable: chain, dates, host name or pin."""


class CertificateMismatch(TlsError):
    """The data connection showed another certificate than the control connection."""


class SessionReuseRequired(TlsError):
    """The data connection had to resume the control connection's TLS session and did not."""


class ProtectionRefused(TlsError):
    """The peer refuses the protection that was asked for; nothing went out in clear.

    Attributes:
        message: What happened, without what a program could say instead.
        unless: What a program can say in its call to do without, or "".
    """

    def __init__(self, message: str, *, unless: str = "") -> None:
        super().__init__(f"{message}; {unless}" if unless else message)
        self.message = message
        self.unless = unless


class TruncatedStream(TlsError):
    """A TLS stream ended without close_notify: what came may not be all."""


class TransferError(LockgateError):
    """A transfer did not complete."""


class TruncatedTransfer(TransferError):
    """The data connection ended before the sender said that it was done."""


class TransferTimeout(TransferError):
    """Nothing moved for longer than the limit."""


class TransferAborted(TransferError):
    """The transfer was ended on request."""


class ConnectionLost(TransferError):
    """A connection broke."""


class StorageError(LockgateError):
    """A storage backend could not do what was asked."""


class NotFound(StorageError):
    """No such file or directory."""


class AlreadyExists(StorageError):
    """The name is taken."""


class PermissionDenied(StorageError):
    """Not allowed, by the account's permissions or by the file system."""


class IsADirectory(StorageError):
    """A file was expected."""


class NotADirectory(StorageError):
    """A directory was expected."""


class DirectoryNotEmpty(StorageError):
    """The directory still has entries."""


class NameRejected(StorageError):
    """The name cannot be used: empty, too long, or with octets that no name may have."""


class OutsideRoot(StorageError):
    """The path leads out of the account's root (by a symbolic link or otherwise)."""


class NoSpace(StorageError):
    """No space or quota left."""


class AccountError(LockgateError):
    """The account store could not answer, or an account is not usable."""


class ConfigError(LockgateError):
    """The configuration is wrong; the message says where and what to write instead."""


def _concrete(family: type[ReplyError]) -> list[type[ReplyError]]:
    found: list[type[ReplyError]] = []
    for child in family.__subclasses__():
        found.append(child)
        found.extend(_concrete(child))
    return found


_BY_CODE: dict[int, type[ReplyError]] = {code: kind for kind in _concrete(ReplyError) for code in kind.codes}
