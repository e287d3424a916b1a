"""The arguments of RANG, HASH, MFF, SITE UTIME and OPTS MODE Z."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import RemoteProtocolError
from lockgate.protocol.extensions import (
    DEFAULT_LEVEL,
    ChangedFacts,
    UnknownOption,
    accepted_range,
    format_hash_feature,
    parse_mff,
    parse_mode_z_options,
    parse_rang,
    parse_utime,
)

LARGEST = (1 << 63) - 1


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("0 0", (0, 0)),
        ("0 49", (0, 49)),
        (" 7 7 ", (7, 7)),
        (f"0 {LARGEST}", (0, LARGEST)),
        (f"{LARGEST} {LARGEST}", (LARGEST, LARGEST)),
        ("1 0", None),
    ],
)
def test_a_range_is_read(argument, expected):
    assert parse_rang(argument) == expected
    assert accepted_range(argument) == (expected or (0, None))


@pytest.mark.parametrize(
    "argument",
    [
        "", "5", "2 1", "1  2", "-1 5", "1 -5", "+1 5", "a b", "1 2 3", "1.0 2", "0x1 2", "\u0661 \u0662",
        f"0 {1 << 63}", f"{1 << 63} {1 << 63}", "0 " + "9" * 20, "0 " + "9" * 5000, "1\t2",
    ],
)  # fmt: skip
def test_junk_is_no_range(argument):
    with pytest.raises(RemoteProtocolError):
        parse_rang(argument)
    assert accepted_range(argument) == (0, None)


@given(st.text(max_size=40))
def test_a_range_is_in_order_or_refused(argument):
    try:
        found = parse_rang(argument)
    except RemoteProtocolError:
        return
    assert found is None or 0 <= found[0] <= found[1] <= LARGEST


def test_the_chosen_algorithm_has_the_star():
    assert format_hash_feature(("SHA-256", "CRC32"), "CRC32") == "HASH SHA-256;CRC32*"


@pytest.mark.parametrize(
    ("argument", "facts", "path"),
    [
        ("modify=20200102030405; a", ChangedFacts(modify=1577934245.0), "a"),
        ("Modify=19700101000000;UNIX.mode=0644; a b", ChangedFacts(0.0, 0o644), "a b"),
        ("unix.MODE=600; ../x;y=z; w", ChangedFacts(unix_mode=0o600), "../x;y=z; w"),
        ("UNIX.mode=4755;  lead", ChangedFacts(unix_mode=0o4755), " lead"),
    ],
)
def test_facts_to_change_are_read(argument, facts, path):
    assert parse_mff(argument) == (facts, path)


@pytest.mark.parametrize(
    "argument",
    [
        "", "a", "modify=20200102030405;", "modify=20200102030405; ", "modify=20200102030405 a", "; a", " a",
        "modify=20200102030405;a", "modify; a", "=1; a", ";; a", "modify=20200102030405;; a", "modify=; a",
        "modify=20200230000000; a", "modify=20200102030405;MODIFY=20200102030405; a", "unix.mode=; a",
        "unix.mode=8; a", "unix.mode=-644; a", "unix.mode=0o644; a", "unix.mode=777777; a",
    ],
)  # fmt: skip
def test_junk_changes_no_facts(argument):
    with pytest.raises(RemoteProtocolError) as caught:
        parse_mff(argument)
    assert not isinstance(caught.value, UnknownOption)


@pytest.mark.parametrize("name", ["create", "size", "unix.owner", "UNIX.uid", "perm", "x"])
def test_other_facts_are_told_from_junk(name):
    with pytest.raises(UnknownOption):
        parse_mff(f"modify=20200102030405;{name}=1; a")


def test_changed_facts_are_written_as_they_were_asked_for():
    facts, _ = parse_mff("modify=20200102030405;unix.mode=644; a")
    assert str(facts) == "Modify=20200102030405;UNIX.mode=0644;"
    assert str(ChangedFacts()) == ""


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("20200102030405 a b", (1577934245.0, "a b")),
        ("202001020304 a", (1577934240.0, "a")),
        ("a b 20190101000000 20200102030405 20210101000000 UTC", (1577934245.0, "a b")),
        ("a 201901010000 202001020304 202101010000 utc", (1577934240.0, "a")),
        # Three times and UTC behind it: the longer form wins.
        ("20200102030405 20190101000000 20200102030405 20210101000000 UTC", (1577934245.0, "20200102030405")),
        ("20200102030405 a 20190101000000 UTC", (1577934245.0, "a 20190101000000 UTC")),
    ],
)
def test_both_forms_of_utime_are_read(argument, expected):
    assert parse_utime(argument) == expected


@pytest.mark.parametrize(
    "argument",
    ["", "a", "20200102030405", "20200102030405 ", "2020010203 a", "202001020304055 a", "20201302030405 a",
     "202001020399 a", "a 20190101000000 20200102030405 20210101000000 CET", "a 1 2 3 UTC"],
)  # fmt: skip
def test_junk_is_no_utime(argument):
    with pytest.raises(RemoteProtocolError):
        parse_utime(argument)


@pytest.mark.parametrize(
    ("argument", "level"),
    [("", DEFAULT_LEVEL), ("LEVEL 0", 0), ("level 9", 9), ("engine zlib METHOD 8", DEFAULT_LEVEL),
     ("LEVEL 1 ENGINE ZLIB LEVEL 3", 3)],
)  # fmt: skip
def test_options_of_mode_z_are_read(argument, level):
    assert parse_mode_z_options(argument) == level


@pytest.mark.parametrize(
    ("argument", "error"),
    [("LEVEL", RemoteProtocolError), ("LEVEL 10", RemoteProtocolError), ("LEVEL -1", RemoteProtocolError),
     ("LEVEL \u0661", RemoteProtocolError), ("ENGINE LZO", UnknownOption), ("METHOD 9", UnknownOption),
     ("BLOCKSIZE 1024", UnknownOption)],
)  # fmt: skip
def test_other_options_of_mode_z_are_refused(argument, error):
    with pytest.raises(error):
        parse_mode_z_options(argument)
