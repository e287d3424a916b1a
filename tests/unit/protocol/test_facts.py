"""Facts of MLST and MLSD, and the time format of RFC 3659."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import LocalProtocolError, RemoteProtocolError
from lockgate.protocol.facts import (
    FACT_NAMES,
    Facts,
    format_facts,
    format_mlsx_line,
    format_time,
    moment,
    parse_mlsx_line,
    parse_time,
)

YEAR_1, YEAR_9999 = -62135596800, 253402300799
VALUES = st.text(alphabet="abcXYZ0189,.:!@#$%^&()-_+?/\\'\"=", max_size=12)
NAMES = st.text(min_size=1, max_size=20).filter(lambda name: not set(name) & set("\0\r\n"))


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0, "19700101000000"),
        (1, "19700101000001"),
        (1.999999, "19700101000001"),
        (-0.5, "19691231235959"),
        (1709210096, "20240229123456"),
        (YEAR_1, "00010101000000"),
        (YEAR_9999, "99991231235959"),
        (-1e300, "00010101000000"),
        (math.inf, "99991231235959"),
    ],
)
def test_times_are_written_in_utc(timestamp: float, text: str) -> None:
    assert format_time(timestamp) == text


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0, "19700101000000.000"),
        (1709210096.123, "20240229123456.123"),
        (1.99999, "19700101000001.999"),
        (math.inf, "99991231235959.000"),
    ],
)
def test_a_fraction_is_written_on_request(timestamp: float, text: str) -> None:
    assert format_time(timestamp, fraction=True) == text


def test_what_is_no_number_is_no_time() -> None:
    with pytest.raises(LocalProtocolError, match="not a number"):
        format_time(math.nan)


def test_a_moment_is_a_whole_second_in_utc() -> None:
    assert moment(1.9).isoformat() == "1970-01-01T00:00:01+00:00"


@given(st.integers(YEAR_1, YEAR_9999))
def test_whole_seconds_are_read_back(timestamp: int) -> None:
    assert parse_time(format_time(timestamp)) == timestamp


@given(st.integers(YEAR_1 * 1000, YEAR_9999 * 1000))
def test_milliseconds_survive_reading_and_writing(milliseconds: int) -> None:
    text = format_time(milliseconds / 1000, fraction=True)
    assert format_time(parse_time(text), fraction=True) == text


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        (" 19700101000001 ", 1),
        ("19700101000001.5", 1.5),
        ("19700101000001.000000000000000000", 1),
        ("20161231235960", 1483228800),
        ("99991231235960", YEAR_9999 + 1),
    ],
)
def test_times_are_read(text: str, timestamp: float) -> None:
    assert parse_time(text) == timestamp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1970",
        "197001010000011",
        "19700101000001.",
        "19701301000000",
        "19700230000000",
        "00000101000000",
        "19700101240000",
        "19700101000061",
        "1970010100000\u0661",
        "-1970101000000",
        "19700101000000\n",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="time"):
        parse_time(text)


@given(st.one_of(st.text(max_size=20), st.from_regex(r"\A\d{14}(\.\d*)?\Z")))
def test_any_text_gives_a_time_or_an_error(text: str) -> None:
    try:
        timestamp = parse_time(text)
    except RemoteProtocolError:
        return
    assert YEAR_1 <= timestamp <= YEAR_9999 + 2


def test_facts_come_in_the_order_of_feat() -> None:
    facts = {"x.y": "1", "modify": "19700101000000", "size": "5", "type": "file", "perm": ""}
    assert format_facts(facts, FACT_NAMES) == "type=file;size=5;modify=19700101000000;perm=;"
    assert format_facts(facts, ("x.y", "SIZE", "type")) == "type=file;x.y=1;"
    assert format_facts(facts, ()) == ""


def test_a_value_cannot_forge_a_fact_or_a_name() -> None:
    facts = {"unix.owner": "a b;type=dir\r\nc\u00fc\udcff"}
    assert format_facts(facts, FACT_NAMES) == "unix.owner=a?b?type=dir??c??;"


def test_a_name_cannot_forge_a_line() -> None:
    line = format_mlsx_line({"type": "file"}, FACT_NAMES, name="a\r\ntype=dir; b\0")
    assert line == "type=file; a??type=dir; b?"


@given(st.dictionaries(st.sampled_from(FACT_NAMES), VALUES), NAMES)
def test_lines_are_read_back(facts: dict[str, str], name: str) -> None:
    assert parse_mlsx_line(format_mlsx_line(facts, FACT_NAMES, name=name)) == (facts, name)


@pytest.mark.parametrize(
    ("line", "facts", "name"),
    [
        ("Type=file;SIZE=5; a b ", {"type": "file", "size": "5"}, "a b "),
        ("type=file;size=5 a", {"type": "file", "size": "5"}, "a"),
        (" a", {}, "a"),
        ("type=dir;  a", {"type": "dir"}, " a"),
        ("type=dir; a; b=c", {"type": "dir"}, "a; b=c"),
        ("type=OS.unix=slink:/x; a\r\n", {"type": "OS.unix=slink:/x"}, "a"),
        ("perm=; a\n", {"perm": ""}, "a"),
    ],
)
def test_lines_of_other_servers_are_read(line: str, facts: dict[str, str], name: str) -> None:
    assert parse_mlsx_line(line) == (facts, name)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a",
        "type=file;",
        "type=file; ",
        "junk name",
        "=x; name",
        "a=b;;c=d; name",
        "; name",
        "a=b; na\rme",
        "a=b; na\nme",
        "a=b; na\0me",
        "a=\r; name",
        "a=b; name\r",
    ],
)
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(RemoteProtocolError, match="MLSx"):
        parse_mlsx_line(line)


@given(st.text(alphabet="ab=; \r\n\0T", max_size=20))
def test_any_line_gives_a_name_or_an_error(line: str) -> None:
    try:
        facts, name = parse_mlsx_line(line)
    except RemoteProtocolError:
        return
    assert name
    assert not set(name) & set("\0\r\n")
    assert all(key == key.lower() for key in facts)


@given(
    st.builds(
        Facts,
        type=st.sampled_from(["", "file", "dir", "cdir", "pdir", "OS.unix=slink:/x"]),
        size=st.none() | st.integers(0, 2**62),
        modify=st.none() | st.integers(YEAR_1, YEAR_9999).map(float),
        create=st.none() | st.integers(YEAR_1, YEAR_9999).map(float),
        perm=st.none() | st.just("") | st.just("radfw"),
        unique=VALUES,
        unix_mode=st.none() | st.integers(0, 0o7777),
        unix_owner=VALUES,
        unix_group=VALUES,
    )
)
def test_facts_are_read_back_from_a_line(facts: Facts) -> None:
    line = format_mlsx_line(facts.to_mapping(), (*FACT_NAMES, "create"), name="x")
    assert Facts.from_mapping(parse_mlsx_line(line)[0]) == facts


def test_odd_values_count_as_not_said() -> None:
    odd = {"size": "-5", "modify": "yesterday", "create": "", "unix.mode": "0999"}
    assert Facts.from_mapping(odd) == Facts()
    assert Facts.from_mapping({"size": "\u0665", "unix.mode": "9" * 20}) == Facts()


def test_a_mode_is_octal() -> None:
    assert Facts(unix_mode=0o644).to_mapping() == {"unix.mode": "0644"}
    assert Facts(unix_mode=0o1777).to_mapping() == {"unix.mode": "01777"}


@pytest.mark.parametrize(
    ("type_", "kind", "target"),
    [
        ("file", "file", None),
        ("FILE", "file", None),
        ("dir", "dir", None),
        ("cdir", "dir", None),
        ("pdir", "dir", None),
        ("OS.unix=slink:/A b", "link", "/A b"),
        ("OS.unix=slink", "link", None),
        ("OS.UNIX=symlink", "link", None),
        ("OS.unix=chr-1/2", "other", None),
        ("", "other", None),
    ],
)
def test_a_type_tells_the_kind_and_the_target(type_: str, kind: str, target: str | None) -> None:
    facts = Facts(type=type_)
    assert (facts.kind, facts.link_target) == (kind, target)
