"""The server's core: bytes to events, replies to bytes and effects."""

from __future__ import annotations

import pytest

from lockgate.errors import LocalProtocolError, RemoteProtocolError
from lockgate.protocol.commands import Command
from lockgate.protocol.effects import CloseControl, StartTls, StopTls
from lockgate.protocol.gates import CccRule, GatePolicy, Requirement
from lockgate.protocol.replies import Reply
from lockgate.protocol.server import (
    CommandReceived,
    CommandRefused,
    Output,
    ServerLimits,
    ServerProtocol,
)
from lockgate.protocol.states import Control, Login, Transfer, initial

OPEN = GatePolicy(control=Requirement.OPTIONAL, data=Requirement.OPTIONAL, ccc=CccRule.AFTER_LOGIN)


def ok(line, code, core):
    """Send a command that every gate lets through and answer it."""
    core.receive_data(line.encode() + b"\r\n")
    event = core.next_event()
    assert event == CommandReceived(Command.parse(line.encode()))
    return core.send_reply(Reply.of(code, "Done."), event.command)


def events(core):
    return list(iter(core.next_event, None))


def in_tls(policy=OPEN, **options):
    core = ServerProtocol(policy, **options)
    ok("AUTH TLS", 234, core)
    core.tls_established()
    return core


def logged_in(policy=OPEN, **options):
    core = in_tls(policy, **options)
    ok("USER a", 331, core)
    ok("PASS b", 230, core)
    return core


def transferring(policy=OPEN, **options):
    core = logged_in(policy, **options)
    ok("EPSV", 229, core)
    ok("STOR a", 150, core)
    assert core.state.transfer is Transfer.STARTED
    return core


# --- greeting ---


def test_the_greeting_is_bytes_and_nothing_to_do():
    assert ServerProtocol().greeting(Reply.of(220, "Hello.")) == Output(b"220 Hello.\r\n")


def test_a_greeting_of_421_closes():
    core = ServerProtocol()
    assert core.greeting(Reply.of(421, "Full.")) == Output(b"421 Full.\r\n", (CloseControl("421 Full."),))


def test_on_an_implicit_port_the_greeting_comes_inside_tls():
    core = ServerProtocol(implicit=True)
    with pytest.raises(LocalProtocolError, match="after the TLS handshake"):
        core.greeting(Reply.of(220, "Hello."))
    core.tls_established()
    assert core.greeting(Reply.of(220, "Hello.")).data == b"220 Hello.\r\n"


def test_the_default_policy_demands_protection():
    core = ServerProtocol()
    core.receive_data(b"USER a\r\n")
    assert core.next_event().gate == "login-in-clear"


# --- events ---


def test_commands_come_one_at_a_time_in_order():
    core = ServerProtocol()
    core.receive_data(b"NOOP\r\nSYST\r\nFE")
    assert events(core) == [CommandReceived(Command("NOOP")), CommandReceived(Command("SYST"))]
    core.receive_data(b"AT\r\n")
    assert core.next_event() == CommandReceived(Command("FEAT"))
    assert core.next_event() is None


def test_a_command_is_judged_when_it_is_its_turn():
    core = in_tls()
    core.receive_data(b"USER a\r\nPASS b\r\nPWD\r\n")
    for code in (331, 230):
        core.send_reply(Reply.of(code, "x"), core.next_event().command)
    assert core.next_event() == CommandReceived(Command("PWD"))


@pytest.mark.requirement("R959-4-c")
def test_an_unknown_command_is_500():
    core = ServerProtocol()
    core.receive_data(b"XYZZY plugh\r\n")
    event = core.next_event()
    assert isinstance(event, CommandRefused)
    assert (event.command, event.reply.code, event.gate) == (Command("XYZZY", "plugh"), 500, "unknown-verb")


def test_a_gate_refuses_with_its_reply_and_name():
    core = ServerProtocol()
    core.receive_data(b"pwd\r\n")
    assert core.next_event() == CommandRefused(
        Command("PWD"), Reply.of(530, "Log in first."), "not-logged-in"
    )


@pytest.mark.requirement("RSEC-line-a")
@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"x" * 30 + b"\r\n", "too long"),
        (b"NOOP\n", "CR LF"),
        (b"NO\0OP\r\n", "CR and NUL"),
        (b"\r\n", "Not a command"),
        (b" NOOP\r\n", "Not a command"),
        (b"\x16\x03\x01\x02\r\n", "Not a command"),
    ],
)
def test_a_line_that_is_no_command_is_500_and_harmless(line, text):
    core = ServerProtocol(limits=ServerLimits(line_bytes=20))
    core.receive_data(line + b"NOOP\r\n")
    refused, noop = events(core)
    assert (refused.command, refused.reply.code, refused.gate) == (None, 500, "line")
    assert text in refused.reply.text
    assert core.send_reply(refused.reply, refused.command).effects == ()
    assert noop == CommandReceived(Command("NOOP"))


