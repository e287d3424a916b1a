"""Passwords of a running server: changed ones, those of other servers, and what a reload takes."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from live_server import PASSWORD, USER, LiveServer, cheap_hash
from raw_client import RawClient
from waiting import until

from lockgate.accounts.throttle import LoginThrottle, ThrottleLimits

Start = Callable[..., LiveServer]
Connect = Callable[..., RawClient]

# The hashes of "open" by crypt(3) and OpenSSL.
FOREIGN = {
    "bcrypt": "$2b$04$z7ROG8bWb9HZ2IAplOqBSew5lCR5xtLzC19BEIY0ug84DVIXwSHeG",
    "sha512": (
        "$6$Lockgate$aieoZwhuf3aETBoC6Zd2bUf9SSM9ZOKDTPvKk5C.bQ/zNd5J1D68iJSP3urlaRfx3UWE2vA4JZ8ffcrsDNBxr0"
    ),
    "sha256": "$5$Lockgate$TPlxfCSLTK8TenRCcNsmNj9SEKS7vIXrupoKCb0CDb/",
}
OTHERS = "\n".join(
    f'[[account]]\nname = "{name}"\nhome = "root"\npassword_hash = "{stored}"'
    for name, stored in FOREIGN.items()
)


@pytest.fixture
def start(start: Start) -> Start:
    """Servers that hold nobody's answer back."""

    def start_one(**changes: str) -> LiveServer:
        server = start(**changes)
        limits = ThrottleLimits(first_seconds=0, longest_seconds=0)
        server.call(lambda: setattr(server.server.door, "throttle", LoginThrottle(limits)))
        return server

    return start_one


def edit(server: LiveServer, old: str, new: str) -> None:
    """Change the configuration file of a server, and reload."""
    source = server.server.config.source
    assert source is not None
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    server.call(server.server.reload)


def count_hashes(server: LiveServer) -> list[str]:
    """Return a list that gets every stored hash that is really computed."""
    calls: list[str] = []
    checker = server.server.passwords.checker
    compute = checker._compute

    def counted(stored: str, password: str) -> bool:
        calls.append(stored)
        return compute(stored, password)

    checker._compute = counted
    return calls


def log_in(client: RawClient, user: str, password: str) -> int:
    if not client.session:
        client.auth()
    client.expect(f"USER {user}", 331)
    return client.command(f"PASS {password}").code


def test_a_changed_password_does_not_work_any_more_after_the_reload(start: Start, connect: Connect) -> None:
    server = start()
    calls = count_hashes(server)
    assert [log_in(connect(server), USER, PASSWORD) for _ in range(3)] == [230] * 3
    assert len(calls) == 1
    edit(server, cheap_hash(PASSWORD), cheap_hash("another"))
    assert log_in(connect(server), USER, PASSWORD) == 530
    assert log_in(connect(server), USER, "another") == 230
    assert len(server.server.passwords.checker._known) == 1


def test_an_account_that_is_gone_opens_to_no_remembered_password(start: Start, connect: Connect) -> None:
    server = start(more_accounts=OTHERS)
    assert log_in(connect(server), "bcrypt", "open") == 230
    assert log_in(connect(server), USER, PASSWORD) == 230
    edit(server, 'name = "bcrypt"', 'name = "renamed"')
    assert log_in(connect(server), "bcrypt", "open") == 530
    # Nobody else's is forgotten.
    calls = count_hashes(server)
    assert log_in(connect(server), USER, PASSWORD) == 230
    assert calls == []


def test_a_wrong_password_is_computed_every_time(start: Start, connect: Connect) -> None:
    server = start(limits="login_attempts = 100")
    calls = count_hashes(server)
    client = connect(server)
    assert [log_in(client, USER, "wrong") for _ in range(2)] == [530] * 2
    assert len(calls) == 2


def test_remembering_can_be_switched_off_by_a_reload(start: Start, connect: Connect) -> None:
    server = start()
    calls = count_hashes(server)
    assert log_in(connect(server), USER, PASSWORD) == 230
    edit(server, "[passwords]", "[passwords]\nremember_seconds = 0\nhashes_at_once = 3")
    assert [log_in(connect(server), USER, PASSWORD) for _ in range(2)] == [230] * 2
    assert len(calls) == 3
    assert server.server.passwords.turns.at_once == 3


