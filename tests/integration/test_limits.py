"""Limits of a live server: how many sessions, how long, how much input; and that nobody else feels it."""

from __future__ import annotations

import contextlib
import gc
import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient
from tls_bytes import enter, eventually, silence

from lockgate.accounts.base import Account, AccountStore
from lockgate.server.control import ControlConnection

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

CLEAR = 'control = "optional"\ndata = "optional"'


def sessions(server: LiveServer) -> int:
    """How many control connections the server has."""
    return server.call(lambda: server.server.door.admission.count)


@pytest.mark.requirement("R1123-c", "RSEC-dos-a", side="S")
@pytest.mark.parametrize("stage", ["greeted", "auth", "logged-in", "half-a-line"])
def test_an_idle_session_hears_421_and_ends(start: Start, connect: Connect, stage: str) -> None:
    client = connect(start(limits="idle_seconds = 0.3"))
    if stage != "greeted":
        client.auth()
    if stage in ("logged-in", "half-a-line"):
        enter(client)
    if stage == "half-a-line":
        client.write(b"NOO")
    assert client.read().code == 421
    assert client.sock.recv(1) == b""  # inside TLS: close_notify, no cut


@pytest.mark.requirement("R1123-c", side="S")
def test_the_idle_limit_is_five_minutes_by_default(server: LiveServer) -> None:
    assert server.server.config.limits.idle_seconds >= 300


