"""What is wrong with a text that is no TOML, with its line and what to write instead.

Goes by the parser's message and the line that it is about; it must not parse TOML itself.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

from lockgate.errors import shorten

from .text import Problem

__all__ = ["syntax_problem"]

ARRAYS: Final = ("listener", "certificate", "account", "rule")
_SECRET: Final = ("password_hash",)
_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_-]+)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
_BARE = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*([^\s\"'\[{#][^#]*?)\s*(?:#.*)?")


def syntax_problem(text: str, error: tomllib.TOMLDecodeError) -> Problem:
    """Return the line and the message of what the parser says of a text."""
    found = _PLACE.fullmatch(str(error))
    lines = text.splitlines()
    reason = found[1] if found else str(error)
    number = int(found[2]) if found and found[2] else max(len(lines), 1)
    line = lines[number - 1] if number <= len(lines) else ""
    return Problem(number, _hint(reason, line, lines[: number - 1]) or f"not valid TOML: {reason}")


def _hint(reason: str, line: str, before: list[str]) -> str:
    header, key = _HEADER.match(line), _KEY.match(line)
    if header is not None and reason.startswith("Cannot"):
        return _twice(header[1], before)
    if key is not None and reason.startswith("Cannot overwrite"):
        return f"{key[1]} stands twice in this table; keep one of the two"
    if reason.startswith("Expected '=' after"):
        return f'not valid TOML: {reason}; a line is KEY = VALUE, a table "[name]" or a comment "# ..."'
    bare = _BARE.fullmatch(line)
    if bare is not None:
        return _unquoted(bare[1], bare[2])
    if "Illegal character '\\n'" in reason or reason.startswith("Unterminated"):
        return f"not valid TOML: {reason}; is a closing quote missing?"
    if "'\\'" in reason or "Unescaped" in reason:
        return f"not valid TOML: {reason}; text with a backslash stands in single quotes: 'C:\\files'"
    return ""


def _twice(name: str, before: list[str]) -> str:
    if name in ARRAYS:
        return f"[{name}] stands more than once: write [[{name}]] with two brackets, every time"
    numbers = (
        number for number, line in enumerate(before, 1) if (at := _HEADER.match(line)) and at[1] == name
    )
    first = next(numbers, None)
    where = f" (line {first})" if first is not None else ""
    return f"[{name}] stands twice; put all its keys under the first one{where}"


def _unquoted(key: str, value: str) -> str:
    if key in _SECRET:
        return f'{key}: text stands in quotes: {key} = "..."'
    if value.lower() in ("true", "false", "yes", "no", "on", "off"):
        plain = "true" if value.lower() in ("true", "yes", "on") else "false"
        return (
            f'{key} = {shorten(value)}: write {key} = {plain}, or, where it takes a word, "{value.lower()}"'
        )
    quoted = shorten(value.strip("\"'"))
    return f'{key} = {shorten(value)}: text stands in quotes: {key} = "{quoted}"'
