"""Crowds of connections, sessions and passive ports: nobody can keep the others out."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient
from tls_bytes import eventually

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

CLEAR = 'control = "optional"\ndata = "optional"'
OTHER = "127.0.0.2"


def sessions(server: LiveServer) -> int:
    """How many control connections the server counts."""
    return server.call(lambda: server.server.door.admission.count)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_half_made_handshakes_give_way_too(start: Start, connect: Connect) -> None:
    server = start(limits="sessions_before_login = 30\nsessions_per_address = 1000")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    crowd = []
    for number in range(300):
        port = server.implicit_port if number % 2 else server.port
        sock = socket.create_connection((server.host, port), 15, source_address=(OTHER, 0))
        crowd.append(sock)
        with contextlib.suppress(ConnectionError):  # it may have had to give way already
            sock.sendall(hello if number % 2 else b"AUTH TLS\r\n")
    try:
        eventually(lambda: 0 < sessions(server) <= 30)
        connect(server).log_in().download("NLST")
        # Those that gave way are counted until they are closed.
        eventually(lambda: sessions(server) <= 31)
    finally:
        for sock in crowd:
            sock.close()
    eventually(lambda: sessions(server) == 1)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_who_is_logged_in_gives_way_to_nobody(start: Start, connect: Connect) -> None:
    server = start(limits="sessions_before_login = 2")
    members = [connect(server, source=OTHER).log_in() for _ in range(4)]
    for number in range(6):
        connect(server, source=f"127.0.1.{number + 1}")
    for member in members:
        member.expect("NOOP", 200)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_too_many_connections_in_a_minute_hear_421_and_other_addresses_come_in(
    start: Start, connect: Connect
) -> None:
    server = start(limits="connections_per_minute = 50")
    for _ in range(5):
        with RawClient(server.host, server.port, source=OTHER) as client:
            assert client.greeting.code == 220
    with RawClient(server.host, server.port, greet=False, source=OTHER) as client:
        assert client.read().code == 421
    with RawClient(server.host, server.implicit_port, greet=False, source=OTHER) as client:
        assert client.at_end()  # no word in clear where the client awaits TLS
    connect(server).log_in()


@pytest.mark.requirement("RSEC-dos-b", side="S")
@pytest.mark.parametrize("line", ["EPSV", "PASV", "PORT 127,0,0,1,200,10"])
def test_endpoints_set_up_again_and_again_hold_one_place(start: Start, connect: Connect, line: str) -> None:
    server = start(policy=CLEAR, limits="transfers = 2")
    client = connect(server).log_in(protect=False, tls=False)
    client.write(f"{line}\r\n".encode() * 200)
    assert {client.read().code for _ in range(200)} <= {227, 229, 200}
    budget = server.server.data_budget
    assert server.call(lambda: (budget.count, len(budget.waiting))) == (0, int("PORT" not in line))
    connect(server).log_in(protect=False, tls=False).download("NLST", protect=False)
