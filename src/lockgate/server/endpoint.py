"""Data endpoints: what PASV, EPSV, PORT and EPRT set up, until a transfer takes it.

A passive endpoint accepts on the event loop, drops strangers, and lets the TLS handshake begin in a worker
thread as soon as the client's hello arrives: some clients send it before the transfer command, some only
after the 150 (RFC 4217 §12.4), and neither may wait for the other. It must not move file data.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from lockgate.errors import (
    HandshakeFailed,
    RemoteProtocolError,
    SessionReuseRequired,
    TransferAborted,
    TransferError,
)
from lockgate.tls.contexts import set_tickets
from lockgate.tls.hello import (
    MAX_HELLO_BYTES,
    ClientHello,
    ClientHelloReader,
    acceptable_alpn,
    acceptable_server_name,
)
from lockgate.tls.policy import SessionReuse
from lockgate.transfer import kernel
from lockgate.transfer.establish import connect, normal_address, plain, start_tls
from lockgate.transfer.outcome import NotOpened
from lockgate.transfer.stop import Stop
from lockgate.transfer.streams import DataStream
from lockgate.transfer.workers import WorkersBusy

from .audit import record
from .session import Direction

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lockgate.protocol.addresses import HostPort

    from .session import Session

__all__ = ["ActiveEndpoint", "Endpoint", "Opener", "PassiveEndpoint"]

_logger = logging.getLogger(__name__)

Opener = Callable[[], DataStream]
"""Blocks until the data connection is ready for data; called in a worker thread."""

# How often a hello that has come in part is looked at again.
_HELLO_PAUSE_SECONDS = 0.01
_TICKET_SECONDS = 0.25
_NOBODY_CAME = "nobody connected to the passive port in time"


class Endpoint(ABC):
    """One data connection to come. It counts against the server's budget until `close`.

    Args:
        session: Whose endpoint it is.

    Attributes:
        stop: Interrupts everything that is done with it, in worker threads too.
    """

    def __init__(self, session: Session) -> None:
        self.stop = Stop()
        self._session = session
        self._is_counted = True

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
        if self._is_counted:
            self._is_counted = False
            self._session.server.data_budget.give_back()

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
        hello = _check_hello(sock, deadline=deadline, stop=self.stop)
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
        self._loop.add_reader(listener, self._accept)
        # A port that nobody comes to is given back, whether a command waits for it or not.
        seconds = session.server.config.limits.data_open_seconds
        self._expiry = self._loop.call_later(seconds, self._expire)

    async def open(self, direction: Direction) -> Opener:
        """Wait for the client's TCP connection."""
        self._expiry.cancel()
        limit = self._session.server.config.limits.data_open_seconds
        try:
            await asyncio.wait_for(asyncio.shield(self._accepted), limit)
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
        self._loop.remove_reader(self._sock)
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
            self._early.add_done_callback(lambda _: self._tell(done))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _TICKET_SECONDS)

    def _tell(self, done: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(done.set)

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
        self._loop.remove_reader(sock)
        return sock

    def _expire(self) -> None:
        self._close_listener()
        if not self._accepted.done():
            self._accepted.set_exception(NotOpened(_NOBODY_CAME))

    def _close_listener(self) -> None:
        self._expiry.cancel()
        if self._listener is not None:
            self._session.server.data_budget.stop_listening(self._session.control.peer_address)
            self._loop.remove_reader(self._listener)
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
            self._loop.add_reader(sock, self._hello)
        if not self._accepted.done():
            self._accepted.set_result(None)

    def _hello(self) -> None:
        """The client's first bytes are here and no command has taken the connection yet."""
        sock = self._sock
        assert sock is not None
        if not self._session.is_private:
            self._loop.remove_reader(sock)
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
            # The transfer command will find the connection as it is, hello unread.
            self._sock = sock


def _close_stream(future: Future[DataStream]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()


def _check_hello(sock: socket.socket, *, deadline: float, stop: Stop) -> ClientHello:
    """Refuse a client whose ALPN list lacks "ftp" (ALPACA); the ssl module would silently go on.

    Blocks until the hello is here; the bytes stay in the socket, which is closed when it is refused.

    Raises:
        HandshakeFailed: It speaks to another service, sent no hello, one that is too long, or not in time.
    """
    try:
        with stop.watching(sock):
            return _await_hello(sock, deadline=deadline, stop=stop)
    except RemoteProtocolError as error:
        sock.close()
        raise HandshakeFailed(f"the client's TLS hello is refused: {error}") from error
    except OSError as error:
        sock.close()
        stop.check()
        raise HandshakeFailed(_NO_HELLO) from error
    except BaseException:
        sock.close()
        raise


_NO_HELLO = "the client closed the data connection before its TLS hello"


def _await_hello(sock: socket.socket, *, deadline: float, stop: Stop) -> ClientHello:
    reader, seen = ClientHelloReader(), 0
    while kernel.wait_until(sock, select.POLLIN, deadline=deadline, stop=stop):
        # One more than a hello may have: the reader refuses what it cannot judge, OpenSSL takes 128 KiB.
        data = sock.recv(MAX_HELLO_BYTES + 1, socket.MSG_PEEK)
        hello = reader.feed(data[seen:])
        if hello is not None:
            return _acceptable(hello)
        if not data or kernel.has_ended(sock):
            raise HandshakeFailed(_NO_HELLO)
        # A part of a hello: poll would say at once that it is readable, past the deadline too.
        if time.monotonic() >= deadline:
            break
        seen = len(data)
        stop.wait(_HELLO_PAUSE_SECONDS)
    raise HandshakeFailed("the client sent no TLS hello in time")


def _acceptable(hello: ClientHello) -> ClientHello:
    if not acceptable_alpn(hello):
        raise HandshakeFailed("the client's ALPN list has no 'ftp'")
    if not acceptable_server_name(hello):
        raise HandshakeFailed("the server name that the client asks for is none")
    return hello
