"""`lockgate serve`: run a server, with a configuration or with none.

Prints where it listens and how to reach it, and hands everything else to `lockgate.server`.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from lockgate.errors import ConfigError, LockgateError

from .firstrun import FirstRun, prepare, ready_lines
from .terminal import error, heading, line, note

if TYPE_CHECKING:
    from lockgate.server.config import Config

__all__ = ["serve"]

HOST = "127.0.0.1"
PORT = 2121
IMPLICIT_PORT = 2990
AUDIT_LOGGER = "lockgate.audit"
_WORDS = {
    "explicit": "explicit TLS (AUTH TLS)",
    "implicit": "implicit TLS",
    "none": "no TLS: everything in clear",
}
_SCHEMES = {"explicit": "ftpes", "implicit": "ftps", "none": "ftp"}


class Bound(Protocol):
    """What is needed of a listener that is bound."""

    @property
    def address(self) -> str:
        """The IP address."""

    @property
    def port(self) -> int:
        """The port, never 0."""

    @property
    def tls(self) -> str:
        """How it speaks TLS: explicit, implicit or none."""


def serve(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="The folder to serve; made if missing.  [default: ./lockgate-files]",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", readable=False, help="Run with this configuration instead."),
    ] = None,
    host: Annotated[str | None, typer.Option(help=f"The address to listen on.  [default: {HOST}]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help=f"For explicit TLS; 0: any.  [default: {PORT}]")
    ] = None,
    implicit_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help=f"For implicit TLS; 0: any.  [default: {IMPLICIT_PORT}]"),
    ] = None,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            help="Log connections too, not logins, transfers and changes alone; twice: every command.",
        ),
    ] = 0,
) -> None:
    """Run a server until SIGTERM or Ctrl-C, which let running transfers end; SIGHUP reloads.

    Without --config it is a safe server to try: explicit and implicit TLS on this machine only, a certificate
    made on the first run, and one account with a new password, all of which are printed. The variable
    LOCKGATE_DEMO_PASSWORD may give the password instead.
    """
    _log(verbose)
    if config is None:
        chosen = (
            HOST if host is None else host,
            PORT if port is None else port,
            IMPLICIT_PORT if implicit_port is None else implicit_port,
        )
        _must_be_free(*chosen)
        run = prepare(directory, host=chosen[0], port=chosen[1], implicit_port=chosen[2])
        raise typer.Exit(_run(run.config, lambda bound: _print_first_run(run, bound)))
    if any(given is not None for given in (directory, host, port, implicit_port)):
        raise ConfigError(
            "DIR, --host, --port and --implicit-port do not go with --config: "
            "write home, address and port in the configuration"
        )
    from lockgate.server.config import load_config, remarks

    loaded = load_config(config, trial=True)
    for remark in remarks(loaded):
        error(f"lockgate: {remark.shown(str(config), 'warning: ')}")
    raise typer.Exit(_run(loaded, lambda bound: _print_configured(loaded, bound)))


def _log(verbose: int) -> None:
    """Send logs to standard error: who did what by default, connections at -v, every command at -vv."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _LogFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    from lockgate.server.logflood import LogFlood

    handler.addFilter(LogFlood())
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(handlers=[handler], level=level)
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)


