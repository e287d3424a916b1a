"""Data endpoints: what PASV, EPSV, PORT and EPRT set up, until a transfer takes it.

A passive endpoint accepts on the event loop, drops strangers, and lets the TLS handshake begin in a worker
thread as soon as the client's hello arrives: some clients send it before the transfer command, some only
after the 150 (RFC 4217 §12.4), and neither may wait for the other. It must not move file data.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from lockgate.errors import HandshakeFailed, SessionReuseRequired, TransferAborted, TransferError
from lockgate.tls.contexts import set_tickets
from lockgate.tls.policy import SessionReuse
from lockgate.transfer import kernel
from lockgate.transfer.establish import connect, normal_address, plain, start_tls
from lockgate.transfer.outcome import NotOpened
from lockgate.transfer.stop import Stop
from lockgate.transfer.streams import DataStream
from lockgate.transfer.workers import WorkersBusy

from .audit import record
from .datahello import check_hello
from .session import Direction

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lockgate.protocol.addresses import HostPort

    from .limits import Slot
    from .session import Session

__all__ = ["ActiveEndpoint", "Endpoint", "Opener", "PassiveEndpoint"]

_logger = logging.getLogger(__name__)

Opener = Callable[[], DataStream]
"""Blocks until the data connection is ready for data; called in a worker thread."""

_TICKET_SECONDS = 0.25
_NOBODY_CAME = "nobody connected to the passive port in time"
_TOO_MANY = "Too many transfers; try again later."
_EXPIRED = "The passive port has expired; ask for another one."


class Endpoint(ABC):
    """One data connection to come. It holds a transfer's place from `claim` to `close` or `release`.

    Args:
        session: Whose endpoint it is.

    Attributes:
        stop: Interrupts everything that is done with it, in worker threads too.
    """

    def __init__(self, session: Session) -> None:
        self.stop = Stop()
        self._session = session
        self._slot: Slot | None = None

    def claim(self) -> str:
        """Take a place for a transfer command that is about to be tried; return why not, or ""."""
        return "" if self._take_slot() else _TOO_MANY

    def release(self) -> None:
        """Give the place back: the command was refused before its 150, and the endpoint waits for another."""
        self._give_slot_back()

    @abstractmethod
    async def open(self, direction: Direction) -> Opener:
        """Wait until the TCP connection stands or can be made, and return the blocking rest.

        Args:
            direction: Which way data will go: how many tickets the handshake sends depends on it.

        Raises:
            NotOpened: Nobody (rightful) came in time.
            TransferAborted: `abort` was called.
        """

    async def let_ticket_go(self) -> None:  # noqa: B027 - an active endpoint has nothing to wait for
        """Wait a moment for a handshake that goes on already, before the client is told to send."""

    def abort(self) -> None:
        """End what is going on, wherever it is. Event loop only."""
        self.stop.interrupt()

    def close(self) -> None:
        """Give everything back that no stream has taken over. May be called twice."""
        self._give_slot_back()

    def _take_slot(self) -> bool:
        if self._slot is None:
            session = self._session
            budget = session.server.data_budget
            self._slot = budget.take(session.control.peer_address, session.account.name)
        return self._slot is not None

    def _give_slot_back(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            self._session.server.data_budget.give_back(slot)

    def _keep_alive(self, sock: socket.socket) -> None:
        # A peer that is gone already is found out by whoever reads.
        with contextlib.suppress(OSError):
            kernel.keep_alive(sock, self._session.server.config.limits.stall_seconds)

    # --- the blocking parts, shared ---

    def _finish_open(
        self, sock: socket.socket, *, private: bool, direction: Direction, early: bool = False
    ) -> DataStream:
        """Make the stream of a connected socket; blocks for the handshake."""
        limits = self._session.server.config.limits
        if not private:
            return plain(sock, stall_seconds=limits.stall_seconds, stop=self.stop)
        context, binding = self._session.tls.context, self._session.tls.binding
        if context is None or binding is None:
            sock.close()
            raise HandshakeFailed("TLS has ended on the control connection")
        deadline = time.monotonic() + limits.handshake_seconds
        hello = check_hello(sock, deadline=deadline, stop=self.stop)
        tickets = binding.tickets_for(hello.tickets, sends=direction is Direction.OUT, early=early)
        set_tickets(context, tickets)
        # RFC 4217 §7: the FTP server is the TLS server, whoever opened the TCP connection.
        stream = start_tls(
            sock,
            context,
            server_side=True,
            deadline=deadline,
            stall_seconds=limits.stall_seconds,
            stop=self.stop,
        )
        verdict = binding.judge(
            session_reused=stream.session_reused,
            peer_certificate=stream.peer_certificate,
            peer_address=stream.peer_address[0],
        )
        reason = verdict.reason if not verdict.accepted else ""
        reason = reason or self._session.data_tls_problem(stream.version or "", stream.cipher or "")
        if reason:
            # An end in order, so that clients come to read the 522: ftplib fails in TLS at an end without.
            with contextlib.suppress(TransferError):
                stream.finish(await_peer=False)
            stream.close()
            raise SessionReuseRequired(reason)
        binding.note_handshake(hello.tickets, version=stream.version, tickets=tickets)
        return stream


class ActiveEndpoint(Endpoint):
    """PORT or EPRT: the server will connect to the client.

    Args:
        session: Whose endpoint it is.
        target: Where to; checked by the handler.
    """

    def __init__(self, session: Session, target: HostPort) -> None:
        super().__init__(session)
        self._target = target

    async def open(self, direction: Direction) -> Opener:
        """Return at once: connecting is for the worker."""
        private = self._session.is_private
        return lambda: self._connect(private=private, direction=direction)

    def _connect(self, *, private: bool, direction: Direction) -> DataStream:
        seconds = self._session.server.config.limits.data_open_seconds
        sock = connect(
            self._target.host,
            self._target.port,
            deadline=time.monotonic() + seconds,
            source=(self._session.control.local_address, 0),
            stop=self.stop,
        )
        self._keep_alive(sock)
        return self._finish_open(sock, private=private, direction=direction)


class PassiveEndpoint(Endpoint):
    """PASV or EPSV: the client will connect to the server.

    Args:
        session: Whose endpoint it is.
        listener: A listening socket that does not block; it is taken over.
    """

    def __init__(self, session: Session, listener: socket.socket) -> None:
        super().__init__(session)
        self._loop = session.server.loop
        self._listener: socket.socket | None = listener
        self._sock: socket.socket | None = None
        self._early: Future[DataStream] | None = None
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._expiry: asyncio.TimerHandle | None = None
        self._is_claimed = self._is_expired = False
        self._loop.add_reader(listener.fileno(), self._accept)  # of a socket itself asyncio makes a text
        self._await_command()

    def claim(self) -> str:
        """Take a place for a transfer command that is about to be tried; return why not, or ""."""
        if self._is_expired:
            return _EXPIRED
        reason = super().claim()
        if not reason:
            self._is_claimed = True
            self._stop_waiting()
        return reason

    def release(self) -> None:
        """Give the place back; the endpoint waits for another command."""
        self._is_claimed = False
        if self._early is None or self._early.done():
            self._give_slot_back()
        self._await_command()

    @property
    def is_listening(self) -> bool:
        """True until somebody has connected."""
        return self._listener is not None

    def expire(self) -> None:
        """Give everything back: no command has come in time, or others need the room."""
        self._is_expired = True
        self.close()

    async def open(self, direction: Direction) -> Opener:
        """Wait for the client's TCP connection."""
        limit = self._session.server.config.limits.data_open_seconds
        try:
            if not self._accepted.done():
                await asyncio.wait_for(asyncio.shield(self._accepted), limit)
            self._accepted.result()
        except TimeoutError:
            raise NotOpened(_NOBODY_CAME) from None
        private = self._session.is_private
        if self._early is not None:
            stream = await asyncio.wrap_future(self._early)
            if not private:
                # RFC 4217 §10.2 judges the level now; what was begun under P does not serve C.
                raise NotOpened("PROT C came after the TLS handshake on this data connection had begun")
            return lambda: self._hand_over(stream)
        assert self._sock is not None
        self._loop.remove_reader(self._sock.fileno())
        return lambda: self._open_taken(private=private, direction=direction)

    async def let_ticket_go(self) -> None:
        """Wait a moment for a handshake that goes on already, before the client is told to send.

        curl reads what has come when it closes, but it can send a whole file and close before the worker has
        answered its Finished with a ticket; to a closed socket that ticket is an occasion for a reset. It
        sends nothing before the 150, though. The wait is bounded, for a client may need the 150 to go on.
        """
        binding = self._session.tls.binding
        if self._early is not None and binding is not None and binding.reuse_policy is SessionReuse.REQUIRED:
            done = asyncio.Event()
            self._early.add_done_callback(lambda _: self._on_loop(done.set))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _TICKET_SECONDS)

    def _on_loop(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(callback)

    def _hand_over(self, stream: DataStream) -> DataStream:
        # Up to here `close` ends the stream: a worker may never come to call this.
        self._early = None
        return stream

    def _open_taken(self, *, private: bool, direction: Direction) -> DataStream:
        sock, self._sock = self._sock, None
        assert sock is not None
        return self._finish_open(sock, private=private, direction=direction)

    def abort(self) -> None:
        """End what is going on, the wait for the client too."""
        super().abort()
        if not self._accepted.done():
            self._accepted.set_exception(TransferAborted("the transfer was ended on request"))

    def close(self) -> None:
        """Close the listener, and the connection if no stream has it."""
        super().close()
        self._stop_waiting()
        self._close_listener()
        if not self._accepted.done():
            self._accepted.cancel()
        elif not self._accepted.cancelled():
            self._accepted.exception()
        if self._sock is not None:
            self._take_socket().close()
        if self._early is not None:
            self.stop.interrupt()
            self._early.add_done_callback(_close_stream)
            self._early = None

    def _take_socket(self) -> socket.socket:
        sock, self._sock = self._sock, None
        assert sock is not None
        self._loop.remove_reader(sock.fileno())
        return sock

    def _await_command(self) -> None:
        """Wait among the others for a command, for so long; the address with the most makes room."""
        budget, peer = self._session.server.data_budget, self._session.control.peer_address
        oldest = budget.waiting.add(peer, self)
        if oldest is not None:
            oldest.expire()
        self._watch()

    def _watch(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        seconds = self._session.server.config.limits.data_open_seconds
        self._expiry = self._loop.call_later(seconds, self.expire)

    def _stop_waiting(self) -> None:
        self._session.server.data_budget.waiting.remove(self._session.control.peer_address, self)
        if self._expiry is not None:
            self._expiry.cancel()

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._session.server.data_budget.stop_listening(self._session.control.peer_address)
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError as error:
            # No descriptors left: the transfer fails, the session lives on.
            self._close_listener()
            if not self._accepted.done():
                self._accepted.set_exception(NotOpened(f"cannot accept: {error.strerror}"))
            return
        if normal_address(address[0]) != self._session.control.peer_address:
            # RFC 2577 §4 and §8: a stranger is neither served nor able to lock the rightful client out.
            record("stranger", peer=self._session.control.peer_address, stranger=address[0])
            sock.close()
            return
        self._close_listener()
        sock.setblocking(False)
        kernel.set_no_delay(sock)
        self._keep_alive(sock)
        self._sock = sock
        if self._session.is_private:
            self._loop.add_reader(sock.fileno(), self._hello)
        if not self._accepted.done():
            self._accepted.set_result(None)
        if not self._is_claimed:
            # Its command gets the same time again, and not for ever.
            self._watch()

    def _hello(self) -> None:
        """The client's first bytes are here and no command has taken the connection yet."""
        sock = self._sock
        assert sock is not None
        # A handshake holds a thread for a while, so it takes a place as a transfer does. Without one the
        # transfer command will find the connection as it is, hello unread.
        if not self._session.is_private or not self._take_slot():
            self._loop.remove_reader(sock.fileno())
            return
        sock = self._take_socket()
        # Before the command the last transfer's direction is the best guess; behind its 150 it is known, and
        # a wrong guess would leave a client without the ticket that binds its next data connection.
        job = self._session.job
        guess = self._session.tls.last_direction if job is None else job.direction
        try:
            self._early = self._session.server.workers.submit(
                lambda: self._finish_open(sock, private=True, direction=guess, early=True)
            )
        except WorkersBusy:
            self._sock = sock
            self._handshake_done()
        else:
            self._early.add_done_callback(lambda _: self._on_loop(self._handshake_done))

    def _handshake_done(self) -> None:
        if not self._is_claimed:
            self._give_slot_back()


def _close_stream(future: Future[DataStream]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
