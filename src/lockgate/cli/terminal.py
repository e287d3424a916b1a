"""What every sub-command needs of the terminal: plain lines, errors, and a rich console made when needed.

Lines that a user may copy are never wrapped. Must not decide anything about a command.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "error", "heading", "line", "note"]


def line(text: str = "") -> None:
    """Write one line to standard output as it is, and flush, so that a reading program sees it at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def error(text: str) -> None:
    """Write one line to standard error."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def console() -> Console:
    """Return a rich console on standard output; without colours when that is no terminal."""
    from rich.console import Console

    return Console(file=sys.stdout, soft_wrap=True, highlight=False, emoji=False)


def heading(text: str) -> None:
    """Write a line in bold on a terminal, and plainly elsewhere."""
    _styled(text, "bold")


def note(text: str) -> None:
    """Write a dimmed line on a terminal, and plainly elsewhere."""
    _styled(text, "dim")


def _styled(text: str, style: str) -> None:
    # What is no terminal need not wait for rich to be imported.
    if sys.stdout.isatty():
        console().print(text, style=style, markup=False)
    else:
        line(text)
