"""PASV and EPSV: replies, ports, strangers, and the moment at which the protection level is judged."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import socket
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient, read_all
from waiting import until

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


@pytest.fixture(autouse=True)
def small_file(request: pytest.FixtureRequest) -> None:
    """The module's server has a file to fetch."""
    if "server" in request.fixturenames:
        server: LiveServer = request.getfixturevalue("server")
        (server.root / "small.txt").write_bytes(b"small")


def fetch(client: RawClient, data: socket.socket, *, protect: bool = True) -> bytes:
    """RETR small.txt over a data connection that stands."""
    client.expect("RETR small.txt", 150)
    if protect:
        data = client.protect_data(data)
    received = read_all(data)
    if protect:
        data.unwrap()  # type: ignore[attr-defined]
    assert client.read().code == 226
    return received


def port_of_nobody() -> int:
    """Return a free port that no other program of this machine is given by chance (not an ephemeral one)."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.mark.requirement("R959-3.2-a", "R1123-a", "R003-2.2-a", side="S")
def test_pasv_says_its_own_address_and_an_open_port_in_one_line(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    reply = client.expect("PASV", 227)
    assert "\n" not in reply
    found = re.search(r"\(127,0,0,1,(\d+),(\d+)\)", reply)
    assert found
    data = client.connect_data(int(found[1]) * 256 + int(found[2]))
    assert fetch(client, data) == b"small"


@pytest.mark.requirement("R2428-a", side="S")
@pytest.mark.parametrize("line", ["EPSV", "EPSV 1", "epsv 1"])
def test_epsv_says_a_port(server: LiveServer, connect: Connect, line: str) -> None:
    client = connect(server).log_in()
    found = re.search(r"\(\|\|\|(\d+)\|\)", client.expect(line, 229))
    assert found
    assert fetch(client, client.connect_data(int(found[1]))) == b"small"


@pytest.mark.requirement("R2428-c", "R2428-a", side="S")
@pytest.mark.parametrize(
    ("argument", "code"), [("2", 522), ("3", 522), ("0", 522), ("x", 501), ("1 2", 501), ("-1", 501)]
)
def test_epsv_of_a_wrong_family_is_522_and_junk_501(
    server: LiveServer, connect: Connect, argument: str, code: int
) -> None:
    client = connect(server).log_in()
    reply = client.expect(f"EPSV {argument}", code)
    if code == 522:
        assert "(1)" in reply
    client.expect("NLST", 425)


@pytest.mark.requirement("R2428-b", side="S")
def test_after_epsv_all_only_epsv_is_taken(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    client.expect("EPSV ALL", 200)
    for line in ("PASV", "PORT 127,0,0,1,20,20", "EPRT |1|127.0.0.1|5000|"):
        client.expect(line, 503)
    assert client.download("RETR small.txt") == b"small"
    client.expect("epsv all", 200)
    assert client.download("RETR small.txt") == b"small"


@pytest.mark.requirement("R959-3.2-a", "R959-4.1-g", side="S")
@pytest.mark.parametrize("line", ["RETR small.txt", "STOR x", "APPE x", "STOU", "LIST", "NLST", "MLSD"])
def test_a_transfer_without_an_endpoint_is_425(server: LiveServer, connect: Connect, line: str) -> None:
    client = connect(server).log_in()
    client.expect(line, 425)
    client.download("NLST")
    client.expect(line, 425)  # an endpoint serves one transfer


def test_a_new_pasv_takes_the_place_of_the_old_one(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    first = client.passive_port("PASV")
    second = client.passive_port("EPSV")
    with pytest.raises(ConnectionError):
        client.connect_data(first)
    assert fetch(client, client.connect_data(second)) == b"small"
    assert server.call(lambda: server.server.data_budget.count) == 0


def test_the_listener_closes_once_the_client_has_connected(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    port = client.passive_port()
    data = client.connect_data(port)
    assert fetch(client, data) == b"small"
    with pytest.raises(ConnectionError):
        client.connect_data(port)


@pytest.mark.requirement("R2577-4-a", "R2577-8-b", "R4217-15.2-a", side="S")
@pytest.mark.parametrize("when", ["before-the-command", "after-the-150"])
def test_a_stranger_is_dropped_and_the_rightful_client_served(
    server: LiveServer, connect: Connect, when: str
) -> None:
    client = connect(server).log_in()
    port = client.passive_port()
    if when == "after-the-150":
        client.expect("RETR small.txt", 150)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), 10, source_address=("127.0.0.2", 0)) as stranger:
            assert stranger.recv(1) == b""
    data = client.connect_data(port)
    if when == "before-the-command":
        assert fetch(client, data) == b"small"
        return
    protected = client.protect_data(data)
    assert read_all(protected) == b"small"
    protected.unwrap()
    assert client.read().code == 226


@pytest.mark.requirement("R2577-4-a", side="S")
def test_a_stranger_uploads_nothing(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"', limits="data_open_seconds = 1.5")
    client = connect(server).log_in(protect=False)
    port = client.passive_port()
    client.expect("STOR loot.txt", 150)
    with socket.create_connection(("127.0.0.1", port), 10, source_address=("127.0.0.2", 0)) as stranger:
        assert stranger.recv(1) == b""
    assert client.read().code == 425
    assert not (server.root / "loot.txt").exists()


@pytest.mark.requirement("R2577-8-a", side="S")
def test_passive_ports_are_picked_at_random(start: Start, connect: Connect) -> None:
    server = start(passive='ports = "42000-42999"')
    client = connect(server).log_in()
    ports = [client.passive_port() for _ in range(12)]
    assert all(42000 <= port <= 42999 for port in ports)
    steps = {after - before for before, after in itertools.pairwise(ports)}
    # Twelve of a thousand, and their distances, are all but never the same.
    assert len(set(ports)) > 6
    assert len(steps) > 6


@pytest.mark.requirement("RSEC-dos-b", side="S")
@pytest.mark.parametrize("verb", ["EPSV", "PASV"])
def test_when_the_ports_run_out_it_is_425_and_later_it_works_again(
    start: Start, connect: Connect, verb: str
) -> None:
    port = port_of_nobody()
    server = start(passive=f'ports = "{port}-{port}"')
    (server.root / "small.txt").write_bytes(b"small")
    holder, client = connect(server).log_in(), connect(server).log_in()
    assert holder.passive_port() == port
    client.expect(verb, 425, 421)
    client.expect("NOOP", 200)
    client.expect("RETR small.txt", 425)
    holder.sock.close()
    until(lambda: server.call(lambda: server.server.data_budget.count) == 0)
    assert client.passive_port(verb) == port
    assert fetch(client, client.connect_data(port)) == b"small"
    # Nor does the port stay blocked after a transfer that the server ended first.
    for _ in range(5):
        assert fetch(client, client.connect_data(client.passive_port(verb))) == b"small"


@pytest.mark.requirement("RSEC-dos-b", side="S")
def test_when_there_are_too_many_transfers_it_is_425_and_later_it_works_again(
    start: Start, connect: Connect
) -> None:
    server = start(limits="transfers = 2")
    (server.root / "small.txt").write_bytes(b"small")
    holders = [connect(server).log_in() for _ in range(2)]
    for number, holder in enumerate(holders):
        holder.passive_port()
        holder.expect(f"STOR {number}.bin", 150)
    client = connect(server).log_in()
    for line, code in (("EPSV", 229), ("PASV", 227), ("PORT 127,0,0,1,200,200", 200)):
        client.expect(line, code)
        for command in ("RETR small.txt", "STOR x", "APPE x", "STOU", "LIST", "NLST", "MLSD"):
            client.expect(command, 425)
    holders[0].send("ABOR")
    assert [holders[0].read().code for _ in range(2)] == [426, 226]
    assert client.download("RETR small.txt") == b"small"


@pytest.mark.requirement("R003-2.2-a", side="S")
def test_pasv_says_the_address_for_the_outside(start: Start, connect: Connect) -> None:
    server = start(passive='address = "203.0.113.7"')
    (server.root / "small.txt").write_bytes(b"small")
    client = connect(server).log_in()
    found = re.search(r"\(203,0,113,7,(\d+),(\d+)\)", client.expect("PASV", 227))
    assert found
    data = client.connect_data(int(found[1]) * 256 + int(found[2]))
    assert fetch(client, data) == b"small"


@pytest.mark.requirement("R4217-10.2-b", "R4217-8-b", "R4217-9-a", side="S")
@pytest.mark.parametrize("connected", ["before-prot", "after-prot"])
def test_the_level_is_judged_at_the_command_not_at_pasv(
    start: Start, connect: Connect, connected: str
) -> None:
    server = start(policy='data = "optional"')
    (server.root / "small.txt").write_bytes(b"small")
    client = connect(server).log_in(protect=False)
    client.expect("PBSZ 0", 200)
    for level, protect in (("P", True), ("C", False), ("P", True)):
        port = client.passive_port()
        if connected == "before-prot":
            data = client.connect_data(port)
        client.expect(f"PROT {level}", 200)
        if connected == "after-prot":
            data = client.connect_data(port)
        assert fetch(client, data, protect=protect) == b"small"


@pytest.mark.requirement("R4217-10.2-b", side="S")
def test_a_handshake_begun_under_p_does_not_serve_c(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"')
    (server.root / "small.txt").write_bytes(b"small")
    client = connect(server).log_in()
    client.protect_data(client.passive())
    client.expect("PROT C", 200)
    client.expect("RETR small.txt", 150)
    assert client.read().code in (425, 426, 522)
    # The session goes on, at the level that was chosen last.
    assert client.download("RETR small.txt", protect=False) == b"small"


@pytest.mark.requirement("R4217-10.2-c", side="S")
def test_the_level_may_be_mended_after_a_521_on_the_same_endpoint(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in(protect=False)
    data = client.passive()
    client.expect("RETR small.txt", 521)
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 200)
    assert fetch(client, data) == b"small"


@pytest.mark.requirement("R4217-10.2-e", "R4217-10.2-f", "RTLS-i", side="S")
def test_a_data_connection_that_resumes_nothing_is_522_where_that_is_demanded(
    start: Start, connect: Connect
) -> None:
    server = start(policy='session_reuse = "required"')
    (server.root / "small.txt").write_bytes(b"small")
    client = connect(server).log_in()
    data = client.passive()
    client.expect("RETR small.txt", 150)
    client.protect_data(data, reuse=False)
    reply = client.read()
    assert reply.code == 522
    assert "resume" in reply
    client.command("NOOP")
    assert client.download("RETR small.txt") == b"small"


@pytest.mark.requirement("R4217-10.2-g", "RTLS-i", side="S")
def test_the_session_of_another_control_connection_is_none(start: Start, connect: Connect) -> None:
    server = start(policy='session_reuse = "required"')
    (server.root / "small.txt").write_bytes(b"small")
    other = connect(server).log_in()
    other.command("NOOP")
    client = connect(server).log_in()
    client.context = other.context
    data = client.passive()
    client.expect("RETR small.txt", 150)
    with client.context.wrap_socket(data, server_hostname="localhost", session=other.session) as protected:
        assert not protected.session_reused
        assert client.read().code == 522
