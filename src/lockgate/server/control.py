"""The corridor that every control line crosses: socket, TLS engine, protocol core, dispatch, and back.

One `ControlConnection` for each client, an asyncio protocol over plain TCP: TLS runs in our own `TlsEngine`,
so that it can start on a live connection and end on one that lives on (CCC, REIN). It must not decide what
the tables of `protocol` decide and must not know what a verb does.

Idle connections hold no task: received bytes wake a task that runs commands one after the other and ends when
there are none. A transfer runs as a job beside it, while the core lets ABOR and STAT through.
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
from lockgate.protocol.server import CommandRefused, Event, Output, ServerProtocol
from lockgate.transfer import kernel
from lockgate.transfer.establish import normal_address

from .audit import record
from .dispatch import run
from .login import tls_problem
from .secured import Broken, Ended, Established, PeerEnded, Phase, Plaintext, SecuredControl, TlsEvent
from .session import Session

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.tls.engine import TlsEngine

    from .jobs import Job
    from .listener import ListenerState
    from .server import Server

__all__ = ["ControlConnection"]

_logger = logging.getLogger(__name__)

# A client that does not read its replies: past this nothing more is run for it.
_WRITE_HIGH_BYTES = 64 * 1024
# How long the peer's close_notify is waited for after CCC and REIN, and its FIN at the end.
_TLS_STOP_SECONDS = 5.0
_LINGER_SECONDS = 2.0
# How long one session may run commands before the others have a turn.
_TURN_SECONDS = 0.002
# A client that has not logged in waits for nothing and nobody.
_LOGIN_SECONDS = 60.0
# The content type that a TLS ClientHello begins with; no command and no Telnet octet is like it.
_TLS_HANDSHAKE = 0x16


class ControlConnection(asyncio.BufferedProtocol):
    """One control connection. All methods run on the event loop.

    Args:
        server: What all sessions share.
        listener: Where the client came in.
    """

    __slots__ = (
        "_closing",
        "_deadline",
        "_has_received",
        "_idle",
        "_is_lost",
        "_last_activity",
        "_peer_ended",
        "_secured",
        "_serving",
        "_stall",
        "_transport",
        "_write_blocked",
        "core",
        "is_admitted",
        "listener",
        "local_address",
        "peer_address",
        "server",
        "session",
    )

    def __init__(self, server: Server, listener: ListenerState) -> None:
        self.server = server
        self.listener = listener
        self.core = ServerProtocol(listener.gate_policy, implicit=listener.is_implicit, cwd=self._cwd)
        self.is_admitted = False
        self.peer_address = ""
        self.local_address = ""
        self.session: Session
        self._transport: asyncio.Transport
        self._secured = SecuredControl(self._send)
        self._serving = False
        self._closing = False
        self._is_lost = False
        self._has_received = False
        self._peer_ended = False
        self._write_blocked = False
        self._deadline: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._last_activity = server.loop.time()

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
        self._watch_idle()
        if self.listener.is_implicit:
            self._start_tls()
        else:
            self._emit(self.core.greeting(self.server.greeting))

    def get_buffer(self, sizehint: int) -> bytearray:
        """Read into a buffer that all sessions share: it is emptied at once."""
        return self.server.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes, through TLS if it is up, and run what they ask for."""
        if self._closing:
            return
        try:
            self._take(bytes(memoryview(self.server.read_buffer)[:nbytes]))
        except RemoteProtocolError as error:
            self._drop(f"{error}")
            return
        self._wake()

    def eof_received(self) -> bool:
        """The client ends the control connection: transfers end with it (RFC 959 §2.3)."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back everything the session holds."""
        self._closing = True
        self._cancel_deadline()
        # A timer would keep the session, and its TLS context, for as long as the idle limit.
        for timer in (self._idle, self._stall):
            if timer is not None:
                timer.cancel()
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
        if self._is_lost and not self._serving and self.session.job is None:
            self.session.forget()

    def pause_writing(self) -> None:
        """The client does not read its replies: run nothing more, and give up after the stall limit."""
        self._write_blocked = True
        # TLS answers some records by itself: who reads nothing shall not make it answer more and more.
        self._transport.pause_reading()
        seconds = self.server.config.limits.stall_seconds
        self._stall = self.server.loop.call_later(seconds, self._write_stalled)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._write_blocked = False
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._read_on()
        self._wake()

    @property
    def has_lost_peer(self) -> bool:
        """True when the client has left, also while too much of it waits for its end to be read."""
        return self._closing or kernel.has_ended(self._transport.get_extra_info("socket"))

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
        record(
            "tls-failed", peer=self.peer_address, reason="a TLS hello where TLS begins with AUTH TLS or never"
        )
        told = "TLS begins with AUTH TLS on this port" if has_tls else "There is no TLS on this port"
        self.reply(Reply.of(ReplyCode.NOT_AVAILABLE, f"{told}; closing."))

    def _wake(self) -> None:
        """Run the next commands, unless that is going on already."""
        if self._closing:
            self._let_go()
            return
        if not self.core.wants_data:
            # Commands wait for the one that runs, or for a client that reads no replies: take no more.
            self._transport.pause_reading()
        if self.session.long_work is not None and self.core.is_abort_waiting:
            self.session.long_work.interrupt()
        if self._serving or self._write_blocked:
            return
        event = self.core.next_event()
        if event is None:
            if self._peer_ended:
                self._close("the client ended the session")
            return
        self._serving = True
        self.server.spawn(self._serve(event))

    async def _serve(self, event: Event | None) -> None:
        loop = self.server.loop
        turn_ends = loop.time() + _TURN_SECONDS
        try:
            while event is not None and not self._closing:
                self._last_activity = loop.time()
                await self._serve_one(event)
                if loop.time() >= turn_ends:
                    # Thousands of commands may have come at once; the other sessions want their turn.
                    await asyncio.sleep(0)
                    turn_ends = loop.time() + _TURN_SECONDS
                event = None if self._write_blocked else self.core.next_event()
            self._last_activity = loop.time()
            self._read_on()
        except Exception:
            # A command without its reply: no later one could be told apart from it.
            _logger.exception("%s ! internal error", self.session)
            self._drop("internal error")
        finally:
            self._serving = False
        # What came while the last reply was made.
        self._wake()

    def _read_on(self) -> None:
        if not self._closing and not self._write_blocked and self.core.wants_data:
            self._transport.resume_reading()

    async def _serve_one(self, event: Event) -> None:
        if isinstance(event, CommandRefused):
            _logger.debug("%s < %s ! %s", self.session, event.command, event.gate)
            self.reply(event.reply, event.command)
            return
        _logger.debug("%s < %s", self.session, event.command)
        reply = await run(self.session, event.command)
        job = self.session.job
        if job is None or job.is_started:
            self.reply(reply, event.command)
            return
        await job.prepare()
        self.reply(reply, event.command)
        self._start_job(job)

    def _start_job(self, job: Job) -> None:
        job.start()
        self.server.spawn(self._finish_job(job))

    async def _finish_job(self, job: Job) -> None:
        reply = await job.run()
        self.session.job = None
        if not self._closing:
            self.reply(reply, job.command)
            self._last_activity = self.server.loop.time()
            if self.server.is_draining and not self._closing:
                self.shut_down()
        job.finished.set()
        self._wake()

    # --- out ---

    def reply(self, reply: Reply, command: Command | None = None) -> None:
        """Send a reply and carry out what follows from it."""
        if self._closing:
            return
        _logger.debug("%s > %s", self.session, reply)
        try:
            output = self.core.send_reply(reply, command)
        except LocalProtocolError:
            # A handler's mistake; the session cannot go on, for the two ends would disagree.
            _logger.exception("%s ! %s to %s does not fit", self.session, reply, command)
            self._drop("internal error")
            return
        self._emit(output)

    def _emit(self, output: Output) -> None:
        try:
            self._secured.write(output.data)
        except TlsError as error:
            # The stream broke while the command ran: there is no way left to answer it.
            self._drop(f"{error}")
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
        self._set_deadline(seconds, "TLS handshake took too long")

    def _stop_tls(self) -> None:
        self._set_deadline(_TLS_STOP_SECONDS, "")
        self._act(self._secured.stop())

    def _act(self, events: Iterable[TlsEvent]) -> None:
        for event in events:
            if self._closing:
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
                    self._drop(reason)

    def _established(self, engine: TlsEngine) -> None:
        self._cancel_deadline()
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
        self._cancel_deadline()
        self.session.tls_ended()
        _logger.debug("%s = TLS ended", self.session)
        if residue:
            self.core.receive_data(residue)

    # --- time and the end ---

    def _set_deadline(self, seconds: float, reason: str) -> None:
        self._cancel_deadline()
        self._deadline = self.server.loop.call_later(seconds, self._deadline_passed, reason)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _deadline_passed(self, reason: str) -> None:
        self._deadline = None
        if reason:
            record("timeout", peer=self.peer_address, reason=reason)
            self._drop(reason)
        elif self._secured.phase is Phase.STOPPING:
            self._tls_ended(self._secured.give_up_stopping().residue)
            self._wake()

    def _watch_idle(self) -> None:
        if self._closing:
            return
        limit = self.server.config.limits.idle_seconds
        if self.session.user_name is None:
            limit = min(limit, _LOGIN_SECONDS)
        now = self.server.loop.time()
        if self.session.job is not None or self._serving:
            self._last_activity = now
        left = self._last_activity + limit - now
        if left <= 0:
            record("timeout", peer=self.peer_address, user=self.session.user_name, reason="idle")
            if self._secured.is_quiet:
                self.reply(Reply.of(ReplyCode.NOT_AVAILABLE, f"Idle for {limit:.0f} seconds; closing."))
            else:
                self._drop("idle")
            return
        self._idle = self.server.loop.call_later(left, self._watch_idle)

    def _write_stalled(self) -> None:
        reason = "the client does not read its replies"
        record("timeout", peer=self.peer_address, user=self.session.user_name, reason=reason)
        self._drop(reason)
        self._transport.abort()

    def shut_down(self) -> None:
        """End the session politely: 421 and close. A running transfer should be over."""
        self._dismiss("The server is shutting down.")

    def make_room(self) -> None:
        """End a session that has not logged in: too many have not, and most come from its address."""
        self._dismiss("Too many sessions that have not logged in.")

    def _dismiss(self, reason: str) -> None:
        if self._secured.is_quiet:
            self.reply(Reply.of(ReplyCode.NOT_AVAILABLE, reason))
        else:
            self._drop(reason)

    def _close(self, reason: str) -> None:
        """Close with everything sent, close_notify included, and without a RST that could destroy it."""
        if self._closing:
            return
        _logger.debug("%s = closing: %s", self.session, reason)
        self._secured.close()
        self._closing = True
        self._cancel_deadline()
        if self._transport.is_closing():
            return
        # Data ends with the session, not when the peer gets round to closing its end of control.
        self.session.end()
        # The peer may be gone already.
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        self._transport.resume_reading()
        self._deadline = self.server.loop.call_later(_LINGER_SECONDS, self._transport.abort)

    def _drop(self, reason: str) -> None:
        """Close at once; what is in the socket's buffer (an alert) still goes out, if the peer takes it."""
        _logger.debug("%s ! %s", self.session, reason)
        self._closing = True
        self._cancel_deadline()
        self._transport.close()
        self._deadline = self.server.loop.call_later(_LINGER_SECONDS, self._transport.abort)
