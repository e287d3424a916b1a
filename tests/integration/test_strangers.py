"""What those may do that have not logged in: connect, guess, wait, each within bounds (RFC 2577)."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from live_server import PASSWORD, LiveServer
from raw_client import RawClient
from tls_bytes import forgiving
from waiting import until

from lockgate.accounts.throttle import LoginThrottle, ThrottleLimits

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

LOCKOUT = "lockout_failures_per_address = {}\nlockout_failures_per_account = {}\nlogin_attempts = 9"


def guess(client: RawClient, name: str = "alice", password: str = "wrong") -> int:
    client.expect(f"USER {name}", 331)
    return client.command(f"PASS {password}").code


@pytest.mark.requirement("R2577-5-a", side="S")
def test_an_address_that_fails_too_often_may_not_try_any_more(start: Start, connect: Connect) -> None:
    server = forgiving(start(limits=LOCKOUT.format(3, 0)))
    client = connect(server)
    client.auth()
    assert [guess(client, name) for name in ("alice", "bob", "carol")] == [530] * 3
    # The right password does not help: its answer would tell that it is right.
    assert guess(client, password=PASSWORD) == 421
    other = connect(server)
    other.auth()
    assert guess(other, password=PASSWORD) == 421
    connect(server, source="127.0.0.2").log_in()


@pytest.mark.requirement("R2577-5-a", "R2577-7-a", side="S")
def test_a_name_that_is_guessed_from_everywhere_is_locked_and_known_or_not_alike(
    start: Start, connect: Connect
) -> None:
    server = forgiving(start(limits=LOCKOUT.format(0, 3)))
    answers = {}
    for name in ("alice", "nobody"):
        for number in range(2, 5):
            client = connect(server, source=f"127.0.0.{number}")
            client.auth()
            assert guess(client, name) == 530
        client = connect(server, source="127.0.0.9")
        client.auth()
        client.expect(f"USER {name}", 331)
        answers[name] = client.command(f"PASS {PASSWORD}")
    # The right password of alice is answered as a wrong one, and as nobody's.
    assert answers["alice"].code == 530
    assert answers["alice"] == answers["nobody"]


@pytest.mark.requirement("R2577-5-a", side="S")
def test_nobody_can_lock_out_the_owner_where_the_owner_is_at_home(start: Start, connect: Connect) -> None:
    server = forgiving(start(limits=LOCKOUT.format(0, 2)))
    connect(server, source="127.0.0.7").log_in()
    attacker = connect(server)
    attacker.auth()
    assert [guess(attacker) for _ in range(4)] == [530] * 4
    assert guess(attacker, password=PASSWORD) == 530
    connect(server, source="127.0.0.7").log_in()


@pytest.mark.requirement("R2577-5-a", side="S")
def test_the_failures_of_one_hold_up_no_other_account_that_is_at_home_there(
    start: Start, connect: Connect
) -> None:
    server = start(limits="login_attempts = 9", passwords="remember_seconds = 0")
    connect(server).log_in()
    slow = LoginThrottle(ThrottleLimits(first_seconds=1.5, longest_seconds=1.5, free_failures=1))
    server.call(lambda: setattr(server.server.door, "throttle", slow))
    device, stranger = connect(server), connect(server)
    device.auth()
    stranger.auth()
    assert guess(device, "device") == 530
    began = time.monotonic()
    connect(server).log_in()
    assert time.monotonic() - began < 1
    # Whoever waits before the check does not wait for the answer once more.
    began = time.monotonic()
    assert guess(stranger, "nobody") == 530
    assert 1.4 < time.monotonic() - began < 2.8


@pytest.mark.requirement("R2577-7-a", side="S")
def test_a_right_guess_on_a_locked_name_costs_a_hash_like_a_wrong_one(start: Start, connect: Connect) -> None:
    server = forgiving(start(limits=LOCKOUT.format(0, 1)))
    # The password is remembered: on a name that is not locked it would be answered without a hash.
    connect(server, source="127.0.0.7").log_in()
    attacker = connect(server)
    attacker.auth()
    guess(attacker)
    hashes = []
    store = server.server.accounts
    check = store.check_password

    def counted(name: str, password: str) -> object:
        hashes.append(name)
        return check(name, password)

    server.call(lambda: setattr(store, "check_password", counted))
    assert guess(attacker, password=PASSWORD) == 530
    assert guess(attacker, password="wrong") == 530
    assert hashes == ["alice", "alice"]


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_those_who_never_log_in_keep_nobody_out(start: Start, connect: Connect) -> None:
    server = start(limits="sessions_before_login = 5")
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(RawClient(server.host, server.port, source="127.0.0.2")) for _ in range(5)
        ]
        connect(server, source="127.0.0.3").log_in()
        # The oldest of the crowd made room.
        assert crowd[0].read().code == 421
        assert crowd[0].at_end()
        crowd[1].expect("NOOP", 200)
        # Who has logged in waits no more, and is not in the crowd's way nor the crowd in his.
        with RawClient(server.host, server.port, source="127.0.0.2") as newcomer:
            newcomer.expect("NOOP", 200)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_the_crowd_makes_room_in_the_midst_of_its_handshakes_too(start: Start, connect: Connect) -> None:
    server = start(limits="sessions_before_login = 3")
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection((server.host, server.implicit_port)))
            for _ in range(3)
        ]
        until(lambda: server.call(lambda: server.server.door.admission.count) == 3)
        connect(server, source="127.0.0.3").log_in()
        crowd[0].settimeout(10)
        assert crowd[0].recv(1) == b""


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_flood_of_connections_of_one_address_is_answered_421(start: Start, connect: Connect) -> None:
    server = start(limits="connections_per_minute = 50\nsessions_per_address = 1000")
    codes = []
    for _ in range(20):
        with RawClient(server.host, server.port, greet=False) as client:
            codes.append(client.read().code)
    assert codes[:5] == [220] * 5
    assert set(codes[8:]) == {421}
    connect(server, source="127.0.0.2").log_in()


def test_a_flood_that_is_refused_fills_no_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="lockgate.audit")
    server = start(limits="sessions_per_address = 1")
    with RawClient(server.host, server.port):
        for _ in range(50):
            with RawClient(server.host, server.port, greet=False) as client:
                assert client.read().code == 421
    refused = [one.getMessage() for one in caplog.records if one.getMessage().startswith("refused ")]
    assert 1 <= len(refused) <= 3


@pytest.mark.parametrize("where", ["limits", "account"])
def test_an_account_has_so_many_sessions_and_hears_it_after_its_password_only(
    start: Start, connect: Connect, where: str
) -> None:
    limit = {"limits": "sessions_per_account = 2", "account": "sessions_per_account = 9"}[where]
    server = forgiving(start(limits=limit, account="sessions = 2" if where == "account" else ""))
    first, second = connect(server).log_in(), connect(server).log_in()
    third = connect(server)
    third.auth()
    assert guess(third) == 530
    assert guess(third, password=PASSWORD) == 421
    assert third.at_end()
    # Each way to end a login gives the place back: REIN, QUIT, and an end without a word.
    first.expect("REIN", 220)
    fourth = connect(server).log_in()
    fourth.expect("QUIT", 221)
    fifth = connect(server).log_in()
    second.sock.close()
    until(lambda: server.call(lambda: server.server.door.admission.count) <= 3)
    connect(server).log_in()
    fifth.expect("NOOP", 200)


@pytest.mark.requirement("RSEC-dos-b", side="S")
def test_a_passive_port_that_nobody_comes_to_is_given_back(start: Start, connect: Connect) -> None:
    server = start(limits="data_open_seconds = 0.5")
    (server.root / "small.txt").write_bytes(b"small")
    client = connect(server).log_in()
    port = client.passive_port()
    until(lambda: not server.call(lambda: server.server.data_budget._listening))
    with socket.socket() as late:
        assert late.connect_ex((server.host, port)) != 0
    client.expect("RETR small.txt", 425)
    assert client.download("RETR small.txt") == b"small"


@pytest.mark.requirement("RSEC-dos-b", side="S")
def test_one_address_cannot_use_up_the_passive_ports(start: Start, connect: Connect) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        first = min(probe.getsockname()[1], 65000)
    server = start(passive=f'ports = "{first}-{first + 19}"')
    hoarders = [connect(server).log_in() for _ in range(12)]
    codes = [hoarder.command("EPSV").code for hoarder in hoarders]
    assert codes == [229] * 10 + [425] * 2
    other = connect(server, source="127.0.0.2").log_in()
    other.expect("EPSV", 229)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_transfer_that_crawls_is_ended(start: Start, connect: Connect) -> None:
    server = start(limits="stall_seconds = 0.5\nstall_bytes = 100", policy='data = "optional"')
    client = connect(server).log_in()
    client.expect("PROT C", 200)
    client.expect("TYPE I", 200)
    data = client.connect_data(client.passive_port())
    client.send("STOR crawling.bin")
    assert client.read().code == 150
    ended = threading.Event()
    sender = threading.Thread(target=crawl, args=(data, ended))
    sender.start()
    try:
        assert client.read().code == 426
    finally:
        ended.set()
        sender.join()
    assert not (server.root / "crawling.bin").exists()


def crawl(data: socket.socket, ended: threading.Event) -> None:
    """Send a byte every tenth of a second: that is never silence."""
    with contextlib.suppress(OSError):
        while not ended.wait(0.1):
            data.sendall(b"x")
