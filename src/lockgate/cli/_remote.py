"""What the commands that talk to a server share: their options, the password, how they end.

The password comes from LOCKGATE_PASSWORD or a prompt, never from the command line, where `ps` would show it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import getpass
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from lockgate.client.api import Client
from lockgate.client.options import make_options
from lockgate.client.progress import shown_bytes
from lockgate.client.trees import TreeIncomplete, TreeReport
from lockgate.client.urls import RemoteUrl, looks_like_url, parse_url
from lockgate.errors import (
    ConfigError,
    LocalProtocolError,
    LockgateError,
    ProtectionRefused,
    ReplyError,
    TransferError,
    TransientReplyError,
)
from lockgate.protocol.paths import shown

from .terminal import error, line

__all__ = [
    "NOTHING_LEFT",
    "Remote",
    "count_of",
    "guarded",
    "moving",
    "naming",
    "printable",
    "remote_command",
    "remote_url",
    "report_tree",
    "summary",
]

PASSWORD_VARIABLE = "LOCKGATE_PASSWORD"  # noqa: S105 - the variable's name
_INTERRUPTED = 130
_MOST_LINES = 20
_SHORTEST_SECONDS = 0.001

NOTHING_LEFT = "nothing half done was left under its name"


@dataclass(frozen=True, slots=True)
class Remote:
    """The options that every command with a URL has; the field's annotation is the option."""

    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="Trust the CA or server certificates in this PEM file."),
    ] = None
    pin: Annotated[
        str | None,
        typer.Option("--pin", metavar="SHA256", help="Trust the certificate with this SHA-256 fingerprint."),
    ] = None
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not verify the server: anybody may be at the other end.")
    ] = False
    cert: Annotated[
        Path | None, typer.Option("--cert", metavar="FILE", help="Your own certificate (chain), PEM.")
    ] = None
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Its key, PEM, if not in the same file.")
    ] = None
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="The longest wait for anything.")
    ] = 30.0
    tls_version: Annotated[
        str | None, typer.Option("--tls-version", metavar="1.2|1.3", help="Speak this version only.")
    ] = None
    before_auth: Annotated[
        list[str] | None,
        typer.Option(
            "--before-auth", metavar="COMMAND", help="Send this in clear before AUTH; may be repeated."
        ),
    ] = None
    ccc: Annotated[
        bool, typer.Option("--ccc", help="After the login, commands in clear again (for old firewalls).")
    ] = False
    active: Annotated[
        bool, typer.Option("--active", help="Let the server connect to this machine for data.")
    ] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the conversation; secrets are hidden.")
    ] = False

    def client(self, url: RemoteUrl) -> Client:
        """Return a client for a URL, not connected yet.

        Raises:
            LocalProtocolError, ConfigError: The options do not fit together.
        """
        version = self.tls_version
        if version not in (None, "1.2", "1.3"):
            raise LocalProtocolError(f"--tls-version {version}: write 1.2 or 1.3")
        options = make_options(
            url,
            password=None if url.user is None else _Password(url),
            ca=self.ca,
            pin=self.pin,
            verify=not self.insecure,
            certificate=self.cert,
            key=self.key,
            timeout=self.timeout,
            tls_version=cast("Literal['1.2', '1.3'] | None", version),
            before_auth=self.before_auth or (),
            ccc=self.ccc,
            active=self.active,
        )
        return Client(options)

    @contextlib.contextmanager
    def connected(self, url: RemoteUrl) -> Iterator[Client]:
        """Connect, and say QUIT at the end."""
        with _log_shown(verbose=self.verbose), self.client(url) as client:
            client.connect()
            yield client


