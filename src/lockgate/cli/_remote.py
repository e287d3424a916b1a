"""What the commands that talk to a server share: their options, the password, progress bars, how they end.

The password comes from LOCKGATE_PASSWORD, the URL or a prompt, never from an option, where `ps` would
show it.
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
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from lockgate.client.api import Client
from lockgate.client.options import make_options
from lockgate.client.progress import Progress, shown_bytes
from lockgate.client.trees import TreeIncomplete, TreeProgress, TreeReport
from lockgate.client.urls import RemoteUrl, looks_like_url, parse_url
from lockgate.errors import LocalProtocolError, ReplyError
from lockgate.protocol.paths import shown

from .terminal import error, line

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = [
    "Remote",
    "file_progress",
    "guarded",
    "naming",
    "printable",
    "remote_command",
    "remote_url",
    "report_tree",
    "summary",
    "tree_progress",
]

PASSWORD_VARIABLE = "LOCKGATE_PASSWORD"  # noqa: S105 - the variable's name
_INTERRUPTED = 130
_MOST_FAILURES_SHOWN = 20


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
            password=None if url.user is None or url.password is not None else _Password(url),
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
        with _conversation_shown() if self.verbose else contextlib.nullcontext(), self.client(url) as client:
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
    """End with 130 on Ctrl-C (and 143 on SIGTERM), after everything was cleaned up."""

    def terminate(number: int, frame: object) -> None:
        raise _Terminated

    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        error("lockgate: interrupted; nothing half done was left under its name")
        raise typer.Exit(_INTERRUPTED) from None
    except _Terminated:
        error("lockgate: terminated")
        raise typer.Exit(128 + signal.SIGTERM) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def remote_url(text: str) -> RemoteUrl:
    """Read a URL from the command line.

    Raises:
        LocalProtocolError: It is none.
    """
    if not looks_like_url(text):
        raise LocalProtocolError(
            f"'{printable(text)}' is no URL: write ftpes://user@host:port/path (explicit TLS) or ftps://..."
        )
    return parse_url(text)


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
def _conversation_shown() -> Iterator[None]:
    """Write commands, replies and TLS facts to standard error meanwhile."""
    logger = logging.getLogger("lockgate.client")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
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


# --- progress and results ---


@contextlib.contextmanager
def file_progress(label: str) -> Iterator[Callable[[Progress], None] | None]:
    """Show a bar for one file on a terminal; None elsewhere."""
    with _bar() as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task(printable(label), total=None)

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total)

        yield show


@contextlib.contextmanager
def tree_progress() -> Iterator[Callable[[TreeProgress], None] | None]:
    """Show one bar for a whole tree on a terminal; None elsewhere."""
    with _bar() as bar:
        if bar is None:
            yield None
            return
        task: TaskID = bar.add_task("0 files", total=None)

        def show(progress: TreeProgress) -> None:
            more = "" if progress.is_found else "+"
            bar.update(
                task,
                description=f"{progress.files_done}/{progress.files_found}{more} files",
                completed=progress.bytes_done,
                total=progress.bytes_found,
            )

        yield show


@contextlib.contextmanager
def _bar() -> Iterator[Bar | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


def summary(what: str, count: int, seconds: float) -> str:
    """Return the line that says what was moved, and how fast."""
    rate = f", {shown_bytes(count / seconds)}/s" if seconds > 0 else ""
    return f"{printable(what)}: {shown_bytes(count)} in {seconds:.1f} s{rate}, verified"


@contextlib.contextmanager
def report_tree(what: str) -> Iterator[Callable[[TreeReport], None]]:
    """Print a tree's result; a tree with failures ends with exit code 1."""

    def done(report: TreeReport) -> None:
        for path in report.skipped:
            error(f"lockgate: {printable(path)}: skipped, a link to a directory or no plain file")
        line(summary(f"{what}: {report.files} files", report.bytes_moved, report.seconds))

    try:
        yield done
    except TreeIncomplete as problem:
        failures = problem.report.failures
        for failure in failures[:_MOST_FAILURES_SHOWN]:
            error(f"lockgate: {printable(str(failure))}")
        more = len(failures) - _MOST_FAILURES_SHOWN
        if more > 0:
            error(f"lockgate: and {more} more")
        count = problem.report.files
        error(
            f"lockgate: {printable(what)}: {len(failures)} failed, {count} copied; run it again for the rest"
        )
        raise typer.Exit(1) from problem
