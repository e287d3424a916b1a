"""`lockgate config`: check a configuration file, or print an example.

Must not judge a configuration itself: `lockgate.server.config` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import error, line

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Check a configuration file, or print an example.")


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", readable=False, help="The configuration file (TOML).")
    ],
) -> None:
    """Say everything that is wrong in FILE, with line and remedy; exit 2 if anything is.

    What FILE names is checked too: whether certificate and key fit, whether this machine has the addresses,
    whether the homes are there or can be made.
    """
    from lockgate.server.config import load_config, shown_remarks

    config = load_config(file, trial=True)
    for remark in shown_remarks(config, str(file)):
        error(f"lockgate: {remark}")
    entries = f"{_count(len(config.listeners), 'listener')}, {_count(len(config.accounts), 'account')}"
    line(f"{file}: good ({entries})")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@app.command()
def example() -> None:
    """Print a commented configuration with every key at its default."""
    from lockgate.server.config import EXAMPLE

    line(EXAMPLE.rstrip("\n"))
