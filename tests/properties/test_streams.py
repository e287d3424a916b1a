"""Any bytes, cut anyhow: values or RemoteProtocolError, the same ones, in bounded memory."""

from __future__ import annotations

import traceback
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import RemoteProtocolError
from lockgate.protocol.client import ClientLimits, ClientProtocol
from lockgate.protocol.commands import Command
from lockgate.protocol.effects import CloseControl
from lockgate.protocol.gates import GatePolicy, Requirement
from lockgate.protocol.lines import LineReader
from lockgate.protocol.replies import Reply, ReplyAssembler
from lockgate.protocol.server import CommandReceived, CommandRefused, ServerLimits, ServerProtocol
from lockgate.protocol.states import Control

IAC = b"\xff"
TELNET = [
    b"\xff\xf4\xff\xf2",
    b"\xff\xf4",
    b"\xff\xf2",
    b"\xff\xf1",
    b"\xff\xff",
    b"\xff",
    b"\xff\xfb\x01",
    b"\xff\xfe\n",
    b"\xff\xfa\x18\r\nABOR\r\n\xff\xf0",
    b"\xff\xfa",
    b"\xff\xf0",
    b"\xf4",
    b"\xf2",
]
LINES = [
    b"USER a\r\n",
    b"PASS b\r\n",
    b"ABOR\r\n",
    b"NOOP\n",
    b"STOR \xe9\xff\xffx\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"GET / HTTP/1.1\r\n",
    b"x" * 50,
]
REPLIES = [
    b"220 Hi\r\n",
    b"220-Hi\r\n",
    b" 220 there\r\n",
    b"211-F\r\n PROT\r\n211 End\r\n",
    b"150 go\r\n",
    b"226 ok\n",
    b"421 bye\r\n",
    b"331\r\n",
    b"230",
    b" ",
    b"-",
]
octets = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from(TELNET + LINES + REPLIES) | st.binary(max_size=4), max_size=20).map(b"".join),
)