def said_until_the_end(client: RawClient, line: str, *, before: float) -> list[int]:
    """Say the same now and then, and return the codes of all replies up to the end of the session."""
    deadline = time.monotonic() + before
    codes: list[int] = []
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while time.monotonic() < deadline and (not codes or codes[-1] != 421):
            client.send(line)
            codes.append(client.read().code)
            silence(client.sock, 0.1)
    return codes


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize(
    ("stage", "line"),
    [
        *((stage, "NOOP") for stage in ("greeted", "auth", "implicit", "user", "rein")),
        *((stage, "REIN") for stage in ("greeted", "implicit", "rein")),
    ],
)
def test_nothing_that_is_said_lengthens_the_time_for_the_login(
    start: Start, connect: Connect, stage: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = start(limits="login_seconds = 1.5")
    client = connect(server, implicit=stage in ("implicit", "rein"))
    if stage in ("auth", "user"):
        client.auth()
    if stage == "user":
        client.expect("USER alice", 331)
    if stage == "rein":
        enter(client)
        client.expect("REIN", 220)
    codes = said_until_the_end(client, line, before=8.0)
    assert codes[-1] == 421
    assert set(codes[:-1]) <= {200, 220}
    eventually(lambda: 'reason="no login"' in caplog.text)


def test_who_has_logged_in_has_the_idle_limit_again(start: Start, connect: Connect) -> None:
    server = start(limits="login_seconds = 1")
    inside, outside = connect(server).log_in(), connect(server)
    assert outside.read().code == 421
    inside.expect("NOOP", 200)
    # The time begins when nobody is logged in any more, not at the connect.
    again = connect(server, implicit=True).log_in()
    with connect(server) as later:
        assert later.read().code == 421
    again.expect("REIN", 220)
    again.log_in()
    inside.expect("NOOP", 200)


@pytest.mark.requirement("R1123-c", side="S")
def test_a_running_transfer_is_not_idle(start: Start, connect: Connect) -> None:
    server = start(limits="idle_seconds = 0.2")
    busy = connect(server).log_in()
    sock = busy.passive()
    busy.expect("STOR slow.bin", 150)
    data = busy.protect_data(sock)
    data.sendall(b"first")
    assert connect(server).read().code == 421  # one who came later is idle for too long already
    data.sendall(b" last")
    data.unwrap().close()
    assert busy.read().code == 226
    assert busy.read().code == 421


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("limit", ["sessions = 2", "sessions_per_address = 2"])
def test_a_session_too_many_hears_421_and_the_others_go_on(
    start: Start, connect: Connect, limit: str
) -> None:
    server = start(limits=limit)
    first, second = connect(server), connect(server)
    with RawClient(server.host, server.port, greet=False) as third:
        assert third.read().code == 421
        assert third.at_end()
    with RawClient(server.host, server.implicit_port, greet=False) as fourth:
        assert fourth.at_end()
    first.log_in()
    second.expect("QUIT", 221)
    second.close()
    eventually(lambda: sessions(server) == 1)
    connect(server).log_in()


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_the_limit_per_address_is_each_addresss_own(start: Start, connect: Connect) -> None:
    server = start(limits="sessions_per_address = 1")
    connect(server).log_in()
    connect(server, source="127.0.0.2").log_in()
    with RawClient(server.host, server.port, greet=False, source="127.0.0.2") as third:
        assert third.read().code == 421


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_those_who_were_sent_away_take_nobodys_place(start: Start, connect: Connect) -> None:
    server = start(limits="sessions = 3\nsessions_per_address = 1")
    connect(server)
    crowd = [RawClient(server.host, server.port, greet=False) for _ in range(5)]
    assert [client.read().code for client in crowd] == [421] * 5
    # They are still connected, and one address cannot fill the house.
    connect(server, source="127.0.0.2").log_in()
    for client in crowd:
        client.close()


@pytest.mark.requirement("RTLS-f", "RSEC-dos-a", side="S")
def test_handshakes_that_do_not_go_on_end_in_time_and_hold_nobody_up(start: Start) -> None:
    server = start(limits="handshake_seconds = 1.5\nidle_seconds = 300")
    slow = []
    for implicit in (False, True):
        for said in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            port = server.implicit_port if implicit else server.port
            client = RawClient(server.host, port, greet=not implicit)
            if not implicit:
                client.expect("AUTH TLS", 234)
            client.write(said)
            slow.append(client)
    with RawClient(server.host, server.port) as other:
        other.log_in().download("NLST")
        for client in slow:
            assert client.at_end()
            client.close()
        other.expect("NOOP", 200)


@pytest.mark.requirement("RTLS-f", side="S")
def test_a_dribbled_handshake_gets_no_more_time(start: Start) -> None:
    server = start(limits="handshake_seconds = 0.4")
    client = RawClient(server.host, server.port)
    client.expect("AUTH TLS", 234)
    client.write(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
    client.sock.settimeout(0.02)
    for _ in range(500):
        try:
            client.write(b"\0")
            if client.sock.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    else:
        pytest.fail("every octet bought time")
    client.close()


@pytest.mark.requirement("RSEC-line-a", "RSEC-dos-a", side="S")
@pytest.mark.parametrize("inside", [False, True], ids=["clear", "tls"])
def test_a_line_without_end_closes_the_session_and_no_other(
    server: LiveServer, connect: Connect, inside: bool
) -> None:
    other = connect(server).log_in()
    client = connect(server)
    if inside:
        client.auth()
    with pytest.raises(OSError, match=r"reset|pipe|EOF|closed"):
        _write_for_ever(client, other)
    other.download("NLST")


def _write_for_ever(client: RawClient, other: RawClient) -> None:
    for _ in range(1000):
        client.write(b"A" * 4096)
        other.expect("NOOP", 200)


class HeldAccounts:
    """The server's accounts, but a password is looked at only once `gate` is set."""

    def __init__(self, store: AccountStore) -> None:
        self.gate = threading.Event()
        self.find = store.find
        self.recall_password = store.recall_password
        self._check = store.check_password

    def check_password(self, name: str, password: str) -> Account | None:
        assert self.gate.wait(30)
        return self._check(name, password)


def flood(sock: socket.socket, line: bytes) -> int:
    """Send a line over and over until the server has stopped reading; return how many bytes went."""
    chunk, sent = line * (65536 // len(line)), 0
    while sent < 48 << 20:
        if not select.select([], [sock], [], 0.5)[1]:
            return sent
        # In whole lines, however little the socket takes.
        sent += sock.send(chunk[sent % len(line) :])
    pytest.fail("the server reads on and on")


@pytest.mark.requirement("RSEC-dos-a", "RSEC-line-a", side="S")
def test_no_more_is_read_while_a_command_takes_its_time(start: Start) -> None:
    server = start(policy=CLEAR)
    held = HeldAccounts(server.server.accounts)
    server.call(lambda: setattr(server.server, "accounts", held))
    with RawClient(server.host, server.port) as client:
        client.expect("USER alice", 331)
        client.send("PASS correct horse")
        client.sock.setblocking(False)
        flood(client.sock, b"NOOP\r\n")
        held.gate.set()
        client.sock.settimeout(15)
        assert client.read().code == 230
        assert [client.read().code for _ in range(1000)] == [200] * 1000


@pytest.mark.requirement("RSEC-dos-a", "RSEC-line-a", side="S")
def test_a_client_that_reads_no_replies_is_given_up(start: Start, connect: Connect) -> None:
    server = start(policy=CLEAR, limits="stall_seconds = 1.0")
    with RawClient(server.host, server.port) as client:
        enter(client)
        client.sock.setblocking(False)
        with contextlib.suppress(ConnectionError):
            flood(client.sock, b"HELP\r\n")
        # The client is still there and still does not read.
        eventually(lambda: sessions(server) == 0)
    connect(server).log_in()


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_session_that_has_ended_is_forgotten_at_once(start: Start, connect: Connect) -> None:
    server = start(limits="idle_seconds = 300")

    def remembered() -> int:
        gc.collect()
        return sum(isinstance(one, ControlConnection) for one in gc.get_objects())

    before = remembered()
    for _ in range(5):
        client = connect(server).log_in()
        client.download("NLST")
        client.expect("QUIT", 221)
        client.close()
    eventually(lambda: remembered() <= before)
