"""Transcripts: reading the files, playing them on a stage, and showing where the two differ.

A *stage* is anything that can play both parts or one of them: the cores, the live server, the live client.
It is asked for one step after the other and says what it saw instead. The format stands in
tests/transcripts/README.md.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

__all__ = [
    "FILES",
    "CommandStep",
    "Event",
    "EventStep",
    "ReplyStep",
    "Stage",
    "StateStep",
    "Transcript",
    "TranscriptError",
    "parse",
    "play",
    "read",
]

FILES = tuple(sorted((Path(__file__).parent.parent / "transcripts").glob("*.txt")))
_KEYS = frozenset(("control", "data", "ccc", "login"))


class TranscriptError(ValueError):
    """A transcript cannot be read."""


class Event(Enum):
    """What happens beside commands and replies."""

    CONTROL_TLS = "control tls"
    CONTROL_CLEAR = "control clear"
    DATA_LISTEN = "data listen"
    DATA_ACCEPT = "data accept"
    DATA_CONNECT = "data connect"
    DATA_TLS = "data tls"
    DATA_SEND = "data send"
    DATA_RECEIVE = "data receive"
    DATA_CLEAR = "data clear"
    DATA_CLOSE = "data close"


@dataclass(frozen=True)
class CommandStep:
    """The client sends a line, placeholders not filled in."""

    line: str

    def __str__(self) -> str:
        return f"C: {self.line}"


@dataclass(frozen=True)
class ReplyStep:
    """The server answers with a code; `text` is for stages that play the server."""

    code: int
    text: str = ""

    def __str__(self) -> str:
        return f"S: {self.code}"


@dataclass(frozen=True)
class EventStep:
    """TLS or a data connection."""

    event: Event

    def __str__(self) -> str:
        return f"-- {self.event.value}"


@dataclass(frozen=True)
class StateStep:
    """Where the machines stand, by name of the field of `SessionState` and of the enum's member."""

    machines: Mapping[str, str]

    def __str__(self) -> str:
        return "== " + " ".join(f"{name}={state}" for name, state in self.machines.items())


Step = CommandStep | ReplyStep | EventStep | StateStep


@dataclass(frozen=True)
class Transcript:
    """A file's settings and steps."""

    name: str
    settings: Mapping[str, str]
    steps: tuple[Step, ...]


class Stage(Protocol):
    """Plays steps; each method returns what was seen, as the step would be written."""

    def command(self, line: str) -> str:
        """Let the client send a line."""

    def reply(self, step: ReplyStep) -> str:
        """Await the server's next reply."""

    def event(self, event: Event) -> str:
        """Let something happen, or see that it has."""

    def state(self, machines: Mapping[str, str]) -> str:
        """Say where these machines stand; a stage that cannot see them repeats the question."""

    def end(self) -> str:
        """Say what came that no step has taken; the empty string when there is nothing."""


def read(path: Path) -> Transcript:
    """Read a transcript file."""
    return parse(path.read_text(encoding="utf-8"), path.stem)


def parse(text: str, name: str) -> Transcript:
    """Read a transcript.

    Raises:
        TranscriptError: With name and line number.
    """
    settings: dict[str, str] = {}
    steps: list[Step] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        mark, _, rest = line.partition(" ")
        try:
            if mark == "@":
                if steps:
                    raise TranscriptError("settings stand before the first step")
                settings.update([_setting(rest)])
            else:
                steps.append(_step(mark, rest))
        except (TranscriptError, ValueError) as error:
            raise TranscriptError(f"{name}:{number}: {error}") from error
    return Transcript(name, MappingProxyType(settings), tuple(steps))


def _setting(text: str) -> tuple[str, str]:
    key, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or key not in _KEYS:
        raise TranscriptError(f"no setting {text!r}; there are {', '.join(sorted(_KEYS))}")
    return key, value


def _step(mark: str, rest: str) -> Step:
    match mark:
        case "C:" if rest:
            return CommandStep(rest)
        case "S:" if found := re.fullmatch(r"([1-5]\d\d)(?: (.+))?", rest):
            return ReplyStep(int(found[1]), found[2] or "")
        case "--":
            return EventStep(Event(rest))
        case "==" if rest:
            pairs = dict(pair.split("=", 1) for pair in rest.split())
            return StateStep(MappingProxyType(pairs))
        case _:
            raise TranscriptError(f"not a step: {mark} {rest}")


def play(transcript: Transcript, stage: Stage) -> None:
    """Play a transcript on a stage; fail with the two scripts side by side where they part.

    The stage sees the steps as they are written; filling in placeholders is its own matter.
    """
    expected: list[str] = []
    seen: list[str] = []
    for step in transcript.steps:
        expected.append(str(step))
        match step:
            case CommandStep(line):
                got = stage.command(line)
            case ReplyStep():
                got = stage.reply(step)
            case EventStep(event):
                got = stage.event(event)
            case StateStep(machines):
                got = stage.state(machines)
        seen.append(got)
        if expected[-1] != got:
            break
    else:
        if rest := stage.end():
            seen.append(rest)
    if expected != seen:
        rows = "\n".join(difflib.ndiff(expected, seen))
        raise AssertionError(f"{transcript.name}: the transcript (-) and what happened (+) differ\n{rows}")
