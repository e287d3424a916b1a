"""The text of a configuration file: where each key stands, and variables of the environment in values.

`tomllib` gives values without lines; messages need lines. This module reads a text that `tomllib` has
already accepted and notes where every key begins. It must not know what the keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lockgate.errors import shorten

__all__ = ["FromEnvironment", "KeyPath", "Problem", "expand", "find_line", "key_lines"]

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys, and indexes for arrays, from the top."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_VARIABLE = re.compile(r"\$(\$\{|\{([^}]*)\})")
_SCALAR_END = re.compile(r"[,\]}#\n]")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in a configuration file.

    Attributes:
        line: Counted from 1; 0 when the file as a whole is meant.
        message: What is wrong, what was expected and what to write.
    """

    line: int
    message: str

    def shown(self, file: str, kind: str = "") -> str:
        """Return `FILE:LINE: message`, which editors can jump to; `kind` stands before the message."""
        where = f"{file}:{self.line}" if self.line else file
        return f"{where}: {kind}{self.message}"


class FromEnvironment(str):
    """A string that holds the value of an environment variable; it may stand for a number or a boolean."""

    __slots__ = ()


def expand(value: object, environ: Mapping[str, str], report: Callable[[KeyPath, str], None]) -> object:
    """Return `value` with every `${VARIABLE}` in its strings replaced; `$${` stands for a plain `${`.

    Args:
        value: What `tomllib` returned.
        environ: The environment.
        report: Called with place and message for each variable that is missing.
    """
    return _expand(value, (), environ, report)


def _expand(
    value: object, place: KeyPath, environ: Mapping[str, str], report: Callable[[KeyPath, str], None]
) -> object:
    if isinstance(value, dict):
        return {key: _expand(item, (*place, key), environ, report) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, (*place, index), environ, report) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replace(found: re.Match[str]) -> str:
        name = found.group(2)
        if name is None:
            return "${"
        if name not in environ:
            report(
                place,
                f"the environment variable {shorten(name) or '(without a name)'} is not set; "
                "set it, or write $${ for a plain ${",
            )
            return ""
        return environ[name]

    return FromEnvironment(_VARIABLE.sub(replace, value))


def find_line(lines: Mapping[KeyPath, int], place: KeyPath) -> int:
    """Return the line of the key at `place`, or of what is nearest to it; 0 if there is none."""
    for length in range(len(place), 0, -1):
        found = lines.get(place[:length])
        if found is not None:
            return found
    if place[:1] == ("tls",):
        # A default of [tls] that is not written: it is the first listener that wants it.
        return lines.get(("listener", 0), 0)
    return 0


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line on which each key and each table of a valid TOML text begins."""
    return _Scanner(text).scan()


class _Scanner:
    """Walks once over a TOML text that is known to be valid."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._lines: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._skip_blank():
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _peek(self, length: int = 1) -> str:
        return self._text[self._at : self._at + length]

    def _advance(self, length: int) -> str:
        piece = self._text[self._at : self._at + length]
        self._line += piece.count("\n")
        self._at += len(piece)
        return piece

    def _skip_blank(self) -> bool:
        """Skip white space, line ends and comments; return whether anything is left."""
        while self._at < len(self._text):
            if self._peek() == "#":
                end = self._text.find("\n", self._at)
                self._advance((len(self._text) if end < 0 else end) - self._at)
            elif self._peek().isspace():
                self._advance(1)
            else:
                return True
        return False

    def _note(self, place: KeyPath) -> None:
        self._lines.setdefault(place, self._line)

    def _inside(self, keys: tuple[str, ...]) -> KeyPath:
        """Return the place of a dotted header, with the index of the newest entry of each array passed."""
        place: KeyPath = ()
        for key in keys:
            place = (*place, key)
            if place in self._counts:
                place = (*place, self._counts[place] - 1)
        return place

    def _header(self) -> KeyPath:
        is_array = self._peek(2) == "[["
        self._advance(2 if is_array else 1)
        line = self._line
        keys = self._key()
        self._advance(2 if is_array else 1)
        if is_array:
            array = (*self._inside(keys[:-1]), keys[-1])
            self._lines.setdefault(array, line)
            self._counts[array] = self._counts.get(array, 0) + 1
        place = self._inside(keys)
        self._lines.setdefault(place, line)
        return place

    def _key(self) -> tuple[str, ...]:
        """Read a key, dotted or not, and what white space follows it."""
        keys = []
        while True:
            self._skip_blank()
            if self._peek() in "\"'":
                keys.append(self._string())
            else:
                found = _BARE_KEY.match(self._text, self._at)
                keys.append(self._advance(found.end() - self._at) if found else self._advance(1))
            self._skip_blank()
            if self._peek() != ".":
                return tuple(keys)
            self._advance(1)

    def _pair(self, table: KeyPath) -> None:
        self._skip_blank()
        line = self._line
        place = table
        for key in self._key():
            place = (*place, key)
            self._lines.setdefault(place, line)
        self._advance(1)
        self._value(place)

    def _value(self, place: KeyPath) -> None:
        self._skip_blank()
        opening = self._peek()
        if opening in ("'", '"'):
            self._string()
        elif opening == "[":
            self._items("]", lambda index: self._element((*place, index)))
        elif opening == "{":
            self._items("}", lambda _index: self._pair(place))
        else:
            found = _SCALAR_END.search(self._text, self._at)
            self._advance((found.start() if found else len(self._text)) - self._at)

    def _element(self, place: KeyPath) -> None:
        self._note(place)
        self._value(place)

    def _items(self, closing: str, read: Callable[[int], None]) -> None:
        self._advance(1)
        index = 0
        while self._skip_blank() and self._peek() != closing:
            read(index)
            index += 1
            self._skip_blank()
            if self._peek() == ",":
                self._advance(1)
        self._advance(1)

    def _string(self) -> str:
        """Read a string of any of the four kinds; return its value."""
        quote = self._peek()
        mark = quote * 3 if self._peek(3) == quote * 3 else quote
        self._advance(len(mark))
        start = self._at
        while self._at < len(self._text) and not self._text.startswith(mark, self._at):
            self._advance(2 if quote == '"' and self._peek() == "\\" else 1)
        raw = self._text[start : self._at]
        self._advance(len(mark))
        while len(mark) == 3 and self._peek() == quote:  # up to two quotes may stand before the closing three
            self._advance(1)
        return _ESCAPE.sub(_unescape, raw) if quote == '"' else raw


def _unescape(found: re.Match[str]) -> str:
    code = found.group(1)
    if code[0] in "uU" and len(code) > 1:
        return chr(int(code[1:], 16))
    return {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}.get(code, code)
