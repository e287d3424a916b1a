"""Bytes to lines: line ends, Telnet octets, limits; the same however the bytes are split."""

from __future__ import annotations

import pytest

from lockgate.errors import RemoteProtocolError
from lockgate.protocol.lines import Line, LineFault, LineReader

IAC, IP, DM, NOP, SB, SE, WILL, WONT, DO, DONT = (
    bytes([octet]) for octet in (0xFF, 0xF4, 0xF2, 0xF1, 0xFA, 0xF0, 0xFB, 0xFC, 0xFD, 0xFE)
)


def drain(reader):
    return list(iter(reader.pop, None))


def read(pieces, **limits):
    """The lines of `pieces`, and whether anything is left over; or the lines before the peer was given up."""
    reader = LineReader(**limits)
    try:
        for piece in pieces:
            reader.feed(piece)
    except RemoteProtocolError:
        return drain(reader), "given up"
    lines = drain(reader)
    return lines, reader.has_pending


def whole(data, **limits):
    """The lines of `data` fed at once, having shown that every other way to cut it gives the same."""
    result = read([data], **limits)
    assert read([data[i : i + 1] for i in range(len(data))], **limits) == result
    for cut in range(len(data) + 1):
        assert read([data[:cut], data[cut:]], **limits) == result
    return result


def good(*lines):
    return [Line(line) for line in lines], False


def test_a_line_ends_at_cr_lf():
    assert whole(b"USER a\r\nPASS b\r\n") == good(b"USER a", b"PASS b")


def test_an_empty_line_is_a_line():
    assert whole(b"\r\n\r\n") == good(b"", b"")


def test_a_part_of_a_line_waits():
    assert whole(b"USER a") == ([], True)
    assert whole(b"USER a\r") == ([], True)


def test_nothing_is_pending_at_first_nor_after_nothing():
    reader = LineReader()
    assert not reader.has_pending
    reader.feed(b"")
    assert not reader.has_pending
    assert reader.pop() is None


def test_whole_lines_are_counted_and_pending_until_they_are_popped():
    reader = LineReader()
    reader.feed(b"a\r\nb\r\n")
    assert (reader.waiting, reader.has_pending) == (2, True)
    reader.pop()
    reader.pop()
    assert (reader.waiting, reader.has_pending) == (0, False)


@pytest.mark.requirement("RSEC-line-a")
@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"NOOP\n", Line(b"NOOP", LineFault.BARE_LF)),
        (b"\n", Line(b"", LineFault.BARE_LF)),
        (b"NO\rOP\r\n", Line(b"NO\rOP", LineFault.CONTROL)),
        (b"NOOP\r\r\n", Line(b"NOOP\r", LineFault.CONTROL)),
        (b"NO\0OP\r\n", Line(b"NO\0OP", LineFault.CONTROL)),
        (b"NO\0OP\n", Line(b"NO\0OP", LineFault.BARE_LF)),
    ],
)
def test_a_faulty_line_is_marked_and_the_next_one_is_good(data, line):
    assert whole(data + b"QUIT\r\n") == ([line, Line(b"QUIT")], False)


def test_a_faulty_line_is_not_shown():
    line = Line(b"PASS secret", LineFault.BARE_LF)
    assert "secret" not in repr(line)


@pytest.mark.requirement("RSEC-line-a")
def test_a_line_too_long_is_one_fault_and_the_next_line_is_good():
    data = b"x" * 30 + b"\r\nNOOP\r\n"
    assert whole(data, max_line_bytes=8) == ([Line(b"", LineFault.TOO_LONG), Line(b"NOOP")], False)


def test_a_line_of_exactly_the_limit_is_good():
    assert whole(b"x" * 8 + b"\r\n", max_line_bytes=8) == good(b"x" * 8)
    assert whole(b"x" * 9 + b"\r\n", max_line_bytes=8) == ([Line(b"", LineFault.TOO_LONG)], False)


def test_a_line_too_long_is_reported_before_it_ends():
    assert whole(b"x" * 10, max_line_bytes=8) == ([Line(b"", LineFault.TOO_LONG)], True)


@pytest.mark.requirement("RSEC-line-a")
def test_a_line_without_end_is_given_up():
    data = b"NOOP\r\n" + b"x" * 40
    lines = [Line(b"NOOP"), Line(b"", LineFault.TOO_LONG)]
    assert whole(data, max_line_bytes=8, max_dropped_bytes=39) == (lines, "given up")
    assert whole(data, max_line_bytes=8, max_dropped_bytes=40) == (lines, True)