@pytest.mark.requirement("RSEC-line-a")
def test_a_line_without_end_is_given_up():
    core = ServerProtocol(limits=ServerLimits(line_bytes=20, dropped_bytes=100))
    for _ in range(10):
        core.receive_data(b"x" * 10)
    with pytest.raises(RemoteProtocolError, match="without an end"):
        core.receive_data(b"x")


@pytest.mark.requirement("RSEC-xproto-a")
@pytest.mark.parametrize(
    "line",
    ["GET / HTTP/1.1", "post /x HTTP/1.1", "Host: ftp", "PRI * HTTP/2.0", "EHLO x", "SSH-2.0-OpenSSH_9.6"],
)
def test_another_protocol_closes_the_session_at_once(line):
    core = ServerProtocol()
    core.receive_data(line.encode() + b"\r\nNOOP\r\n")
    event = core.next_event()
    assert (event.command, event.reply.code, event.gate) == (None, 421, "foreign-protocol")
    assert isinstance(core.send_reply(event.reply, event.command).effects[0], CloseControl)
    assert core.next_event() is None


def test_too_many_refused_lines_before_the_login_close_the_session():
    core = ServerProtocol(limits=ServerLimits(refusals=3))
    core.receive_data(b"XYZZY\r\nPWD\r\n\r\nXYZZY\r\nNOOP\r\n")
    first = [core.next_event().reply.code for _ in range(3)]
    last = core.next_event()
    assert first == [500, 530, 500]
    assert (last.command, last.reply.code, last.gate) == (None, 421, "too-many-commands")
    core.send_reply(last.reply, last.command)
    assert core.next_event() is None


def test_refusals_are_forgiven_by_a_login():
    core = in_tls(limits=ServerLimits(refusals=3))
    for _ in range(2):
        core.receive_data(b"XYZZY\r\n" * 3)
        assert {event.gate for event in events(core)} == {"unknown-verb"}
        if not core.state.is_logged_in:
            ok("USER a", 331, core)
            ok("PASS b", 230, core)
    core.receive_data(b"XYZZY\r\n" * 50)
    assert {event.gate for event in events(core)} == {"unknown-verb"}
    ok("REIN", 220, core)
    core.receive_data(b"XYZZY\r\n" * 3)
    assert {event.gate for event in events(core)} == {"unknown-verb"}


def test_the_policy_of_the_account_counts_after_the_login():
    core = logged_in()
    ok("EPSV", 229, core)
    core.policy = GatePolicy(data=Requirement.REQUIRED)
    core.receive_data(b"LIST\r\n")
    assert core.next_event().gate == "data-level-too-low"


# --- replies and effects ---


def test_a_reply_without_a_command_moves_nothing():
    core = ServerProtocol()
    before = core.state
    assert core.send_reply(Reply.of(500, "What?")) == Output(b"500 What?\r\n")
    assert core.state == before


def test_auth_starts_tls_after_the_234():
    core = ServerProtocol()
    assert ok("AUTH TLS", 234, core) == Output(b"234 Done.\r\n", (StartTls(),))
    assert core.state.control is Control.NEGOTIATING


def test_nothing_is_taken_while_tls_is_negotiated():
    core = ServerProtocol()
    ok("AUTH TLS", 234, core)
    with pytest.raises(LocalProtocolError, match="TLS engine"):
        core.receive_data(b"NOOP\r\n")
    assert core.next_event() is None


def test_a_handshake_nobody_asked_for_is_an_error():
    with pytest.raises(LocalProtocolError):
        ServerProtocol().tls_established()


def test_the_reply_to_rein_goes_out_before_tls_stops():
    core = logged_in()
    assert ok("REIN", 220, core) == Output(b"220 Done.\r\n", (StopTls(),))
    assert core.state == initial()


def test_the_reply_to_ccc_goes_out_before_tls_stops():
    core = logged_in()
    assert ok("CCC", 200, core) == Output(b"200 Done.\r\n", (StopTls(),))
    assert core.state.control is Control.CLEARED
    core.receive_data(b"NOOP\r\n")
    assert core.next_event() == CommandReceived(Command("NOOP"))


def test_rein_on_an_implicit_port_keeps_tls_and_what_follows_it():
    core = ServerProtocol(OPEN, implicit=True)
    core.tls_established()
    core.receive_data(b"REIN\r\nNOOP\r\n")
    assert core.send_reply(Reply.of(220, "x"), core.next_event().command).effects == ()
    assert core.state.is_protected
    assert core.next_event() == CommandReceived(Command("NOOP"))


