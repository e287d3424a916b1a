"""Replies: building, serialising, assembling."""

from __future__ import annotations

import pytest

from lockgate.errors import LocalProtocolError, RemoteProtocolError
from lockgate.protocol.replies import Reply, ReplyAssembler, ReplyCode


def assemble(data, assembler=None):
    """Every reply in `data`, which ends its lines with CRLF."""
    assembler = assembler or ReplyAssembler()
    *lines, rest = data.split(b"\r\n")
    assert rest == b""
    return [reply for line in lines if (reply := assembler.feed(line)) is not None]


@pytest.mark.requirement("R959-4-a")
def test_a_reply_of_one_line_is_three_digits_space_text_and_crlf():
    assert Reply.of(ReplyCode.OK, "Fine.").to_bytes() == b"200 Fine.\r\n"


@pytest.mark.requirement("R959-4-b")
def test_a_reply_of_several_lines_begins_with_a_hyphen_and_ends_with_the_same_code():
    assert Reply.of(211, "Features", " PROT", "End").to_bytes() == b"211-Features\r\n PROT\r\n211 End\r\n"


@pytest.mark.requirement("R959-4-b")
@pytest.mark.parametrize("line", ["211 End", "211-x", "211", "500 no", "123x"])
def test_a_middle_line_that_starts_with_three_digits_is_set_off(line):
    data = Reply.of(211, "Begin", line, "End").to_bytes()
    assert data == b"211-Begin\r\n " + line.encode() + b"\r\n211 End\r\n"
    assert assemble(data) == [Reply.of(211, "Begin", " " + line, "End")]


@pytest.mark.parametrize("line", ["a\rb", "a\nb", "a\0b", "\r\n200 ok"])
def test_no_text_can_put_a_line_of_its_own_into_a_reply(line):
    for lines in ((line,), ("a", line, "b")):
        with pytest.raises(LocalProtocolError, match="CR, LF or NUL"):
            Reply(200, lines)


def test_text_that_stands_for_no_octets_cannot_be_a_reply():
    with pytest.raises(LocalProtocolError, match="surrogate"):
        Reply.of(200, "\udfff\ud800")


@pytest.mark.parametrize("code", [0, 99, 600, 1000, -200])
def test_a_code_out_of_range_is_refused(code):
    with pytest.raises(LocalProtocolError, match="not between"):
        Reply(code, ("x",))


def test_a_reply_without_a_line_is_refused():
    with pytest.raises(LocalProtocolError, match="at least one line"):
        Reply(200, ())


def test_a_telnet_iac_in_a_name_is_doubled():
    assert Reply.of(257, '"\udcff"').to_bytes() == b'257 "\xff\xff"\r\n'


@pytest.mark.parametrize(
    ("code", "preliminary", "success", "refusal"),
    [
        (150, True, False, False),
        (226, False, True, False),
        (331, False, False, False),
        (425, False, False, True),
        (530, False, False, True),
    ],
)
def test_the_first_digit_tells_the_kind(code, preliminary, success, refusal):
    reply = Reply.of(code, "x")
    assert (reply.is_preliminary, reply.is_success, reply.is_refusal) == (preliminary, success, refusal)


def test_text_joins_the_lines():
    assert Reply.of(200, "a", "b").text == "a\nb"


def test_a_reply_is_shown_on_one_line():
    assert str(Reply.of(200, "a", "b\x1b")) == "200 a / b\\x1b"


@pytest.mark.requirement("R959-C-a")
@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"220 hello\r\n", Reply.of(220, "hello")),
        (b"220\r\n", Reply.of(220, "")),
        (b"220 \r\n", Reply.of(220, "")),
        (b"299 not in any RFC\r\n", Reply.of(299, "not in any RFC")),
        (b"220-a\r\n220 b\r\n", Reply.of(220, "a", "b")),
        (b"220-a\r\n220\r\n", Reply.of(220, "a", "")),
        (b"220-a\r\n220-b\r\n220 c\r\n", Reply.of(220, "a", "b", "c")),
        (b"220-a\r\n  220 b\r\n220 c\r\n", Reply.of(220, "a", "  220 b", "c")),
        (b"220-a\r\n221 b\r\n220 c\r\n", Reply.of(220, "a", "221 b", "c")),
        (b"220-a\r\n2200 b\r\n220 c\r\n", Reply.of(220, "a", "2200 b", "c")),
        (b"220-a\r\n\r\n220 c\r\n", Reply.of(220, "a", "", "c")),
        (b"250-a\r\n type=file; n\r\n250 e\r\n", Reply.of(250, "a", " type=file; n", "e")),
        (b"220 \xe9\xc3\xa9\r\n", Reply.of(220, "\udce9é")),
    ],
)
def test_lines_make_a_reply(data, reply):
    assert assemble(data) == [reply]


def test_one_assembler_takes_reply_after_reply():
    assembler = ReplyAssembler()
    assert assemble(b"150 a\r\n226-b\r\n226 c\r\n200 d\r\n", assembler) == [
        Reply.of(150, "a"),
        Reply.of(226, "b", "c"),
        Reply.of(200, "d"),
    ]
    assert not assembler.is_inside


def test_the_assembler_says_whether_it_is_inside_a_reply():
    assembler = ReplyAssembler()
    assert not assembler.is_inside
    assert assembler.feed(b"220-a") is None
    assert assembler.is_inside


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"2",
        b"22",
        b"hello",
        b"22x hello",
        b"099 x",
        b"600 x",
        b"2000 x",
        b"220_x",
        b"\xff20 x",
        b"SSH-2.0-x",
    ],
)
def test_a_line_that_starts_no_reply_is_the_peers_fault(line):
    with pytest.raises(RemoteProtocolError, match="no FTP reply"):
        ReplyAssembler().feed(line)


def test_control_octets_of_the_peer_do_not_reach_a_terminal_as_line_ends():
    assert ReplyAssembler().feed(b"220 a\rb\0c") == Reply.of(220, "abc")


@pytest.mark.requirement("RSEC-line-a")
def test_a_reply_of_too_many_lines_is_the_peers_fault():
    assembler = ReplyAssembler(max_lines=3)
    assemble(b"220-a\r\nb\r\nc\r\n", assembler)
    with pytest.raises(RemoteProtocolError, match="more than 3 lines"):
        assembler.feed(b"d")


def test_a_reply_of_exactly_the_limit_is_taken():
    # The limit counts the lines before the last one's arrival: three, and the one that ends the reply.
    assert assemble(b"220-a\r\nb\r\n220 c\r\n", ReplyAssembler(max_lines=3)) == [Reply.of(220, "a", "b", "c")]


@pytest.mark.requirement("RSEC-line-a")
def test_a_reply_of_too_many_bytes_is_the_peers_fault():
    assembler = ReplyAssembler(max_bytes=10)
    assembler.feed(b"220-1234")
    assert assembler.feed(b"12") is None
    with pytest.raises(RemoteProtocolError, match="10 bytes"):
        assembler.feed(b"1")
