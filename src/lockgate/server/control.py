"""The corridor that every control line crosses: socket, TLS engine, protocol core, dispatch, and back.

One `ControlConnection` for each client, an asyncio protocol over plain TCP: TLS runs in our own `TlsEngine`,
so that it can start on a live connection and end on one that lives on (CCC, REIN). Bytes come in and go out
here; `running` runs what they ask for, `timelimits` says when it has taken too long. It must not decide what
the tables of `protocol` decide and must not know what a verb does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from lockgate.errors import LocalProtocolError, LockgateError, RemoteProtocolError, TlsError
from lockgate.protocol.effects import CloseControl, StartTls, StopTls
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.protocol.server import Output, ServerProtocol
from lockgate.transfer import kernel
from lockgate.transfer.establish import normal_address

from .audit import record
from .login import tls_problem
from .running import CommandRunner
from .secured import Broken, Ended, Established, PeerEnded, Phase, Plaintext, SecuredControl, TlsEvent
from .session import Session
from .timelimits import TimeLimits

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.tls.engine import TlsEngine

    from .listener import ListenerState
    from .server import Server

__all__ = ["ControlConnection"]

_logger = logging.getLogger(__name__)

# A client that does not read its replies: past this nothing more is run for it.
_WRITE_HIGH_BYTES = 64 * 1024
# How long the peer's close_notify is waited for after CCC and REIN, and its FIN at the end.
_TLS_STOP_SECONDS = 5.0
_LINGER_SECONDS = 2.0
# The content type that a TLS ClientHello begins with; no command and no Telnet octet is like it.
_TLS_HANDSHAKE = 0x16


class ControlConnection(asyncio.BufferedProtocol):
    """One control connection. All methods run on the event loop.

    Args:
        server: What all sessions share.
        listener: Where the client came in.
    """

    __slots__ = (
        "_has_received",
        "_is_lost",
        "_peer_ended",
        "_secured",
        "_time_limits",
        "_transport",
        "core",
        "is_admitted",
        "is_closing",
        "is_write_blocked",
        "listener",
        "local_address",
        "peer_address",
        "runner",
        "server",
        "session",
    )

    def __init__(self, server: Server, listener: ListenerState) -> None:
        self.server = server
        self.listener = listener
        self.core = ServerProtocol(listener.gate_policy, implicit=listener.is_implicit, cwd=self._cwd)
        self.is_admitted = False
        self.is_closing = False
        self.is_write_blocked = False
        self.peer_address = ""
        self.local_address = ""
        self.session: Session
        self._transport: asyncio.Transport
        self._secured = SecuredControl(self._send)
        self.runner = CommandRunner(self)
        self._time_limits = TimeLimits(self)
        self._is_lost = False
        self._has_received = False
        self._peer_ended = False

    def _cwd(self) -> str:
        return self.session.parameters.cwd

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new client, or send it away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The Data Mark that old clients send as urgent data stays in the stream, where lines.py drops it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        kernel.keep_alive(sock, self.server.config.limits.stall_seconds)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        peer = self._transport.get_extra_info("peername")
        # A client that is gone already has no name any more.
        self.peer_address = normal_address(peer[0]) if peer else ""
        local: str = self._transport.get_extra_info("sockname")[0]
        # A link-local IPv6 address can be listened on with its zone only.
        self.local_address = local if "%" in local else normal_address(local)
        self.session = Session(self)
        reason = self.server.enter(self)
        if reason:
            if self.listener.is_implicit:
                self._transport.close()
            else:
                self._emit(
                    Output(Reply.of(ReplyCode.NOT_AVAILABLE, reason).to_bytes(), (CloseControl(reason),))
                )
            return
        self.is_admitted = True
        _logger.info("%s = connected", self.session)
        self.await_login()
        if self.listener.is_implicit:
            self._start_tls()
        else:
            self._emit(self.core.greeting(self.server.greeting))

    def get_buffer(self, sizehint: int) -> bytearray:
        """Read into a buffer that all sessions share: it is emptied at once."""
        return self.server.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes, through TLS if it is up, and run what they ask for."""
        if self.is_closing:
            return
        try:
            self._take(bytes(memoryview(self.server.read_buffer)[:nbytes]))
        except RemoteProtocolError as error:
            self.drop(f"{error}")
            return
        self.wake()

    def eof_received(self) -> bool:
        """The client ends the control connection: transfers end with it (RFC 959 §2.3)."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back everything the session holds."""
        self.is_closing = True
        self._time_limits.forget()
        self.server.leave(self)
        self.session.end()
        self._secured.forget()
        self._is_lost = True
        self._let_go()
        if self.is_admitted:
            _logger.info("%s = closed", self.session)

    def _let_go(self) -> None:
        """Let files and TLS go when nothing works with them any more.

        Connection and session know each other, so otherwise they wait for Python's collector, which may be
        long; homes that a reload has replaced would stay open until then.
        """
        if self._is_lost and self.runner.is_at_rest:
            self.session.forget()

    def pause_writing(self) -> None:
        """The client does not read its replies: run nothing more, and give up after the stall limit."""
        self.is_write_blocked = True
        # TLS answers some records by itself: who reads nothing shall not make it answer more and more.
        self._transport.pause_reading()
        self._time_limits.reads_no_more()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.is_write_blocked = False
        self._time_limits.reads_again()
        self.read_on()
        self.wake()

    @property
    def has_lost_peer(self) -> bool:
        """True when the client has left, also while too much of it waits for its end to be read."""
        return self.is_closing or kernel.has_ended(self._transport.get_extra_info("socket"))

    # --- in ---

    def _take(self, data: bytes) -> None:
        is_first, self._has_received = not self._has_received, True
        if self._secured.phase is not Phase.OFF:
            self._act(self._secured.feed(data))
        elif is_first and data[0] == _TLS_HANDSHAKE:
            self._refuse_implicit_tls()
        else:
            self.core.receive_data(data)

    def _refuse_implicit_tls(self) -> None:
        """Answer a client that expects implicit TLS at once: its hello has no line end to wait for."""
        has_tls = self.listener.gate_policy.has_tls
        told = "TLS begins with AUTH TLS on this port" if has_tls else "There is no TLS on this port"
        reason = f"a TLS hello at once (the client is set to implicit TLS): {told}"
        record("tls-failed", peer=self.peer_address, reason=reason)
        self.reply(Reply.of(ReplyCode.NOT_AVAILABLE, f"{told}; closing."))

    def wake(self) -> None:
        """Run what has come, unless that is going on already; once the connection is over, let go of it."""
        if self.is_closing:
            self._let_go()
            return
        if not self.core.wants_data:
            # Commands wait for the one that runs, or for a client that reads no replies: take no more.
            self._transport.pause_reading()
        if not self.runner.run_next() and self._peer_ended:
            self._close("the client ended the session")

    def read_on(self) -> None:
        """Read from the client again, if there is room for what it sends."""
        if not self.is_closing and not self.is_write_blocked and self.core.wants_data:
            self._transport.resume_reading()

    # --- out ---

    def reply(self, reply: Reply, command: Command | None = None) -> None:
        """Send a reply and carry out what follows from it."""
        if self.is_closing:
            return
        _logger.debug("%s > %s", self.session, reply)
        try:
            output = self.core.send_reply(reply, command)
        except LocalProtocolError:
            # A handler's mistake; the session cannot go on, for the two ends would disagree.
            _logger.exception("%s ! %s to %s does not fit", self.session, reply, command)
            self.drop("internal error")
            return
        self._emit(output)

    def _emit(self, output: Output) -> None:
        try:
            self._secured.write(output.data)
        except TlsError as error:
            # The stream broke while the command ran: there is no way left to answer it.
            self.drop(f"{error}")
            return
        for effect in output.effects:
            match effect:
                case StartTls():
                    self._start_tls()
                case StopTls():
                    self._stop_tls()
                case CloseControl(reason):
                    self._close(reason)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    # --- TLS ---

    def _start_tls(self) -> None:
        control_tls = self.listener.control_tls(self.session.host)
        self._secured.start(control_tls.context)
        self.session.begin_tls(control_tls)
        seconds = self.server.config.limits.handshake_seconds
        self._time_limits.await_step(seconds, self._handshake_too_slow)

    def _stop_tls(self) -> None:
        self._time_limits.await_step(_TLS_STOP_SECONDS, self._stop_too_slow)
        self._act(self._secured.stop())

    def _act(self, events: Iterable[TlsEvent]) -> None:
        for event in events:
            if self.is_closing:
                return
            match event:
                case Plaintext(data):
                    self.core.receive_data(data)
                case Established(engine):
                    self._established(engine)
                case Ended(residue):
                    self._tls_ended(residue)
                case PeerEnded():
                    # Without CCC or REIN this ends the session, after what the peer said before.
                    self._peer_ended = True
                case Broken(reason, in_handshake):
                    if in_handshake:
                        record("tls-failed", peer=self.peer_address, reason=reason)
                    self.drop(reason)

    def _established(self, engine: TlsEngine) -> None:
        self._time_limits.step_done()
        self.core.tls_established()
        try:
            self.session.tls_established(engine)
        except LockgateError as error:
            # RFC 4217 §10.1: TLS is up, and what it has shown is not acceptable.
            record("tls-refused", peer=self.peer_address, reason=str(error))
            self.reply(Reply.of(ReplyCode.NOT_AVAILABLE, "Your certificate cannot be read; closing."))
            return
        _logger.debug("%s = TLS %s %s", self.session, engine.version, engine.cipher)
        problem = tls_problem(self.session)
        if problem:
            record("tls-refused", peer=self.peer_address, reason=problem)
            self.reply(Reply.of(ReplyCode.NOT_AVAILABLE, f"{problem}; closing."))
            return
        if self.listener.is_implicit and not self.session.is_greeted:
            self.session.is_greeted = True
            self._emit(self.core.greeting(self.server.greeting))

    def _tls_ended(self, residue: bytes) -> None:
        self._time_limits.step_done()
        self.session.tls_ended()
        _logger.debug("%s = TLS ended", self.session)
        if residue:
            self.core.receive_data(residue)

    # --- time and the end ---

    def await_login(self) -> None:
        """Nobody is logged in any more, or yet: that lasts for a limited time."""
        self._time_limits.await_login()

    def _handshake_too_slow(self) -> None:
        reason = "TLS handshake took too long"
        record("timeout", peer=self.peer_address, reason=reason)
        self.drop(reason)

    def _stop_too_slow(self) -> None:
        """The peer does not answer our close_notify: it went on in clear, or will."""
        if self._secured.phase is Phase.STOPPING:
            self._tls_ended(self._secured.give_up_stopping().residue)
            self.wake()

    def shut_down(self) -> None:
        """End the session politely: 421 and close. A running transfer should be over."""
        self.dismiss("The server is shutting down.")

    def make_room(self) -> None:
        """End a session that has not logged in: too many have not, and most come from its address."""
        self.dismiss("Too many sessions that have not logged in.")

    def dismiss(self, reason: str) -> None:
        """End the session with a 421, where one can be sent, and close."""
        if self._secured.is_quiet:
            self.reply(Reply.of(ReplyCode.NOT_AVAILABLE, reason))
        else:
            self.drop(reason)

    def _close(self, reason: str) -> None:
        """Close with everything sent, close_notify included, and without a RST that could destroy it."""
        if self.is_closing:
            return
        _logger.debug("%s = closing: %s", self.session, reason)
        self._secured.close()
        self.is_closing = True
        self._time_limits.step_done()
        if self._transport.is_closing():
            return
        # Data ends with the session, not when the peer gets round to closing its end of control.
        self.session.end()
        # The peer may be gone already.
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        self._transport.resume_reading()
        self._time_limits.await_step(_LINGER_SECONDS, self._transport.abort)

    def drop(self, reason: str) -> None:
        """Close at once; what is in the socket's buffer (an alert) still goes out, if the peer takes it."""
        _logger.debug("%s ! %s", self.session, reason)
        self.is_closing = True
        self._transport.close()
        self._time_limits.await_step(_LINGER_SECONDS, self._transport.abort)

    def abort(self, reason: str) -> None:
        """Close at once, also what the peer has not taken: it takes nothing."""
        self.drop(reason)
        self._transport.abort()
