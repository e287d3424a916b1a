"""Data connections as streams of bytes, in clear or in TLS; must not know what the bytes are.

How a stream ends decides whether a file is whole, so this module is mostly about ends.

*Receiving.* In TLS the sender's close_notify is the only proof that all has come (RFC 8446 section 6.1). A
FIN without it raises `TruncatedStream`, a reset `ConnectionLost`. In clear a FIN looks the same after the
last byte and after a crash: it is taken for the end, and never counts as verified.

*Sending.* `finish` sends close_notify, then FIN, and then does not close at once, for two reasons. A socket
that is closed with unread bytes (session tickets, the peer's close_notify) answers them with a reset, and a
reset can destroy what the peer has not read yet. And only the acknowledgements tell that the tail, which may
still lie in this kernel, has arrived; a peer that resets before that has not got the file.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import time
from abc import ABC, abstractmethod

from lockgate.errors import (
    ConnectionLost,
    LockgateError,
    TransferTimeout,
)
from lockgate.transfer import kernel
from lockgate.transfer.breaks import NETWORK_ERRORS, explain_break, explain_eof
from lockgate.transfer.ending import PeerEnd, settle
from lockgate.transfer.stop import Stop
from lockgate.transfer.turnstile import Gathering, Turnstile

__all__ = ["STALL_SECONDS", "DataStream", "PlainStream", "TlsStream"]

STALL_SECONDS = 120.0
"""How long nothing may move, unless the caller says otherwise."""

# The kernel's limit for one system call. A stall is only judged between calls, so this is a part of the
# whole.
_LONGEST_CALL_SECONDS = 5.0
_SHORTEST_CALL_SECONDS = 0.02
_CALLS_PER_STALL = 8
_DRAIN_BYTES = 64 * 1024
_DRAINED_AT_MOST = 16
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class DataStream(ABC):
    """One open data connection; `establish.plain` and `establish.start_tls` make it.

    Only the thread that moves the data calls its methods, except `interrupt`, which any thread may call at
    any time. Operations block until something moved; after `stall_seconds` without any progress, be it an
    acknowledgement of the peer's TCP, they raise `TransferTimeout`.

    Attributes:
        stop: Interrupts this stream.
        stall_seconds: The limit for standing still.
        is_tls: Whether the stream is protected.
        session_reused: Whether the handshake resumed a session.
        version: The TLS version, such as "TLSv1.3"; None in clear.
        cipher: The cipher suite's name; None in clear.
        alpn: The protocol chosen by ALPN, if any.
        peer_certificate: The peer's certificate in DER, if it showed one (or resumed a session that has one).
        peer_address: The peer's address and port.
    """

    is_tls: bool = False

    def __init__(self, sock: socket.socket, *, stall_seconds: float, stop: Stop) -> None:
        self.stop = stop
        self.stall_seconds = stall_seconds
        self.session_reused = False
        self.version: str | None = None
        self.cipher: str | None = None
        self.alpn: str | None = None
        self.peer_certificate: bytes | None = None
        self.peer_address: tuple[str, int] = ("", 0)
        self._raw = sock
        self._peer_has_ended = False
        self._is_closed = False
        self._moved = 0
        self._moved_at = 0.0
        with contextlib.suppress(OSError):
            self.peer_address = sock.getpeername()[:2]
        one_call = min(_LONGEST_CALL_SECONDS, max(_SHORTEST_CALL_SECONDS, stall_seconds / _CALLS_PER_STALL))
        kernel.block_with_limit(sock, one_call)
        self._one_call_seconds = one_call
        self._gathering: Gathering | None = None
        self._met: OSError | None = None

    def send(self, data: memoryview | bytes) -> int:
        """Send some of `data` and return how many bytes were taken. Blocks.

        Raises:
            TransferAborted: The stream was interrupted.
            TransferTimeout: The peer takes nothing any more.
            ConnectionLost: The connection broke.
            TlsError: The peer sent an alert.
        """
        began = time.monotonic()
        while True:
            self.stop.check()
            try:
                return self._raw.send(data)
            except _WOULD_BLOCK:
                self.judge_wait(began)
            except OSError as error:
                raise explain_break(error, self.stop) from error

    def recv_into(self, buffer: memoryview) -> int:
        """Receive at least one byte into `buffer` and return how many; 0 at the end. Blocks.

        Raises:
            TruncatedStream: The TLS stream ended without close_notify.
            TransferAborted: The stream was interrupted.
            TransferTimeout: The peer sends nothing any more.
            ConnectionLost: The connection broke.
            TlsError: The peer sent an alert, or a record was damaged.
        """
        began = time.monotonic()
        while True:
            if self._gathering is not None and self._met is None:
                self._gathering.wait()
            self.stop.check()
            try:
                count = self._receive(buffer)
            except ssl.SSLZeroReturnError:
                count = 0
            except _WOULD_BLOCK:
                self.gather(None)  # nothing has come for a while: wait in the kernel
                self.judge_wait(began)
                continue
            except ssl.SSLEOFError as error:
                raise explain_eof(error, self._raw, self.stop) from error
            except OSError as error:
                raise explain_break(error, self.stop) from error
            if not count:
                self.stop.check()  # an interrupted socket looks as if the peer had ended
                self._peer_has_ended = True
            return count

    def _receive(self, buffer: memoryview) -> int:
        """Receive once, or all that has gathered; what ends that is for the next call to find."""
        if self._met is not None:
            raise self._met
        count = self._raw.recv_into(buffer)
        if self._gathering is None:
            return count
        try:
            while 0 < count < len(buffer):
                more = self._raw.recv_into(buffer[count:])
                if not more:
                    raise ssl.SSLZeroReturnError
                count += more
        except _WOULD_BLOCK:
            pass
        except OSError as error:
            self._met = error
        return count

    def gather(self, turnstile: Turnstile | None) -> None:
        """Let a slow peer's data gather before it is received, or no more (None). Does not block."""
        if turnstile is None:
            if self._gathering is not None:
                self._gathering.end()
                self._gathering = None
        elif self._gathering is None:
            self._gathering = turnstile.enter(self._raw, self._one_call_seconds)

    def finish(self, *, await_peer: bool = True) -> bool:
        """End our direction in order. Blocks until the data is safe with the peer; call `close` afterwards.

        When the peer has ended before (it was the sender), this answers its close_notify and waits for
        nothing. Otherwise it sends close_notify and FIN and waits until the peer's TCP has acknowledged
        everything, then a moment longer for the peer's own end, which many never send.

        Args:
            await_peer: False returns as soon as this kernel has everything: no proof of delivery.

        Returns:
            Whether the end is verified: TLS, and the peer's close_notify was seen.

        Raises:
            ConnectionLost: The peer reset the connection, or closed it before everything had arrived.
            TransferTimeout: The peer acknowledges nothing any more.
            TransferAborted: The stream was interrupted.
        """
        self.stop.check()
        kernel.unblock(self._raw)
        if self._peer_has_ended:
            self._answer_end()
            return self.is_tls
        end = self.push_end()
        self._send_fin()
        if end is PeerEnd.RESET:
            self.stop.check()
            raise ConnectionLost("the peer reset the data connection before it had everything")
        if not await_peer:
            return self.is_tls and end is PeerEnd.ORDERLY
        return settle(self, end) is PeerEnd.ORDERLY and self.is_tls

    def interrupt(self) -> None:
        """Make the blocked or next operation raise `TransferAborted`. Does not block; for any thread."""
        self.stop.interrupt()

    def close(self) -> None:
        """Close the socket; without `finish` before it, a TLS peer can tell that this is no proper end."""
        if not self._is_closed:
            self._is_closed = True
            self.gather(None)
            self.stop.detach()
            with contextlib.suppress(OSError):
                self._raw.close()

    def __enter__(self) -> DataStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the socket's descriptor; -1 after `close`."""
        return self._raw.fileno()

    @property
    def session(self) -> ssl.SSLSession | None:
        """The newest TLS session. In TLS 1.3 tickets arrive with the data: ask late."""
        return None

    # What follows is between this package's modules.

    @property
    def ending_bytes(self) -> int:
        """How many unacknowledged bytes may be our end (close_notify, FIN) rather than data."""
        return 1

    @property
    def raw_socket(self) -> socket.socket:
        """The socket, to ask the kernel about; nothing may be sent or received through it."""
        return self._raw

    @abstractmethod
    def push_end(self) -> PeerEnd:
        """Send our end-of-data mark, if there is one; tell what was seen of the peer's end meanwhile."""

    @abstractmethod
    def read_end(self) -> PeerEnd:
        """Look for the peer's end without blocking; what it still sends is thrown away."""

    def judge_wait(self, began: float) -> None:
        """Raise if nothing has moved since `began`, or since the last progress, for too long.

        The kernel's count of acknowledged bytes is what tells a slow peer from a stopped one: our own
        calls do not see that it takes a few bytes now and then while the buffers are full.
        """
        self.stop.check()
        now = time.monotonic()
        moved = kernel.bytes_moved(self._raw)
        if moved != self._moved:
            self._moved, self._moved_at = moved, now
        elif now - max(began, self._moved_at) >= self.stall_seconds:
            raise TransferTimeout(f"nothing moved on the data connection for {self.stall_seconds:g} s")

    def _answer_end(self) -> None:
        with contextlib.suppress(OSError, LockgateError):
            self.push_end()
        self._send_fin()
        # Bytes left unread would make close() send a reset.
        self._drain()

    def _send_fin(self) -> None:
        # Not SSLSocket.shutdown, which takes the TLS layer away: the peer's close_notify is still to be read.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._raw, socket.SHUT_WR)

    def _drain(self) -> PeerEnd:
        """Throw away what has come, below TLS; tell whether the peer's FIN or reset was behind it."""
        for _ in range(_DRAINED_AT_MOST):
            try:
                if not socket.socket.recv(self._raw, _DRAIN_BYTES):
                    return PeerEnd.SILENT
            except BlockingIOError:
                return PeerEnd.NOT_YET
            except OSError:
                return PeerEnd.RESET
        return PeerEnd.NOT_YET


