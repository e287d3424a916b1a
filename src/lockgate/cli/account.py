"""`lockgate account`: password hashes for `[[account]]` entries.

A password is never an argument: arguments are in everybody's process list.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lockgate.errors import AccountError, ConfigError

from .terminal import heading, line, note

if TYPE_CHECKING:
    from lockgate.accounts.passwords import HashParameters

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
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", readable=False, help="Hash as [passwords] in FILE says."),
    ] = None,
    memory_kib: Annotated[
        int | None, typer.Option("--memory-kib", metavar="KIB", help="Memory that one hash takes.")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option("--iterations", metavar="N", help="How often the memory is gone over.")
    ] = None,
    parallelism: Annotated[
        int | None, typer.Option("--parallelism", metavar="N", help="Lanes that may be computed at once.")
    ] = None,
) -> None:
    """Print the argon2id hash of a password, for password_hash in an [[account]].

    On a terminal it asks twice and shows nothing of what is typed. When standard output is no terminal, it
    gets the hash alone, for a script to take.
    """
    from lockgate.accounts.passwords import hash_password

    parameters = _parameters(config, memory_kib, iterations, parallelism)
    password = _from_stdin() if stdin else _asked()
    began = time.monotonic()
    stored = hash_password(password, parameters)
    took_seconds = time.monotonic() - began
    if sys.stdout.isatty():
        _explain(stored, parameters, took_seconds)
    else:
        line(stored)


def _parameters(
    config: Path | None, memory_kib: int | None, iterations: int | None, parallelism: int | None
) -> HashParameters:
    """Return what a hash shall cost: the options, over the file's table, over the defaults."""
    from lockgate.accounts.argon2id import MINIMUM
    from lockgate.accounts.passwords import DEFAULT_PARAMETERS, HashParameters

    base = DEFAULT_PARAMETERS
    if config is not None:
        from lockgate.server.config import load_passwords

        base = load_passwords(config).parameters()
    try:
        wanted = HashParameters(
            base.memory_kib if memory_kib is None else memory_kib,
            base.passes if iterations is None else iterations,
            base.lanes if parallelism is None else parallelism,
        )
    except AccountError as error:
        raise ConfigError(str(error)) from error
    if not wanted.is_enough:
        enough = ", ".join(f"{kib} with --iterations {count}" for kib, count in MINIMUM)
        raise ConfigError(
            f"--memory-kib {wanted.memory_kib} with --iterations {wanted.passes} is too cheaply guessed; "
            f"give one of these or more: {enough}"
        )
    if not wanted.is_bearable:
        raise ConfigError(
            f"a server refuses a hash of {wanted.memory_kib} KiB, {wanted.passes} iterations and "
            f"{wanted.lanes} lanes, which every login would take; docs/passwords.md has the limits"
        )
    return wanted


def _explain(stored: str, parameters: HashParameters, took_seconds: float) -> None:
    """Show the hash on a terminal, and where it goes."""
    line()
    heading("Write this into the account's entry of the configuration")
    line()
    line("[[account]]")
    line('name = "..."')
    line('home = "..."')
    line(f'password_hash = "{stored}"')
    line()
    note(
        f"argon2id, {parameters.memory_kib / 1024:.0f} MiB, iterations: {parameters.passes}; "
        f"one check takes {took_seconds * 1000:.0f} ms here."
    )
    note("A running server takes it on SIGHUP; `lockgate config check FILE` says whether all is well.")


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
