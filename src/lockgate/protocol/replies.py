"""Replies: their codes with sources, building and serialising, and assembling those of several lines.

Must not know commands or states.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lockgate.errors import LocalProtocolError, RemoteProtocolError, shorten

from .commands import decode, encode

__all__ = ["Reply", "ReplyAssembler", "ReplyCode"]


class ReplyCode(IntEnum):
    """The codes Lockgate sends or acts on; the comment names the source where it is not RFC 959 §4.2."""

    RESTART_MARKER = 110
    READY_IN_MINUTES = 120
    DATA_ALREADY_OPEN = 125
    OPENING_DATA = 150
    OK = 200
    SUPERFLUOUS = 202
    SYSTEM_STATUS = 211
    DIRECTORY_STATUS = 212
    FILE_STATUS = 213
    HELP = 214
    SYSTEM_TYPE = 215
    READY = 220
    CLOSING_CONTROL = 221
    DATA_OPEN_NO_TRANSFER = 225
    TRANSFER_COMPLETE = 226
    PASSIVE = 227
    EXTENDED_PASSIVE = 229  # RFC 2428 §3
    LOGGED_IN = 230
    LOGGED_IN_BY_CERTIFICATE = 232  # RFC 2228 §5, RFC 4217 §12.2
    SECURITY_ACCEPTED = 234  # RFC 2228 §5, RFC 4217 §4.2
    FILE_OK = 250
    PATHNAME = 257
    NEED_PASSWORD = 331
    NEED_ACCOUNT = 332
    SECURITY_DATA_WANTED = 334  # RFC 2228 §5: never from us (RFC 4217 §4.2)
    PENDING = 350
    NOT_AVAILABLE = 421
    CANNOT_OPEN_DATA = 425
    TRANSFER_CUT = 426
    SECURITY_RESOURCE_UNAVAILABLE = 431  # RFC 2228 §5
    FILE_BUSY = 450
    LOCAL_ERROR = 451
    NO_SPACE = 452
    UNRECOGNISED = 500
    BAD_ARGUMENT = 501
    NOT_IMPLEMENTED = 502
    BAD_SEQUENCE = 503
    PARAMETER_NOT_IMPLEMENTED = 504
    DATA_LEVEL_REFUSED = 521  # RFC 4217 §10.2
    DATA_TLS_REFUSED = 522  # RFC 4217 §10.2; RFC 2428 §2 for address families
    NOT_LOGGED_IN = 530
    ACCOUNT_NEEDED = 532
    LEVEL_DENIED = 533  # RFC 2228 §5, RFC 4217 §5
    POLICY_DENIED = 534  # RFC 2228 §5
    LEVEL_NOT_SUPPORTED = 536  # RFC 2228 §5
    FILE_UNAVAILABLE = 550
    STORAGE_EXCEEDED = 552
    NAME_NOT_ALLOWED = 553


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: a code of three digits and one or more lines of text.

    Attributes:
        code: 100 to 599.
        lines: Text without codes and line ends; at least one line, which may be empty.

    Raises:
        LocalProtocolError: The code is out of range, or a line holds CR, LF or NUL, or text that no octets
            stand for.
    """

    code: int
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 100 <= self.code <= 599:
            raise LocalProtocolError(f"reply code {self.code} is not between 100 and 599")
        if not self.lines:
            raise LocalProtocolError("a reply has at least one line")
        for line in self.lines:
            if "\r" in line or "\n" in line or "\0" in line:
                # A line of a peer's making inside our reply could pass for another reply.
                raise LocalProtocolError(f"reply line '{shorten(line)}' holds CR, LF or NUL")
            if not line.isascii():
                encode(line)

    @classmethod
    def of(cls, code: int, *lines: str) -> Reply:
        """Build a reply from its code and lines."""
        return cls(int(code), lines)

    @property
    def text(self) -> str:
        """The lines joined by newlines."""
        return "\n".join(self.lines)

    @property
    def is_preliminary(self) -> bool:
        """True for 1xx: another reply to the same command follows (RFC 959 §4.2)."""
        return self.code < 200

    @property
    def is_success(self) -> bool:
        """True for 2xx."""
        return 200 <= self.code < 300

    @property
    def is_refusal(self) -> bool:
        """True for 4xx and 5xx."""
        return self.code >= 400

    def to_bytes(self) -> bytes:
        """Return the reply as it goes out (RFC 959 §4.2).

        A middle line that starts with three digits is set off by a space, so that it cannot end the reply.
        """
        code = f"{self.code:03d}"
        if len(self.lines) == 1:
            return _wire(f"{code} {self.lines[0]}")
        middle = (f" {line}" if line[:3].isdigit() else line for line in self.lines[1:-1])
        return _wire("\r\n".join((f"{code}-{self.lines[0]}", *middle, f"{code} {self.lines[-1]}")))

    def __str__(self) -> str:
        return f"{self.code} {shorten(' / '.join(self.lines), 300)}"


def _wire(text: str) -> bytes:
    return encode(text).replace(b"\xff", b"\xff\xff") + b"\r\n"


class ReplyAssembler:
    """Joins lines into replies (RFC 959 §4.2), within limits.

    Args:
        max_lines: Most lines of one reply.
        max_bytes: Most bytes of one reply, line ends not counted.
    """

    __slots__ = ("_bytes", "_code", "_lines", "_max_bytes", "_max_lines")

    def __init__(self, max_lines: int = 10_000, max_bytes: int = 1 << 20) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._code = 0
        self._lines: list[str] = []
        self._bytes = 0

    @property
    def is_inside(self) -> bool:
        """True while a reply of several lines has begun and not ended."""
        return bool(self._lines)

    def feed(self, line: bytes) -> Reply | None:
        """Take one line without its line end; return the reply that it ends, or None.

        Raises:
            RemoteProtocolError: The line starts no reply, or the reply grew beyond the limits.
        """
        if not self._lines:
            code, more, text = _split(line)
            if not more:
                return Reply(code, (text,))
            self._code, self._lines, self._bytes = code, [text], len(line)
            return None
        self._bytes += len(line)
        if len(self._lines) >= self._max_lines or self._bytes > self._max_bytes:
            raise RemoteProtocolError(
                f"reply {self._code} has more than {self._max_lines} lines or {self._max_bytes} bytes"
            )
        prefix = b"%03d" % self._code
        if line == prefix or line.startswith(prefix + b" "):
            reply = Reply(self._code, (*self._lines, _text(line[4:])))
            self._lines = []
            return reply
        # Some servers put the code and a hyphen before every line.
        self._lines.append(_text(line[4:] if line.startswith(prefix + b"-") else line))
        return None


def _split(line: bytes) -> tuple[int, bool, str]:
    digits, mark = line[:3], line[3:4]
    if not (
        len(digits) == 3 and digits.isdigit() and b"1" <= digits[:1] <= b"5" and mark in (b" ", b"-", b"")
    ):
        raise RemoteProtocolError(
            f"'{shorten(line)}' is no FTP reply (three digits, space or hyphen); is this an FTP server?"
        )
    return int(digits), mark == b"-", _text(line[4:])


def _text(data: bytes) -> str:
    # Stray CR and NUL inside a line are the peer's; they must not reach a terminal or a log as line ends.
    return decode(data).replace("\r", "").replace("\0", "")
