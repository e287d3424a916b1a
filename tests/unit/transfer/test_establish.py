"""Opening data connections: listening, accepting, connecting, handshakes."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from typing import Any

import pytest

from lockgate.errors import (
    CertificateRejected,
    HandshakeFailed,
    LocalProtocolError,
    TransferAborted,
)
from lockgate.transfer import establish
from lockgate.transfer.outcome import NotOpened
from lockgate.transfer.ports import PortRange
from lockgate.transfer.stop import Stop


def everybody(_: str) -> bool:
    return True


def client_hello(context: ssl.SSLContext) -> bytes:
    out = ssl.MemoryBIO()
    side = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        side.do_handshake()
    return out.read()


def read_all(sock: socket.socket) -> bytes:
    received = b""
    while piece := sock.recv(65536):
        received += piece
    return received


@pytest.fixture
def listener() -> Any:
    made = establish.listen("127.0.0.1")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%lo", "fe80::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("not an address", "not an address"),
    ],
)
def test_an_address_has_one_normal_form(host: str, normal: str) -> None:
    assert establish.normal_address(host) == normal


def test_a_listener_lies_in_its_range() -> None:
    ports = PortRange(42000, 42999)
    with establish.listen("127.0.0.1", ports) as listener:
        assert listener.getsockname()[1] in ports


def test_a_port_can_be_used_again_right_after_a_transfer(kit: Any) -> None:
    with establish.listen("127.0.0.1") as listener:
        port = listener.getsockname()[1]
        peer = establish.connect("127.0.0.1", port, deadline=kit.soon())
        ours = establish.accept(listener, allowed=everybody, deadline=kit.soon())
    ours.close()  # the side that ends first keeps the port in TIME_WAIT
    peer.close()
    with establish.listen("127.0.0.1", PortRange(port, port)) as listener:
        assert listener.getsockname()[1] == port


def test_listening_and_connecting_work_on_ipv6(kit: Any) -> None:
    try:
        listener = establish.listen("::1")
    except NotOpened:
        pytest.skip("no IPv6 here")
    seen: list[str] = []
    with (
        listener,
        establish.connect("::1", listener.getsockname()[1], deadline=kit.soon(), source=("::1", 0)),
        establish.accept(
            listener,
            allowed=lambda host: seen.append(host) or True,
            deadline=kit.soon(),  # type: ignore[func-returns-value]
        ),
    ):
        assert seen == ["::1"]


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
def test_a_foreign_address_or_a_name_cannot_be_listened_on(host: str) -> None:
    with pytest.raises(NotOpened, match="cannot listen"):
        establish.listen(host)


@pytest.mark.requirement("R2577-4-a", "R2577-8-b")
def test_a_stranger_is_dropped_and_the_rightful_client_still_gets_in(listener: Any, kit: Any) -> None:
    port = listener.getsockname()[1]
    stranger = establish.connect("127.0.0.1", port, deadline=kit.soon(), source=("127.0.0.2", 0))
    client = establish.connect("127.0.0.1", port, deadline=kit.soon(), source=("127.0.0.1", 0))
    with stranger, client:
        ours = establish.accept(listener, allowed=lambda host: host == "127.0.0.1", deadline=kit.soon())
        with ours:
            assert ours.getpeername() == client.getsockname()
            ours.send(b"secret")
            stranger.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(100) == b""
            client.settimeout(20)
            assert client.recv(100) == b"secret"


def test_strangers_alone_do_not_prolong_the_wait(listener: Any, kit: Any) -> None:
    port = listener.getsockname()[1]
    with establish.connect("127.0.0.1", port, deadline=kit.soon()), pytest.raises(NotOpened, match="in time"):
        establish.accept(listener, allowed=lambda _: False, deadline=time.monotonic() + 0.05)


def test_nobody_comes_in_time(listener: Any) -> None:
    with pytest.raises(NotOpened, match="firewall"):
        establish.accept(listener, allowed=everybody, deadline=time.monotonic() + 0.02)


def test_a_blocked_accept_is_interrupted(listener: Any, in_thread: Any, kit: Any) -> None:
    stop = Stop()
    waiting = in_thread(
        lambda: establish.accept(listener, allowed=everybody, deadline=kit.soon(), stop=stop)
    ).until_blocked()
    stop.interrupt()
    with pytest.raises(TransferAborted):
        waiting.result()


def test_an_interruption_before_the_accept_counts(listener: Any, kit: Any) -> None:
    stop = Stop()
    stop.interrupt()
    with pytest.raises(TransferAborted):
        establish.accept(listener, allowed=everybody, deadline=kit.soon(), stop=stop)


def test_data_sockets_do_not_wait_for_acknowledgements(listener: Any, kit: Any) -> None:
    with (
        establish.connect("127.0.0.1", listener.getsockname()[1], deadline=kit.soon()) as peer,
        establish.accept(listener, allowed=everybody, deadline=kit.soon()) as ours,
    ):
        for sock in (peer, ours):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_refused_connection_says_where(kit: Any) -> None:
    with establish.listen("127.0.0.1") as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotOpened, match=rf"127\.0\.0\.1 port {port}"):
        establish.connect("127.0.0.1", port, deadline=kit.soon())


def test_a_name_is_not_looked_up(kit: Any) -> None:
    with pytest.raises(NotOpened):
        establish.connect("localhost", 21, deadline=kit.soon())


def test_the_source_address_and_port_can_be_chosen(listener: Any, kit: Any) -> None:
    with establish.listen("127.0.0.3") as free:
        source = free.getsockname()
    port = listener.getsockname()[1]
    with establish.connect("127.0.0.1", port, deadline=kit.soon(), source=source) as peer:
        assert peer.getsockname() == source


@pytest.fixture
def silent_port() -> Any:
    """A port whose queue is full: the kernel drops every further SYN."""
    with contextlib.ExitStack() as opened:
        full = opened.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        opened.enter_context(socket.create_connection(full.getsockname()))
        yield full.getsockname()[1]


def test_a_silent_peer_ends_the_connect_in_time(silent_port: int) -> None:
    with pytest.raises(NotOpened, match="did not answer in time"):
        establish.connect("127.0.0.1", silent_port, deadline=time.monotonic() + 0.05)


def test_a_blocked_connect_is_interrupted(silent_port: int, in_thread: Any, kit: Any) -> None:
    stop = Stop()
    waiting = in_thread(
        lambda: establish.connect("127.0.0.1", silent_port, deadline=kit.soon(), stop=stop)
    ).until_blocked()
    stop.interrupt()
    with pytest.raises(TransferAborted):
        waiting.result()


def test_what_the_handshake_gave_is_kept(pairs: Any, contexts: Any, certificates: Any) -> None:
    server, client = pairs.streams(contexts)
    expected = "TLSv1.2" if contexts.server.maximum_version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3"
    certificate = ssl.PEM_cert_to_DER_cert(certificates["certificate"].read_text())
    assert (server.is_tls, server.version, client.version) == (True, expected, expected)
    assert server.cipher == client.cipher
    assert client.peer_certificate == certificate
    assert server.peer_certificate is None
    assert (server.session_reused, client.session_reused) == (False, False)
    assert server.peer_address == client.raw_socket.getsockname()


@pytest.mark.requirement("R4217-7-a", "R4217-7-c")
def test_whoever_connected_may_be_the_tls_server(pairs: Any, contexts: Any, in_thread: Any, kit: Any) -> None:
    accepted, connected = pairs.sockets()
    serving = in_thread(
        lambda: establish.start_tls(connected, contexts.server, server_side=True, deadline=kit.soon())
    )
    client = establish.start_tls(
        accepted, contexts.client, server_side=False, server_hostname="localhost", deadline=kit.soon()
    )
    server = pairs.keep(serving.result())
    server.send(b"data")
    assert pairs.keep(client).recv_into(memoryview(bytearray(10))) == 4


@pytest.mark.requirement("RTLS-i")
def test_an_offered_session_is_resumed(pairs: Any, contexts: Any, kit: Any) -> None:
    server, client = pairs.streams(contexts)
    server.send(b"x")
    assert client.recv_into(memoryview(bytearray(1))) == 1  # TLS 1.3: the tickets come with the data
    ours, peer = pairs.sockets()
    session = client.session
    handshakes = []
    thread = threading.Thread(
        target=lambda: handshakes.append(
            establish.start_tls(
                peer,
                contexts.client,
                server_side=False,
                server_hostname="localhost",
                session=session,
                deadline=kit.soon(),
            )
        )
    )
    thread.start()
    second = pairs.keep(establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon()))
    thread.join()
    pairs.keep(handshakes[0])
    assert second.session_reused
    assert handshakes[0].session_reused
    assert handshakes[0].peer_certificate == client.peer_certificate


def test_a_handshake_in_single_bytes_succeeds_in_time(
    pairs: Any, contexts: Any, in_thread: Any, kit: Any
) -> None:
    ours, peer = pairs.sockets()
    shaking = in_thread(
        lambda: establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon())
    )
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = contexts.client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            side.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            is_done = False
        for byte in outgoing.read():
            peer.send(bytes([byte]))
        if is_done:
            break
        incoming.write(peer.recv(65536))
    pairs.keep(shaking.result())


@pytest.mark.requirement("RTLS-f")
def test_a_dribbled_handshake_gains_no_time(pairs: Any, contexts: Any, in_thread: Any) -> None:
    ours, peer = pairs.sockets()
    over = threading.Event()
    began = time.monotonic()

    def shake() -> None:
        try:
            establish.start_tls(ours, contexts.server, server_side=True, deadline=began + 0.3)
        finally:
            over.set()

    shaking = in_thread(shake)
    hello = iter(client_hello(contexts.client))
    while not over.wait(0.02):
        peer.send(bytes([next(hello)]))
    with pytest.raises(HandshakeFailed, match="in time"):
        shaking.result()
    assert time.monotonic() - began < 2


def test_junk_instead_of_a_hello_gets_an_alert_and_a_proper_close(
    pairs: Any, contexts: Any, kit: Any
) -> None:
    ours, peer = pairs.sockets()
    peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 5000)
    with pytest.raises(HandshakeFailed, match=r"HTTP_REQUEST|WRONG_VERSION"):
        establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon())
    assert read_all(peer)[:1] in (b"", b"\x15")  # an alert record at most, and no reset
    assert ours.fileno() == -1


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_peer_that_leaves_during_the_handshake(pairs: Any, contexts: Any, kit: Any, how: str) -> None:
    ours, peer = pairs.sockets()
    peer.send(client_hello(contexts.client)[:20])
    (kit.reset if how == "reset" else kit.send_fin)(peer)
    with pytest.raises(HandshakeFailed, match=r"closed|could not begin"):
        establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon())


def test_a_blocked_handshake_is_interrupted(pairs: Any, contexts: Any, in_thread: Any, kit: Any) -> None:
    ours, _ = pairs.sockets()
    stop = Stop()
    shaking = in_thread(
        lambda: establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon(), stop=stop)
    ).until_blocked()
    stop.interrupt()
    with pytest.raises(TransferAborted):
        shaking.result()


@pytest.mark.parametrize("tls", [True, False])
def test_an_interruption_before_the_stream_counts(pairs: Any, contexts: Any, kit: Any, tls: bool) -> None:
    ours, peer = pairs.sockets()
    stop = Stop()
    stop.interrupt()

    def open_stream() -> None:
        if tls:
            establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon(), stop=stop)
        else:
            establish.plain(ours, stop=stop)

    with pytest.raises(TransferAborted):
        open_stream()
    assert read_all(peer) == b""


@pytest.mark.parametrize("name", ["localhost", "other.example"])
def test_a_certificate_that_cannot_be_trusted_is_rejected(
    pairs: Any, contexts: Any, in_thread: Any, kit: Any, name: str
) -> None:
    ours, peer = pairs.sockets()
    context = contexts.client
    if name == "localhost":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # knows no CA at all
    serving = in_thread(
        lambda: establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon())
    )
    with pytest.raises(CertificateRejected, match="not acceptable"):
        establish.start_tls(peer, context, server_side=False, server_hostname=name, deadline=kit.soon())
    try:
        # TLS 1.3: the server learns of it only when it reads.
        stream = pairs.keep(serving.result())
        with pytest.raises(CertificateRejected):
            stream.recv_into(memoryview(bytearray(10)))
    except HandshakeFailed:
        pass


def test_a_missing_client_certificate_is_named_on_both_sides(
    pairs: Any, contexts: Any, certificates: Any, in_thread: Any, kit: Any
) -> None:
    contexts.server.load_verify_locations(certificates["ca"])
    contexts.server.verify_mode = ssl.CERT_REQUIRED
    ours, peer = pairs.sockets()
    serving = in_thread(
        lambda: establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon())
    )

    def use() -> None:
        stream = establish.start_tls(
            peer, contexts.client, server_side=False, server_hostname="localhost", deadline=kit.soon()
        )
        pairs.keep(stream).recv_into(memoryview(bytearray(10)))

    with pytest.raises(HandshakeFailed):  # TLS 1.2 has no alert of its own for this
        use()
    with pytest.raises(CertificateRejected):
        serving.result()


def test_a_context_that_hides_truncation_is_refused(pairs: Any, contexts: Any, kit: Any) -> None:
    ours, _ = pairs.sockets()
    contexts.server.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    with pytest.raises(LocalProtocolError, match="truncation"):
        establish.start_tls(ours, contexts.server, server_side=True, deadline=kit.soon())
    assert ours.fileno() == -1


def test_no_descriptor_left_is_no_data_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno(), hard))
        try:
            with pytest.raises(NotOpened, match="socket"):
                establish.listen("127.0.0.1")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_interrupted_connection_is_visible_to_the_peer(pairs: Any) -> None:
    stop = Stop()
    ours, peer = pairs.sockets()
    with establish.plain(ours, stop=stop):
        stop.interrupt()
        poller = select.poll()
        poller.register(peer, select.POLLIN)
        assert poller.poll(20000)
        assert peer.recv(10) == b""