def test_quit_closes_after_its_reply():
    core = ServerProtocol()
    assert ok("QUIT", 221, core) == Output(b"221 Done.\r\n", (CloseControl("QUIT"),))
    core.receive_data(b"NOOP\r\n")
    assert core.next_event() is None


def test_a_refused_quit_does_not_close():
    core = ServerProtocol()
    assert ok("QUIT", 500, core).effects == ()


def test_a_421_closes_whatever_it_answers():
    core = ServerProtocol()
    assert ok("NOOP", 421, core).effects == (CloseControl("421 Done."),)


def test_a_closing_session_wants_no_data_and_keeps_none():
    core = ServerProtocol(limits=ServerLimits(dropped_bytes=100, line_bytes=10))
    core.send_reply(Reply.of(421, "x"))
    assert not core.wants_data
    core.receive_data(b"x" * 1000)
    assert core.next_event() is None


def test_a_reply_that_does_not_fit_the_tables_is_a_local_error_and_changes_nothing():
    core = in_tls()
    before = core.state
    with pytest.raises(LocalProtocolError):
        core.send_reply(Reply.of(230, "x"), Command("PASS", "x"))
    assert core.state == before


def test_a_refused_login_is_over():
    core = in_tls()
    ok("USER a", 331, core)
    ok("PASS b", 530, core)
    assert core.state.login is Login.NONE


# --- bytes that cross the edge of TLS ---

BEHIND = [
    b"USER root\r\n",
    b"U",
    b"\r",
    b"\n",
    b"\0",
    b"\x16\x03\x01",
    b"x" * 20_000,
    b"\xff",
    b"\xff\xf1",
    b"\xff\xfa\x18",
    b"\xff\xfb\x01",
]


@pytest.mark.requirement("RTLS-e")
@pytest.mark.parametrize("behind", BEHIND, ids=range(len(BEHIND)))
def test_any_byte_behind_auth_in_the_same_feed_closes(behind):
    core = ServerProtocol(OPEN)
    core.receive_data(b"AUTH TLS\r\n" + behind)
    output = core.send_reply(Reply.of(234, "Go."), core.next_event().command)
    assert output.data.startswith(b"421 ")
    assert isinstance(output.effects[0], CloseControl)
    assert core.state.control is Control.CLEAR
    assert events(core) == []


@pytest.mark.requirement("RTLS-e")
@pytest.mark.parametrize("behind", BEHIND, ids=range(len(BEHIND)))
def test_any_byte_before_the_234_closes(behind):
    core = ServerProtocol(OPEN)
    core.receive_data(b"AUTH TLS\r\n")
    event = core.next_event()
    core.receive_data(behind)
    output = core.send_reply(Reply.of(234, "Go."), event.command)
    assert output.data.startswith(b"421 ")
    assert events(core) == []


@pytest.mark.requirement("RTLS-e")
@pytest.mark.parametrize("line", ["CCC", "REIN"])
@pytest.mark.parametrize("behind", BEHIND, ids=range(len(BEHIND)))
def test_any_byte_inside_tls_behind_ccc_or_rein_closes(line, behind):
    core = logged_in()
    core.receive_data(line.encode() + b"\r\n" + behind)
    output = core.send_reply(Reply.of(220, "x"), core.next_event().command)
    assert output.data.startswith(b"421 ")
    assert core.state.is_protected
    assert events(core) == []


def test_bytes_behind_a_refused_auth_are_commands_still_in_clear():
    core = ServerProtocol(GatePolicy(has_tls=False))
    core.receive_data(b"AUTH TLS\r\nNOOP\r\n")
    refused = core.next_event()
    assert core.send_reply(refused.reply, refused.command).effects == ()
    assert core.next_event() == CommandReceived(Command("NOOP"))


@pytest.mark.requirement("RTLS-e")
def test_a_command_held_while_a_transfer_ran_does_not_cross_into_clear():
    core = transferring()
    core.receive_data(b"REIN\r\nUSER a\r\n")
    assert core.next_event() is None
    core.send_reply(Reply.of(226, "x"), Command("STOR", "a"))
    rein = core.next_event()
    assert core.send_reply(Reply.of(220, "x"), rein.command).data.startswith(b"421 ")


# --- while a transfer runs ---


