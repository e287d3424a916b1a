"""Interrupts a blocked transfer from another thread; must not know what is being transferred.

A blocking call on a socket ends at once, in every phase, when the socket is shut down: `recv`, `send`,
`sendfile` and `poll` return, a connect in progress fails, a listening socket stops accepting. Closing the
socket instead would free its number for somebody else's socket while the worker still uses it. A `Stop`
therefore remembers the one socket its transfer waits on at the moment, and only ever shuts it down; the
worker closes it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from lockgate.errors import TransferAborted

__all__ = ["Stop"]


class Stop:
    """Ends one transfer, whichever phase it is in: listening, connecting, handshaking, moving data, ending.

    Make one for each transfer and hand it to `accept`, `connect`, `start_tls` and `plain`. Thread-safe; no
    method blocks, except `wait`.

    Attributes:
        requested: Whether `interrupt` has been called; it never becomes false again.
    """

    __slots__ = ("_event", "_lock", "_socket", "requested")

    def __init__(self) -> None:
        self.requested = False
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._socket: socket.socket | None = None

    def interrupt(self) -> None:
        """Make the transfer's blocking operation, the present or the next one, end with `TransferAborted`."""
        with self._lock:
            self.requested = True
            self._event.set()
            if self._socket is not None:
                # Not connected any more, or not yet: the flag does the rest.
                with contextlib.suppress(OSError):
                    # Not SSLSocket.shutdown: it also takes the TLS layer away, and the worker, reading on
                    # before it sees the flag, would get ciphertext for data.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise if an interruption was asked for.

        Raises:
            TransferAborted: `interrupt` has been called.
        """
        if self.requested:
            raise TransferAborted("the transfer was ended on request")

    def wait(self, seconds: float) -> bool:
        """Block for `seconds` or until the interruption; return whether it was asked for."""
        return self._event.wait(seconds)

    def attach(self, sock: socket.socket) -> None:
        """Name the socket that `interrupt` shall shut down.

        Raises:
            TransferAborted: `interrupt` has been called before; the socket is not attached.
        """
        with self._lock:
            self.check()
            self._socket = sock

    def detach(self) -> None:
        """Forget the socket: it is about to be closed, or to change hands."""
        with self._lock:
            self._socket = None

    @contextlib.contextmanager
    def watching(self, sock: socket.socket) -> Iterator[None]:
        """Attach `sock` for the length of a block.

        Raises:
            TransferAborted: `interrupt` has been called before.
        """
        self.attach(sock)
        try:
            yield
        finally:
            self.detach()
