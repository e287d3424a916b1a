"""The client core and the server core joined: they agree on everything, and policies hold between them."""

from __future__ import annotations

import pytest
from joined_cores import Joined

from lockgate.errors import LocalProtocolError
from lockgate.protocol.commands import Command
from lockgate.protocol.gates import CccRule, GatePolicy, Requirement
from lockgate.protocol.states import Control, Data, Login, SessionState, Transfer, handshake_done, initial

OPEN = GatePolicy(control=Requirement.OPTIONAL, data=Requirement.OPTIONAL, ccc=CccRule.AFTER_LOGIN)


@pytest.fixture(params=[False, True], ids=["whole", "byte by byte"])
def piecewise(request):
    return request.param


def test_a_protected_login_and_a_transfer(piecewise):
    pair = Joined(piecewise=piecewise)
    codes = pair.ask_all("AUTH TLS", "USER fred", "PASS secret", "PBSZ 0", "PROT P", "EPSV")
    assert codes == [234, 331, 230, 200, 200, 229]
    assert pair.ask("STOR a") == [150, 226]
    assert pair.ask("QUIT") == [221]
    assert pair.is_closed
    assert pair.state.is_logged_in


def test_an_implicit_login(piecewise):
    pair = Joined(implicit=True, piecewise=piecewise)
    assert all(passage.in_tls for passage in pair.passages)
    pair.log_in()
    assert pair.state.data is Data.PRIVATE


@pytest.mark.requirement("R4217-12.1-a", "R4217-12.1-d")
@pytest.mark.parametrize(
    "lines",
    [
        ("PBSZ 0", "PROT P", "USER fred", "PASS secret"),
        ("USER fred", "PASS secret", "PBSZ 0", "PROT P"),
        ("USER fred", "PBSZ 0", "PROT P", "PASS secret"),
        ("PBSZ 0", "USER fred", "PROT P", "PASS secret"),
    ],
)
def test_protection_and_login_come_in_any_order(lines):
    pair = Joined()
    pair.ask("AUTH TLS")
    pair.ask_all(*lines)
    assert (pair.state.data, pair.state.login) == (Data.PRIVATE, Login.LOGGED_IN)


def test_no_name_and_no_password_in_clear_is_ever_looked_at():
    pair = Joined()
    assert pair.ask_all("USER fred", "PASS secret") == [530, 530]
    assert pair.gates == ["login-in-clear"] * 2
    assert pair.state == initial()


def test_a_certificate_that_suffices_needs_no_password():
    pair = Joined()
    assert pair.ask_all("AUTH TLS", "USER cert", "PWD") == [234, 232, 257]


def test_an_account_is_asked_for_behind_the_password():
    pair = Joined(OPEN)
    assert pair.ask_all("USER fred", "PASS books", "PWD") == [331, 332, 530]
    assert pair.ask_all("ACCT wrong", "ACCT ledger", "PWD") == [530, 230, 257]


@pytest.mark.requirement("R4217-8-b", "R4217-10.2-b")
def test_the_level_counts_at_the_transfer_and_not_at_the_endpoint():
    pair = Joined()
    assert pair.ask_all("AUTH TLS", "USER fred", "PASS secret", "EPSV", "LIST") == [234, 331, 230, 229, 521]
    assert pair.state.transfer is Transfer.ENDPOINT_READY
    assert pair.ask_all("PBSZ 0", "PROT P") == [200, 200]
    assert pair.ask("LIST") == [150, 226]


@pytest.mark.requirement("R4217-10.2-c")
@pytest.mark.parametrize("line", ["STOR a", "RETR a", "NLST", "LIST", "STOU", "APPE a", "MLSD"])
def test_a_transfer_at_too_low_a_level_gets_521_and_no_1xx(line):
    pair = Joined()
    pair.ask_all("AUTH TLS", "USER fred", "PASS secret", "PASV")
    assert pair.ask(line) == [521]


def test_a_client_that_refuses_locally_has_sent_nothing():
    pair = Joined()
    passed = len(pair.passages)
    for line in ("PBSZ 0", "PROT P", "CCC"):
        with pytest.raises(LocalProtocolError):
            pair.ask(line)
    assert len(pair.passages) == passed


# --- what resets ---


def test_auth_puts_everything_back(piecewise):
    pair = Joined(OPEN, piecewise=piecewise)
    pair.ask_all("USER fred", "PASS secret", "REST 5", "RNFR a", "EPSV", "EPSV ALL", "AUTH TLS")
    assert pair.state == handshake_done(SessionState(control=Control.NEGOTIATING))
    assert pair.ask("PWD") == [530]


@pytest.mark.requirement("R4217-13-d", "R4217-13-e")
def test_rein_leaves_a_session_as_new(piecewise):
    pair = Joined(piecewise=piecewise)
    for _ in range(3):
        pair.log_in()
        assert pair.ask_all("EPSV", "REIN") == [229, 220]
        assert pair.state == initial()
        assert not pair.in_tls


