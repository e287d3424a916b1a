"""Which tests show which requirement: reads docs/requirements.md, makes docs/conformance.md.

Pure functions over text and values; conformance_plugin.py feeds them from a test run. The table names what
the tests *carry*, not what passed on one machine, so that it is the same everywhere; whether they passed is
`problems`' business. Interop tests need other people's programs: they are counted, and show nothing alone.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

WHO = ("S", "C", "S/C")
STRENGTHS = ("MUST", "SHOULD", "MAY", "desc", "sec", "prac")

_ROW = re.compile(r"- (?P<id>R[^\s\[]+) \[(?P<who>[^,\]]+), (?P<strength>[^\]]+)\] (?P<text>.+)")

_HEAD = """\
# Conformance

Which tests show which requirement of [requirements.md](requirements.md). Written by `make conformance`;
`make test` fails when this page is out of date, when a test names an unknown requirement, or when a MUST has
neither a passing test nor an entry in `tests/conformance/deviations.toml`.

Who: S = server, C = client. State: *shown* by at least one test that needs nothing but Lockgate; *planned*
for a release; *deviation*, with the reason at the end; *open*: no test yet. The last column counts the tests
with other people's clients and servers (`make peers`). "(S)" or "(C)" behind a test: it shows that side of an
S/C row.
"""


class TableError(ValueError):
    """docs/requirements.md or deviations.toml is not as it should be."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of docs/requirements.md."""

    id: str
    who: str
    strength: str
    text: str
    section: str

    def __post_init__(self) -> None:
        if self.who not in WHO or self.strength not in STRENGTHS:
            raise TableError(f"{self.id}: [{self.who}, {self.strength}] is not a known side and strength")


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What deviations.toml says: id to release, and id to reason."""

    planned: Mapping[str, str] = field(default_factory=dict)
    deviations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Showing:
    """A test that carries a requirement; `side` is "" unless the marker names one."""

    requirement: str
    test: str
    side: str = ""
    interop: bool = False


def key(requirement_id: str) -> str:
    """Return the id as tests may write it: the trailing + of a row is not needed."""
    return requirement_id.rstrip("+")


def parse_requirements(text: str) -> dict[str, Requirement]:
    """Read docs/requirements.md; the result is keyed by `key(id)`, in the file's order."""
    found: dict[str, Requirement] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        elif line.startswith("- R"):
            match = _ROW.fullmatch(line.rstrip())
            if match is None:
                raise TableError(f"not a requirement line: {line}")
            row = Requirement(section=section, **match.groupdict())
            if found.setdefault(key(row.id), row) is not row:
                raise TableError(f"{row.id} stands twice")
    if not found:
        raise TableError("no requirement found")
    return found


def parse_exceptions(text: str, known: Mapping[str, Requirement]) -> Exceptions:
    """Read deviations.toml: `[planned]` with id = release, `[deviation]` with id = reason."""
    content = tomllib.loads(text)
    unknown_tables = set(content) - {"planned", "deviation"}
    if unknown_tables:
        raise TableError(f"deviations.toml: unknown table {', '.join(sorted(unknown_tables))}")
    tables: list[dict[str, str]] = []
    for name in ("planned", "deviation"):
        rows = {key(row): value for row, value in content.get(name, {}).items()}
        for row, value in rows.items():
            if row not in known:
                raise TableError(f"deviations.toml: {unknown(row, known)}")
            if not isinstance(value, str) or not value:
                raise TableError(
                    f"deviations.toml: {row} needs a {'release' if name == 'planned' else 'reason'}"
                )
        tables.append(rows)
    both = set(tables[0]) & set(tables[1])
    if both:
        raise TableError(f"deviations.toml: planned and deviation at once: {', '.join(sorted(both))}")
    return Exceptions(planned=tables[0], deviations=tables[1])


def unknown(requirement_id: str, known: Iterable[str]) -> str:
    """Say that there is no such requirement, and which one may have been meant."""
    near = difflib.get_close_matches(key(requirement_id), known, n=1)
    return f"no requirement {requirement_id!r} in docs/requirements.md" + (
        f"; is it {near[0]}?" if near else ""
    )


def render(known: Mapping[str, Requirement], exceptions: Exceptions, showings: Iterable[Showing]) -> str:
    """Return the text of docs/conformance.md."""
    by_id: dict[str, list[Showing]] = {row: [] for row in known}
    for showing in sorted(set(showings)):
        by_id[showing.requirement].append(showing)
    states = {row: _state(row, exceptions, by_id[row]) for row in known}
    parts = [_HEAD, _summary(known, states)]
    section = None
    for row, requirement in known.items():
        if requirement.section != section:
            section = requirement.section
            parts.append(
                f"\n## {section}\n\n| id | who | strength | state | tests | interop |\n{'| --- ' * 6}|\n"
            )
        own = [showing for showing in by_id[row] if not showing.interop]
        names = "<br>".join(f"`{each.test}`" + (f" ({each.side})" if each.side else "") for each in own)
        interop = len({showing.test for showing in by_id[row] if showing.interop}) or ""
        cells = (requirement.id, requirement.who, requirement.strength, states[row], names, interop)
        parts.append(f"| {' | '.join(map(str, cells))} |\n")
    if exceptions.deviations:
        parts.append("\n## Deviations\n\n")
        parts.extend(
            f"- {known[row].id}: {exceptions.deviations[row]}\n"
            for row in known
            if row in exceptions.deviations
        )
    return "".join(parts)


def _state(row: str, exceptions: Exceptions, showings: Iterable[Showing]) -> str:
    if row in exceptions.deviations:
        return "deviation"
    if any(not showing.interop for showing in showings):
        return "shown"
    return f"planned, {exceptions.planned[row]}" if row in exceptions.planned else "open"


def _summary(known: Mapping[str, Requirement], states: Mapping[str, str]) -> str:
    lines = ["\n| strength | rows | shown | planned | deviation | open |\n", "| --- " * 6, "|\n"]
    for strength in STRENGTHS:
        rows = [states[row].partition(",")[0] for row, each in known.items() if each.strength == strength]
        counts = [rows.count(state) for state in ("shown", "planned", "deviation", "open")]
        lines.append(f"| {strength} | {len(rows)} | {' | '.join(map(str, counts))} |\n")
    return "".join(lines)


def problems(
    known: Mapping[str, Requirement],
    exceptions: Exceptions,
    carried: Iterable[Showing],
    passed: Iterable[Showing],
) -> list[str]:
    """Say what a full run must not end with, one sentence each; an empty list means all is well."""
    carried_by: dict[str, list[str]] = {}
    for showing in sorted(set(carried)):
        if not showing.interop:
            carried_by.setdefault(showing.requirement, []).append(showing.test)
    shown = {showing.requirement for showing in passed if not showing.interop}
    found = []
    for row, requirement in known.items():
        excepted = row in exceptions.planned or row in exceptions.deviations
        if row in exceptions.planned and row in shown:
            found.append(
                f"{row} is shown by {carried_by[row][0]}: take it out of deviations.toml's [planned]"
            )
        elif requirement.strength == "MUST" and row not in shown and not excepted:
            tests = ", ".join(carried_by.get(row, [])) or "none carries it"
            found.append(f"{row} [{requirement.who}, MUST] has no passing test ({tests}): {requirement.text}")
    return found
