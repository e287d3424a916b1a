"""docs/operations.md lists every event of the log with all of its fields, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from lockgate.server.logflood import _REPEATED

ROOT = Path(__file__).parents[3]
_ROW = re.compile(r"^\| `([a-z-]+)`(\*?) \| ?((?:`[a-z]+`(?:, )?)*) \|", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    text = (ROOT / "docs" / "operations.md").read_text()
    return {event: set(re.findall("[a-z]+", fields)) for event, _, fields in _ROW.findall(text)}


def written() -> dict[str, set[str]]:
    """Return the events that the source writes, each with its fields."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "src" / "lockgate" / "server").rglob("*.py")):
        module = ast.parse(file.read_text())
        for function in ast.walk(module):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for call in _calls(function, "record"):
                    fields = {one.arg for one in call.keywords if one.arg is not None}
                    if any(one.arg is None for one in call.keywords):
                        fields |= _passed_on(module, function)
                    for event in _events(call.args[0]):
                        found.setdefault(event, set()).update(fields)
    return found


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for one in ast.walk(tree):
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == name:
            yield one


def _events(argument: ast.expr) -> Iterator[str]:
    for one in (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,):
        assert isinstance(one, ast.Constant), "an event is a word that stands in the source"
        yield str(one.value)


def _passed_on(module: ast.Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the fields that come through a function's `**more`."""
    own = {one.arg for one in (*function.args.args, *function.args.kwonlyargs)}
    named = {word.arg for call in _calls(module, function.name) for word in call.keywords}
    return {one for one in named - own if one is not None}


def test_every_event_is_documented_with_its_fields() -> None:
    assert documented() == written()


def test_what_the_flood_control_bounds_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert {event for event, star, _ in _ROW.findall(text) if star} == _REPEATED