@pytest.mark.requirement("R4217-13-b")
def test_the_answer_to_rein_is_the_last_thing_in_tls():
    pair = Joined()
    pair.log_in()
    pair.ask("REIN")
    assert pair.passages[-1].data.startswith(b"220 ")
    assert pair.passages[-1].in_tls
    pair.ask("NOOP")
    assert not pair.passages[-1].in_tls


def test_rein_on_an_implicit_port_keeps_tls():
    pair = Joined(implicit=True)
    pair.log_in()
    pair.ask("REIN")
    assert pair.in_tls
    assert pair.state == handshake_done(initial(implicit=True))
    pair.log_in()


# --- CCC ---


@pytest.mark.requirement("R4217-5-e", "R4217-5-f")
def test_after_ccc_commands_are_in_clear_and_the_level_is_frozen(piecewise):
    pair = Joined(GatePolicy(ccc=CccRule.AFTER_LOGIN), piecewise=piecewise)
    pair.log_in()
    assert pair.ask("CCC") == [200]
    assert pair.ask_all("EPSV", "RETR a") == [229, 226]
    assert not pair.passages[-1].in_tls
    assert pair.state.data is Data.FROZEN_PRIVATE
    for line in ("PBSZ 0", "PROT C"):
        # The client core would not send it; the server refuses it all the same.
        with pytest.raises(LocalProtocolError):
            pair.ask(line)
        pair.server.receive_data(line.encode() + b"\r\n")
        assert pair.server.next_event().reply.code == 503


@pytest.mark.requirement("R4217-5-h")
def test_a_refused_ccc_leaves_the_session_in_tls():
    pair = Joined()
    pair.log_in()
    assert pair.ask("CCC") == [500]
    assert pair.ask("PWD") == [257]
    assert pair.passages[-1].in_tls


def test_after_ccc_and_rein_no_login_passes_in_clear():
    pair = Joined(GatePolicy(ccc=CccRule.AFTER_LOGIN))
    pair.log_in()
    assert pair.ask_all("CCC", "USER fred", "REIN", "USER fred") == [200, 503, 220, 530]


# --- transfers ---


@pytest.mark.requirement("R4217-9-a")
def test_a_level_stands_for_all_later_transfers():
    pair = Joined()
    pair.log_in()
    for _ in range(5):
        assert pair.ask_all("EPSV", "LIST", "PASV", "STOR a") == [229, 226, 227, 226]
        assert pair.state.data is Data.PRIVATE


def test_abor_during_a_transfer_is_answered_after_the_transfer(piecewise):
    pair = Joined(holds_transfers=True, piecewise=piecewise)
    pair.log_in()
    pair.ask("EPSV")
    assert pair.ask("RETR a") == [150]
    assert pair.ask("STAT") == [211]
    assert pair.state.transfer is Transfer.STARTED
    assert pair.ask("NOOP") == []
    assert pair.finish(426) == [426, 200]
    assert pair.state.transfer is Transfer.IDLE
    assert pair.client.outstanding == ()


def test_commands_sent_ahead_are_answered_in_order():
    pair = Joined()
    pair.log_in()
    lines = ("EPSV", "LIST", "PWD", "XYZZY", "RETR a", "EPSV", "RETR missing", "STAT")
    before = len(pair.received)
    data = b"".join(pair.client.send_command(Command.parse(line.encode())) for line in lines)
    pair.carry_to_server(data)
    got = [(each.command.word, each.reply.code) for each in pair.received[before:]]
    assert got == [
        ("EPSV", 229),
        ("LIST", 150),
        ("LIST", 226),
        ("PWD", 257),
        ("XYZZY", 500),
        ("RETR", 425),
        ("EPSV", 229),
        ("RETR", 550),
        ("STAT", 211),
    ]
    assert pair.state.transfer is Transfer.ENDPOINT_READY


def test_a_rename_needs_its_two_halves_in_a_row():
    pair = Joined()
    pair.log_in()
    assert pair.ask_all("RNTO b", "RNFR a", "RNTO b", "RNTO b") == [503, 350, 250, 503]
    assert pair.ask_all("RNFR a", "NOOP", "RNTO b") == [350, 200, 503]


def test_names_of_any_octets_arrive_as_they_were():
    seen = []

    class Listening(type(Joined().handler)):
        def __call__(self, command, state):
            seen.append(command)
            return super().__call__(command, state)

    pair = Joined(handler=Listening())
    pair.log_in()
    name = bytes(octet for octet in range(256) if octet not in b"\r\n\0").decode("utf-8", "surrogateescape")
    command = Command("DELE", name)
    pair.carry_to_server(pair.client.send_command(command))
    assert seen[-1] == command
