"""Bytes to lines: CRLF, Telnet octets, a length limit; the same lines however the bytes are split.

Must not know commands or replies. Memory is bounded by the line limit and by what one `feed` brings.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from lockgate.errors import RemoteProtocolError

__all__ = ["Line", "LineFault", "LineReader"]

_LF, _IAC, _SB, _SE = 0x0A, 0xFF, 0xFA, 0xF0
_NEGOTIATE = frozenset((0xFB, 0xFC, 0xFD, 0xFE))  # WILL, WONT, DO, DONT: one option octet follows
_FIRST_TELNET_COMMAND = 0xF0


class LineFault(Enum):
    """Why a line cannot be taken."""

    TOO_LONG = auto()
    BARE_LF = auto()
    CONTROL = auto()


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its line end, and what is wrong with it, if anything.

    `repr` does not show the data: a faulty line may hold a password as well as a good one.
    """

    data: bytes = field(repr=False)
    fault: LineFault | None = None


class _Telnet(Enum):
    DATA = auto()
    COMMAND = auto()
    OPTION = auto()
    SUB = auto()
    SUB_COMMAND = auto()


class LineReader:
    """Cuts a byte stream into lines.

    A line ends at LF. A server refuses a line whose LF has no CR before it (`LineFault.BARE_LF`) and does not
    run it: RFC 959 asks for CRLF, and a program in the middle that counts lines otherwise must not smuggle a
    command.

    Args:
        max_line_bytes: Longest line, its end not counted; a longer one yields one `TOO_LONG` and is dropped.
        max_dropped_bytes: Most bytes of an endless line, and most Telnet octets without a line end, that are
            dropped before the peer is given up.
    """

    __slots__ = (
        "_buffer",
        "_dropped",
        "_dropping",
        "_lines",
        "_max_dropped",
        "_max_line",
        "_skipped",
        "_telnet",
    )

    def __init__(self, max_line_bytes: int = 8192, max_dropped_bytes: int = 1 << 16) -> None:
        self._max_line = max_line_bytes
        self._max_dropped = max_dropped_bytes
        self._buffer = bytearray()
        self._lines: deque[Line] = deque()
        self._telnet = _Telnet.DATA
        self._dropping = False
        self._dropped = 0
        # Telnet octets since the last line end: nothing of them is in a line, and yet they came.
        self._skipped = 0

    @property
    def has_pending(self) -> bool:
        """True when bytes came that no `pop` has returned: whole lines, a part of one, or Telnet octets."""
        return bool(self._lines or self._buffer or self._dropping or self._skipped)

    @property
    def waiting(self) -> int:
        """Number of whole lines that wait for `pop`."""
        return len(self._lines)

    def pop(self) -> Line | None:
        """Return the next whole line, or None."""
        return self._lines.popleft() if self._lines else None

    def feed(self, data: bytes) -> None:
        """Take bytes as they came.

        Raises:
            RemoteProtocolError: A line went on beyond every limit; the connection should be closed.
        """
        if self._telnet is not _Telnet.DATA or _IAC in data:
            data = self._without_telnet(data)
        elif b"\n" in data:
            self._skipped = 0
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._end_line(part)
        self._extend(rest)
        if self._skipped > self._max_dropped:
            raise RemoteProtocolError(f"more than {self._max_dropped} Telnet octets without a line")

    def _end_line(self, part: bytes) -> None:
        self._extend(part)
        if self._dropping:
            self._dropping = False
            self._dropped = 0
            return
        line = bytes(self._buffer)
        self._buffer.clear()
        self._lines.append(_judge(line))

    def _extend(self, part: bytes) -> None:
        if not self._dropping:
            self._buffer += part
            # One more than the limit: the CR before a LF that has not come yet.
            if len(self._buffer) <= self._max_line + 1:
                return
            self._dropping = True
            self._dropped = len(self._buffer)
            self._buffer.clear()
            self._lines.append(Line(b"", LineFault.TOO_LONG))
        else:
            self._dropped += len(part)
        if self._dropped > self._max_dropped:
            raise RemoteProtocolError(f"a line of more than {self._max_dropped} bytes without an end")

    def _without_telnet(self, data: bytes) -> bytes:
        """Take Telnet commands out (RFC 854); option requests are ignored (RFC 1123 §4.1.2.12)."""
        kept = bytearray()
        state, skipped = self._telnet, self._skipped
        for octet in data:
            length = len(kept)
            match state:
                case _Telnet.DATA:
                    if octet == _IAC:
                        state = _Telnet.COMMAND
                    else:
                        kept.append(octet)
                case _Telnet.COMMAND:
                    state = _after_iac(octet, kept)
                case _Telnet.OPTION:
                    state = _Telnet.DATA
                case _Telnet.SUB:
                    state = _Telnet.SUB_COMMAND if octet == _IAC else _Telnet.SUB
                case _:  # SUB_COMMAND
                    state = _Telnet.DATA if octet == _SE else _Telnet.SUB
            if len(kept) == length:
                skipped += 1
                if skipped > self._max_dropped:
                    break
            elif octet == _LF:
                skipped = 0
        self._telnet, self._skipped = state, skipped
        return bytes(kept)


def _after_iac(octet: int, kept: bytearray) -> _Telnet:
    if octet in _NEGOTIATE:
        return _Telnet.OPTION
    if octet == _SB:
        return _Telnet.SUB
    if octet == _IAC:
        kept.append(_IAC)
    elif octet < _FIRST_TELNET_COMMAND:
        # No Telnet command: the 0xFF of a Latin-1 name that was not doubled.
        kept += bytes((_IAC, octet))
    return _Telnet.DATA


def _judge(line: bytes) -> Line:
    if not line.endswith(b"\r"):
        return Line(line, LineFault.BARE_LF)
    line = line[:-1]
    return Line(line, LineFault.CONTROL if b"\r" in line or b"\0" in line else None)
