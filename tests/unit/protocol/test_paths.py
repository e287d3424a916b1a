"""Virtual paths, the quoted path of reply 257, and names that must not forge lines."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockgate.errors import RemoteProtocolError
from lockgate.protocol.paths import (
    is_plain_name,
    join,
    listed,
    parse_257,
    quote_257,
    resolve,
    shown,
    split,
)

WIRE_TEXT = st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))
ARGUMENTS = st.one_of(
    WIRE_TEXT,
    st.lists(st.sampled_from(["..", ".", "", "a", "b c", "\\", "%2e%2e", "...", "\udcc0\udcae"])).map(
        "/".join
    ),
).filter(lambda text: not set(text) & set("\0\r\n"))


@pytest.mark.parametrize(
    ("cwd", "argument", "path"),
    [
        ("/", "", "/"),
        ("/a", "", "/a"),
        ("/a", "b", "/a/b"),
        ("/a", "/b", "/b"),
        ("/a/b", "..", "/a"),
        ("/a/b", "../../../..", "/"),
        ("/a", "/../../etc", "/etc"),
        ("/a", "./b//c/./", "/a/b/c"),
        ("/", "//x", "/x"),
        ("/", "...", "/..."),
        ("/a", "..\\..\\x", "/a/..\\..\\x"),
        ("/a", "%2e%2e/x", "/a/%2e%2e/x"),
        ("/a", "~/x", "/a/~/x"),
        ("/a", " b ", "/a/ b "),
        ("/a", "\udcff", "/a/\udcff"),
    ],
)
def test_an_argument_is_resolved_against_the_working_directory(cwd: str, argument: str, path: str) -> None:
    assert resolve(cwd, argument) == path


@pytest.mark.parametrize("octet", ["\0", "\r", "\n"])
def test_octets_that_no_path_can_carry_are_refused(octet: str) -> None:
    with pytest.raises(RemoteProtocolError, match="NUL, CR or LF"):
        resolve("/", f"a{octet}b")


@given(ARGUMENTS, ARGUMENTS)
def test_a_resolved_path_is_normal_and_below_the_root(cwd: str, argument: str) -> None:
    path = resolve(resolve("/", cwd), argument)
    assert path.startswith("/")
    assert path == "/" or not {"", ".", ".."} & set(path[1:].split("/"))
    assert resolve("/", path) == path


@given(ARGUMENTS)
def test_splitting_and_joining_are_each_others_reverse(argument: str) -> None:
    path = resolve("/", argument)
    parent, name = split(path)
    assert resolve("/", parent) == parent
    if path == "/":
        assert (parent, name) == ("/", "")
    else:
        assert is_plain_name(name)
        assert join(parent, name) == path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "../x", "a\nb", "a\rb", "a\0b"])
def test_what_is_not_one_component_is_no_plain_name(name: str) -> None:
    assert not is_plain_name(name)


@pytest.mark.parametrize("name", ["a", "...", " ", "..a", "a\\b", "\udcff", "ü"])
def test_odd_names_may_be_plain(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "character", ["\0", "\r", "\n", "\t", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"]
)
def test_a_shown_name_has_no_control_characters(character: str) -> None:
    assert shown(f"a{character}b") == "a?b"


@given(st.text(st.characters(exclude_categories=())))
def test_a_shown_name_is_one_line_that_can_be_sent(name: str) -> None:
    text = shown(name)
    text.encode("utf-8", "surrogateescape")
    assert len(text) == len(name)
    assert len(text.splitlines()) <= 1
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text)


@given(WIRE_TEXT.filter(lambda text: not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text)))
@example("\udc80\udcff ü \"'")
def test_a_harmless_name_is_shown_as_it_is(name: str) -> None:
    assert shown(name) == name


def test_a_listed_name_loses_only_what_ends_a_line() -> None:
    assert listed("a\r\nb\0c\x1b\u2028\udcff") == "a??b?c\x1b\u2028\udcff"


@pytest.mark.parametrize(
    ("path", "quoted"),
    [("/", '"/"'), ('/a "b"', '"/a ""b"""'), ('/"', '"/"""'), ("/a\r\n257 x", '"/a??257 x"')],
)
def test_a_257_path_stands_in_quotes(path: str, quoted: str) -> None:
    assert quote_257(path) == quoted


@given(ARGUMENTS, st.sampled_from(["", " is the current directory", ' "created"']))
def test_a_257_path_is_read_back(argument: str, comment: str) -> None:
    path = resolve("/", argument)
    assert parse_257(quote_257(path) + comment) == path


def test_words_before_the_quoted_path_are_passed_over() -> None:
    assert parse_257('Directory is "C:\\data" now') == "C:\\data"


@pytest.mark.parametrize(
    "text", ["", "/path", '"', '""', '"/open', '"/open""', '"/a\rb"', '"/a\0b"', '"/a\nb"', '"" "x"']
)
def test_a_257_without_a_usable_path_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="257"):
        parse_257(text)


@given(st.text(alphabet='"/ab\r', max_size=30))
def test_any_257_text_gives_a_path_or_an_error(text: str) -> None:
    try:
        path = parse_257(text)
    except RemoteProtocolError:
        return
    assert path
    assert "\r" not in path


def test_marks_that_turn_the_direction_of_text_are_not_shown() -> None:
    assert shown("a\u202etxt.exe\u2066\u200f") == "a?txt.exe??"