class _LogFormatter(logging.Formatter):
    """Leaves level and logger out where they say nothing: in what is told of sessions, one line an event."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == AUDIT_LOGGER:
            return f"{self.formatTime(record, self.datefmt)} {record.getMessage()}"
        return super().format(record)


def _run(config: Config, on_ready: Callable[[Sequence[Bound]], None]) -> int:
    """Run the server; blocks until it has drained. Turns what cannot be bound into words."""
    from lockgate.server.server import run

    try:
        return run(config, on_ready=on_ready)
    except OSError as problem:
        if problem.errno in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL) or isinstance(
            problem, socket.gaierror
        ):
            raise LockgateError(_why_not_bound(config, problem)) from problem
        raise


def _must_be_free(host: str, port: int, implicit_port: int) -> None:
    """Refuse what cannot be listened on, before any file is made for it."""
    for number, option in ((port, "--port"), (implicit_port, "--implicit-port")):
        found = _try_to_bind(host, number)
        if found is not None:
            raise LockgateError(_not_bound(host, number, found, port_at=option, host_at="--host"))


def _why_not_bound(config: Config, problem: OSError) -> str:
    """Return which listener cannot be bound, why, and what to do."""
    for listener in config.listeners:
        found = _try_to_bind(listener.address, listener.port)
        if found is not None:
            option = "--implicit-port" if listener.tls == "implicit" else "--port"
            port_at = "port in its [[listener]]" if config.source else option
            host_at = "address in its [[listener]]" if config.source else "--host"
            return _not_bound(listener.address, listener.port, found, port_at=port_at, host_at=host_at)
    return f"cannot listen: {problem.strerror or problem}; was a port just given up? Try again"


def _try_to_bind(host: str, port: int) -> OSError | None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _name, address in found:
            with socket.socket(family, kind, protocol) as probe:
                # As the server does: a port whose old connections only linger is not in use.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    # As asyncio does: else [::] would have the IPv4 port too.
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                probe.listen(1)
    except UnicodeError:
        return OSError(0, "not a host name")
    except OSError as problem:
        return problem
    return None


def _not_bound(host: str, port: int, problem: OSError, *, port_at: str, host_at: str) -> str:
    told = f"cannot listen on {host} port {port}: "
    if problem.errno == errno.EADDRINUSE:
        return f"{told}the port is in use; stop the program that has it, or choose another with {port_at}"
    if problem.errno == errno.EACCES:
        return f"{told}ports below 1024 need more rights; choose another with {port_at}"
    reason = problem.strerror or str(problem)
    return f"{told}this machine does not have that address ({reason}); choose another with {host_at}"


def _where(listener: Bound) -> str:
    """Return the URL of a listener, as a client on this machine writes it."""
    return f"{_SCHEMES[listener.tls]}://{_host(listener.address)}:{listener.port}/"


def _host(address: str) -> str:
    if address in ("127.0.0.1", "::1", "0.0.0.0", "::"):  # noqa: S104
        return "localhost"
    return f"[{address}]" if ":" in address else address


def _print_listeners(bound: Sequence[Bound]) -> None:
    for listener in bound:
        line(f"  {_where(listener):<28}  {_WORDS[listener.tls]}, on {listener.address} port {listener.port}")


def _print_first_run(run: FirstRun, bound: Sequence[Bound]) -> None:
    heading("Lockgate is ready. Everything is protected by TLS: passwords, listings and files.")
    _print_listeners(bound)
    line(f"  Folder       {run.folder}")
    line(f"  User         {run.user}")
    line(f"  Password     {run.password}")
    line(f"  Certificate  {run.certificate}")
    line(f"  SHA-256      {run.fingerprint}")
    ports = {str(listener.tls): listener.port for listener in bound}
    lines = ready_lines(
        run,
        host=_host(bound[0].address),
        port=ports.get("explicit", PORT),
        implicit_port=ports.get("implicit", IMPLICIT_PORT),
    )
    for title, commands in lines:
        line()
        heading(f"With {title}:")
        for command in commands:
            line(command)
    line()
    note("These lines hold the password: a shell keeps what is typed in its history.")
    note("Ctrl-C ends the server. For your own accounts and certificate: lockgate config example")


def _print_configured(config: Config, bound: Sequence[Bound]) -> None:
    heading(f"Lockgate is ready (process {os.getpid()}).")
    _print_listeners(bound)
    certificates = config.served_certificates()
    for path in certificates:
        line(f"  SHA-256      {_fingerprint(path)}" + (f"  {path}" if len(certificates) > 1 else ""))


def _fingerprint(path: Path) -> str:
    """Return the SHA-256 of the first certificate of a PEM file."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificate

    from lockgate.tls.pins import fingerprint

    return fingerprint(load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER))
