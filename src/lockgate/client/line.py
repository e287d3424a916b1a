"""The control connection on a socket, with waits that end: what the blocking driver and transfers use.

Must not know operations. The socket does not block; waiting is done by `poll` until a deadline.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time

from lockgate.errors import ConnectionLost, LockgateError, ProtectionRefused, TransferTimeout
from lockgate.protocol.addresses import plain_host
from lockgate.protocol.commands import Command
from lockgate.protocol.replies import Reply

from .control import ControlChannel
from .options import Options, TlsMode

__all__ = ["RECEIVE_BYTES", "ControlLine", "no_answer"]

RECEIVE_BYTES = 64 * 1024
# After CCC many servers never send a close_notify of their own; they are given this long.
_STOP_TLS_SECONDS = 3.0


def no_answer(options: Options, channel: ControlChannel) -> TransferTimeout:
    """Return the error for a server that does not answer in time."""
    waiting = channel.protocol.outstanding
    what = f"no reply to {waiting[0].word}" if waiting else "nothing came"
    return TransferTimeout(
        f"{options.address}: {what} within {options.timeout:g} s; the connection is given up"
    )


class ControlLine:
    """A control connection: its socket, its channel, its TLS context. Blocks up to deadlines.

    One thread at a time may use it; `shut_down` is for any thread.

    Args:
        sock: Connected, not blocking.
        context: For the control connection and all its data connections.
        options: What the caller chose.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None, options: Options) -> None:
        self.sock = sock
        self.options = options
        self.channel = ControlChannel(implicit=options.mode is TlsMode.IMPLICIT, label=options.address)
        self.host = plain_host(sock.getpeername()[0])
        self.local_host = plain_host(sock.getsockname()[0])
        self._context = context

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context of this connection and its data connections.

        Raises:
            ProtectionRefused: TLS was ruled out by the caller.
        """
        if self._context is None:
            raise ProtectionRefused("this connection was made with tls='never'")
        return self._context

    def deadline(self, seconds: float | None = None) -> float:
        """Return the moment a wait that begins now has to end."""
        return time.monotonic() + (self.options.timeout if seconds is None else seconds)

    # --- commands and replies ---

    def send(self, command: Command, *, deadline: float) -> None:
        """Send a command. Blocks while the server takes nothing.

        Raises:
            LocalProtocolError: It must not be sent now; nothing was.
            ConnectionLost, TransferTimeout: As they say.
        """
        self.channel.send(command)
        self.flush(deadline=deadline)

    def reply(self, *, deadline: float) -> Reply:
        """Wait for the next reply.

        Raises:
            ConnectionLost: The connection ended.
            TransferTimeout: No reply came in time.
            RemoteProtocolError: What came is none.
        """
        while (reply := self.channel.next_reply()) is None:
            self.check_open()
            self._receive(deadline=deadline)
        return reply

    def check_open(self) -> None:
        """Raise if nothing more can come from the server.

        Raises:
            ConnectionLost: The server ended the connection.
        """
        if self.channel.at_end:
            waiting = self.channel.protocol.outstanding
            after = f" and did not answer {waiting[0].word}" if waiting else ""
            raise ConnectionLost(f"{self.options.address}: the server closed the control connection{after}")

    def take_available(self) -> None:
        """Take what has come, without waiting: TLS tickets arrive after the handshake."""
        while not self.channel.at_end and self._read_once():
            pass

    def flush(self, *, deadline: float) -> None:
        """Send everything there is to send."""
        left = memoryview(self.channel.data_to_send())
        while left:
            try:
                left = left[self.sock.send(left) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline=deadline)
            except OSError as error:
                raise self.lost(error) from error

    # --- TLS ---

    def start_tls(self, *, deadline: float) -> None:
        """Run the TLS handshake; on failure the alert that says why is sent.

        Raises:
            CertificateRejected: The server's certificate is not acceptable.
            HandshakeFailed: The handshake failed.
        """
        self.begin_tls()
        try:
            while not self.channel.handshake():
                self.flush(deadline=deadline)
                self._receive(deadline=deadline)
        finally:
            with contextlib.suppress(ConnectionLost, TransferTimeout):
                self.flush(deadline=deadline)

    def begin_tls(self) -> None:
        """Attach TLS to the channel."""
        trust = self.options.trust
        self.channel.start_tls(self.context, server_hostname=self.options.host, pin_sha256=trust.pin_sha256)

    def stop_tls(self, *, deadline: float) -> None:
        """End TLS in both directions, but do not insist on the server's close_notify (RFC 4217 §5)."""
        limit = min(deadline, time.monotonic() + _STOP_TLS_SECONDS)
        while not self.channel.stop_tls():
            self.flush(deadline=deadline)
            try:
                self._receive(deadline=limit)
            except TransferTimeout:
                break
        self.channel.leave_tls()
        self.flush(deadline=deadline)

    # --- the end ---

    def shut_down(self) -> None:
        """Make whoever waits on this connection stop waiting; for any thread. The socket stays open."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self, *, in_order: bool = True) -> None:
        """Close the socket, with close_notify before where TLS is up. Does not block."""
        if in_order and self.sock.fileno() >= 0:
            self.channel.close_notify()
            with contextlib.suppress(LockgateError, OSError):
                self.sock.send(self.channel.data_to_send())
        self.sock.close()

    # --- waiting ---

    def _receive(self, *, deadline: float) -> None:
        """Wait until something came and take it."""
        while not self._read_once():
            if self.channel.at_end:
                return
            self._wait(select.POLLIN, deadline=deadline)

    def _read_once(self) -> bool:
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self.lost(error) from error
        if data:
            self.channel.feed(data)
        else:
            self.channel.feed_eof()
        return bool(data)

    def _wait(self, events: int, *, deadline: float) -> None:
        poller = select.poll()
        poller.register(self.sock, events)
        if not poller.poll(max(0, int((deadline - time.monotonic()) * 1000) + 1)):
            raise no_answer(self.options, self.channel)

    def lost(self, error: OSError) -> ConnectionLost:
        """Return the error for a control connection that broke."""
        reason = error.strerror or "reset by the peer"
        return ConnectionLost(f"{self.options.address}: the control connection broke: {reason}")
