"""The client's end of a control connection: commands in, bytes out; bytes in, replies out.

    send_command(Command) -> bytes ... receive_data(bytes) ... next_reply() -> ReplyReceived | None

The same tables as the server's core move it. It refuses locally what RFC 4217 forbids a client. This module
must not touch a socket and must not decide what to do about a reply.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lockgate.errors import LocalProtocolError, RemoteProtocolError

from .commands import Command
from .effects import CloseControl, Effect, StartTls, tls_edge
from .lines import LineFault, LineReader
from .replies import Reply, ReplyAssembler
from .states import Control, SessionState, Transfer, apply, handshake_done, initial
from .verbs import Verb

__all__ = ["ClientLimits", "ClientProtocol", "ReplyReceived"]


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds on what a server may send on the control connection.

    Attributes:
        line_bytes: Longest reply line.
        reply_lines: Most lines of one reply.
        reply_bytes: Most bytes of one reply.
        waiting_replies: Most lines that may come ahead of `next_reply`.
        preliminary_replies: Most 1xx replies in a row.
    """

    line_bytes: int = 16_384
    reply_lines: int = 10_000
    reply_bytes: int = 1 << 20
    waiting_replies: int = 20_000
    preliminary_replies: int = 20


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """A reply, the command it answers, and what to do next.

    Attributes:
        command: None for the greeting and for a 421 that answers nothing.
        reply: What the server said.
        effects: To carry out in order before anything else is sent.
    """

    command: Command | None
    reply: Reply
    effects: tuple[Effect, ...] = ()


_TRANSFER_FINALS = frozenset((226, 250))
_FORMAL = range(500, 510)