class PlainStream(DataStream):
    """A data connection in clear (PROT C)."""

    def send_file(self, file_descriptor: int, count: int) -> int:
        """Send up to `count` bytes of a file, from its own position, inside the kernel. Blocks.

        Returns 0 at the end of the file.

        Raises:
            OSError: The file cannot be sent this way, or reading it failed.
            TransferAborted, TransferTimeout, ConnectionLost: As for `send`.
        """
        began = time.monotonic()
        while True:
            self.stop.check()
            try:
                return os.sendfile(self._raw.fileno(), file_descriptor, None, count)
            except _WOULD_BLOCK:
                self.judge_wait(began)
            except OSError as error:
                if error.errno in NETWORK_ERRORS:
                    raise explain_break(error, self.stop) from error
                raise

    def push_end(self) -> PeerEnd:
        """Nothing to send: FIN is the mark."""
        return PeerEnd.NOT_YET

    def read_end(self) -> PeerEnd:
        """Look for the peer's FIN without blocking."""
        end = self._drain()
        return PeerEnd.ORDERLY if end is PeerEnd.SILENT else end


class TlsStream(DataStream):
    """A data connection in TLS (PROT P) whose handshake is done."""

    is_tls = True

    def __init__(self, sock: ssl.SSLSocket, *, stall_seconds: float, stop: Stop) -> None:
        super().__init__(sock, stall_seconds=stall_seconds, stop=stop)
        self._tls = sock
        # After the TLS shutdown these are gone, so they are taken now.
        self.session_reused = bool(sock.session_reused)
        self.version = sock.version()
        cipher = sock.cipher()
        self.cipher = cipher[0] if cipher else None
        self.alpn = sock.selected_alpn_protocol()
        self.peer_certificate = sock.getpeercert(binary_form=True)
        self._session: ssl.SSLSession | None = None
        self._tls_is_over = False

    @property
    def session(self) -> ssl.SSLSession | None:
        """The newest TLS session, until the end. In TLS 1.3 tickets arrive with the data: ask late."""
        # CPython copies the session and loses some 6 KB each time: only for those who ask.
        if not self._tls_is_over and not self._is_closed:
            self._session = self._tls.session
        return self._session

    @property
    def ending_bytes(self) -> int:
        """How many unacknowledged bytes may be our end (close_notify, FIN) rather than data."""
        # An alert of 2 bytes in a record: 5 + 2 + 1 + 16 (TLS 1.3), 5 + 8 + 2 + 16 (TLS 1.2, GCM).
        return (24 if self.version == "TLSv1.3" else 31) + 1

    def push_end(self) -> PeerEnd:
        """Send close_notify; blocks while the peer takes nothing, up to the stall limit."""
        began = time.monotonic()
        while (end := self._shut_tls_down()) is None:
            limit = time.monotonic() + _SHORTEST_CALL_SECONDS
            kernel.wait_until(self._raw, select.POLLOUT, deadline=limit, stop=self.stop)
            self.judge_wait(began)
        return end

    def read_end(self) -> PeerEnd:
        """Look for the peer's close_notify, or else its FIN, without blocking."""
        if self._tls_is_over:
            return self._drain()
        return self._shut_tls_down() or PeerEnd.NOT_YET

    def _shut_tls_down(self) -> PeerEnd | None:
        """Send our close_notify if it is not out yet and look for the peer's; None: no room to send it."""
        if self._tls_is_over:
            return PeerEnd.NOT_YET
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            return PeerEnd.NOT_YET
        except ssl.SSLWantWriteError:
            return None
        except (OSError, ValueError) as error:
            self._tls_is_over = True
            if isinstance(error, ConnectionResetError):
                return PeerEnd.RESET
            if isinstance(error, ssl.SSLEOFError) and error.reason == "UNEXPECTED_EOF_WHILE_READING":
                return PeerEnd.SILENT
            # Data instead of close_notify, or a broken pipe: our part of TLS is over, look for FIN below it.
            return self._drain()
        self._tls_is_over = True
        return PeerEnd.ORDERLY
