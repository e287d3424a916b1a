"""TLS with every byte in the test's hand, and small steps that the tests of sessions share."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from live_server import PASSWORD, USER, LiveServer
from raw_client import RawClient, Reply, read_all

from lockgate.accounts.throttle import LoginThrottle, ThrottleLimits

__all__ = [
    "TlsBytes",
    "enter",
    "eventually",
    "forgiving",
    "is_refused",
    "listener",
    "listing_with",
    "open_bytes",
    "protect_with",
    "silence",
    "stands",
    "tls_end_is_clean",
]


class TlsBytes:
    """A TLS client over a plain socket that sends nothing by itself after the handshake.

    It has as much of a socket's shape as `RawClient` needs, so it can stand in as its `sock`.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        *,
        hostname: str | None = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.plain = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=hostname, session=session)

    def step(self) -> tuple[bool, bytes]:
        """Go on with the handshake; return whether it is done, and the bytes to send."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._out.read()
        return True, self._out.read()

    def handshake(self, *, last: bytes = b"", piece: int = 1 << 20) -> None:
        """Run the handshake in pieces; `last` is plaintext that travels with the client's Finished."""
        done = False
        while not done:
            done, data = self.step()
            if done and last:
                data += self.seal(last)
            self.send_pieces(data, piece)
            if not done:
                self._feed()

    def send_pieces(self, data: bytes, piece: int) -> None:
        """Send bytes in segments of `piece` bytes (TCP_NODELAY is on)."""
        for start in range(0, len(data), piece):
            self.plain.sendall(data[start : start + piece])

    def _feed(self) -> bool:
        data = self.plain.recv(65536)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()
        return bool(data)

    def alert(self) -> bytes:
        """Return what a failed handshake wants to say, without sending it."""
        return self._out.read()

    def seal(self, plaintext: bytes) -> bytes:
        """Encrypt without sending."""
        self.tls.write(plaintext)
        return self._out.read()

    def close_notify(self) -> bytes:
        """Make our close_notify without sending it."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._out.read()

    def sendall(self, data: bytes) -> None:
        """Encrypt and send."""
        self.plain.sendall(self.seal(data))

    def recv(self, size: int) -> bytes:
        """Return plaintext; b"" at close_notify; raises SSLEOFError at an end without it."""
        while True:
            try:
                return self.tls.read(size)
            except ssl.SSLWantReadError:
                self._feed()
            except ssl.SSLZeroReturnError:
                return b""

    def rest(self) -> bytes:
        """Return the clear bytes that have come behind the server's close_notify."""
        return self._in.read()

    @property
    def session(self) -> ssl.SSLSession | None:
        """The newest session."""
        return self.tls.session

    def close(self) -> None:
        """Close the socket without a word."""
        self.plain.close()


def open_bytes(client: RawClient, *, auth: bool = True) -> TlsBytes:
    """AUTH and the handshake on a raw client, with the bytes in the test's hand from then on."""
    if auth:
        client.expect("AUTH TLS", 234)
    tls = TlsBytes(client.sock, client.context)
    tls.handshake()
    client.sock = tls  # type: ignore[assignment]
    return tls


def enter(client: RawClient, user: str = USER, password: str = PASSWORD) -> RawClient:
    """USER and PASS, nothing else."""
    client.expect(f"USER {user}", 331)
    client.expect(f"PASS {password}", 230)
    return client


def eventually(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds that no event announces; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not check():
        assert time.monotonic() < deadline, "it did not come about in time"
        pause.wait(0.01)


def forgiving(server: LiveServer) -> LiveServer:
    """Let a server hold no answer back after wrong passwords: the delays have tests of their own."""
    quick = ThrottleLimits(first_seconds=0.0, longest_seconds=0.0)
    server.call(lambda: setattr(server.server.door, "throttle", LoginThrottle(quick)))
    return server


def tls_end_is_clean(client: RawClient) -> bool:
    """True when the server ends TLS with close_notify and without another byte."""
    return client.sock.recv(1) == b""


def listener(kind: str, more: str = "") -> str:
    """Return the TOML of one listener on loopback."""
    return f'[[listener]]\naddress = "127.0.0.1"\nport = 0\ntls = "{kind}"\n{more}\n'


def is_refused(host: str, port: int) -> bool:
    """True when nobody listens there."""
    try:
        socket.create_connection((host, port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def protect_with(client: RawClient, sock: socket.socket, session: ssl.SSLSession | None) -> ssl.SSLSocket:
    """Run a data connection's handshake with a session of the test's choice."""
    protected = client.context.wrap_socket(
        sock, server_hostname="localhost", session=session, suppress_ragged_eofs=False
    )
    client.closes(protected)
    return protected


def listing_with(client: RawClient, session: ssl.SSLSession | None) -> Reply:
    """Ask for a listing over a data connection that offers this session; return the final reply.

    What is refused must not have let a byte pass.
    """
    sock = client.passive()
    client.expect("NLST", 150)
    received = b""
    with suppress(ssl.SSLError, ConnectionError):
        data = protect_with(client, sock, session)
        received = read_all(data)
        data.close()
    reply = client.read()
    assert reply.code == 226 or not received
    return reply


def silence(sock: socket.socket, seconds: float = 0.2) -> bool:
    """True when nothing can be read for a while: for what must *not* come, which no event announces."""
    return not select.select([sock], [], [], seconds)[0]


@contextmanager
def stands(client: RawClient) -> Iterator[None]:
    """Check that a session goes on as before, whatever happens in the block."""
    client.expect("NOOP", 200)
    yield
    client.expect("NOOP", 200)
