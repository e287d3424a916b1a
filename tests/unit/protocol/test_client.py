"""The client's core: commands to bytes, bytes to replies and effects."""

from __future__ import annotations

import pytest

from lockgate.errors import LocalProtocolError, RemoteProtocolError
from lockgate.protocol.client import ClientLimits, ClientProtocol, ReplyReceived
from lockgate.protocol.commands import Command
from lockgate.protocol.effects import CloseControl, StartTls, StopTls
from lockgate.protocol.replies import Reply
from lockgate.protocol.states import Control, Data, Login, Transfer, initial


def replies(core):
    return list(iter(core.next_reply, None))


def greeted(**options):
    core = ClientProtocol(**options)
    core.receive_data(b"220 Hello.\r\n")
    assert core.next_reply() == ReplyReceived(None, Reply.of(220, "Hello."))
    return core


def ask(core, line, *codes):
    """Send a command and take the replies with these codes."""
    core.send_command(Command.parse(line.encode()))
    core.receive_data(b"".join(b"%d x\r\n" % code for code in codes))
    return replies(core)


def in_tls(**options):
    core = greeted(**options)
    ask(core, "AUTH TLS", 234)
    core.tls_established()
    return core


def logged_in():
    core = in_tls()
    for line, code in (("USER a", 331), ("PASS b", 230), ("PBSZ 0", 200), ("PROT P", 200)):
        ask(core, line, code)
    return core


def transferring():
    core = logged_in()
    ask(core, "EPSV", 229)
    ask(core, "RETR a", 150)
    assert core.state.transfer is Transfer.STARTED
    return core


# --- greeting ---


def test_the_greeting_answers_no_command():
    assert greeted().state == initial()


def test_a_delayed_greeting_comes_in_two_parts():
    core = ClientProtocol()
    core.receive_data(b"120 Wait.\r\n220 Hello.\r\n")
    assert [got.reply.code for got in replies(core)] == [120, 220]
    core.receive_data(b"220 Again.\r\n")
    with pytest.raises(RemoteProtocolError, match="without a command"):
        core.next_reply()


def test_a_421_greeting_says_to_close():
    core = ClientProtocol()
    core.receive_data(b"421 Full.\r\n")
    assert core.next_reply() == ReplyReceived(None, Reply.of(421, "Full."), (CloseControl("421 Full."),))


def test_on_an_implicit_port_nothing_comes_or_goes_before_tls():
    core = ClientProtocol(implicit=True)
    with pytest.raises(RemoteProtocolError, match="in clear"):
        core.receive_data(b"220 Hello.\r\n")
    with pytest.raises(LocalProtocolError, match="handshake is not done"):
        core.send_command(Command("NOOP"))
    core.tls_established()
    core.receive_data(b"220 Hello.\r\n")
    assert core.next_reply().reply.code == 220


