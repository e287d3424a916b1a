"""`lockgate account`: password hashes for `[[account]]` entries.

A password is never an argument: arguments are in everybody's process list.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lockgate.errors import ConfigError

from .terminal import line

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Make password hashes for accounts.")

PASSWORD_LIMIT = 1024
"""Characters; a PASS line longer than this would not be read anyway."""


@app.callback()
def _group() -> None:
    """Keep `hash` a sub-command though it is the only one."""


@app.command("hash")
def make_hash(
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the password from standard input: its first line.")
    ] = False,
) -> None:
    """Print the argon2id hash of a password, for password_hash in an [[account]]."""
    from lockgate.accounts.passwords import hash_password

    line(hash_password(_from_stdin() if stdin else _asked()))


def _asked() -> str:
    if not sys.stdin.isatty():
        raise ConfigError("no terminal to ask for the password on; use: lockgate account hash --stdin")
    password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return _checked(password)


def _from_stdin() -> str:
    text = sys.stdin.readline(PASSWORD_LIMIT + 2)
    return _checked(text.rstrip("\n").rstrip("\r"))


def _checked(password: str) -> str:
    if not password:
        raise ConfigError("the password is empty; an account without one needs certificate_subject instead")
    if len(password) > PASSWORD_LIMIT:
        raise ConfigError(f"the password is longer than {PASSWORD_LIMIT} characters")
    if any(character in password for character in "\r\n\0"):
        raise ConfigError("the password holds a line end or NUL, which no PASS command can carry")
    return password
