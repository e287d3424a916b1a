"""PORT and EPRT: to the client's own address only, and with the server as TLS server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from live_server import LiveServer
from raw_client import RawClient, read_all
from waiting import until

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]
CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where the client awaits the server."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(15)
        yield opened


def port_line(listener: socket.socket, host: str = "127,0,0,1") -> str:
    """Return the PORT command for a listener."""
    number = listener.getsockname()[1]
    return f"PORT {host},{number // 256},{number % 256}"


def eprt_line(listener: socket.socket) -> str:
    """Return the EPRT command for a listener."""
    return f"EPRT |1|127.0.0.1|{listener.getsockname()[1]}|"


@pytest.mark.requirement("R4217-7-a", "R959-3.2-a", "R003-2.1-a", "R2428-a", "R4217-9-f", side="S")
@pytest.mark.parametrize("line", [port_line, eprt_line])
def test_the_server_connects_and_is_the_tls_server(
    server: LiveServer, connect: Connect, listener: socket.socket, line: Callable[[socket.socket], str]
) -> None:
    (server.root / "active.bin").write_bytes(CONTENT)
    client = connect(server).log_in()
    client.expect(line(listener), 200)
    client.expect("RETR active.bin", 150)
    sock, peer = listener.accept()
    assert peer[0] == "127.0.0.1"
    with client.protect_data(sock) as data:
        assert data.session_reused
        assert read_all(data) == CONTENT
        data.unwrap()
    assert client.read().code == 226
    client.expect(line(listener), 200)
    client.expect("STOR active-up.bin", 150)
    with client.protect_data(listener.accept()[0]) as data:
        data.sendall(CONTENT)
        data.unwrap()
    assert client.read().code == 226
    assert (server.root / "active-up.bin").read_bytes() == CONTENT


@pytest.mark.requirement("R4217-9-e", side="S")
def test_active_in_clear(start: Start, connect: Connect, listener: socket.socket) -> None:
    server = start(policy='data = "optional"')
    (server.root / "active.bin").write_bytes(CONTENT)
    client = connect(server).log_in(protect=False)
    client.expect(port_line(listener), 200)
    client.expect("RETR active.bin", 150)
    sock, _ = listener.accept()
    with sock:
        assert read_all(sock) == CONTENT
    assert client.read().code == 226


@pytest.mark.requirement("R4217-12.4-a", side="S")
def test_a_client_that_takes_its_time_to_accept_is_served(
    server: LiveServer, connect: Connect, listener: socket.socket
) -> None:
    (server.root / "active.bin").write_bytes(CONTENT)
    client = connect(server).log_in()
    client.expect(port_line(listener), 200)
    client.expect("RETR active.bin", 150)
    client.expect("STAT", 211)
    with client.protect_data(listener.accept()[0]) as data:
        assert read_all(data) == CONTENT
        data.unwrap()
    assert client.read().code == 226


@pytest.mark.requirement("R2577-2-a", "R003-2.1-b", "R4217-15.2-a", side="S")
@pytest.mark.parametrize(
    "line",
    [
        "PORT 127,0,0,2,200,200",
        "PORT 192,0,2,1,200,200",
        "PORT 10,0,0,1,200,200",
        "PORT 255,255,255,255,200,200",
        "EPRT |1|127.0.0.2|51400|",
        "EPRT |1|192.0.2.1|51400|",
    ],
)
def test_another_address_than_the_client_s_own_is_refused(
    server: LiveServer, connect: Connect, line: str
) -> None:
    client = connect(server).log_in()
    client.expect(line, 500, 501, 504)
    client.expect("NLST", 425)


@pytest.mark.requirement("R003-2.1-b", side="S")
def test_a_refused_port_sends_nobody_a_connection(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    with socket.create_server(("127.0.0.2", 0)) as victim:
        victim.setblocking(False)
        client.expect(port_line(victim, "127,0,0,2"), 504)
        client.expect("NLST", 425)
        with pytest.raises(BlockingIOError):
            victim.accept()


@pytest.mark.requirement("R003-2.1-c", side="S")
@pytest.mark.parametrize("host", ["PORT", "EPRT"])
def test_the_unspecified_address_means_the_client(
    server: LiveServer, connect: Connect, listener: socket.socket, host: str
) -> None:
    (server.root / "active.bin").write_bytes(CONTENT)
    client = connect(server).log_in()
    if host == "PORT":
        client.expect(port_line(listener, "0,0,0,0"), 200)
    else:
        client.expect(eprt_line(listener).replace("127.0.0.1", "0.0.0.0"), 200)
    client.expect("RETR active.bin", 150)
    with client.protect_data(listener.accept()[0]) as data:
        assert read_all(data) == CONTENT
        data.unwrap()
    assert client.read().code == 226


@pytest.mark.requirement("R2577-2-b", side="S")
@pytest.mark.parametrize("port", [1, 21, 25, 1023])
def test_ports_below_1024_are_refused(server: LiveServer, connect: Connect, port: int) -> None:
    client = connect(server).log_in()
    client.expect(f"PORT 127,0,0,1,{port // 256},{port % 256}", 504)
    client.expect(f"EPRT |1|127.0.0.1|{port}|", 504)
    client.expect("NLST", 425)


@pytest.mark.requirement("R959-4-c", side="S")
@pytest.mark.parametrize(
    "argument",
    [
        "",
        "127,0,0,1,20",
        "127,0,0,1,20,20,20",
        "127,0,0,1,20,256",
        "127,0,0,256,20,20",
        "a,b,c,d,e,f",
        "127.0.0.1:5000",
        "-1,0,0,1,20,20",
        "127,0,0,1,0,0",
    ],
)
def test_port_with_junk_is_501(server: LiveServer, connect: Connect, argument: str) -> None:
    connect(server).log_in().expect(f"PORT {argument}", 501)


@pytest.mark.requirement("R2428-a", side="S")
@pytest.mark.parametrize(
    ("argument", "code"),
    [
        *((junk, 501) for junk in ("", "|1|127.0.0.1|", "1,127.0.0.1,5000", "|1|localhost|5000|", "|x|a|1|")),
        *((junk, 501) for junk in ("|1|127.0.0.1|99999|", "|1|127.0.0.1|0|", "|1|::1|5000|")),
        *((family, 522) for family in ("|2|::1|5000|", "|3|127.0.0.1|5000|", "|9|x|1|")),
    ],
)
def test_eprt_with_junk_is_501_and_another_family_522(
    server: LiveServer, connect: Connect, argument: str, code: int
) -> None:
    reply = connect(server).log_in().expect(f"EPRT {argument}", code)
    if code == 522:
        assert "(1)" in reply


@pytest.mark.requirement("R959-4.1-g", side="S")
def test_a_port_where_nobody_listens_is_425(server: LiveServer, connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        line = port_line(closed)
    (server.root / "old.bin").write_bytes(b"old")
    client = connect(server).log_in()
    client.expect(line, 200)
    client.expect("STOR old.bin", 150)
    assert client.read().code == 425
    assert (server.root / "old.bin").read_bytes() == b"old"


@pytest.mark.requirement("R4217-10.2-e", "RSEC-dos-a", side="S")
def test_an_active_client_that_speaks_no_tls_is_522(
    start: Start, connect: Connect, listener: socket.socket
) -> None:
    server = start(limits="handshake_seconds = 0.3")
    (server.root / "old.bin").write_bytes(b"old")
    client = connect(server).log_in()
    for words in (b"", b"no TLS here\r\n"):
        client.expect(port_line(listener), 200)
        client.expect("STOR old.bin", 150)
        with listener.accept()[0] as sock:
            sock.sendall(words)
            assert client.read().code == 522
    assert (server.root / "old.bin").read_bytes() == b"old"


def test_abor_ends_the_wait_for_a_silent_active_client(
    server: LiveServer, connect: Connect, listener: socket.socket
) -> None:
    client = connect(server).log_in()
    client.expect(port_line(listener), 200)
    client.expect("STOR x", 150)
    with listener.accept()[0]:
        client.expect("ABOR", 426)
        assert client.read().code == 226
    until(lambda: server.call(lambda: server.server.data_budget.count) == 0)


def test_where_active_mode_is_off_port_and_eprt_are_refused(start: Start, connect: Connect) -> None:
    client = connect(start(active="enabled = false")).log_in()
    client.expect("PORT 127,0,0,1,200,200", 502)
    client.expect("EPRT |1|127.0.0.1|51400|", 502)
    assert "EPRT" not in client.expect("FEAT", 211)
    client.expect("EPSV", 229)
