"""ABOR, and what comes on the control connection while a transfer runs (RFC 959, RFC 4217 section 14)."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient, read_all
from waiting import until

Connect = Callable[..., RawClient]

TELNET = b"\xff\xf4\xff\xf2"  # IAC IP, IAC DM: the Synch of RFC 959 section 4.1.3, without urgent data
BIG = bytes(30_000_000)


@pytest.fixture(autouse=True)
def big_file(server: LiveServer) -> None:
    """A file that no socket buffer takes whole."""
    path = server.root / "big.bin"
    if not path.exists():
        path.write_bytes(BIG)


def begin(client: RawClient, command: str) -> socket.socket:
    """Begin a transfer that cannot end by itself, and see that it moves."""
    data = client.passive()
    client.expect(command, 150)
    protected = client.protect_data(data)
    if command.startswith("RETR"):
        assert protected.recv(1)
    else:
        protected.sendall(b"something")
    return protected


def aborted_everywhere(server: LiveServer) -> bool:
    return not server.call(server.server._running_jobs)


@pytest.mark.requirement("R959-4.1-j", side="S")
def test_abor_with_nothing_running_is_226(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    client.expect("ABOR", 226)
    client.expect("ABOR", 226)


def test_abor_with_nothing_running_drops_the_endpoint(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    port = client.passive_port()
    client.expect("ABOR", 226)
    client.expect("NLST", 425)
    with pytest.raises(ConnectionError):
        client.connect_data(port)


@pytest.mark.requirement("R959-4.1-j", "R4217-14-a", side="S")
@pytest.mark.parametrize("command", ["RETR big.bin", "STOR up.bin", "APPE big.bin"])
@pytest.mark.parametrize("telnet", [b"", TELNET], ids=["plain", "telnet"])
def test_abor_ends_a_transfer_with_426_and_226(
    server: LiveServer, connect: Connect, command: str, telnet: bytes
) -> None:
    client = connect(server).log_in()
    data = begin(client, command)
    client.write(telnet + b"ABOR\r\n")
    assert client.read().code == 426
    assert client.read().code == 226
    with pytest.raises(OSError):  # noqa: PT011 - cut or reset, but no proper end
        read_all(data)
    assert aborted_everywhere(server)
    assert (server.root / "big.bin").stat().st_size == len(BIG)
    assert not (server.root / "up.bin").exists()
    # The session goes on, data connections too.
    assert client.upload("STOR small.bin", b"small").code == 226
    assert client.download("RETR small.bin") == b"small"


@pytest.mark.requirement("R4217-14-a", "R4217-14-b", "R1123-b", side="S")
@pytest.mark.parametrize("command", ["RETR big.bin", "STOR up.bin"])
def test_abor_behind_telnet_octets_may_come_byte_by_byte(
    server: LiveServer, connect: Connect, command: str
) -> None:
    client = connect(server).log_in()
    begin(client, command)
    for octet in TELNET + b"ABOR\r\n":
        client.write(bytes([octet]))  # each in a TLS record of its own
    assert client.read().code == 426
    assert client.read().code == 226
    client.expect("NOOP", 200)


@pytest.mark.requirement("R4217-14-b", "R1123-b", side="S")
@pytest.mark.parametrize("octets", [b"\xff\xf4", b"\xff\xf2", b"\xf2", b"\xff\xf4\xff", b"\xff\xf4\xf2"])
def test_what_is_left_of_a_telnet_synch_does_no_harm(
    server: LiveServer, connect: Connect, octets: bytes
) -> None:
    client = connect(server).log_in()
    begin(client, "RETR big.bin")
    client.write(octets + b"ABOR\r\n")
    assert client.read().code == 426
    assert client.read().code == 226


@pytest.mark.parametrize("command", ["RETR big.bin", "STOR up.bin"])
def test_abor_before_the_data_handshake_ends_the_transfer(
    server: LiveServer, connect: Connect, command: str
) -> None:
    client = connect(server).log_in()
    client.passive()
    client.expect(command, 150)
    client.expect("ABOR", 426)
    assert client.read().code == 226
    assert client.upload("STOR small.bin", b"small").code == 226


@pytest.mark.parametrize("command", ["RETR big.bin", "STOR up.bin", "LIST"])
def test_abor_before_anybody_connects_ends_the_transfer(
    server: LiveServer, connect: Connect, command: str
) -> None:
    client = connect(server).log_in()
    client.passive_port()
    client.expect(command, 150)
    client.expect("ABOR", 426)
    assert client.read().code == 226
    assert client.upload("STOR small.bin", b"small").code == 226


def test_abor_sent_with_its_transfer_command_is_answered_in_order(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in()
    client.passive_port()
    client.write(b"RETR big.bin\r\nABOR\r\n")
    assert [client.read().code for _ in range(3)] == [150, 426, 226]


def test_abor_twice_answers_twice(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    begin(client, "RETR big.bin")
    client.write(b"ABOR\r\nABOR\r\nNOOP\r\n")
    assert [client.read().code for _ in range(4)] == [426, 226, 226, 200]


@pytest.mark.requirement("R959-4.1-m", "R4217-14-a", side="S")
@pytest.mark.parametrize("command", ["RETR big.bin", "STOR up.bin"])
@pytest.mark.parametrize("telnet", [b"", TELNET], ids=["plain", "telnet"])
def test_stat_during_a_transfer_tells_its_state(
    server: LiveServer, connect: Connect, command: str, telnet: bytes
) -> None:
    client = connect(server).log_in()
    begin(client, command)
    client.write(telnet + b"STAT\r\n")
    reply = client.read()
    assert reply.code == 211
    assert f"{command[:4]} is running" in reply
    assert "bytes" in reply
    client.expect("ABOR", 426)
    assert client.read().code == 226
    assert "No transfer is running" in client.expect("STAT", 211)


@pytest.mark.requirement("R959-4.1-m", side="S")
def test_stat_with_a_path_works_during_a_transfer(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    begin(client, "RETR big.bin")
    assert "big.bin" in client.expect("STAT /", 212)
    client.expect("ABOR", 426)
    assert client.read().code == 226


@pytest.mark.requirement("R959-4-a", side="S")
def test_commands_sent_during_a_transfer_are_answered_in_order_after_it(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in()
    data = begin(client, "STOR piped.bin")
    client.write(b"NOOP\r\nPWD\r\nSIZE piped.bin\r\nXYZZY\r\nSYST\r\nEPSV\r\n")
    client.expect("STAT", 211)  # overtakes
    data.unwrap()
    assert [client.read().code for _ in range(7)] == [226, 200, 257, 213, 500, 215, 229]


@pytest.mark.requirement("R959-4.1-b", side="S")
@pytest.mark.parametrize("command", ["STOR quit.bin", "RETR big.bin"])
def test_quit_during_a_transfer_waits_for_its_result(
    server: LiveServer, connect: Connect, command: str
) -> None:
    client = connect(server).log_in()
    data = begin(client, command)
    client.send("QUIT")
    client.expect("STAT", 211)  # the session still serves
    if command.startswith("RETR"):
        assert len(read_all(data)) == len(BIG) - 1
    data.unwrap()
    assert client.read().code == 226
    assert client.read().code == 221
    assert client.at_end()


@pytest.mark.requirement("RSEC-line-a", "RSEC-dos-a", side="S")
def test_a_flood_of_commands_during_a_transfer_is_held_back_and_then_answered(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in()
    data = begin(client, "STOR flood.bin")
    count = 500
    client.write(b"NOOP\r\n" * count)
    data.unwrap()
    assert client.read().code == 226
    assert {client.read().code for _ in range(count)} == {200}


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("command", ["RETR big.bin", "STOR up.bin", "LIST"])
def test_a_client_that_closes_control_during_a_transfer_frees_everything(
    server: LiveServer, connect: Connect, command: str
) -> None:
    client = connect(server).log_in()
    if command == "LIST":
        client.passive_port()
        client.expect(command, 150)
    else:
        begin(client, command)
    client.sock.close()
    until(lambda: aborted_everywhere(server))
    until(lambda: server.call(lambda: server.server.data_budget.count) == 0)
    until(lambda: server.call(lambda: server.server.door.admission.count) == 0)
