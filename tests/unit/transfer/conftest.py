"""Real loopback sockets, real certificates, and threads that are waited for."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lockgate.tls.devcert import CertificateAuthority
from lockgate.transfer import establish
from lockgate.transfer.streams import PlainStream, TlsStream

PATIENCE_SECONDS = 20.0


def soon() -> float:
    """A deadline that only a hang reaches."""
    return time.monotonic() + PATIENCE_SECONDS


@dataclass
class Contexts:
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = CertificateAuthority()
    server = authority.issue_server(["localhost"]).write(folder, "server")
    return {
        "ca": authority.write(folder),
        "certificate": server.certificate,
        "key": server.key,
    }


@pytest.fixture(params=["1.2", "1.3"])
def contexts(request: pytest.FixtureRequest, certificates: dict[str, Path]) -> Contexts:
    """Contexts of both roles, once for TLS 1.2 and once for TLS 1.3."""
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[request.param]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates["certificate"], certificates["key"])
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificates["ca"])
    for context in (server, client):
        context.minimum_version = context.maximum_version = version
    return Contexts(server, client)


class Background:
    """Runs one function in a thread; `result` waits for it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._work = work
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.future.set_result(self._work())
        except BaseException as error:
            self.future.set_exception(error)

    def result(self) -> Any:
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive(), "the thread hangs"
        return self.future.result(0)

    def until_blocked(self) -> Background:
        """Return once the thread waits inside the kernel, for something else than a lock."""
        locks = {"202", "98"}  # futex, on x86-64 and arm64
        path = Path(f"/proc/self/task/{self.thread.native_id}/syscall")
        deadline = soon()
        while time.monotonic() < deadline:
            try:
                call = path.read_text().split()[0]
            except OSError:
                break
            if call != "running" and call not in locks:
                return self
        if self.future.done():
            raise AssertionError(f"it did not block: {self.future}")
        return self


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], Any]], Background]]:
    started: list[Background] = []

    def start(work: Callable[[], Any]) -> Background:
        started.append(Background(work))
        return started[-1]

    yield start
    for background in started:
        background.thread.join(PATIENCE_SECONDS)
        assert not background.thread.is_alive(), "a thread was left behind"


@dataclass
class Pairs:
    """Makes connected pairs; closes everything at the end."""

    _open: list[Any] = field(default_factory=list)

    def keep(self, closable: Any) -> Any:
        self._open.append(closable)
        return closable

    def sockets(self, *, buffer_bytes: int = 0) -> tuple[socket.socket, socket.socket]:
        """Return (ours, the peer's): raw sockets, connected.

        With `buffer_bytes` our kernel takes that much, and the peer's next to nothing.
        """
        listener = establish.listen("127.0.0.1")
        try:
            if buffer_bytes:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
            peer = socket.socket()
            if buffer_bytes:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.settimeout(PATIENCE_SECONDS)
            peer.connect(listener.getsockname())
            ours = establish.accept(listener, allowed=lambda _: True, deadline=soon())
        finally:
            listener.close()
        return self.keep(ours), self.keep(peer)

    def plain(self, **options: Any) -> tuple[PlainStream, socket.socket]:
        ours, peer = self.sockets(buffer_bytes=options.pop("buffer_bytes", 0))
        return self.keep(establish.plain(ours, **options)), peer

    def tls(
        self, contexts: Contexts, *, session: ssl.SSLSession | None = None, **options: Any
    ) -> tuple[TlsStream, ssl.SSLSocket]:
        """Return (our server stream, the peer's client socket, which blocks)."""
        ours, peer = self.sockets(buffer_bytes=options.pop("buffer_bytes", 0))
        shaken = Background(
            lambda: contexts.client.wrap_socket(
                peer, server_hostname="localhost", suppress_ragged_eofs=False, session=session
            )
        )
        stream = establish.start_tls(ours, contexts.server, server_side=True, deadline=soon(), **options)
        return self.keep(stream), self.keep(shaken.result())

    def streams(self, contexts: Contexts | None, **options: Any) -> tuple[Any, Any]:
        """Return (server stream, client stream), both of this package; in clear without contexts."""
        ours, peer = self.sockets()
        if contexts is None:
            return self.keep(establish.plain(ours, **options)), self.keep(establish.plain(peer))
        shaken = Background(
            lambda: establish.start_tls(
                peer, contexts.client, server_side=False, server_hostname="localhost", deadline=soon()
            )
        )
        stream = establish.start_tls(ours, contexts.server, server_side=True, deadline=soon(), **options)
        return self.keep(stream), self.keep(shaken.result())

    def close(self) -> None:
        for closable in self._open:
            closable.close()


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    made = Pairs()
    yield made
    made.close()


def reset(sock: socket.socket) -> None:
    """Close so that the peer gets RST at once."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def send_fin(sock: socket.socket) -> None:
    """End our direction in TCP without a word of TLS."""
    socket.socket.shutdown(sock, socket.SHUT_WR)


class Source:
    """A reader of bytes in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    def fileno(self) -> int | None:
        return None

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._content))
        buffer[:count] = self._content[:count]
        self._content = self._content[count:]
        return count


class Sink:
    """A writer that keeps everything, and tells when the first bytes came."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.writes: list[int] = []
        self.began = threading.Event()

    def write(self, data: memoryview | bytes) -> int:
        self.content += data
        self.writes.append(len(data))
        self.began.set()
        return len(data)


@dataclass
class Kit:
    """What test modules would import from here, if they could: there are no packages under tests."""

    soon: Callable[[], float] = soon
    reset: Callable[[socket.socket], None] = reset
    send_fin: Callable[[socket.socket], None] = send_fin
    source: type[Source] = Source
    sink: type[Sink] = Sink


@pytest.fixture
def kit() -> Kit:
    return Kit()
