"""Accounts that share a home: files are shared, what was interrupted is each account's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from endings import cut, hidden_files
from live_server import PASSWORD, LiveServer, cheap_hash
from raw_client import RawClient

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

BOB = f"""
[[account]]
name = "bob"
password_hash = "{cheap_hash(PASSWORD)}"
home = "root"
"""
DROP = 'permissions = "write"'
STYLES = {"ordinary": ("", ""), "drop boxes": (DROP, DROP), "one drop box": ("", DROP)}


def begin_and_cut(client: RawClient, command: str, content: bytes) -> None:
    data = client.passive()
    client.expect(command, 150)
    protected = client.protect_data(data)
    protected.sendall(content)
    cut(protected)
    assert client.read().code == 426


@pytest.fixture(params=STYLES)
def accounts(
    start: Start, connect: Connect, request: pytest.FixtureRequest
) -> tuple[LiveServer, RawClient, RawClient]:
    """A server, and two clients that are logged in as two accounts with one home."""
    first, second = STYLES[request.param]
    server = start(account=first, more_accounts=BOB + second)
    return server, connect(server).log_in("alice"), connect(server).log_in("bob")


def stored(server: LiveServer) -> list[bytes]:
    return sorted(path.read_bytes() for path in server.root.glob("victim*"))


def test_no_account_sees_or_continues_what_another_left(
    accounts: tuple[LiveServer, RawClient, RawClient],
) -> None:
    server, alice, bob = accounts
    begin_and_cut(alice, "STOR victim", b"SECRET" * 1000)
    assert alice.expect("SIZE victim", 213).code == 213
    bob.expect("SIZE victim", 550)
    bob.expect("REST 3000", 350)
    bob.passive()
    assert bob.command("STOR victim").code >= 500
    # Nor is it taken away, whatever another begins under the name.
    begin_and_cut(bob, "APPE victim", b"bob")
    assert (alice.expect("SIZE victim", 213), bob.expect("SIZE victim", 213)) == ("213 6000", "213 3")
    alice.expect("REST 6000", 350)
    assert alice.upload("STOR victim", b"+end").code == 226
    assert stored(server) == [b"SECRET" * 1000 + b"+end"]


def test_appending_goes_on_with_the_own_part_alone(
    accounts: tuple[LiveServer, RawClient, RawClient],
) -> None:
    server, alice, bob = accounts
    begin_and_cut(alice, "STOR victim", b"SECRET")
    assert bob.upload("APPE victim", b"bob").code == 226
    assert stored(server) == [b"bob"]


def test_what_another_publishes_makes_a_part_void(start: Start, connect: Connect) -> None:
    server = start(more_accounts=BOB)
    alice, bob = connect(server).log_in("alice"), connect(server).log_in("bob")
    begin_and_cut(alice, "STOR victim", b"SECRET")
    assert bob.upload("STOR victim", b"bob").code == 226
    assert hidden_files(server.root) == []
    assert alice.expect("SIZE victim", 213) == "213 3"
    bob.expect("DELE victim", 250)
    alice.expect("SIZE victim", 550)


def test_another_session_of_the_account_goes_on(start: Start, connect: Connect) -> None:
    server = start(account=DROP, more_accounts=BOB + DROP)
    begin_and_cut(connect(server).log_in("alice"), "STOR victim", b"half")
    again = connect(server).log_in("alice")
    again.expect("REST 4", 350)
    assert again.upload("STOR victim", b"+half").code == 226
    assert stored(server) == [b"half+half"]
