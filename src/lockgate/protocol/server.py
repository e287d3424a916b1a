"""The server's end of a control connection: bytes in, commands out; replies in, bytes and effects out.

    receive_data(bytes) ... next_event() -> CommandReceived | CommandRefused | None
    send_reply(Reply, Command) -> Output

The shell feeds what it received (decrypted, while TLS is up), asks for events one at a time, answers each
with exactly one final reply, and carries out the effects. Whether a command may run is judged when it is its
turn, not when its bytes came. This module must not touch a socket, nor know how a command is carried out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lockgate.errors import LocalProtocolError, RemoteProtocolError

from .commands import Command
from .effects import CloseControl, Effect, tls_edge
from .gates import GatePolicy, View, judge
from .lines import Line, LineFault, LineReader
from .replies import Reply, ReplyCode
from .states import Control, SessionState, Transfer, apply, handshake_done, initial
from .verbs import Verb

__all__ = ["CommandReceived", "CommandRefused", "Event", "Output", "ServerLimits", "ServerProtocol"]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds on what a client may send.

    Attributes:
        line_bytes: Longest command line.
        dropped_bytes: Most bytes of an endless line before the session ends.
        waiting_commands: Most commands that may wait while a transfer runs.
        refusals: Most refused lines before the login; then the session ends.
        before_login: Most commands of any kind before the login.
    """

    line_bytes: int = 8192
    dropped_bytes: int = 1 << 16
    waiting_commands: int = 64
    refusals: int = 30
    before_login: int = 500


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A command that every gate has let through: run it and answer it."""

    command: Command


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """A command or line that is not to run: send `reply`, with `command`.

    Attributes:
        command: The refused command, or None for a line that is none.
        reply: The refusal to send.
        gate: Name of the gate or rule that refused, for logs.
    """

    command: Command | None
    reply: Reply
    gate: str


Event = CommandReceived | CommandRefused


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes to send, then effects to carry out in order."""

    data: bytes
    effects: tuple[Effect, ...] = ()


# Words that start the lines of other protocols; a browser must not be led to talk FTP (ALPACA).
_FOREIGN_WORDS = frozenset(
    [
        "GET",
        "POST",
        "HEAD",
        "PUT",
        "DELETE",
        "CONNECT",
        "OPTIONS",
        "TRACE",
        "PATCH",
        "PRI",
        "HTTP/1.0",
        "HTTP/1.1",
        "HOST:",
        "CONTENT-LENGTH:",
        "COOKIE:",
        "EHLO",
        "HELO",
        "MAIL",
        "RCPT",
    ]
)
# Interrupt Process, Data Mark and a lone IAC may stand before ABOR or STAT, also when TCP's urgent pointer
# has eaten an octet of a pair (RFC 959 §4.1.3, RFC 4217 §14). No command word starts with one of them.
_STRAY = b"\xff\xf4\xf2"
_OVERTAKING = frozenset((Verb.ABOR, Verb.STAT))
_FAULTS = {
    LineFault.TOO_LONG: "Line too long.",
    LineFault.BARE_LF: "A line ends with CR LF.",
    LineFault.CONTROL: "CR and NUL may not stand inside a line.",
}


