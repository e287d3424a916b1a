"""USER, PASS and QUIT on a live server: order, failures that tell nothing, and secrets that stay secret."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from live_server import PASSWORD, LiveServer, cheap_hash
from raw_client import RawClient
from tls_bytes import enter, forgiving, silence, tls_end_is_clean
from waiting import until

from lockgate.accounts.throttle import LoginThrottle, ThrottleLimits
from lockgate.protocol.verbs import VERBS

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

CLEAR = 'control = "optional"\ndata = "optional"'
NEEDING_LOGIN = sorted(row.verb.value for row in VERBS.values() if row.needs_login and row.refused is None)


@pytest.mark.requirement("R959-4.1-a", "R4217-4.2-a", side="S")
@pytest.mark.parametrize("stage", ["before-user", "after-user"])
def test_every_command_that_needs_a_login_is_530_without_one(
    server: LiveServer, connect: Connect, stage: str
) -> None:
    client = connect(server)
    client.auth()
    for start_of_chunk in range(0, len(NEEDING_LOGIN), 20):
        # Only so many refusals before the login: a client each.
        client = connect(server)
        client.auth()
        if stage == "after-user":
            client.expect("USER alice", 331)
        for verb in NEEDING_LOGIN[start_of_chunk : start_of_chunk + 20]:
            client.expect(f"{verb} {'' if verb in _BARE else 'x'}".rstrip(), 530)


_BARE = {row.verb.value for row in VERBS.values() if row.argument.name == "NONE"}


@pytest.mark.requirement("R959-4.1-a", "R959-4-c", side="S")
def test_pass_without_user_is_503(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.auth()
    client.expect(f"PASS {PASSWORD}", 503)
    client.expect("ACCT x", 503)
    enter(client)
    client.expect(f"PASS {PASSWORD}", 503)
    client.expect("USER alice", 503)
    client.expect("PWD", 257)


@pytest.mark.requirement("R959-4.1-a", side="S")
def test_a_failed_login_starts_from_user_again(server: LiveServer, connect: Connect) -> None:
    client = connect(forgiving(server))
    client.auth()
    client.expect("USER alice", 331)
    client.expect("PASS wrong", 530)
    client.expect(f"PASS {PASSWORD}", 503)
    enter(client)


@pytest.mark.requirement("R2577-5-a", side="S")
@pytest.mark.parametrize("attempts", [1, 3])
def test_after_so_many_wrong_passwords_the_session_ends_with_421(
    start: Start, connect: Connect, attempts: int
) -> None:
    client = connect(forgiving(start(limits=f"login_attempts = {attempts}")))
    client.auth()
    for left in reversed(range(attempts)):
        client.expect("USER alice", 331)
        client.expect("PASS wrong", 530 if left else 421)
    assert tls_end_is_clean(client)


@pytest.mark.requirement("R2577-5-a", "R4217-10.1-e", side="S")
def test_neither_auth_nor_rein_nor_another_name_gives_new_attempts(start: Start, connect: Connect) -> None:
    client = connect(forgiving(start(policy=CLEAR)))
    client.expect("USER alice", 331)
    client.expect("PASS wrong", 530)
    client.auth()
    client.expect("USER nobody", 331)
    client.expect("PASS wrong", 530)
    client.expect("REIN", 220)
    client.stop_tls()
    client.expect("USER alice", 331)
    client.expect("PASS wrong", 421)
    assert client.at_end()


@pytest.mark.requirement("R2577-5-a", "RSEC-dos-a", side="S")
def test_a_wrong_password_is_answered_late_and_only_its_own_session_waits(
    start: Start, connect: Connect
) -> None:
    server = start()
    slow = LoginThrottle(ThrottleLimits(first_seconds=3600.0, longest_seconds=3600.0))
    server.call(lambda: setattr(server.server.door, "throttle", slow))
    guesser = connect(server)
    guesser.auth()
    guesser.expect("USER alice", 331)
    guesser.send("PASS wrong")
    connect(server).log_in().download("NLST")
    assert silence(guesser.sock)
    # After a few wrong ones the right one has to wait as well, in every session of an address that the
    # account has not logged in from.
    server.call(lambda: [slow.failed("127.0.0.3") for _ in range(5)])
    client = connect(server, source="127.0.0.3")
    client.auth()
    client.expect("USER alice", 331)
    client.send(f"PASS {PASSWORD}")
    connect(server, source="127.0.0.2").log_in()
    assert silence(client.sock)


@pytest.mark.requirement("R2577-5-a", side="S")
def test_guesses_count_over_sessions_of_one_address(start: Start, connect: Connect) -> None:
    server = forgiving(start())
    for _ in range(2):
        client = connect(server)
        client.auth()
        client.expect("USER alice", 331)
        client.expect("PASS wrong", 530)
    assert server.call(lambda: len(server.server.door.throttle)) == 1


@pytest.mark.requirement("R2577-7-a", side="S")
def test_known_and_unknown_users_get_the_same_answers(start: Start, connect: Connect) -> None:
    nopass = (
        '[[account]]\nname = "nopass"\nhome = "nopass"\n'
        'certificate_subject = "CN=nopass"\nclient_certificate = "sufficient"'
    )
    server = forgiving(start(more_accounts=nopass, limits="login_attempts = 100", tls='client_ca = "ca.pem"'))
    client = connect(server)
    client.auth()
    said = set()
    for user in ("alice", "nopass", "nobody", "ALICE", "alice ", "../alice", "a" * 500, "é", "*"):
        said.add((client.command(f"USER {user}"), client.command("PASS wrong")))
    assert len(said) == 1


class Watched:
    """The server's accounts, noting who was asked for and where."""

    def __init__(self, server: LiveServer) -> None:
        self._store = server.server.accounts
        self.asked: list[tuple[str, str]] = []

    def find(self, name: str) -> object:
        self.asked.append(("find", threading.current_thread().name))
        return self._store.find(name)

    def recall_password(self, name: str, password: str) -> object:
        return self._store.recall_password(name, password)

    def check_password(self, name: str, password: str) -> object:
        self.asked.append(("check_password", threading.current_thread().name))
        return self._store.check_password(name, password)