@pytest.mark.parametrize("user", list(FOREIGN))
def test_a_hash_of_another_server_lets_its_user_in_and_is_hinted_at_once(
    start: Start, connect: Connect, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = start(more_accounts=OTHERS)
    calls = count_hashes(server)
    assert log_in(connect(server), user, "open") == 230
    assert log_in(connect(server), user, "open") == 230
    assert calls == [FOREIGN[user]]
    assert log_in(connect(server), user, "shut") == 530
    hints = [one.getMessage() for one in caplog.records if "could be stronger" in one.getMessage()]
    assert len(hints) == 1
    assert f"account {user}:" in hints[0]
    assert FOREIGN[user] not in caplog.text


@pytest.mark.requirement("R2577-7-a", side="S")
def test_unknown_names_cost_what_known_ones_cost_where_kinds_are_mixed(start: Start) -> None:
    server = start(more_accounts=OTHERS)
    store = server.server.accounts
    calls = count_hashes(server)
    unknown = [f"nobody{number}" for number in range(200)]
    for name in unknown * 2:
        assert store.check_password(name, "open") is None
    # One computation each, always of the same kind, and every kind that there is.
    assert calls[:200] == calls[200:]
    assert set(calls) == {*FOREIGN.values(), cheap_hash(PASSWORD)}
    calls.clear()
    for name in (*FOREIGN, USER):
        assert store.check_password(name, "wrong") is None
    assert len(calls) == 4


@pytest.mark.parametrize("password", [b"\0", b"open\0", b"\0open", b"\xfe\x80", b"x" * 900, b"\xc3"])
def test_odd_octets_in_a_password_are_a_plain_failure(
    start: Start, connect: Connect, password: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(more_accounts=OTHERS)
    client = connect(server)
    client.auth()
    for user in FOREIGN:
        client.expect(f"USER {user}", 331)
        client.write(b"PASS " + password + b"\r\n")
        assert client.read().code in (500, 501, 530, 421)
        client = connect(server)
        client.auth()
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


def test_a_client_that_leaves_before_its_turn_costs_no_hash(start: Start, connect: Connect) -> None:
    server = start()
    calls = count_hashes(server)
    turns = server.server.passwords.turns
    server.call(lambda: turns.resize(0))
    client = connect(server)
    client.auth()
    client.expect(f"USER {USER}", 331)
    client.send("PASS wrong")
    until(lambda: turns.waiting == 1)
    client.close()
    until(lambda: server.call(lambda: server.server.door.admission.count) == 0)
    server.call(lambda: turns.resize(1))
    assert log_in(connect(server), USER, PASSWORD) == 230
    assert len(calls) == 1


def test_a_remembered_login_waits_for_no_turn(start: Start, connect: Connect) -> None:
    server = start()
    assert log_in(connect(server), USER, PASSWORD) == 230
    server.call(lambda: server.server.passwords.turns.resize(0))
    assert log_in(connect(server), USER, PASSWORD) == 230


def test_a_login_beyond_the_queue_is_answered_421_at_once(start: Start, connect: Connect) -> None:
    server = start()
    turns = server.server.passwords.turns
    server.call(lambda: turns.resize(0))
    server.call(lambda: setattr(turns, "_waiting_limit", 1))
    first = connect(server)
    first.auth()
    first.expect(f"USER {USER}", 331)
    first.send(f"PASS {PASSWORD}")
    until(lambda: turns.waiting == 1)
    second = connect(server)
    assert log_in(second, USER, PASSWORD) == 421
    assert second.at_end()
    # The one that waits gets its turn all the same.
    server.call(lambda: turns.resize(1))
    assert first.read().code == 230


def test_a_server_that_ends_refuses_the_checks_that_wait(start: Start, connect: Connect) -> None:
    server = start()
    calls = count_hashes(server)
    turns = server.server.passwords.turns
    server.call(lambda: turns.resize(0))
    client = connect(server)
    client.auth()
    client.expect(f"USER {USER}", 331)
    client.send(f"PASS {PASSWORD}")
    until(lambda: turns.waiting == 1)
    server.drain(0.1)
    assert client.read().code == 421
    assert turns.waiting == 0
    assert calls == []
