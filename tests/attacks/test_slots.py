"""Places for transfers: who does not transfer anything holds none, and nobody holds them all."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import pytest
from live_server import LiveServer, cheap_hash
from raw_client import RawClient
from tls_bytes import eventually

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

CLEAR = 'control = "optional"\ndata = "optional"'
OTHER = "127.0.0.2"
BOB = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("secret")}"\nhome = "root"'


@pytest.fixture(params=["explicit-1.3", "explicit-1.2", "implicit-1.3", "implicit-1.2"])
def way(request: pytest.FixtureRequest) -> dict[str, object]:
    """How clients come in, as arguments of `connect`."""
    kind, version = request.param.split("-")
    return {"implicit": kind == "implicit", "version": version}


def running(server: LiveServer) -> int:
    """How many places of transfers are taken."""
    return server.call(lambda: server.server.data_budget.count)


def waiting(server: LiveServer) -> int:
    """How many passive endpoints wait for a command."""
    return server.call(lambda: len(server.server.data_budget.waiting))


def told_to_go(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True


@pytest.mark.requirement("RSEC-dos-a", "RSEC-dos-b", side="S")
@pytest.mark.parametrize("line", ["EPSV", "PASV", "PORT 127,0,0,2,200,10", "EPRT |1|127.0.0.2|51210|"])
def test_endpoints_that_nobody_uses_keep_nobody_from_transferring(
    start: Start, connect: Connect, way: dict[str, object], line: str
) -> None:
    server = start(limits="transfers = 4")
    crowd = [connect(server, source=OTHER, **way).log_in() for _ in range(12)]
    for attacker in crowd:
        attacker.expect(line, 227, 229, 200)
    assert running(server) == 0
    assert waiting(server) <= 4
    victim = connect(server, **way).log_in()
    for _ in range(3):
        victim.download("NLST")
    for attacker in crowd:
        attacker.expect("NOOP", 200)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_one_who_waits_for_his_data_connection_does_not_give_way_to_a_crowd(
    start: Start, connect: Connect
) -> None:
    server = start(limits="transfers = 4")
    victim = connect(server).log_in()
    port = victim.passive_port()
    crowd = [connect(server, source=OTHER).log_in() for _ in range(12)]
    for attacker in crowd:
        attacker.passive_port()
    sock = victim.connect_data(port)
    victim.expect("NLST", 150)
    assert told_to_go(victim.protect_data(sock))
    assert victim.read().code == 226


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("begun", ["nothing", "connected", "half-a-hello", "handshake-done"])
def test_an_endpoint_that_no_command_takes_ends_in_time(
    start: Start, connect: Connect, way: dict[str, object], begun: str
) -> None:
    server = start(limits="data_open_seconds = 0.3\nhandshake_seconds = 0.3")
    client = connect(server, **way).log_in()
    if begun == "nothing":
        client.passive_port()
    else:
        data = client.passive()
        if begun == "half-a-hello":
            data.sendall(b"\x16\x03\x01")
        elif begun == "handshake-done":
            data = client.protect_data(data)
        assert told_to_go(data)
    eventually(lambda: waiting(server) == 0)
    assert running(server) == 0
    client.expect("STOR never.bin", 425)
    client.expect("NLST", 425)
    assert client.upload("STOR next.bin", b"next").code == 226


def stalled_upload(client: RawClient) -> int:
    """Begin an upload that never brings a byte; return the code of its first reply."""
    client.connect_data(client.passive_port(), source=client.sock.getsockname()[0])
    return client.command(f"STOR {id(client)}.bin").code


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("crowd_comes", ["from one address", "as one account"])
def test_nobody_takes_the_last_tenth(start: Start, connect: Connect, crowd_comes: str) -> None:
    server = start(limits="transfers = 20", more_accounts=BOB)
    codes = []
    for number in range(25):
        if crowd_comes == "as one account":
            attacker = connect(server, source=f"127.0.1.{number % 10 + 1}").log_in()
        else:
            name, secret = (("alice", "correct horse"), ("bob", "secret"))[number % 2]
            attacker = connect(server, source=OTHER).log_in(name, secret)
        codes.append(stalled_upload(attacker))
    # Each has nine times at most what is free.
    assert codes.count(150) == 18
    assert set(codes) == {150, 425}
    victim = connect(server).log_in("bob", "secret")
    victim.download("NLST")
    assert victim.upload("STOR bobs.bin", b"x").code == 226


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_handshakes_that_no_command_takes_leave_threads_to_transfers(
    start: Start, connect: Connect, way: dict[str, object]
) -> None:
    server = start(limits="transfers = 20", more_accounts=BOB)
    crowd = [connect(server, source=OTHER, **way).log_in() for _ in range(24)]
    for attacker in crowd:
        attacker.connect_data(attacker.passive_port(), source=OTHER).sendall(b"\x16\x03\x01")
    eventually(lambda: running(server) == 18)
    connect(server, **way).log_in("bob", "secret").download("NLST")


@pytest.mark.requirement("RSEC-dos-b", side="S")
def test_a_refused_command_gives_its_place_back_and_leaves_the_endpoint(
    start: Start, connect: Connect
) -> None:
    server = start(limits="transfers = 1")
    client = connect(server).log_in()
    sock = client.passive()
    for _ in range(3):
        client.expect("RETR missing.bin", 550)
    assert running(server) == 0
    assert waiting(server) == 1
    client.expect("STOR here.bin", 150)
    assert waiting(server) == 0
    protected = client.protect_data(sock)
    protected.unwrap().close()
    assert client.read().code == 226
    assert running(server) == 0


@pytest.mark.requirement("RSEC-dos-b", side="S")
def test_an_endpoint_that_a_refused_command_leaves_ends_in_time(start: Start, connect: Connect) -> None:
    server = start(limits="data_open_seconds = 0.3")
    client = connect(server).log_in()
    port = client.passive_port()
    client.expect("RETR missing.bin", 550)
    client.expect("NOOP", 200)
    assert told_to_go(client.connect_data(port))
    eventually(lambda: waiting(server) == 0)


@pytest.mark.requirement("RSEC-dos-b", side="S")
def test_two_addresses_do_not_use_up_a_range_of_ports(start: Start, connect: Connect) -> None:
    server = start(passive='ports = "21900-21909"')
    crowd = [connect(server, source=f"127.0.1.{number % 4}").log_in() for number in range(20)]
    codes = [attacker.command("EPSV").code for attacker in crowd]
    assert codes.count(229) >= 5
    victim = connect(server).log_in()
    for _ in range(3):
        victim.download("NLST")