def remote_command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Remote`; it gets them as its argument `remote`."""
    fields = dataclasses.fields(Remote)
    hints = inspect.get_annotations(Remote, eval_str=True)
    signature = inspect.signature(function, eval_str=True)
    kept = [parameter for parameter in signature.parameters.values() if parameter.name != "remote"]
    added = [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name]
        )
        for one in fields
    ]

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        names = [one.name for one in fields]
        remote = Remote(**{name: arguments.pop(name) for name in names if name in arguments})
        with guarded():
            function(**arguments, remote=remote)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept]
    wrapped: Any = run
    wrapped.__signature__ = signature.replace(parameters=[*keyword, *added])
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*keyword, *added]}
    return run


class _Terminated(BaseException):
    """SIGTERM."""


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Print errors and end: 130 on Ctrl-C, 143 on SIGTERM, 2 for usage, 1 for the rest."""

    def terminate(number: int, frame: object) -> None:
        raise _Terminated

    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as problem:
        raise _ended("interrupted", problem, _INTERRUPTED) from None
    except _Terminated as problem:
        raise _ended("terminated", problem, 128 + signal.SIGTERM) from None
    except (LocalProtocolError, ConfigError) as problem:
        raise _ended(str(problem), problem, 2) from problem
    except ProtectionRefused as problem:
        # What else a program could say has no option here: this command never speaks clear FTP.
        more = "; this command sends no password and no file in clear" if problem.unless else ""
        raise _ended(problem.message + more, problem, 1) from problem
    except LockgateError as problem:
        raise _ended(str(problem), problem, 1) from problem
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _ended(text: str, problem: BaseException, code: int) -> typer.Exit:
    """Say how a command ended, with what the error has to add."""
    error("lockgate: " + "; ".join([text, *getattr(problem, "__notes__", ())]))
    return typer.Exit(code)


def remote_url(text: str) -> RemoteUrl:
    """Read a URL from the command line.

    Raises:
        LocalProtocolError: It is none, or holds a password.
    """
    if not looks_like_url(text):
        raise LocalProtocolError(
            f"'{printable(text)}' is no URL: write ftpes://user@host:port/path (explicit TLS) or ftps://..."
        )
    url = parse_url(text)
    if url.password is not None:
        raise LocalProtocolError(
            f"{url}: the password was left out here, and must not stand on the command line, where everybody "
            f"on this machine can read it: set {PASSWORD_VARIABLE}, or leave it out and type it when asked"
        )
    return url


@dataclass(slots=True)
class _Password:
    """Gives the password when the server asks for it, and asks the user once."""

    url: RemoteUrl
    _known: str | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self) -> str:
        with self._lock:
            if self._known is None:
                self._known = self._find()
            return self._known

    def _find(self) -> str:
        if (given := os.environ.get(PASSWORD_VARIABLE)) is not None:
            return given
        if not sys.stdin.isatty():
            raise LocalProtocolError(
                f"the server asks for a password: set {PASSWORD_VARIABLE}, or run this on a terminal"
            )
        return getpass.getpass(f"Password of {printable(self.url.user or '')}@{self.url.host}: ")


@contextlib.contextmanager
def _log_shown(*, verbose: bool) -> Iterator[None]:
    """Write warnings to standard error meanwhile; where asked for, commands, replies and TLS facts too."""
    logger = logging.getLogger("lockgate.client")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s" if verbose else "lockgate: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Put the path before a refusal: the reply alone often does not say what it is about."""
    try:
        yield
    except ReplyError as problem:
        problem.args = (f"{printable(path)}: {problem}",)
        raise


def printable(text: str) -> str:
    """Return a text from elsewhere, fit for a terminal: no control characters, no lone surrogates."""
    return shown(text).encode("utf-8", "replace").decode("utf-8")


# --- results ---


def count_of(number: int, noun: str) -> str:
    """Return "1 file", "2 files"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary(what: str, count: int, seconds: float) -> str:
    """Return the line that says what was moved, and how fast."""
    # Of what is gone in an instant the rate says nothing.
    rate = f", {shown_bytes(count / seconds)}/s" if count and seconds >= _SHORTEST_SECONDS else ""
    return f"{printable(what)}: {shown_bytes(count)} in {seconds:.1f} s{rate}, verified"


@contextlib.contextmanager
def moving(sentence: str = NOTHING_LEFT) -> Iterator[None]:
    """Say what an interruption from here on leaves, unless the error says more."""
    try:
        yield
    except (KeyboardInterrupt, _Terminated) as error:
        if not getattr(error, "__notes__", ()):
            error.add_note(sentence)
        raise


@contextlib.contextmanager
def report_tree(what: str) -> Iterator[Callable[[TreeReport], None]]:
    """Print a tree's result; a tree with failures ends with exit code 1."""

    def done(report: TreeReport) -> None:
        _tell_skipped(report)
        more = f", {len(report.skipped)} skipped" if report.skipped else ""
        line(summary(f"{what}: {count_of(report.files, 'file')}{more}", report.bytes_moved, report.seconds))

    try:
        yield done
    except TreeIncomplete as problem:
        report = problem.report
        _tell_skipped(report)
        for failure in report.failures[:_MOST_LINES]:
            error(f"lockgate: {printable(str(failure))}")
        _tell_more(len(report.failures))
        more = f", {len(report.skipped)} skipped" if report.skipped else ""
        again = "; run it again for the rest" if any(_may_pass(one.error) for one in report.failures) else ""
        error(
            f"lockgate: {printable(what)}: {len(report.failures)} failed, {report.files} copied{more}{again}"
        )
        raise typer.Exit(1) from problem


def _tell_skipped(report: TreeReport) -> None:
    for path in report.skipped[:_MOST_LINES]:
        error(f"lockgate: {printable(path)}: skipped: neither a file nor a directory, nor a link to a file")
    _tell_more(len(report.skipped))


def _tell_more(count: int) -> None:
    if count > _MOST_LINES:
        error(f"lockgate: and {count - _MOST_LINES} more")


def _may_pass(problem: Exception) -> bool:
    """Tell whether the same might succeed next time: the connection or a passing refusal was to blame."""
    return isinstance(problem, (TransferError, TransientReplyError))