@pytest.mark.requirement("R4217-14-b", "R1123-b")
@pytest.mark.parametrize(
    "octets",
    # Interrupt Process and Data Mark, whole and as TCP's urgent pointer leaves them.
    [
        b"",
        b"\xff\xf4\xff\xf2",
        b"\xff\xf4",
        b"\xff\xf2",
        b"\xff\xf4\xff",
        b"\xff\xf4\xf2",
        b"\xf4\xff\xf2",
        b"\xf2",
        b"\xff",
    ],
)
@pytest.mark.parametrize("line", ["ABOR", "STAT"])
def test_abor_and_stat_overtake_with_and_without_telnet_octets(octets, line):
    core = transferring()
    core.receive_data(b"NOOP\r\n" + octets + line.encode() + b"\r\n")
    assert core.next_event() == CommandReceived(Command(line))
    assert core.next_event() is None


def test_what_waited_comes_in_order_when_the_transfer_ends():
    core = transferring()
    core.receive_data(b"NOOP\r\n\r\nSTAT\r\nSYST\r\n")
    assert core.next_event() == CommandReceived(Command("STAT"))
    assert core.next_event() is None
    core.receive_data(b"PWD\r\n")
    core.send_reply(Reply.of(226, "x"), Command("STOR", "a"))
    assert [getattr(event.command, "word", None) for event in events(core)] == ["NOOP", None, "SYST", "PWD"]


def test_quit_waits_for_the_transfer():
    core = transferring()
    core.receive_data(b"QUIT\r\n")
    assert core.next_event() is None
    core.send_reply(Reply.of(226, "x"), Command("STOR", "a"))
    assert core.next_event() == CommandReceived(Command("QUIT"))


def test_a_second_transfer_waits_and_is_judged_then():
    core = transferring()
    core.receive_data(b"RETR b\r\n")
    assert core.next_event() is None
    core.send_reply(Reply.of(226, "x"), Command("STOR", "a"))
    assert core.next_event().gate == "no-endpoint"


def test_an_aborted_transfer_is_426_and_then_226():
    core = transferring()
    core.receive_data(b"ABOR\r\n")
    abor = core.next_event()
    core.send_reply(Reply.of(426, "x"), Command("STOR", "a"))
    assert core.state.transfer is Transfer.IDLE
    core.send_reply(Reply.of(226, "x"), abor.command)
    assert core.state.transfer is Transfer.IDLE


def test_reading_stops_while_too_much_waits():
    core = transferring(limits=ServerLimits(waiting_commands=3))
    core.receive_data(b"NOOP\r\n" * 2)
    assert core.wants_data
    assert core.next_event() is None
    assert core.wants_data
    core.receive_data(b"NOOP\r\n")
    assert not core.wants_data
    core.send_reply(Reply.of(226, "x"), Command("STOR", "a"))
    core.next_event()
    assert core.wants_data


# --- split invariance ---

SESSION = (
    b"\xff\xfb\x01noop\r\nUSER \xff\xffb\xc3\xa9\r\nPASS x\r\nXYZZY\r\n\r\nbare\nNO\0OP\r\n"
    b"\xff\xf4\xff\xf2ABOR\r\n\xff\xfa\x18\x00\xff\xf0SYST\r\nPW\xff\xf1D\r\n"
    + b"y" * 60
    + b"\r\nQUIT\r\nNOOP"
)


def answers(pieces):
    """Every event and everything sent, each command answered as soon as it is there."""
    core = ServerProtocol(OPEN, limits=ServerLimits(line_bytes=40))
    codes = {"USER": 331, "PASS": 230, "QUIT": 221, "ABOR": 226}
    seen = []
    for piece in pieces:
        core.receive_data(piece)
        while (event := core.next_event()) is not None:
            reply = (
                event.reply
                if isinstance(event, CommandRefused)
                else Reply.of(codes.get(event.command.word, 200), "x")
            )
            seen.append((event, core.send_reply(reply, event.command), core.state))
    return seen


def test_the_events_are_the_same_however_the_bytes_are_split():
    expected = answers([SESSION])
    assert [event.command.word for event, *_ in expected if event.command][-1] == "QUIT"
    assert answers([SESSION[i : i + 1] for i in range(len(SESSION))]) == expected
    for cut in range(len(SESSION)):
        assert answers([SESSION[:cut], SESSION[cut:]]) == expected


def test_an_abort_behind_a_long_command_is_seen_and_keeps_its_place():
    core = ServerProtocol()
    core.receive_data(b"NOOP\r\nbad\nFEAT\r\n")
    assert not core.is_abort_waiting
    core.receive_data(b"\xff\xf4\xff\xf2ABOR\r\nQUIT\r\n")
    assert core.is_abort_waiting
    words = []
    while (event := core.next_event()) is not None:
        words.append(event.command.word if event.command else "")
    assert words == ["NOOP", "", "FEAT", "ABOR", "QUIT"]
    assert not core.is_abort_waiting