@st.composite
def cut(draw, data):
    """The same bytes in pieces."""
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    edges = [0, *places, len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def lines_of(pieces, **limits):
    reader = LineReader(**limits)
    try:
        for piece in pieces:
            reader.feed(piece)
    except RemoteProtocolError:
        return list(iter(reader.pop, None)), None
    return list(iter(reader.pop, None)), reader.has_pending


def single(data):
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.requirement("R1123-b")
@given(st.data(), octets, st.sampled_from([4, 20, 8192]), st.sampled_from([8, 40, 1 << 16]))
def test_lines_are_the_same_however_the_bytes_are_cut(data, stream, line_bytes, dropped_bytes):
    limits = {"max_line_bytes": line_bytes, "max_dropped_bytes": dropped_bytes}
    whole = lines_of([stream], **limits)
    assert lines_of(single(stream), **limits) == whole
    assert lines_of(data.draw(cut(stream)), **limits) == whole
    for line in whole[0]:
        assert b"\n" not in line.data
        assert len(line.data) <= line_bytes + 1
        assert line.fault is not None or not {0, 13} & set(line.data)


@pytest.mark.requirement("RSEC-line-a")
@given(st.lists(octets, max_size=60))
def test_a_reader_keeps_no_more_than_a_line(pieces):
    reader = LineReader(max_line_bytes=16, max_dropped_bytes=64)
    since_line_end = 0
    for piece in pieces:
        try:
            reader.feed(piece)
        except RemoteProtocolError:
            return
        while reader.pop() is not None:
            pass
        since_line_end = since_line_end + len(piece) if b"\n" not in piece else len(piece)
        held = sum(len(getattr(reader, name)) for name in ("_buffer", "_lines"))
        assert held <= 17
        # With nothing that looks like a line end, the peer is given up sooner or later.
        assert since_line_end <= 16 + 2 * 64 + 2 + 80 * 20 or b"\n" in piece


@given(st.lists(octets, max_size=30).map(b"".join).flatmap(lambda data: st.tuples(st.just(data), cut(data))))
def test_server_events_are_the_same_however_the_bytes_are_cut(case):
    stream, pieces = case
    assert served(single(stream)) == served([stream]) == served(pieces)


def served(pieces, refusals=5):
    """Everything an idle server that answers 200 to all says to a stream; TLS is not offered."""
    policy = GatePolicy(has_tls=False, control=Requirement.OPTIONAL, data=Requirement.OPTIONAL)
    core = ServerProtocol(policy, limits=ServerLimits(line_bytes=40, dropped_bytes=100, refusals=refusals))
    said = []
    for piece in pieces:
        try:
            core.receive_data(piece)
        except RemoteProtocolError:
            # The lines before the endless one were answered, or stand there when all came at once.
            if answer_all(core, said):
                said.append("given up")
            break
        if not answer_all(core, said):
            break
    return said


def answer_all(core, said):
    """Answer what is there; False when that closed the session."""
    while (event := core.next_event()) is not None:
        if isinstance(event, CommandRefused):
            output = core.send_reply(event.reply, event.command)
        else:
            code = {"USER": 331, "PASS": 230, "QUIT": 221}.get(event.command.word, 200)
            output = core.send_reply(Reply.of(code, "Done."), event.command)
        said.append((event, output))
        if output.effects:
            return False
    return True


@pytest.mark.requirement("R959-4-a")
@given(st.lists(st.sampled_from(LINES[:6]), min_size=1, max_size=8).map(b"".join))
def test_every_line_gets_exactly_one_answer_of_digits_text_and_crlf(stream):
    said = served([stream], refusals=100)
    assert len(said) == stream.count(b"\n")
    for _, output in said:
        assert output.data[:3].isdigit()
        assert output.data[3:4] == b" "
        assert output.data.endswith(b"\r\n")
        assert output.data.count(b"\n") == 1


@pytest.mark.requirement("RSEC-line-a")
@given(st.lists(octets, max_size=10), st.booleans())
def test_any_bytes_give_a_server_events_or_an_error_of_the_peers(pieces, implicit):
    core = ServerProtocol(implicit=implicit)
    if implicit:
        core.tls_established()
    try:
        for piece in pieces:
            core.receive_data(piece)
            while (event := core.next_event()) is not None:
                if isinstance(event, CommandRefused):
                    core.send_reply(event.reply, event.command)
                else:
                    core.send_reply(Reply.of(500, "No."), event.command)
    except RemoteProtocolError:
        return
    assert not core.state.is_logged_in


@pytest.mark.requirement("RSEC-line-a", side="C")
@given(octets.flatmap(lambda data: st.tuples(st.just(data), cut(data))), st.lists(st.sampled_from(LINES[:3])))
def test_any_bytes_give_a_client_replies_or_an_error_of_the_peers(case, sent):
    stream, pieces = case
    whole = replied([stream], sent)
    assert replied(pieces, sent) == whole
    assert replied(single(stream), sent) == whole


def replied(pieces, sent):
    core = ClientProtocol(limits=ClientLimits(line_bytes=30, reply_lines=5, reply_bytes=60))
    for line in sent:
        core.send_command(Command.parse(line[:-2]))
    got = []
    for piece in pieces:
        try:
            core.receive_data(piece)
        except RemoteProtocolError:
            # The replies before the endless line were taken, or stand there when all came at once.
            take_all(core, got)
            return [*got, "given up"]
        if not take_all(core, got):
            return [*got, "given up"]
    return got


def take_all(core, got):
    """Take the replies that are there; False when one of them is none."""
    try:
        while (reply := core.next_reply()) is not None:
            got.append((reply, core.state))
    except RemoteProtocolError:
        return False
    return True


@given(octets)
def test_the_assembler_gives_replies_or_an_error_of_the_peers(stream):
    assembler = ReplyAssembler(max_lines=5, max_bytes=60)
    for line in stream.split(b"\n"):
        try:
            reply = assembler.feed(line)
        except RemoteProtocolError:
            return
        if reply is not None:
            assert 100 <= reply.code <= 599
            assert len(reply.lines) <= 6
            assert Reply(reply.code, reply.lines) == reply


safe_text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40)


@pytest.mark.requirement("R959-4-b")
@given(
    st.integers(100, 599),
    st.lists(safe_text | st.sampled_from(["200 x", "220-x", "220"]), min_size=1, max_size=6),
)
def test_a_reply_reads_as_it_was_written_and_no_line_can_end_it(code, lines):
    reply = Reply(code, tuple(lines))
    reader, assembler = LineReader(), ReplyAssembler()
    reader.feed(reply.to_bytes())
    got = [assembler.feed(line.data) for line in iter(reader.pop, None)]
    assert got[:-1] == [None] * (len(got) - 1)
    assert got[-1].code == code
    # A middle line that starts with digits is set off by a space; everything else is as it was.
    assert [line.lstrip(" ") for line in got[-1].lines] == [line.lstrip(" ") for line in lines]