class ClientProtocol:
    """The client's core, one for each control connection.

    Args:
        implicit: True where TLS comes before the greeting (1997 draft, §4.2).
        limits: Bounds on input.
    """

    def __init__(self, *, implicit: bool = False, limits: ClientLimits | None = None) -> None:
        self._limits = limits or ClientLimits()
        self._state = initial(implicit=implicit)
        self._greeted = False
        self._preliminaries = 0
        self._outstanding: deque[Command] = deque()
        self._assembler = ReplyAssembler(self._limits.reply_lines, self._limits.reply_bytes)
        self._reader = LineReader(self._limits.line_bytes)

    @property
    def state(self) -> SessionState:
        """Where the four machines stand."""
        return self._state

    @property
    def outstanding(self) -> tuple[Command, ...]:
        """Commands that still wait for their final reply, oldest first."""
        return tuple(self._outstanding)

    def send_command(self, command: Command) -> bytes:
        """Return the bytes of a command. Does not block.

        Raises:
            LocalProtocolError: RFC 4217 forbids a client to send it now; nothing is to be sent.
        """
        self._check(command)
        data = command.to_bytes()
        self._outstanding.append(command)
        return data

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the server, decrypted while TLS is up. Does not block.

        Raises:
            RemoteProtocolError: A line without end, or bytes in clear where TLS must start.
        """
        if self._state.control is Control.NEGOTIATING:
            raise RemoteProtocolError("the server sent bytes in clear where its TLS handshake should be")
        self._reader.feed(data)
        if self._reader.waiting > self._limits.waiting_replies:
            raise RemoteProtocolError("the server sends replies without end")

    def next_reply(self) -> ReplyReceived | None:
        """Return the next whole reply, or None until more bytes come.

        Raises:
            RemoteProtocolError: What came is no reply, answers nothing, does not fit the tables, or is
                followed by bytes that would cross the edge of TLS (RFC 4217 §4; injected replies).
        """
        while (line := self._reader.pop()) is not None:
            if line.fault is LineFault.TOO_LONG:
                raise RemoteProtocolError(f"reply line of more than {self._limits.line_bytes} bytes")
            # Servers end lines with a bare LF now and then: a reply is only read, so that does no harm.
            reply = self._assembler.feed(line.data)
            if reply is not None:
                return self._take(reply)
        return None

    def tls_established(self) -> None:
        """The control connection's handshake is complete and verified.

        Raises:
            LocalProtocolError: None was going on.
        """
        self._state = handshake_done(self._state)

    def _check(self, command: Command) -> None:
        state, verb = self._state, command.verb
        if state.control is Control.NEGOTIATING:
            raise LocalProtocolError(f"{command.word}: the TLS handshake is not done yet")
        if any(pending.verb in _EDGES for pending in self._outstanding):
            raise LocalProtocolError(
                f"{command.word}: AUTH, CCC and REIN must be answered before anything else"
            )
        if verb in _EDGES and self._outstanding:
            raise LocalProtocolError(f"{command.word}: {self._outstanding[0].word} is not answered yet")
        if verb is Verb.AUTH and state.control is not Control.CLEAR:
            raise LocalProtocolError("AUTH: TLS is up already, or was cleared by CCC (RFC 4217 §4)")
        if verb is Verb.CCC and not state.is_protected:
            raise LocalProtocolError("CCC: the control connection is not in TLS (RFC 4217 §5)")
        if verb in (Verb.PBSZ, Verb.PROT):
            self._check_protection(verb)

    def _check_protection(self, verb: Verb) -> None:
        if self._state.data.is_frozen:
            raise LocalProtocolError(f"{verb}: not allowed after CCC (RFC 4217 §5)")
        if not self._state.is_protected:
            raise LocalProtocolError(f"{verb}: AUTH TLS comes first (RFC 4217 §9)")
        has_pbsz = self._state.data.has_pbsz or any(c.verb is Verb.PBSZ for c in self._outstanding)
        if verb is Verb.PROT and not has_pbsz:
            raise LocalProtocolError("PROT: PBSZ 0 comes first (RFC 4217 §9)")

    def _take(self, reply: Reply) -> ReplyReceived:
        if not self._greeted:
            self._greeted = not reply.is_preliminary
            return ReplyReceived(None, reply, self._closing(reply))
        command = self._answered(reply)
        if command is None:
            return ReplyReceived(None, reply, self._closing(reply))
        before = self._state
        try:
            after = apply(before, command, reply)
        except LocalProtocolError as error:
            raise RemoteProtocolError(f"the server answered {command} with {reply}: {error}") from error
        effect = tls_edge(before, after)
        if effect is not None and (self._reader.has_pending or self._assembler.is_inside):
            raise RemoteProtocolError(
                f"bytes followed the {reply.code} to {command.word} where TLS "
                f"{'starts' if isinstance(effect, StartTls) else 'ends'}: somebody may be injecting replies"
            )
        self._state = after
        return ReplyReceived(command, reply, self._closing(reply) if effect is None else (effect,))

    def _answered(self, reply: Reply) -> Command | None:
        """Find the command that a reply answers, and take it off when the reply is final."""
        if reply.code == 421 and not self._outstanding:
            return None
        if not self._outstanding:
            raise RemoteProtocolError(f"the server sent {reply} without a command")
        index = 0
        if self._state.transfer is Transfer.STARTED and len(self._outstanding) > 1:
            # STAT (and on some servers NOOP) is answered while the transfer runs (RFC 959 §4.1.3); x0z, a
            # refusal for form, cannot be about a transfer that has begun.
            is_refused = reply.is_refusal and reply.code not in _FORMAL
            index = 0 if reply.is_preliminary or is_refused or reply.code in _TRANSFER_FINALS else 1
        command = self._outstanding[index]
        if reply.is_preliminary:
            self._preliminaries += 1
            if self._preliminaries > self._limits.preliminary_replies:
                # Each one begins the wait for the next anew: a server could hold its client for ever.
                raise RemoteProtocolError(f"{command.word}: only preliminary replies come, never a final one")
        else:
            self._preliminaries = 0
            del self._outstanding[index]
        return command

    @staticmethod
    def _closing(reply: Reply) -> tuple[Effect, ...]:
        return (CloseControl(f"{reply}"),) if reply.code in (221, 421) else ()


_EDGES = frozenset((Verb.AUTH, Verb.CCC, Verb.REIN))
