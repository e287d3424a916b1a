"""Data protection decided path by path on a live server (RFC 4217 §10.2's fourth policy)."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from live_server import LiveServer, cheap_hash
from raw_client import RawClient
from tls_bytes import enter, listener, silence

Start = Callable[..., LiveServer]
Connect = Callable[..., RawClient]

RULES = """
[[rule]]
path = "/pub"
data = "optional"
[[rule]]
path = "/pub/secret"
data = "required"
[[rule]]
path = "/plain"
data = "forbidden"
[[rule]]
path = "/drop"
direction = "upload"
data = "optional"
[[rule]]
path = "/pub"
data = "required"
accounts = ["bob"]
"""
BOB = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("bob")}"\nhome = "root"\n'
FOLDERS = ("pub/secret", "pub/secretary", "plain", "drop", "other")


@pytest.fixture
def ruled(start: Start) -> LiveServer:
    server = start(more_accounts=BOB + RULES)
    for folder in FOLDERS:
        (server.root / folder).mkdir(parents=True)
        (server.root / folder / "a").write_bytes(b"kept")
    (server.root / "pub" / "a").write_bytes(b"kept")
    return server


def in_level(connect: Connect, server: LiveServer, level: str, user: str = "alice") -> RawClient:
    client = connect(server)
    client.auth()
    enter(client, user, "bob" if user == "bob" else "correct horse")
    client.expect("PBSZ 0", 200)
    client.expect(f"PROT {level}", 200)
    client.expect("TYPE I", 200)
    return client


def content(server: LiveServer) -> dict[str, bytes]:
    """Every file there is, visible or hidden."""
    return {str(one): one.read_bytes() for one in server.root.rglob("*") if one.is_file()}


@pytest.mark.requirement("R4217-10.2-a", "R4217-10.2-b", "R4217-10.2-c", side="S")
@pytest.mark.parametrize(
    ("cwd", "line", "clear", "private"),
    [
        ("/", "RETR other/a", 521, 150),
        ("/", "RETR pub/a", 150, 150),
        ("/", "RETR pub/secret/a", 521, 150),
        ("/", "RETR pub/secretary/a", 150, 150),
        ("/pub", "RETR secret/a", 521, 150),
        ("/pub/secret", "RETR a", 521, 150),
        ("/pub/secret", "RETR ../a", 150, 150),
        ("/pub/secret", "RETR ../secretary/../secret/a", 521, 150),
        ("/other", "RETR /pub/./a", 150, 150),
        ("/pub/secret", "STOR b", 521, 150),
        ("/pub/secret", "APPE a", 521, 150),
        ("/pub/secret", "STOU", 521, 150),
        ("/", "STOU pub/secret/x", 521, 150),
        ("/pub/secret", "LIST", 521, 150),
        ("/pub/secret", "LIST -la", 521, 150),
        ("/pub", "LIST -la", 150, 150),
        ("/", "LIST -la pub/secret", 521, 150),
        ("/pub/secret", "NLST", 521, 150),
        ("/pub/secret", "MLSD", 521, 150),
        ("/pub/secret", "MLSD ..", 150, 150),
        ("/", "STOR plain/b", 150, 521),
        ("/plain", "NLST", 150, 521),
        ("/", "STOR drop/b", 150, 150),
        ("/", "RETR drop/a", 521, 150),
        ("/drop", "LIST", 521, 150),
    ],
)
def test_each_path_has_its_level(
    connect: Connect, ruled: LiveServer, cwd: str, line: str, clear: int, private: int
) -> None:
    for level, code in (("C", clear), ("P", private)):
        client = in_level(connect, ruled, level)
        client.expect(f"CWD {cwd}", 250)
        data = client.passive()
        before = content(ruled)
        client.expect(line, code)
        if code == 521:
            # Before a 150 nothing has been opened, and the endpoint waits for a better command.
            assert content(ruled) == before
            assert silence(data, 0.05)
            client.expect("NOOP", 200)


@pytest.mark.requirement("R4217-10.2-b", "R4217-10.1-e", side="S")
def test_the_level_is_that_of_the_command_and_the_path_that_of_the_moment(
    connect: Connect, ruled: LiveServer
) -> None:
    client = in_level(connect, ruled, "C")
    client.expect("CWD /pub", 250)
    port = client.passive_port()
    client.expect("CWD secret", 250)
    client.expect("RETR a", 521)
    client.expect("CDUP", 200, 250)
    client.expect("PROT P", 200)
    client.expect("CWD /plain", 250)
    client.expect("RETR a", 521)
    client.expect("PROT C", 200)
    client.expect("REST 1", 350)
    data = client.connect_data(port)
    client.expect("RETR a", 150)
    assert data.recv(10) == b"ept"
    assert client.read().code == 226


@pytest.mark.requirement("R4217-10.2-b", side="S")
def test_commands_sent_at_once_are_judged_one_after_the_other(connect: Connect, ruled: LiveServer) -> None:
    client = in_level(connect, ruled, "C")
    client.passive_port()
    client.write(b"CWD /pub/secret\r\nRETR a\r\nCWD /pub\r\nPROT P\r\nPROT C\r\nCWD secret\r\nNLST\r\n")
    assert [client.read().code for _ in range(7)] == [250, 521, 250, 200, 200, 250, 521]


def test_a_rule_that_names_accounts_goes_before_one_that_is_for_all(
    connect: Connect, ruled: LiveServer
) -> None:
    client = in_level(connect, ruled, "C", "bob")
    client.passive_port()
    client.expect("RETR pub/a", 521)
    client.expect("RETR drop/a", 521)
    client.expect("RETR plain/a", 150)


@pytest.mark.requirement("R4217-10.2-c", side="S")
def test_active_endpoints_are_judged_the_same_way(connect: Connect, ruled: LiveServer) -> None:
    client = in_level(connect, ruled, "C")
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        client.expect(f"EPRT |1|127.0.0.1|{waiting.getsockname()[1]}|", 200)
        client.expect("RETR pub/secret/a", 521)
        assert silence(waiting, 0.05), "a refused command connects to nobody"
        client.expect("RETR pub/a", 150)
        data, _ = waiting.accept()
        with data:
            assert data.recv(10) == b"kept"
        assert client.read().code == 226


def test_on_a_listener_without_tls_a_path_may_be_open_and_another_shut(start: Start) -> None:
    rules = '[[rule]]\npath = "/secret"\ndata = "required"\n'
    clear = listener("none", 'control = "optional"\ndata = "optional"')
    server = start(listeners=listener("explicit") + clear, more_accounts=rules)
    (server.root / "secret").mkdir()
    with RawClient(server.host, server.clear_port) as client:
        enter(client)
        client.passive_port()
        client.expect("NLST /secret", 521)
        client.expect("NLST", 150)


@pytest.mark.requirement("R2228-3-d", side="S")
def test_prot_takes_what_some_path_takes(start: Start, connect: Connect) -> None:
    rules = '[[rule]]\npath = "/pub"\ndata = "optional"\naccounts = ["alice"]\n'
    server = start(more_accounts=BOB + rules)
    for user, code in (("alice", 200), ("bob", 534)):
        client = connect(server)
        client.auth()
        client.expect("PBSZ 0", 200)
        # Before the login it is not known for whom: what holds for all.
        client.expect("PROT C", 534)
        enter(client, user, "bob" if user == "bob" else "correct horse")
        client.expect("PROT C", code)


def test_rules_change_by_reload_for_logins_to_come(connect: Connect, ruled: LiveServer) -> None:
    old = in_level(connect, ruled, "C")
    path = ruled.work / "lockgate.toml"
    path.write_text(path.read_text().replace('path = "/pub/secret"', 'path = "/pub/secretary"'))
    ruled.call(ruled.server.reload)
    for client, code in ((old, 521), (in_level(connect, ruled, "C"), 150)):
        client.passive()
        client.expect("RETR pub/secret/a", code)
