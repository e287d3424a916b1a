"""What is wrong with one table of a configuration file, in words that name the remedy.

Turns the validation library's errors into messages for the one who wrote the file. It must not decide what
is right: the models do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticUndefined

from lockgate.errors import shorten

from .files import FILE_KEYS
from .policy import POLICY_KEYS
from .rates import ALLOWANCE_KEYS
from .text import KeyPath
from .tls import TLS_OVERRIDES

__all__ = ["shown_table", "table_problems", "unknown_tables"]

_ARRAYS = ("listener", "certificate", "account", "rule")
_SHARED_KEYS = (*POLICY_KEYS, *FILE_KEYS, *ALLOWANCE_KEYS, *TLS_OVERRIDES)
_SECRET = ("password_hash",)
_VERSION_KEYS = ("minimum_version", "maximum_version", "acceptable_tls_version")
_WHAT = {
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number of seconds",
    "finite_number": "a number of seconds",
    "path_type": "a path in quotes",
    "is_instance_of": "text in quotes",
    "tuple_type": "a list in brackets",
}
_EXAMPLES = {
    "name": "alice",
    "home": "/srv/ftp/alice",
    "path": "/in",
    "data": "required",
    "certificate": "ftp.example.com.pem",
    "key": "ftp.example.com.key",
}


def shown_table(place: KeyPath) -> str:
    """Return how a table is written in the file: `[tls]`, or `[[account]] number 2`."""
    if not place:
        return "the file"
    if place[0] in _ARRAYS:
        return f"[[{place[0]}]]" + (f" number {int(place[1]) + 1}" if len(place) > 1 else "")
    return f"[{place[0]}]"


def unknown_tables(values: Mapping[str, object], known: Iterable[str]) -> Iterator[tuple[KeyPath, str]]:
    """Yield a problem for each top-level key that is no known table."""
    known = tuple(known)
    for key in values:
        if key not in known:
            shown = [f"[[{name}]]" if name in _ARRAYS else f"[{name}]" for name in known]
            yield (
                (key,),
                (
                    f'unknown table or key "{shorten(key)}"{_nearest(key, known)}; '
                    f"the file may have {', '.join(shown)}"
                ),
            )


def table_problems(
    error: ValidationError, place: KeyPath, kind: type[BaseModel] | None
) -> Iterator[tuple[KeyPath, str]]:
    """Yield the place and the message of everything that a table's validation found wrong."""
    for detail in error.errors(include_url=False):
        where = (*place, *detail["loc"][:1])
        yield where, _message(detail, place, kind)


def _message(detail: ErrorDetails, place: KeyPath, kind: type[BaseModel] | None) -> str:
    key = str(detail["loc"][0]) if detail["loc"] else ""
    fields = kind.model_fields if kind is not None else {}
    # A table's own keys before those of other tables that may stand there too.
    shared = () if place == ("tls",) else _SHARED_KEYS
    own = sorted(fields, key=shared.__contains__)
    table = shown_table(place)
    if detail["type"] == "extra_forbidden":
        return (
            f'unknown key "{shorten(key)}" in {table}{_nearest(key, tuple(fields))}; '
            f"known there: {', '.join(own)}"
        )
    if detail["type"] == "missing":
        return f"{table} lacks {key}; write {key} = {_toml(_EXAMPLES.get(key, ''))}"
    if detail["type"] == "value_error":
        return f"{key}: {detail['ctx']['error']}" if key else str(detail["ctx"]["error"])
    given = "what is there" if key in _SECRET else _toml(detail["input"])
    message = f"{key} = {given} in {table}: expected {_expected(detail, key)}"
    meant = _meant(detail)
    if meant:
        return f"{message}: {key} = {meant}"
    default = fields[key].get_default() if key in fields else None
    if default is None or default is PydanticUndefined:
        default = _EXAMPLES.get(key)
    return message if default is None else f"{message}; for example: {key} = {_toml(default)}"


def _meant(detail: ErrorDetails) -> str:
    """Return what was given in its right form, where brackets or quotes alone are missing, or ""."""
    given = detail["input"]
    match detail["type"]:
        case "tuple_type" if isinstance(given, str):
            return f"[{_toml(given)}]"
        case "string_type" if isinstance(given, (int, float)) and not isinstance(given, bool):
            return f'"{given}"'
        case _:
            return ""


def _expected(detail: ErrorDetails, key: str) -> str:
    """Return what should stand there."""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "enum":
            words = context["expected"].replace("'", '"')
            return f"one of {words}{_nearest(str(detail['input']), _quoted(words))}"
        case "greater_than":
            return f"a number above {context['gt']:g}"
        case "greater_than_equal":
            return f"{context['ge']} or more"
        case "less_than_equal":
            return f"{context['le']} at most"
        case "string_pattern_mismatch" if key in _VERSION_KEYS:
            return '"1.2" or "1.3"; older versions of TLS are not safe'
        case other:
            return _WHAT.get(other, detail["msg"])


def _quoted(words: str) -> tuple[str, ...]:
    return tuple(words.split('"')[1::2])


def _nearest(word: str, known: tuple[str, ...]) -> str:
    """Return a question that names the known word nearest to `word`, or ""."""
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return f' (did you mean "{near[0]}"?)' if near else ""


def _toml(value: Any) -> str:
    """Return a value as the file would have it, shortened."""
    match value:
        case bool():
            return "true" if value else "false"
        case Enum():
            return f'"{value.value}"'
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case str() | Path():
            return f'"{shorten(str(value))}"'
        case list() | tuple():
            return "[...]"
        case dict():
            return "{...}"
        case _:
            return shorten(str(value))
