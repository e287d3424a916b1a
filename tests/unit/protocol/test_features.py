"""FEAT and OPTS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import LocalProtocolError, RemoteProtocolError
from lockgate.protocol.facts import FACT_NAMES
from lockgate.protocol.features import (
    format_feat,
    format_opts_mlst,
    mlst_feature,
    parse_feat,
    parse_opts,
    parse_opts_mlst,
    parse_opts_utf8,
)

NAMES = st.from_regex(r"[A-Z][A-Z0-9-]{0,7}", fullmatch=True)
PARAMETERS = st.from_regex(r"([!-~]( [!-~])*)?", fullmatch=True)


def test_every_feature_stands_behind_one_space() -> None:
    assert format_feat(["AUTH TLS", "PBSZ"]) == ("Features:", " AUTH TLS", " PBSZ", "End")


def test_without_features_there_is_one_line() -> None:
    lines = format_feat([])
    assert lines == ("No features",)
    assert parse_feat(lines) == {}


@pytest.mark.parametrize("feature", ["", " AUTH", "AUTH ", "A\r\n211 End", "\u00fc", "A\0"])
def test_a_feature_is_printable_ascii(feature: str) -> None:
    with pytest.raises(LocalProtocolError, match="feature"):
        format_feat([feature])


@given(st.dictionaries(NAMES, PARAMETERS))
def test_features_are_read_back(features: dict[str, str]) -> None:
    assert parse_feat(format_feat([f"{name} {rest}".rstrip() for name, rest in features.items()])) == features


def test_features_of_other_servers_are_read() -> None:
    lines = ["Extensions", "AUTH TLS", " auth SSL", "\tUTF8 ", "  REST  STREAM", "", " AUTH", " UTF8", "End"]
    assert parse_feat(lines) == {"AUTH": "TLS;SSL", "UTF8": "", "REST": "STREAM"}


def test_parameters_of_a_later_line_are_kept() -> None:
    assert parse_feat(["", " HASH", " HASH SHA-1", ""]) == {"HASH": "SHA-1"}


@given(st.lists(st.text(max_size=10)))
def test_any_lines_give_features(lines: list[str]) -> None:
    for name, parameters in parse_feat(lines).items():
        assert name
        assert parameters == parameters.strip()


def test_the_mlst_feature_marks_the_active_facts() -> None:
    assert mlst_feature(("type", "size")).startswith("MLST type*;size*;modify;perm;")
    assert mlst_feature(()).count(";") == len(FACT_NAMES)
    assert "*" not in mlst_feature(())


@pytest.mark.parametrize(
    ("argument", "parsed"),
    [
        ("MLST type;size;", ("MLST", "type;size;")),
        ("mlst", ("MLST", "")),
        ("UTF8 ON", ("UTF8", "ON")),
        ("HASH SHA 256", ("HASH", "SHA 256")),
    ],
)
def test_opts_names_a_command_and_its_options(argument: str, parsed: tuple[str, str]) -> None:
    assert parse_opts(argument) == parsed


@pytest.mark.parametrize("argument", ["", " ", " MLST", "\u00fc", "\0"])
def test_opts_without_a_command_is_refused(argument: str) -> None:
    with pytest.raises(RemoteProtocolError, match="OPTS"):
        parse_opts(argument)


@pytest.mark.parametrize(
    ("argument", "facts"),
    [
        ("", ()),
        ("type;size;", ("type", "size")),
        ("SIZE;Type", ("type", "size")),
        ("size;size;bogus;", ("size",)),
        ("UNIX.mode;", ("unix.mode",)),
    ],
)
def test_opts_mlst_picks_the_facts_we_know(argument: str, facts: tuple[str, ...]) -> None:
    assert parse_opts_mlst(argument) == facts


@pytest.mark.parametrize("argument", [";", "type;;size", "type; size;", "ty\u00fcpe;", "type;\r\n"])
def test_a_malformed_opts_mlst_is_refused(argument: str) -> None:
    with pytest.raises(RemoteProtocolError, match="OPTS MLST"):
        parse_opts_mlst(argument)


@given(st.lists(st.sampled_from(FACT_NAMES), unique=True))
def test_the_reply_to_opts_mlst_names_the_active_facts(active: list[str]) -> None:
    command, _, facts = format_opts_mlst(active).partition(" OPTS")
    assert command == "MLST"
    assert facts == "" or facts[0] == " "
    assert set(parse_opts_mlst(facts.strip())) == set(active)


@pytest.mark.parametrize(
    ("argument", "on"), [("ON", True), ("on ", True), ("", True), ("NLST", True), ("Off", False)]
)
def test_opts_utf8_takes_on_and_off(argument: str, *, on: bool) -> None:
    assert parse_opts_utf8(argument) is on


def test_opts_utf8_takes_nothing_else() -> None:
    with pytest.raises(RemoteProtocolError, match="ON or OFF"):
        parse_opts_utf8("maybe")
