"""Guessing passwords (RFC 2577 sections 5 and 7): locks of addresses and accounts, and what answers tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from live_server import PASSWORD, LiveServer, cheap_hash
from raw_client import RawClient
from tls_bytes import eventually, forgiving

from lockgate.accounts import passwords as hashes
from lockgate.accounts.lockout import Lockout, LockoutLimits
from lockgate.accounts.passwords import HashParameters, hash_password

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

CLEAR = 'control = "optional"\ndata = "optional"'
OTHER, STRANGE = "127.0.0.2", "127.0.0.3"


def guessable(start: Start, limits: str, **more: str) -> LiveServer:
    """A server that takes logins in clear, and answers without delay."""
    return forgiving(start(policy=CLEAR, limits=f"login_attempts = 1000\n{limits}", **more))


def guess(client: RawClient, user: str, password: str) -> int:
    """Return the code that the password is answered with."""
    client.expect(f"USER {user}", 331)
    return client.command(f"PASS {password}").code


@pytest.mark.requirement("R2577-5-a", side="S")
def test_guesses_of_many_sessions_at_once_are_no_way_round_the_lock(start: Start, connect: Connect) -> None:
    server = guessable(start, "lockout_failures_per_account = 3", passwords="hashes_at_once = 1")
    checked = []

    class Held:
        """The accounts; the first check waits until all guesses have come."""

        def __init__(self) -> None:
            self._store = server.server.accounts
            self.gate = threading.Event()

        def __getattr__(self, name: str) -> object:
            return getattr(self._store, name)

        def check_password(self, name: str, password: str) -> object:
            checked.append(password)
            assert self.gate.wait(20)
            return self._store.check_password(name, password)

    held = Held()
    server.call(lambda: setattr(server.server, "accounts", held))
    clients = [connect(server) for _ in range(6)]
    for client in clients:
        client.expect("USER alice", 331)
    for number, client in enumerate(clients):
        client.send(f"PASS {PASSWORD if number == 5 else number}")
        eventually(lambda number=number: server.call(lambda: server.server.passwords.turns.waiting) == number)
    held.gate.set()
    assert [client.read().code for client in clients] == [530] * 6
    assert PASSWORD in checked  # its turn came; only the lock kept it out


MANY = f"""
[[account]]
name = "nopass"
home = "nopass"
certificate_subject = "CN=nopass"
client_certificate = "sufficient"
[[account]]
name = "carol"
home = "carol"
password_hash = "{cheap_hash("c")}"
client_certificate = "required"
"""
WAYS = {
    "a wrong password": ("alice", "wrong"),
    "a name that nobody has": ("nobody", "wrong"),
    "an account without password": ("nopass", "wrong"),
    "the right password and no certificate": ("carol", "c"),
    "the right password when locked": ("alice", PASSWORD),
}


@pytest.mark.requirement("R2577-7-a", side="S")
def test_every_login_that_fails_has_the_same_answer_and_computes_one_hash(
    start: Start, connect: Connect
) -> None:
    server = guessable(
        start, "lockout_failures_per_address = 0", tls='client_ca = "ca.pem"', more_accounts=MANY
    )
    computed: list[str] = []

    def compute(stored: str, password: str) -> bool:
        computed.append(stored)
        return hashes.verify_password(stored, password)

    server.call(lambda: setattr(server.server.passwords.checker, "_compute", compute))
    replies = set()
    assert guess(connect(server, source=OTHER), "alice", PASSWORD) == 230  # it is remembered from now on
    for what, (user, password) in WAYS.items():
        client = connect(server)
        client.auth()
        if "locked" in what:
            lockout = Lockout(LockoutLimits(per_name=1))
            lockout.failed("alice", STRANGE)
            server.call(lambda lockout=lockout: setattr(server.server.door, "lockout", lockout))
        # A password that is right may be remembered after the first time: the second tells as little.
        for _ in range(3):
            computed.clear()
            said = (client.command(f"USER {user}"), client.command(f"PASS {password}"))
            replies.add(said)
            assert len(computed) == 1, f"{what}: {len(computed)} hashes"
    assert len(replies) == 1, replies


DEAR = HashParameters(memory_kib=4096, passes=2, lanes=1)


@pytest.mark.requirement("R2577-7-a", side="S")
def test_every_login_that_fails_takes_about_the_same_time(start: Start, connect: Connect) -> None:
    accounts = MANY.replace(cheap_hash("c"), hash_password("c", DEAR))
    server = guessable(
        start,
        "lockout_failures_per_address = 0",
        tls='client_ca = "ca.pem"',
        account=f'upload_rate = ""\n[[account]]\nname = "dave"\nhome = "dave"\n'
        f'password_hash = "{hash_password("d", DEAR)}"',
        more_accounts=accounts,
    )
    # All hashes cost the same here, so that whom an unknown name imitates does not matter.
    store = server.server.accounts
    server.call(lambda: setattr(store, "_hashes", tuple(one for one in store._hashes if "m=4096" in one)))
    client = connect(server)
    client.auth()
    best = {}
    for user, password in (("dave", "wrong"), ("nobody", "wrong"), ("nopass", "wrong"), ("carol", "c")):
        times = []
        for _ in range(9):
            client.expect(f"USER {user}", 331)
            began = time.perf_counter()
            client.expect(f"PASS {password}", 530)
            times.append(time.perf_counter() - began)
        best[user] = min(times)
    # Without a hash an answer takes a tenth; the least of nine is what other work disturbs least.
    assert max(best.values()) < 3 * min(best.values()), best
