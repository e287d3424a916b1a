from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.tls.names import NameTable, normal_name


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ftp.example.com", "ftp.example.com"),
        ("FTP.Example.COM.", "ftp.example.com"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("straße。example", "strasse.example"),
        ("printer_1", "printer_1"),
        ("a" * 63, "a" * 63),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_a_name_has_one_spelling(text: str, normal: str) -> None:
    assert normal_name(text) == normal
    assert normal_name(normal) == normal


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a..b", "-a", "a-", "a b", "a\0", "a\n", "*.example.org", "*", "[::1]", "::1%lo:1"),
        *("a" * 64, "a." * 130, "ä" * 64, "ä" * 5000, "a/b", "a:21", "300.0.0.1", "10.1", "a.1", "x\u2028y"),
    ],
)
def test_what_is_no_name_has_none(text: str) -> None:
    assert normal_name(text) is None


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("*.Example.ORG.", "*.example.org"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("*.org", "*.org"),
    ],
)
def test_a_wildcard_stands_for_the_leftmost_label_where_it_may(text: str, normal: str) -> None:
    assert normal_name(text, wildcard=True) == normal
    assert normal_name(text) is None


@pytest.mark.parametrize(
    "text", ["*", "*.", "*.*.org", "a*.org", "a.*.org", "*.1.2.3.4", "*." + "a" * 63 + ".b" * 95]
)
def test_other_wildcards_are_none(text: str) -> None:
    assert normal_name(text, wildcard=True) is None


@given(st.text(max_size=300), st.booleans())
def test_any_text_has_a_stable_spelling_or_none(text: str, wildcard: bool) -> None:
    normal = normal_name(text, wildcard=wildcard)
    if normal is not None:
        assert normal_name(normal, wildcard=wildcard) == normal
        assert normal.isascii()
        assert len(normal) <= 253


def table() -> NameTable[str]:
    found: NameTable[str] = NameTable()
    found.add(["*.example.org", "ftp.example.com", "::1"], "first")
    found.add(["a.example.org", "ftp.example.com", "*.example.org", "*.1"], "second")
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FTP.example.com", "first"),
        ("a.example.org", "second"),
        ("b.example.org", "first"),
        ("c.b.example.org", None),
        ("example.org", None),
        ("org", None),
        ("0:0::1", "first"),
        ("0.0.0.1", None),
        ("", None),
        ("*.example.org", None),
    ],
)
def test_the_name_itself_counts_more_than_a_wildcard_and_the_first_more_than_the_rest(
    name: str, value: str | None
) -> None:
    assert table().find(name) == value