@pytest.mark.requirement("R2577-7-a", "RSEC-dos-a", side="S")
def test_known_and_unknown_users_go_the_same_way_in_a_worker(start: Start, connect: Connect) -> None:
    # The time of the password check itself is the account store's matter, and tested there.
    server = forgiving(start(limits="login_attempts = 100"))
    watched = Watched(server)
    server.call(lambda: setattr(server.server, "accounts", watched))
    client = connect(server)
    client.auth()
    for user in ("alice", "nobody"):
        watched.asked.clear()
        client.expect(f"USER {user}", 331)
        client.expect("PASS wrong", 530)
        # What is found for the log comes after the check, beside the answer, for both.
        until(lambda: len(watched.asked) == 2)
        assert [what for what, _ in watched.asked] == ["check_password", "find"]
        assert "lockgate-hasher" in watched.asked[0][1]
        assert "lockgate-helper" in watched.asked[1][1]


def test_an_answer_does_not_wait_for_the_reason_that_is_logged(start: Start, connect: Connect) -> None:
    server = forgiving(start(limits="login_attempts = 100"))
    watched, may_go = Watched(server), threading.Event()
    find = watched.find

    def found_later(name: str) -> object:
        assert may_go.wait(15)
        return find(name)

    watched.find = found_later  # type: ignore[method-assign]
    server.call(lambda: setattr(server.server, "accounts", watched))
    client = connect(server)
    client.auth()
    for user in ("alice", "nobody"):
        client.expect(f"USER {user}", 331)
        client.expect("PASS wrong", 530)
    may_go.set()
    until(lambda: [what for what, _ in watched.asked].count("find") == 2)


@pytest.mark.requirement("RSEC-info-a", "R003-2.3-a", side="S")
def test_no_password_ever_gets_into_a_log_or_a_reply(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "Tr0ub4dor&3"
    server = forgiving(
        start(
            limits="login_attempts = 100",
            more_accounts='[[account]]\nname = "carol"\nhome = "carol"\n'
            f'password_hash = "{cheap_hash(secret)}"',
        )
    )
    client = connect(server)
    client.auth()
    replies = [client.command("USER carol")]
    for line in (
        f"PASS {secret}x",
        f"PASS {secret}",  # 503: USER comes first
        f"pass\t{secret}",
        f"PASS  {secret}",
        f"PASSW {secret}",
        f"ACCT {secret}",
        f"XPASS\x01{secret}",
        f"PASS:{secret}",
        f"PASS {secret}\0",
        f"PASS {secret}\rx",
    ):
        replies.append(client.command(line))
    client.write(f"PASS {secret}\n".encode())  # a bare LF
    replies.append(client.read())
    replies.append(client.command("PASS " + secret * 2000))  # too long
    replies.append(client.command("USER carol"))
    replies.append(client.expect(f"PASS {secret}", 230))
    replies.append(client.command("STAT"))
    assert "carol" in caplog.text  # the log does tell of this session
    assert secret not in caplog.text
    assert secret not in "".join(replies)


@pytest.mark.requirement("RSEC-info-a", side="S")
def test_an_error_inside_the_server_is_not_shown_to_the_client(start: Start, connect: Connect) -> None:
    server = start()

    class Broken(Watched):
        def check_password(self, name: str, password: str) -> object:
            raise RuntimeError(f"{server.work} {password}")

    server.call(lambda: setattr(server.server, "accounts", Broken(server)))
    client = connect(server)
    client.auth()
    client.expect("USER alice", 331)
    reply = client.expect("PASS wrong", 451)
    assert str(server.work) not in reply
    assert "Error" not in reply
    client.expect("NOOP", 200)


@pytest.mark.requirement("R959-4.1-a", "R4217-10.1-a", side="S")
def test_a_home_that_cannot_be_made_is_no_login_and_shows_no_path(start: Start, connect: Connect) -> None:
    dave = f'[[account]]\nname = "dave"\npassword_hash = "{cheap_hash("x")}"\nhome = "server.pem/dave"'
    server = start(more_accounts=dave)
    client = connect(server)
    client.auth()
    client.expect("USER dave", 331)
    reply = client.command("PASS x")
    assert reply.code in (451, 530)
    assert "server.pem" not in reply
    client.expect("PWD", 530)
    enter(client)