def test_a_web_server_is_recognised_as_none_of_ours():
    core = ClientProtocol()
    core.receive_data(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(RemoteProtocolError, match="is this an FTP server"):
        core.next_reply()


# --- commands and replies ---


def test_a_command_goes_out_and_waits_for_its_reply():
    core = greeted()
    assert core.send_command(Command("SYST")) == b"SYST\r\n"
    assert core.outstanding == (Command("SYST"),)
    assert core.next_reply() is None
    core.receive_data(b"215 UNIX\r\n")
    assert core.next_reply() == ReplyReceived(Command("SYST"), Reply.of(215, "UNIX"))
    assert core.outstanding == ()


def test_replies_answer_commands_in_order():
    core = greeted()
    for word in ("SYST", "FEAT", "NOOP"):
        core.send_command(Command(word))
    core.receive_data(b"215 x\r\n211-x\r\n a\r\n211 x\r\n200 x\r\n")
    assert [(got.command.word, got.reply.code) for got in replies(core)] == [
        ("SYST", 215),
        ("FEAT", 211),
        ("NOOP", 200),
    ]


@pytest.mark.requirement("R959-C-a")
def test_a_preliminary_reply_leaves_the_command_waiting():
    core = logged_in()
    ask(core, "PASV", 227)
    got = ask(core, "LIST", 150)
    assert [each.reply.code for each in got] == [150]
    assert core.outstanding == (Command("LIST"),)
    core.receive_data(b"226 x\r\n")
    assert core.next_reply().command == Command("LIST")
    assert core.state.transfer is Transfer.IDLE


def test_a_reply_without_a_command_is_the_servers_fault():
    core = greeted()
    core.receive_data(b"200 x\r\n")
    with pytest.raises(RemoteProtocolError, match="without a command"):
        core.next_reply()


def test_a_421_without_a_command_says_to_close():
    core = greeted()
    core.receive_data(b"421 Idle.\r\n")
    assert core.next_reply() == ReplyReceived(None, Reply.of(421, "Idle."), (CloseControl("421 Idle."),))


def test_a_421_to_a_command_says_to_close():
    (got,) = ask(greeted(), "NOOP", 421)
    assert got.command == Command("NOOP")
    assert got.effects == (CloseControl("421 x"),)


def test_a_221_says_to_close():
    (got,) = ask(greeted(), "QUIT", 221)
    assert got.effects == (CloseControl("221 x"),)


def test_a_reply_that_does_not_fit_the_tables_is_the_servers_fault_and_hides_secrets():
    core = in_tls()
    core.send_command(Command("PASS", "hunter2"))
    core.receive_data(b"230 x\r\n")
    with pytest.raises(RemoteProtocolError, match="LOGIN_DONE does not fit") as caught:
        core.next_reply()
    assert "hunter2" not in str(caught.value)
    assert core.state.login is Login.NONE


def test_the_servers_bare_line_feeds_do_no_harm():
    core = ClientProtocol()
    core.receive_data(b"220-Hello\n\n  there\n220 End\n")
    assert core.next_reply().reply == Reply.of(220, "Hello", "", "  there", "End")


def test_a_line_of_a_reply_may_begin_with_any_octet():
    core = ClientProtocol()
    core.receive_data("220-Hello\r\n\U00100000\r\n220 End\r\n".encode())
    assert core.next_reply().reply.lines[1] == "\U00100000"


@pytest.mark.requirement("RSEC-line-a", side="C")
def test_a_reply_line_too_long_is_the_servers_fault():
    core = ClientProtocol(limits=ClientLimits(line_bytes=20))
    core.receive_data(b"220 " + b"x" * 20)
    with pytest.raises(RemoteProtocolError, match="more than 20 bytes"):
        core.next_reply()


@pytest.mark.requirement("RSEC-line-a", side="C")
def test_replies_without_end_are_the_servers_fault():
    core = ClientProtocol(limits=ClientLimits(waiting_replies=5))
    core.receive_data(b"220-x\r\n" * 5)
    with pytest.raises(RemoteProtocolError, match="without end"):
        core.receive_data(b"220-x\r\n")


@pytest.mark.requirement("RSEC-line-a", side="C")
def test_a_reply_of_too_many_lines_is_the_servers_fault():
    core = ClientProtocol(limits=ClientLimits(reply_lines=5))
    core.receive_data(b"220-x\r\n" * 6)
    with pytest.raises(RemoteProtocolError, match="more than 5 lines"):
        core.next_reply()


@pytest.mark.requirement("RSEC-line-a", side="C")
def test_a_line_without_end_is_given_up():
    core = ClientProtocol()
    for _ in range(65):
        core.receive_data(b"x" * 1000)
    with pytest.raises(RemoteProtocolError, match="without an end"):
        core.receive_data(b"x" * 1000)


# --- what RFC 4217 forbids a client ---


def refused(core, line, reason):
    before = (core.state, core.outstanding)
    with pytest.raises(LocalProtocolError, match=reason):
        core.send_command(Command.parse(line.encode()))
    assert (core.state, core.outstanding) == before


def test_auth_is_not_sent_inside_tls_nor_after_ccc():
    refused(in_tls(), "AUTH TLS", "TLS is up already")
    core = logged_in()
    ask(core, "CCC", 200)
    refused(core, "AUTH TLS", "cleared by CCC")


def test_ccc_is_not_sent_in_clear():
    refused(greeted(), "CCC", "not in TLS")


@pytest.mark.parametrize("line", ["PBSZ 0", "PROT P"])
def test_pbsz_and_prot_are_not_sent_in_clear(line):
    refused(greeted(), line, "AUTH TLS comes first")


@pytest.mark.parametrize("line", ["PBSZ 0", "PROT P"])
def test_pbsz_and_prot_are_not_sent_after_ccc(line):
    core = logged_in()
    ask(core, "CCC", 200)
    refused(core, line, "not allowed after CCC")


@pytest.mark.requirement("R4217-9-j")
def test_prot_is_not_sent_before_pbsz():
    core = in_tls()
    refused(core, "PROT P", "PBSZ 0 comes first")
    ask(core, "PBSZ 0", 503)
    refused(core, "PROT P", "PBSZ 0 comes first")
    ask(core, "PBSZ 0", 200)
    ask(core, "PROT P", 200)
    assert core.state.data is Data.PRIVATE


def test_prot_may_be_sent_right_behind_pbsz():
    core = in_tls()
    core.send_command(Command("PBSZ", "0"))
    core.send_command(Command("PROT", "P"))
    core.receive_data(b"200 x\r\n200 x\r\n")
    assert len(replies(core)) == 2
    assert core.state.data is Data.PRIVATE


@pytest.mark.parametrize("line", ["AUTH TLS", "REIN"])
def test_nothing_is_sent_behind_a_command_that_moves_tls(line):
    core = greeted()
    core.send_command(Command.parse(line.encode()))
    refused(core, "NOOP", "must be answered before anything else")


def test_a_command_that_moves_tls_is_not_sent_behind_another():
    core = greeted()
    core.send_command(Command("NOOP"))
    refused(core, "AUTH TLS", "NOOP is not answered yet")


def test_nothing_is_sent_while_tls_is_negotiated():
    core = greeted()
    ask(core, "AUTH TLS", 234)
    refused(core, "USER a", "handshake is not done")


# --- TLS ---


def test_a_234_starts_tls():
    core = greeted()
    (got,) = ask(core, "AUTH TLS", 234)
    assert got.effects == (StartTls(),)
    assert core.state.control is Control.NEGOTIATING
    core.tls_established()
    assert core.state.is_protected


@pytest.mark.parametrize("code", [334, 200, 431, 504, 534])
def test_nothing_but_a_234_starts_tls(code):
    core = greeted()
    (got,) = ask(core, "AUTH TLS", code)
    assert got.effects == ()
    assert core.state == initial()


def test_a_handshake_nobody_asked_for_is_an_error():
    with pytest.raises(LocalProtocolError):
        greeted().tls_established()


def test_ccc_stops_tls_after_its_200():
    core = logged_in()
    (got,) = ask(core, "CCC", 200)
    assert got.effects == (StopTls(),)
    assert core.state.control is Control.CLEARED
    assert core.state.data is Data.FROZEN_PRIVATE


@pytest.mark.parametrize("code", [500, 533, 534])
def test_a_refused_ccc_keeps_tls(code):
    core = logged_in()
    (got,) = ask(core, "CCC", code)
    assert got.effects == ()
    assert core.state.is_protected


@pytest.mark.requirement("R4217-13-e")
def test_rein_goes_back_to_clear_and_auth_works_again():
    core = logged_in()
    (got,) = ask(core, "REIN", 220)
    assert got.effects == (StopTls(),)
    assert core.state == initial()
    assert ask(core, "AUTH TLS", 234)[0].effects == (StartTls(),)


INJECTED = [
    b"230 Welcome\r\n",
    b"2",
    b"\r",
    b"\n",
    b"\0",
    b"\xff",
    b"\xff\xf1",
    b"\xff\xfb\x01",
    b"220-x\r\n",
    b"\x16\x03\x03",
]


@pytest.mark.requirement("RTLS-l")
@pytest.mark.parametrize("injected", INJECTED, ids=range(len(INJECTED)))
def test_bytes_in_clear_behind_the_234_are_never_replies(injected):
    core = greeted()
    core.send_command(Command("AUTH", "TLS"))
    core.receive_data(b"234 Go.\r\n" + injected)
    with pytest.raises(RemoteProtocolError, match="injecting"):
        core.next_reply()
    assert core.state.control is Control.CLEAR


@pytest.mark.requirement("RTLS-l")
@pytest.mark.parametrize("injected", INJECTED, ids=range(len(INJECTED)))
def test_bytes_in_clear_before_the_handshake_are_never_replies(injected):
    core = greeted()
    ask(core, "AUTH TLS", 234)
    with pytest.raises(RemoteProtocolError, match="in clear"):
        core.receive_data(injected)
    assert core.next_reply() is None


@pytest.mark.requirement("RTLS-e", side="C")
@pytest.mark.parametrize("line", ["CCC", "REIN"])
@pytest.mark.parametrize("injected", INJECTED, ids=range(len(INJECTED)))
def test_bytes_inside_tls_behind_ccc_and_rein_are_never_replies_in_clear(line, injected):
    core = logged_in()
    core.send_command(Command(line))
    core.receive_data(b"220 x\r\n" + injected)
    with pytest.raises(RemoteProtocolError, match="TLS ends"):
        core.next_reply()


# --- while a transfer runs ---


@pytest.mark.parametrize("code", [211, 212, 213, 200, 500, 501, 502, 503])
def test_stat_is_answered_while_the_transfer_runs(code):
    core = transferring()
    (got,) = ask(core, "STAT", code)
    assert got.command == Command("STAT")
    assert core.state.transfer is Transfer.STARTED
    assert core.outstanding == (Command("RETR", "a"),)


@pytest.mark.parametrize("code", [226, 250, 425, 426, 451, 522, 551, 552])
def test_the_transfers_own_end_comes_before_the_answer_to_abor(code):
    core = transferring()
    got = ask(core, "ABOR", code, 226)
    assert [each.command.word for each in got] == ["RETR", "ABOR"]
    assert core.state.transfer is Transfer.IDLE


def test_a_225_answers_abor_before_the_transfer_ends():
    core = transferring()
    got = ask(core, "ABOR", 225, 426)
    assert [each.command.word for each in got] == ["ABOR", "RETR"]
    assert core.state.transfer is Transfer.IDLE


def test_a_second_1xx_belongs_to_the_transfer():
    core = transferring()
    (got,) = ask(core, "STAT", 125)
    assert got.command == Command("RETR", "a")


def test_a_421_during_a_transfer_ends_it():
    core = transferring()
    core.receive_data(b"421 x\r\n")
    got = core.next_reply()
    assert got.command == Command("RETR", "a")
    assert isinstance(got.effects[0], CloseControl)


# --- split invariance ---

SESSION = (
    b"220-Hello\r\n\xff\xfb\x01 there\r\n2\xff\xf120 End\r\n331 \xff\xffx\r\n230-\n\r\n230 in\r\n"
    b"229 (|||1|)\r\n150 go\r\n\xff\xfa\x18\r\n\xff\xf0211-state\r\n211 end\r\n"
    b"426 cut\r\n226 gone\r\n221 bye\r\n"
)


def conversation(pieces):
    core = ClientProtocol()
    for line in (b"USER a", b"PASS b", b"EPSV", b"RETR a", b"STAT", b"ABOR", b"QUIT"):
        core.send_command(Command.parse(line))
    seen = []
    for piece in pieces:
        core.receive_data(piece)
        while (got := core.next_reply()) is not None:
            seen.append((got, core.state))
    return seen


def test_the_replies_are_the_same_however_the_bytes_are_split():
    whole = conversation([SESSION])
    assert [got.reply.code for got, _ in whole] == [220, 331, 230, 229, 150, 211, 426, 226, 221]
    assert conversation([SESSION[i : i + 1] for i in range(len(SESSION))]) == whole
    for cut in range(len(SESSION)):
        assert conversation([SESSION[:cut], SESSION[cut:]]) == whole


def test_preliminary_replies_without_end_are_refused():
    core = ClientProtocol(limits=ClientLimits(preliminary_replies=3))
    core.receive_data(b"220 ready\r\n")
    core.next_reply()
    core.send_command(Command("NOOP"))
    core.receive_data(b"150 wait\r\n" * 4)
    for _ in range(3):
        assert core.next_reply().reply.code == 150
    with pytest.raises(RemoteProtocolError, match="never a final one"):
        core.next_reply()


def test_a_final_reply_begins_the_count_of_preliminary_ones_anew():
    core = ClientProtocol(limits=ClientLimits(preliminary_replies=1))
    core.receive_data(b"220 ready\r\n")
    core.next_reply()
    for _ in range(3):
        core.send_command(Command("NOOP"))
        core.receive_data(b"150 wait\r\n200 done\r\n")
        assert [core.next_reply().reply.code for _ in range(2)] == [150, 200]