def test_each_line_may_be_too_long_anew():
    data = (b"x" * 30 + b"\r\n") * 3
    assert whole(data, max_line_bytes=8, max_dropped_bytes=31) == ([Line(b"", LineFault.TOO_LONG)] * 3, False)


@pytest.mark.requirement("R1123-b")
@pytest.mark.parametrize(
    "octets",
    [
        IAC + NOP,
        IAC + IP,
        IAC + IP + IAC + DM,
        IAC + WILL + b"\x01",
        IAC + WONT + b"\n",
        IAC + DO + IAC,
        IAC + DONT + b"A",
        IAC + SB + b"\x18\x01" + IAC + SE,
        IAC + SB + b"any\r\nDELE x\r\n" + IAC + SE,
        IAC + SB + b"a" + IAC + IAC + b"b" + IAC + SE,
        IAC + SB + IAC + SE,
        (IAC + NOP) * 5,
    ],
    ids=[
        "NOP",
        "IP",
        "IP DM",
        "WILL",
        "WONT LF",
        "DO IAC",
        "DONT",
        "sub",
        "sub with lines",
        "sub IAC",
        "empty sub",
        "many",
    ],
)
def test_telnet_commands_are_taken_out_anywhere_in_a_line(octets):
    assert whole(octets + b"ABOR\r\n") == good(b"ABOR")
    assert whole(b"AB" + octets + b"OR\r\n") == good(b"ABOR")
    assert whole(b"ABOR\r" + octets + b"\n") == good(b"ABOR")


@pytest.mark.parametrize("octet", [IP, DM], ids=["IP", "DM"])
def test_an_octet_that_only_looks_like_telnet_stays(octet):
    # UTF-8 of the planes 8 and 16 begins with these, and so do Latin-1 names.
    assert whole(octet + b"\x80\x80\x80 x\r\n") == good(octet + b"\x80\x80\x80 x")


def test_a_doubled_iac_is_one_octet_of_a_name():
    assert whole(b"STOR a" + IAC + IAC + b"b\r\n") == good(b"STOR a\xffb")


def test_an_octet_255_that_was_not_doubled_stays_in_a_name():
    assert whole(b"STOR \xffa\r\n") == good(b"STOR \xffa")
    assert whole(b"STOR a\xff\r\n") == good(b"STOR a\xff")


def test_an_octet_255_before_a_bare_lf_stays_a_bare_lf():
    assert whole(b"a\xff\n" + IAC + NOP + b"b\r\n") == (
        [Line(b"a\xff", LineFault.BARE_LF), Line(b"b")],
        False,
    )


@pytest.mark.parametrize(
    "data",
    [IAC, IAC + SB, IAC + SB + b"abc", IAC + SB + IAC, IAC + WILL, IAC + NOP, IAC + WILL + b"a"],
    ids=["IAC", "SB", "SB abc", "SB IAC", "WILL", "NOP", "WILL a"],
)
@pytest.mark.requirement("RTLS-e")
def test_telnet_octets_behind_the_last_line_are_pending_too(data):
    assert whole(b"AUTH TLS\r\n" + data) == ([Line(b"AUTH TLS")], True)


def test_telnet_octets_before_a_line_end_are_not_pending():
    assert whole(IAC + NOP + b"AUTH TLS\r" + IAC + NOP + b"\n") == good(b"AUTH TLS")
    assert read([IAC + NOP, b"AUTH TLS\r\n"]) == good(b"AUTH TLS")


@pytest.mark.requirement("RSEC-line-a")
@pytest.mark.parametrize("octets", [IAC + SB + b"x" * 60, (IAC + NOP) * 31], ids=["subnegotiation", "NOP"])
def test_telnet_octets_without_end_are_given_up(octets):
    assert whole(b"NOOP\r\n" + octets, max_dropped_bytes=61) == ([Line(b"NOOP")], "given up")
    assert whole(b"NOOP\r\n" + octets, max_dropped_bytes=62) == ([Line(b"NOOP")], True)


def test_telnet_octets_between_lines_are_never_too_many():
    data = (IAC + NOP + b"NOOP\r\n") * 20
    assert whole(data, max_dropped_bytes=8) == good(*[b"NOOP"] * 20)


def test_bytes_like_objects_are_taken():
    assert read([bytearray(b"NOOP\r\n"), bytearray(IAC + NOP + b"NOOP\r\n")]) == good(b"NOOP", b"NOOP")
