"""The policy grid of RFC 4217 §10 on a live server: control, data, listeners and accounts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from endings import cut
from live_server import LiveServer, cheap_hash
from raw_client import RawClient
from tls_bytes import enter, forgiving, listener

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

EXPLICIT = listener("explicit")


def opened(client: RawClient, *, tls: bool) -> RawClient:
    """Start TLS, or do not."""
    if tls:
        client.auth()
    return client


@pytest.mark.requirement("R4217-10.1-a", "R4217-4.2-a", "R4217-3-b", "R003-3.3-c", side="S")
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("rule", ["required", "optional"])
def test_whether_a_login_in_clear_is_taken(start: Start, connect: Connect, rule: str, tls: bool) -> None:
    client = opened(connect(start(policy=f'control = "{rule}"', listeners=EXPLICIT)), tls=tls)
    if tls or rule == "optional":
        enter(client)
        client.expect("PWD", 257)
        return
    for line in ("USER alice", "PASS correct horse", "ACCT x"):
        refusal = client.expect(line, 530)
        assert "AUTH TLS" in refusal
    client.expect("PWD", 530)
    client.expect("FEAT", 211)
    enter(opened(client, tls=True))


@pytest.mark.requirement("R4217-10.1-e", "R4217-3-b", "R003-3.3-c", side="S")
@pytest.mark.parametrize(
    "lines",
    [
        ["USER alice", "PASS correct horse"],
        ["FEAT", "OPTS UTF8 ON", "USER alice", "PASS correct horse"],
        ["REIN", "USER alice", "PASS correct horse"],
        ["AUTH NONSENSE", "USER alice", "PASS correct horse"],
        ["PBSZ 0", "PROT P", "USER alice", "PASS correct horse"],
        ["CCC", "USER alice", "PASS correct horse"],
        ["user alice", "pass correct horse"],
        ["ACCT alice", "USER alice", "PASS correct horse"],
    ],
)
def test_no_order_of_commands_logs_in_in_clear(server: LiveServer, lines: list[str]) -> None:
    with RawClient(server.host, server.port) as client:
        for line in lines:
            assert client.command(line).code not in (230, 232, 331, 332)
        client.expect("PWD", 530)
        client.expect("EPSV", 530)
        client.expect("NLST", 530)


@pytest.mark.requirement("R4217-10.1-e", "R4217-13-a", side="S")
def test_neither_rein_nor_ccc_opens_a_clear_login_where_tls_is_required(
    start: Start, connect: Connect
) -> None:
    client = connect(start(policy='clear_command_channel = "after-login"')).log_in()
    client.expect("CCC", 200)
    client.stop_tls()
    client.expect("REIN", 220)
    client.expect("USER alice", 530)
    client.expect("PWD", 530)
    client.log_in()
    client.expect("REIN", 220)
    client.stop_tls()
    client.expect("USER alice", 530)


@pytest.mark.requirement("R4217-10.1-a", side="S")
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("rule", ["required", "optional", "forbidden"])
def test_an_account_may_be_held_to_tls_or_kept_from_it(
    start: Start, connect: Connect, rule: str, tls: bool
) -> None:
    bob = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("bob")}"\nhome = "bob"'
    server = forgiving(
        start(
            policy='control = "optional"\ndata = "optional"',
            listeners=EXPLICIT,
            account=f'control = "{rule}"',
            more_accounts=bob,
        )
    )
    client = opened(connect(server), tls=tls)
    allowed = rule == "optional" or tls == (rule == "required")
    # Refused before the password goes out; another user may try at once.
    client.expect("USER alice", 331 if allowed else 534 if tls else 530)
    client.expect("PASS correct horse", 230 if allowed else 503)
    client.expect("PWD", 257 if allowed else 530)
    if not allowed:
        enter(client, "bob", "bob")


@pytest.mark.requirement("R4217-10.2-a", "R4217-10.2-b", "R4217-10.2-c", "R2228-3-d", "R003-2.3-a", side="S")
@pytest.mark.parametrize("by_account", [False, True], ids=["policy", "account"])
@pytest.mark.parametrize("level", ["P", "C"])
@pytest.mark.parametrize("rule", ["required", "optional", "forbidden"])
def test_the_data_policy_decides_on_prot_and_on_every_transfer(
    start: Start, connect: Connect, rule: str, level: str, by_account: bool
) -> None:
    mine = f'data = "{rule}"'
    other = 'data = "optional"'
    server = start(
        policy=other if by_account else mine, account=mine if by_account else "", listeners=EXPLICIT
    )
    (server.root / "kept.txt").write_bytes(b"kept")
    client = enter(opened(connect(server), tls=True))
    client.expect("PBSZ 0", 200)
    allowed = rule == "optional" or (level == "P") == (rule == "required")
    client.expect(f"PROT {level}", 200 if allowed else 534)
    client.expect("TYPE I", 200)
    if allowed:
        private = level == "P"
        assert client.download("RETR kept.txt", protect=private) == b"kept"
        assert client.upload("STOR kept.txt", b"new", protect=private).code == 226
        return
    # The level stays Clear, as after AUTH TLS.
    client.passive_port()
    if rule == "required":
        for command in ("RETR kept.txt", "STOR kept.txt", "APPE kept.txt", "STOU", "NLST", "LIST", "MLSD"):
            client.expect(command, 521)
    else:
        client.download("NLST", protect=False)
    assert (server.root / "kept.txt").read_bytes() == b"kept"


@pytest.mark.requirement("R4217-10.2-c", "R4217-10.1-e", side="S")
@pytest.mark.parametrize(
    ("rule", "level", "code"), [("required", "C", 521), ("forbidden", "P", 521), ("optional", "P", 150)]
)
def test_a_level_set_before_the_login_does_not_get_round_the_accounts_policy(
    start: Start, connect: Connect, rule: str, level: str, code: int
) -> None:
    server = start(policy='data = "optional"', account=f'data = "{rule}"', listeners=EXPLICIT)
    client = opened(connect(server), tls=True)
    client.expect("PBSZ 0", 200)
    client.expect(f"PROT {level}", 200)
    enter(client)
    client.passive_port()
    client.expect("NLST", code)


@pytest.mark.requirement("R4217-10.2-c", "R4217-3-b", side="S")
def test_where_data_must_be_protected_a_clear_session_transfers_nothing(start: Start) -> None:
    server = start(policy='control = "optional"', listeners=EXPLICIT)
    with RawClient(server.host, server.port) as client:
        enter(client)
        client.passive_port()
        for command in ("NLST", "LIST", "MLSD", "RETR x", "STOR x", "APPE x", "STOU"):
            client.expect(command, 521)
        client.expect("PROT P", 503)


@pytest.mark.requirement("R4217-10.1-a", "R4217-3-b", side="S")
def test_listeners_may_have_policies_of_their_own(start: Start, connect: Connect) -> None:
    server = start(
        listeners=listener("explicit") + listener("none", 'control = "optional"\ndata = "optional"')
    )
    with RawClient(server.host, server.clear_port) as clear:
        enter(clear)
        clear.download("NLST", protect=False)
    client = connect(server)
    client.expect("USER alice", 530)
    client.log_in()


@pytest.mark.requirement("R4217-10.1-a", "R4217-9-a", side="S")
def test_the_next_user_of_a_session_gets_the_policy_of_their_own(start: Start, connect: Connect) -> None:
    bob = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("bob")}"\nhome = "bob"\ndata = "optional"'
    server = start(more_accounts=bob)
    client = enter(connect(server, implicit=True), "bob", "bob")
    client.expect("PBSZ 0", 200)
    client.expect("PROT C", 200)
    client.download("NLST", protect=False)
    client.expect("REIN", 220)
    client.expect("PBSZ 0", 200)
    client.expect("PROT C", 534)
    enter(client)
    client.expect("PROT C", 534)
    client.download("NLST")


def test_the_end_that_an_upload_needs_is_that_of_the_user_who_is_logged_in(
    start: Start, connect: Connect
) -> None:
    home = f'password_hash = "{cheap_hash("bob")}"\nhome = "bob"\nrequire_close_notify = false'
    server = start(more_accounts=f'[[account]]\nname = "bob"\n{home}')
    client = enter(connect(server, implicit=True), "bob", "bob")

    def cut_upload() -> int:
        sock = client.passive()
        client.expect("STOR cut.bin", 150)
        data = client.protect_data(sock)
        data.sendall(b"content")
        cut(data)
        return client.read().code

    assert cut_upload() == 226
    client.expect("REIN", 220)
    enter(client)
    assert cut_upload() == 426


@pytest.mark.parametrize(
    ("policy", "account", "line", "code"),
    [
        ('control = "forbidden"\ndata = "optional"', 'control = "optional"', "AUTH TLS", 534),
        ('control = "optional"\nlegacy_auth = false', "legacy_auth = true", "AUTH SSL", 504),
        ('control = "optional"', "legacy_auth = false", "AUTH SSL", 504),
        ('control = "optional"', "legacy_auth = true", "AUTH SSL", 234),
    ],
)
def test_after_a_login_in_clear_an_account_loosens_nothing_of_the_listener_for_auth(
    start: Start, connect: Connect, policy: str, account: str, line: str, code: int
) -> None:
    server = start(listeners=listener("explicit", policy), account=account)
    client = enter(connect(server))
    client.expect(line, code)