class ServerProtocol:
    """The server's core, one for each control connection.

    Args:
        policy: What the listener allows; may be replaced after the login (`policy` is settable).
        implicit: True where TLS comes before the greeting (1997 draft, §4.2).
        limits: Bounds on input.
        cwd: Tells the working directory, which the shell keeps: what a path is judged from.
    """

    def __init__(
        self,
        policy: GatePolicy | None = None,
        *,
        implicit: bool = False,
        limits: ServerLimits | None = None,
        cwd: Callable[[], str] = lambda: "/",
    ) -> None:
        self.policy = policy or GatePolicy()
        self._cwd = cwd
        self._limits = limits or ServerLimits()
        self._state = initial(implicit=implicit)
        self._reader = self._new_reader()
        self._held: deque[Command | Line] = deque()
        self._refusals = 0
        self._before_login = 0
        self._closing = False

    @property
    def state(self) -> SessionState:
        """Where the four machines stand."""
        return self._state

    @property
    def wants_data(self) -> bool:
        """False while so much waits that the shell should stop reading from the socket."""
        return not self._closing and len(self._held) + self._reader.waiting < self._limits.waiting_commands

    @property
    def is_abort_waiting(self) -> bool:
        """True when the client has sent ABOR behind the command that runs; asked for work that takes long."""
        while (line := self._reader.pop()) is not None:
            self._held.append(_parse(line))
        return any(isinstance(parsed, Command) and parsed.verb is Verb.ABOR for parsed in self._held)

    def greeting(self, reply: Reply) -> Output:
        """Return the greeting's bytes; 220, or 421 which closes.

        Raises:
            LocalProtocolError: TLS has not been negotiated yet on an implicit port.
        """
        if self._state.control is Control.NEGOTIATING:
            raise LocalProtocolError("the greeting comes after the TLS handshake on an implicit port")
        return self._out(reply)

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the client, decrypted while TLS is up. Does not block.

        Raises:
            RemoteProtocolError: A line without end; close the connection.
            LocalProtocolError: TLS is being negotiated: no bytes are lines now.
        """
        if self._state.control is Control.NEGOTIATING:
            raise LocalProtocolError("bytes in clear while TLS is negotiated belong to the TLS engine")
        if not self._closing:
            self._reader.feed(data)

    def next_event(self) -> Event | None:
        """Return the next command, or None until more bytes come or the running transfer ends.

        While a transfer runs, ABOR and STAT overtake; everything else waits its turn (RFC 4217 §14).
        """
        if self._closing or self._state.control is Control.NEGOTIATING:
            return None
        if self._state.transfer is Transfer.STARTED:
            return self._next_overtaking()
        if self._held:
            return self._judge(self._held.popleft())
        line = self._reader.pop()
        return None if line is None else self._judge(_parse(line))

    def send_reply(self, reply: Reply, command: Command | None = None) -> Output:
        """Return the bytes of a reply to `command`, move the machines, and say what to do next.

        Args:
            reply: The reply; 1xx may be followed by others to the same command.
            command: The command it answers; None for a line that was no command, or a 421 of our own.

        Raises:
            LocalProtocolError: The tables have no such step: the handler's reply is wrong.
        """
        if command is None:
            return self._out(reply)
        before = self._state
        after = apply(before, command, reply)
        effect = tls_edge(before, after)
        if effect is not None and self._has_leftover():
            # Bytes that came ahead of their time must never be run on the other side of TLS's edge.
            return self._out(
                Reply.of(ReplyCode.NOT_AVAILABLE, f"Nothing may follow {command.word}; closing.")
            )
        self._state = after
        if effect is not None:
            self._reader = self._new_reader()
        if after.is_logged_in and not before.is_logged_in:
            self._refusals = self._before_login = 0
        output = self._out(reply)
        if command.verb is Verb.QUIT and not reply.is_refusal:
            return self._close(output, "QUIT")
        return output if effect is None else Output(output.data, (effect, *output.effects))

    def tls_established(self) -> None:
        """The control connection's handshake is complete and acceptable.

        Raises:
            LocalProtocolError: None was going on.
        """
        self._state = handshake_done(self._state)

    def _has_leftover(self) -> bool:
        return bool(self._held) or self._reader.has_pending

    def _out(self, reply: Reply) -> Output:
        output = Output(reply.to_bytes())
        return self._close(output, f"{reply}") if reply.code == ReplyCode.NOT_AVAILABLE else output

    def _close(self, output: Output, reason: str) -> Output:
        self._closing = True
        return Output(output.data, (CloseControl(reason),))

    def _new_reader(self) -> LineReader:
        return LineReader(self._limits.line_bytes, self._limits.dropped_bytes)

    def _next_overtaking(self) -> Event | None:
        while (line := self._reader.pop()) is not None:
            parsed = _parse(line)
            if isinstance(parsed, Command) and parsed.verb in _OVERTAKING:
                return self._judge(parsed)
            self._held.append(parsed)
        return None

    def _judge(self, parsed: Command | Line) -> Event:
        event = self._judged(parsed)
        if self._state.is_logged_in:
            return event
        self._before_login += 1
        if isinstance(event, CommandRefused):
            self._refusals += 1
        if self._refusals > self._limits.refusals or self._before_login > self._limits.before_login:
            reply = Reply.of(ReplyCode.NOT_AVAILABLE, "Too many commands without a login; closing.")
            return CommandRefused(None, reply, "too-many-commands")
        return event

    def _judged(self, parsed: Command | Line) -> Event:
        if isinstance(parsed, Line):
            text = _FAULTS[parsed.fault] if parsed.fault is not None else "Not a command line."
            return CommandRefused(None, Reply.of(ReplyCode.UNRECOGNISED, text), "line")
        row = parsed.row
        if row is None:
            if parsed.word in _FOREIGN_WORDS or parsed.word.startswith("SSH-"):
                reply = Reply.of(ReplyCode.NOT_AVAILABLE, "This is an FTP server; closing.")
                return CommandRefused(None, reply, "foreign-protocol")
            return CommandRefused(
                parsed, Reply.of(ReplyCode.UNRECOGNISED, "Command unknown."), "unknown-verb"
            )
        gate = judge(View(parsed, row, self._state, self.policy, self._cwd()))
        if gate is None:
            return CommandReceived(parsed)
        return CommandRefused(parsed, gate.reply(parsed), gate.name)


def _parse(line: Line) -> Command | Line:
    if line.fault is not None:
        return line
    try:
        return Command.parse(line.data.lstrip(_STRAY))
    except RemoteProtocolError:
        return line
