"""Reads lines of the audit log back, as a program of the operator's would, by docs/operations.md."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["Told", "read_line", "read_lines", "the_one"]

Told = Callable[[str], list[dict[str, str]]]
"""Returns the fields of each line of an event; see the fixture `told`."""

_FIELD = re.compile(r' ([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|((?:[^" =\\]|\\.)*))')
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([\\\"]))")


def read_line(line: str) -> tuple[str, dict[str, str]]:
    """Return a line's event and its fields; raises ValueError where it is none, or names a field twice."""
    event, _, _ = line.partition(" ")
    fields: dict[str, str] = {}
    at = len(event)
    while at < len(line):
        found = _FIELD.match(line, at)
        if found is None or found[1] in fields:
            raise ValueError(f"not a field at {at}: {line!r}")
        fields[found[1]] = _ESCAPE.sub(_meant, found[3] if found[2] is None else found[2])
        at = found.end()
    return event, fields


def read_lines(lines: list[str], event: str) -> list[dict[str, str]]:
    """Return the fields of each line of an event."""
    return [read_line(line)[1] for line in lines if line.partition(" ")[0] == event]


def the_one(found: list[dict[str, str]], **expected: str) -> dict[str, str]:
    """Return the only line, which has at least these fields."""
    (line,) = found
    assert line | expected == line, line
    return line


def _meant(escape: re.Match[str]) -> str:
    octet, short, long, itself = escape.groups()
    if octet is not None:
        return chr(0xDC00 + int(octet, 16))
    return itself if itself is not None else chr(int(short or long, 16))
