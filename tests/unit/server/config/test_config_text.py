"""Where keys stand in a TOML text, and variables of the environment."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from lockgate.server.config.text import FromEnvironment, KeyPath, Problem, expand, find_line, key_lines

TEXT = '''\
# a comment with = and [brackets]
title = "x"          # 2

[server]             # 4
port = 21
text = """
port = 22
[not-a-table]
"""
after = 1            # 10
'single' = 'a # b'   # 11
"dou\\u0062le" = "c \\" # d"
a.b . "c.d" = 1      # 13
list = [             # 14
  "one", # ] comment
  { x = 1, y = [2,
      3] },
]
inline = { p = 1, q.r = "}" }
date = 1979-05-27T07:32:00Z
last = \'\'\'
'' still \'\'\'\'\'
end = true           # 23

[[account]]          # 25
name = "a"
[account.deep]       # 27
z = 1
[[account]]          # 29
  name = "b"
[[account.sub]]      # 31
k = 1
[[account.sub]]      # 33
k = 2
'''

EXPECTED: dict[KeyPath, int] = {
    ("title",): 2,
    ("server",): 4,
    ("server", "port"): 5,
    ("server", "text"): 6,
    ("server", "after"): 10,
    ("server", "single"): 11,
    ("server", "double"): 12,
    ("server", "a"): 13,
    ("server", "a", "b"): 13,
    ("server", "a", "b", "c.d"): 13,
    ("server", "list"): 14,
    ("server", "list", 0): 15,
    ("server", "list", 1): 16,
    ("server", "list", 1, "x"): 16,
    ("server", "list", 1, "y"): 16,
    ("server", "list", 1, "y", 0): 16,
    ("server", "list", 1, "y", 1): 17,
    ("server", "inline"): 19,
    ("server", "inline", "p"): 19,
    ("server", "inline", "q"): 19,
    ("server", "inline", "q", "r"): 19,
    ("server", "date"): 20,
    ("server", "last"): 21,
    ("server", "end"): 23,
    ("account",): 25,
    ("account", 0): 25,
    ("account", 0, "name"): 26,
    ("account", 0, "deep"): 27,
    ("account", 0, "deep", "z"): 28,
    ("account", 1): 29,
    ("account", 1, "name"): 30,
    ("account", 1, "sub"): 31,
    ("account", 1, "sub", 0): 31,
    ("account", 1, "sub", 0, "k"): 32,
    ("account", 1, "sub", 1): 33,
    ("account", 1, "sub", 1, "k"): 34,
}


def places(value: Any, at: KeyPath = ()) -> set[KeyPath]:
    """Return the place of everything in what tomllib returned."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    found = {at} if at else set()
    for key, item in items:
        found |= places(item, (*at, key))
    return found


def test_every_key_has_its_line() -> None:
    assert key_lines(TEXT) == EXPECTED


def test_the_scanner_and_tomllib_see_the_same_keys() -> None:
    assert set(key_lines(TEXT)) == places(tomllib.loads(TEXT))


def test_line_ends_of_windows_change_nothing() -> None:
    assert key_lines(TEXT.replace("\n", "\r\n")) == EXPECTED


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "a = 1", "[t]", "a = {}", "a = []", "a = ''"])
def test_small_texts_come_to_an_end(text: str) -> None:
    assert set(key_lines(text)) == places(tomllib.loads(text))


def test_a_place_without_a_line_takes_that_of_the_table_around_it() -> None:
    lines = key_lines("[tls]\nkey = 'x'\n")
    assert find_line(lines, ("tls", "key")) == 2
    assert find_line(lines, ("tls", "certificate")) == 1
    assert find_line(lines, ("policy", "control")) == 0


def test_problems_show_file_and_line() -> None:
    assert Problem(3, "wrong").shown("x.toml") == "x.toml:3: wrong"
    assert Problem(0, "wrong").shown("x.toml") == "x.toml: wrong"


def expanded(value: object, **environ: str) -> tuple[object, list[tuple[KeyPath, str]]]:
    problems: list[tuple[KeyPath, str]] = []
    return expand(value, environ, lambda place, message: problems.append((place, message))), problems


def test_variables_are_replaced_wherever_a_string_stands() -> None:
    value = {"a": "${X}", "b": [{"c": "<${X}${Y}>"}], "n": 1, "${X}": "key"}
    assert expanded(value, X="1", Y="2") == (
        {"a": "1", "b": [{"c": "<12>"}], "n": 1, "${X}": "key"},
        [],
    )


def test_a_replaced_string_is_known_as_such_and_others_are_not() -> None:
    found, _ = expanded({"a": "${X}", "b": "1"}, X="1")
    assert isinstance(found, dict)
    assert isinstance(found["a"], FromEnvironment)
    assert not isinstance(found["b"], FromEnvironment)


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    assert expanded("${X}", X="${Y} $${Z}")[0] == "${Y} $${Z}"


def test_two_dollars_stand_for_one_before_a_brace() -> None:
    assert expanded("$${X} $argon2id$v $$ $", X="1") == ("${X} $argon2id$v $$ $", [])


@pytest.mark.parametrize("text", ["${NOPE}", "a${NOPE}b"])
def test_a_missing_variable_is_named_with_its_place(text: str) -> None:
    _, problems = expanded({"t": [text]})
    assert [place for place, _message in problems] == [("t", 0)]
    assert "NOPE" in problems[0][1]


def test_an_empty_variable_is_there() -> None:
    assert expanded("${X}", X="") == ("", [])


def test_a_variable_without_a_name_is_reported() -> None:
    assert "without a name" in expanded("${}")[1][0][1]
