"""TLS demanded of, or denied to, certain users: told at USER, and not who is there (RFC 4217 §10.1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from live_server import LiveServer, cheap_hash
from raw_client import RawClient, Reply
from tls_bytes import enter, forgiving, listener

Start = Callable[..., LiveServer]
Connect = Callable[..., RawClient]

OPEN = 'control = "optional"\ndata = "optional"'
NAMES = [f"nobody{number}" for number in range(24)]


def account(name: str, more: str = "") -> str:
    hashed = cheap_hash(name)
    return f'[[account]]\nname = "{name}"\npassword_hash = "{hashed}"\nhome = "root"\n{more}\n'


def mixed(start: Start, **changes: str) -> LiveServer:
    """Alice goes as the listener says; `tls` must and `plain` must not be in TLS."""
    settings = {
        "policy": OPEN,
        "listeners": listener("explicit"),
        "more_accounts": account("tls", 'control = "required"') + account("plain", 'control = "forbidden"'),
    }
    return forgiving(start(**(settings | changes)))


def answers(server: LiveServer, names: list[str], *, tls: bool) -> list[Reply]:
    """What USER says to each name, on one connection."""
    with RawClient(server.host, server.port) as client:
        if tls:
            client.auth()
        return [client.command(f"USER {name}") for name in names]


@pytest.mark.requirement("R4217-10.1-a", "R4217-4.2-a", "R4217-3-b", side="S")
@pytest.mark.parametrize(
    ("name", "tls", "code"),
    [
        ("alice", False, 331),
        ("alice", True, 331),
        ("tls", False, 530),
        ("tls", True, 331),
        ("plain", False, 331),
        ("plain", True, 534),
    ],
)
def test_user_is_refused_before_the_password_goes_out(
    start: Start, connect: Connect, name: str, tls: bool, code: int
) -> None:
    client = connect(mixed(start))
    if tls:
        client.auth()
    client.expect(f"USER {name}", code)
    client.expect(f"PASS {'correct horse' if name == 'alice' else name}", 230 if code == 331 else 503)
    client.expect("PWD", 257 if code == 331 else 530)


@pytest.mark.requirement("R2577-7-a", side="S")
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_unknown_names_are_answered_like_those_of_accounts(start: Start, tls: bool) -> None:
    server = mixed(start)
    real = set(answers(server, ["alice", "tls", "plain"], tls=tls))
    unknown = answers(server, NAMES, tls=tls)
    # To the letter, and each of the answers: with one of them missing the others would tell.
    assert set(unknown) == real
    assert len(real) == 2
    assert answers(server, NAMES, tls=tls) == unknown


@pytest.mark.requirement("R2577-7-a", side="S")
def test_an_unknown_name_keeps_its_answer_when_accounts_come_and_go(start: Start) -> None:
    server = mixed(start)
    before = answers(server, NAMES, tls=False)
    path = server.work / "lockgate.toml"
    path.write_text(path.read_text() + account("more", 'control = "required"') + account("other"))
    server.call(server.server.reload)
    assert answers(server, NAMES, tls=False) == before


@pytest.mark.requirement("R2577-7-a", side="S")
def test_an_unknown_name_is_of_one_kind_on_every_listener(start: Start) -> None:
    listeners = listener("explicit") + listener("none", 'control = "forbidden"\ndata = "optional"')
    server = mixed(start, listeners=listeners)
    names = ["alice", "tls", "plain", *NAMES]
    patterns = set()
    for name in names:
        with RawClient(server.host, server.clear_port) as client:
            clear_only = client.command(f"USER {name}").code
        both = [answers(server, [name], tls=tls)[0].code for tls in (False, True)]
        patterns.add((name in NAMES, clear_only, *both))
    assert {one[1:] for one in patterns if one[0]} == {one[1:] for one in patterns if not one[0]}


@pytest.mark.requirement("R2577-7-a", side="S")
@pytest.mark.parametrize("differ", [True, False])
def test_known_and_unknown_names_cost_the_same_look_ups(start: Start, differ: bool) -> None:
    server = mixed(start) if differ else mixed(start, more_accounts=account("bob"))
    asked: list[str] = []
    store = server.server.accounts

    class Counting:
        """Notes who is looked up."""

        def find(self, name: str):
            asked.append(name)
            return store.find(name)

    server.call(lambda: setattr(server.server, "accounts", Counting()))
    names = ["alice", "nobody", "tls", "plain"]
    answers(server, names, tls=False)
    assert asked == (names if differ else [])


def test_where_accounts_do_not_differ_every_name_gets_331(start: Start) -> None:
    server = mixed(start, more_accounts=account("bob"))
    assert {reply.code for reply in answers(server, ["alice", "bob", *NAMES], tls=False)} == {331}


@pytest.mark.requirement("R4217-10.1-e", side="S")
def test_a_user_kept_from_tls_may_come_in_clear_after_rein(start: Start, connect: Connect) -> None:
    client = connect(mixed(start))
    client.auth()
    client.expect("USER plain", 534)
    client.expect("REIN", 220)
    client.stop_tls()
    client.expect("USER tls", 530)
    enter(client, "plain", "plain")


@pytest.mark.requirement("R4217-10.1-e", side="S")
@pytest.mark.parametrize("base", ["required", "optional", "forbidden"])
@pytest.mark.parametrize("own", ["required", "optional", "forbidden"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_the_whole_grid_of_listener_and_account(start: Start, base: str, own: str, tls: bool) -> None:
    """An account can tighten what a listener leaves open, never loosen what the listener refuses."""
    more = account("bob", f'control = "{own}"\ndata = "optional"')
    others = listener("none", OPEN) + listener("implicit", OPEN)
    listeners = listener("explicit", f'control = "{base}"') + others
    server = mixed(start, policy=OPEN, listeners=listeners, more_accounts=more)
    with RawClient(server.host, server.port) as client:
        if tls and base == "forbidden":
            client.expect("AUTH TLS", 534)
            return
        if tls:
            client.auth()
        allowed = own != "forbidden" if tls else "required" not in (base, own)
        client.expect("USER bob", 331 if allowed else 534 if tls else 530)
        client.expect("PASS bob", 230 if allowed else 530 if base == "required" and not tls else 503)