@pytest.mark.requirement("R959-C-d")
@given(st.sampled_from(["STOR", "RETR", "CWD", "XYZZY"]), safe_text)
def test_a_command_reads_as_it_was_written(word, argument):
    command = Command(word, argument)
    reader = LineReader()
    reader.feed(command.to_bytes() + b"NOOP\r\n")
    assert Command.parse(reader.pop().data) == command
    assert Command.parse(reader.pop().data) == Command("NOOP")


@given(st.binary(max_size=60).map(lambda data: data.translate(None, b"\r\n\0")))
def test_a_name_of_any_octets_survives(octets):
    line = b"STOR " + octets
    reader = LineReader()
    reader.feed(Command.parse(line).to_bytes())
    assert reader.pop().data == line


SECRET = "s3cr3tw0rd"


@st.composite
def secret_lines(draw):
    """PASS or ACCT in any case, what may stand between it and the secret, and the secret in some company."""
    word = "".join(
        draw(st.sampled_from([c.upper(), c.lower()])) for c in draw(st.sampled_from(["PASS", "ACCT"]))
    )
    between = draw(
        st.sampled_from([" ", "  ", "", ":", "=", "-", "\t", " \t", "\xa0", ' "', "\x1b", "\0", "\r"])
    )
    before, after = draw(st.tuples(st.text(max_size=3), st.text(max_size=3)))
    shown = draw(st.sampled_from([before, ""]))
    return f"{word}{between}{shown}{SECRET}{after}".encode("utf-8", "ignore")


@given(secret_lines())
def test_a_secret_is_shown_by_no_value_and_no_error(line):
    reader = LineReader()
    try:
        reader.feed(line + b"\r\n")
        shown = ""
        for got in iter(reader.pop, None):
            shown += repr(got)
            # A line end in the middle makes two lines, and the second is no password's any more.
            if got.data[:4].upper() in (b"PASS", b"ACCT"):
                command = Command.parse(got.data)
                shown += f"{command!r} {command} {[command]}"
    except RemoteProtocolError as error:
        shown = "".join(traceback.format_exception(error))
    assert SECRET not in shown.lower()


# --- the edge of TLS ---


@pytest.mark.requirement("RTLS-e")
@given(
    st.binary(min_size=1, max_size=40) | st.lists(st.sampled_from(TELNET + LINES), min_size=1).map(b"".join),
    st.sampled_from([b"AUTH TLS\r\n", b"auth ssl\r\n", b"\xff\xf1AUTH TLS-C\r\n"]),
    st.sampled_from(["same feed", "before the reply", "both"]),
)
def test_bytes_behind_auth_end_the_session_and_are_never_a_command(behind, auth, when):
    core = ServerProtocol(
        GatePolicy(control=Requirement.OPTIONAL), limits=ServerLimits(dropped_bytes=1 << 20)
    )
    core.receive_data(auth + (behind if when != "before the reply" else b""))
    event = core.next_event()
    assert isinstance(event, CommandReceived)
    if when != "same feed":
        core.receive_data(behind)
    output = core.send_reply(Reply.of(234, "Go."), event.command)
    assert output.data.startswith(b"421 ")
    assert [type(effect) for effect in output.effects] == [CloseControl]
    assert core.state.control is Control.CLEAR
    core.receive_data(b"USER a\r\n")
    assert core.next_event() is None


@pytest.mark.requirement("RTLS-l")
@given(
    st.binary(min_size=1, max_size=40)
    | st.lists(st.sampled_from(TELNET + REPLIES), min_size=1).map(b"".join),
    st.booleans(),
)
def test_bytes_behind_a_234_end_the_session_and_are_never_a_reply(behind, together):
    core = ClientProtocol()
    core.receive_data(b"220 Hi\r\n")
    core.next_reply()
    core.send_command(Command("AUTH", "TLS"))
    if together:
        core.receive_data(b"234 Go\r\n" + behind)
        with pytest.raises(RemoteProtocolError):
            core.next_reply()
    else:
        core.receive_data(b"234 Go\r\n")
        assert core.next_reply().reply.code == 234
        with pytest.raises(RemoteProtocolError):
            core.receive_data(behind)
        assert core.next_reply() is None
    assert core.outstanding == ()
