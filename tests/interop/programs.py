"""Run other people's client programs under a deadline, away from the settings of whoever runs the tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """A program that has ended.

    Attributes:
        output: Its standard output.
        errors: Its standard error, as text.
    """

    command: Sequence[str]
    code: int
    output: bytes = field(repr=False)
    errors: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.output.decode(errors="replace")

    def ok(self) -> Run:
        """Return the run itself, or fail with all that the program said."""
        assert self.code == 0, (
            f"{self.command} ended with {self.code}\n{self.text[-4000:]}\n{self.errors[-8000:]}"
        )
        return self


def run(
    command: Sequence[str | Path],
    *,
    home: Path,
    stdin: bytes = b"",
    cwd: Path | None = None,
    seconds: float = SECONDS,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a program to its end; it reads no settings but what lies in `home`.

    Raises:
        subprocess.TimeoutExpired: It took longer than `seconds`; it has been killed.
    """
    words = [str(word) for word in command]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LOCKGATE_"))}
    clean |= {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_DATA_HOME": str(home),
        "LC_ALL": "C.UTF-8",
    }
    clean |= environment or {}
    ended = subprocess.run(
        words, input=stdin, capture_output=True, cwd=cwd or home, env=clean, timeout=seconds, check=False
    )
    return Run(words, ended.returncode, ended.stdout, ended.stderr.decode(errors="replace"))
