"""Lines of the audit log: what is written can be read back, and nobody can write a field of his own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_lines import read_line

from lockgate.server.audit import format_event

# All code points, surrogates too: of those the octets that are no UTF-8 are the ones that names bring.
_TEXT = st.text(st.characters(exclude_categories=()), max_size=45) | st.text(
    '\\" =xu0\udcfc\u202e', max_size=45
)


@given(st.dictionaries(st.sampled_from(("peer", "user", "path", "reason")), _TEXT))
def test_what_is_written_reads_back_as_it_was(fields: dict[str, str]) -> None:
    line = format_event("event", fields)
    assert line.isprintable()
    assert read_line(line) == ("event", fields)


@given(st.text(st.characters(exclude_categories=()), min_size=501))
def test_a_value_that_is_cut_says_so_and_splits_no_escape(text: str) -> None:
    shown = format_event("event", {"path": text}).partition("=")[2].strip('"')
    assert len(shown) <= 500
    assert shown.endswith("\\...")
    kept = read_line(f'event path="{shown.removesuffix(chr(92) + "...")}"')[1]["path"]
    assert text.startswith(kept)


def test_a_value_that_ends_in_dots_does_not_look_cut() -> None:
    assert format_event("event", {"path": "x..."}) == "event path=x..."
    assert format_event("event", {"path": "x\\..."}) == "event path=x\\\\..."


def test_a_name_cannot_write_a_second_field() -> None:
    line = format_event("login-failed", {"peer": "192.0.2.1", "user": 'x" attempt=9 peer=9.9.9.9 user="y'})
    assert line == r'login-failed peer=192.0.2.1 user="x\" attempt=9 peer=9.9.9.9 user=\"y"'


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Prüfung.txt", "Prüfung.txt"),
        ("Pr\udcfcfung", r"Pr\xfcfung"),
        ("a\\xfc", r"a\\xfc"),
        ("a\x1b[2J", r"a\u001b[2J"),
        ("a\x85b", r"a\u0085b"),
        ("a\u2028b", r"a\u2028b"),
        ("a\u202eb", r"a\u202eb"),
        ("a\U000e0001b", r"a\U000e0001b"),
        ("日本", "日本"),
        ("", '""'),
        ("a=b", '"a=b"'),
    ],
)
def test_names_are_written_as_they_are_where_they_can_be_printed(name: str, shown: str) -> None:
    assert format_event("file", {"path": name}) == f"file path={shown}"
