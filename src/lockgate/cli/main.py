"""The console script: which sub-commands there are, and how errors end.

To add a sub-command, add a row to `COMMANDS`. Only the module of the command that runs is imported, so that
one command's libraries neither slow down nor break another. Must not know what a command does.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate._version import __version__
from lockgate.errors import ConfigError, LocalProtocolError, LockgateError

from .terminal import error, line

if TYPE_CHECKING:
    import typer

__all__ = ["COMMANDS", "CommandRow", "main"]

EXIT_FAILURE = 1
EXIT_USAGE = 2

_EXTRAS = {
    "argon2": "server",
    "cryptography": "server",
    "pydantic": "server",
    "pydantic_core": "server",
    "rich": "cli",
    "typer": "cli",
    "fsspec": "fsspec",
}
"""Which extra brings which library."""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One sub-command.

    Attributes:
        name: As typed after `lockgate`.
        target: `module:attribute`; a function is a command, a `typer.Typer` a group of commands.
        summary: Its line in `lockgate --help`; what `lockgate NAME --help` says stands in the module.
    """

    name: str
    target: str
    summary: str


COMMANDS = (
    CommandRow(
        "serve", "lockgate.cli.serve:serve", "Run a server; without a configuration, a safe one to try."
    ),
    CommandRow("config", "lockgate.cli.config:app", "Check a configuration file, or print an example."),
    CommandRow("account", "lockgate.cli.account:app", "Make password hashes for accounts."),
    CommandRow("cert", "lockgate.cli.cert:app", "Show the server's certificate."),
    CommandRow("ls", "lockgate.cli.ls:ls", "List a remote directory."),
    CommandRow("get", "lockgate.cli.get:get", "Download files, checked to the last byte."),
    CommandRow("put", "lockgate.cli.put:put", "Upload files, checked to the last byte."),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 for a failure, 2 for usage or configuration.

    Args:
        argv: The arguments without the program's name; `sys.argv` by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["-V"]):
        line(f"lockgate {__version__}")
        return 0
    try:
        _application(arguments)(args=arguments, prog_name="lockgate")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else EXIT_FAILURE if done.code else 0
    except ConfigError as problem:
        # Several where a configuration has several faults, each with its FILE:LINE:.
        for told in str(problem).splitlines():
            error(f"lockgate: {told}")
        return EXIT_USAGE
    except LocalProtocolError as problem:
        error(f"lockgate: {problem}")
        return EXIT_USAGE
    except LockgateError as problem:
        error(f"lockgate: {problem}")
    except ModuleNotFoundError as problem:
        extra = _EXTRAS.get((problem.name or "").partition(".")[0])
        if extra is None:
            raise
        error(f"lockgate: {problem.name} is missing: install lockgate[{extra}]")
    except KeyboardInterrupt:
        error("lockgate: interrupted")
    except OSError as problem:
        error(f"lockgate: {_shown(problem)}")
    return EXIT_FAILURE


def _application(arguments: Sequence[str]) -> typer.Typer:
    """Return the command line with the chosen command in it and stand-ins for the rest."""
    import typer

    # No option before the command takes a value, so the first plain word is the command.
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    application = typer.Typer(
        help="FTP over TLS, whole: server, client and tools.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def root(version: bool = typer.Option(False, "--version", "-V", help="Print the version.")) -> None:
        if version:  # alone it never comes here: `main` answers it before anything is imported
            line(f"lockgate {__version__}")
            raise typer.Exit

    application.callback(invoke_without_command=False)(root)
    for row in COMMANDS:
        command: object = _load(row) if row.name == chosen else _stand_in
        if isinstance(command, typer.Typer):
            application.add_typer(command, name=row.name, help=row.summary)
        elif row.name == chosen:
            assert callable(command)
            application.command(row.name)(command)
        else:
            application.command(row.name, help=row.summary)(_stand_in)
    return application


def _load(row: CommandRow) -> object:
    module, _, attribute = row.target.partition(":")
    loaded: object = getattr(importlib.import_module(module), attribute)
    return loaded


def _stand_in() -> None:
    """Stand in the help for a command that does not run."""


def _shown(problem: OSError) -> str:
    reason = problem.strerror or str(problem) or type(problem).__name__
    return f"{problem.filename}: {reason}" if problem.filename else reason


if __name__ == "__main__":
    sys.exit(main())
