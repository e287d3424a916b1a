"""What `lockgate serve` does without a configuration: folders, certificate, account and lines to copy.

Makes files on the first run, opens no socket. What it prints about a password is for the terminal of the one
who started the server, and goes nowhere else.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import socket
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError

if TYPE_CHECKING:
    from lockgate.server.config import Config

__all__ = ["FirstRun", "data_folder", "prepare", "ready_lines"]

USER = "demo"
_PROGRAM = "lockgate"
DEFAULT_FOLDER = "lockgate-files"
PASSWORD_VARIABLE = "LOCKGATE_DEMO_PASSWORD"  # noqa: S105
_ANY = ("0.0.0.0", "::", "")  # noqa: S104
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HOST_NAME = re.compile(r"[0-9A-Za-z:][0-9A-Za-z:.-]{0,252}")
_PASSWORD_LENGTH = 20
# Letters and digits only, so that no shell and no URL needs an escape.
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class FirstRun:
    """A server made ready without a configuration.

    Attributes:
        config: What the server runs with.
        folder: The root of the account.
        certificate: The server's certificate, PEM; clients may take it as their CA file.
        fingerprint: Its SHA-256.
        user: The account's name.
        password: The account's password.
    """

    config: Config
    folder: Path
    certificate: Path
    fingerprint: str
    user: str
    password: str


def data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the first-run certificate is kept (XDG base directories); it need not exist."""
    base = environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path there is invalid and to be ignored.
    folder = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share"
    return folder / "lockgate"


def prepare(
    directory: Path | None,
    *,
    host: str,
    port: int,
    implicit_port: int,
    environ: Mapping[str, str] = os.environ,
) -> FirstRun:
    """Make the root folder, the certificate and the account; blocks for files and a password hash.

    Raises:
        ConfigError: A folder cannot be made or a value cannot be used.
    """
    from lockgate.accounts.passwords import hash_password
    from lockgate.server.config import embedded_config
    from lockgate.tls.devcert import ensure_certificate

    folder = (directory or Path(DEFAULT_FOLDER)).absolute()
    password = environ.get(PASSWORD_VARIABLE) or _new_password()
    if any(character in password for character in "\r\n\0"):
        raise ConfigError(f"{PASSWORD_VARIABLE} holds a line end, which no PASS command can carry")
    files = ensure_certificate(data_folder(environ), _names(host))
    config = embedded_config(
        folder,
        files.certificate,
        files.key,
        hash_password(password),
        host=host,
        port=port,
        implicit_port=implicit_port,
        user=USER,
    )
    # The last thing, so that what fails before leaves no empty folder behind.
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot serve this as a folder ({error.strerror}); name another: lockgate serve DIR"
        ) from error
    return FirstRun(config, folder, files.certificate, files.fingerprint, USER, password)


def _names(host: str) -> list[str]:
    """Return the names that the certificate needs beside those of this machine to itself.

    The machine's own name only where others can reach it: a notebook's name changes with its network, and
    every change would make a new certificate with another fingerprint.
    """
    if host in _LOOPBACK:
        return []
    name = socket.gethostname() if host in _ANY else host
    return [name] if _HOST_NAME.fullmatch(name) else []


def _new_password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_LENGTH))


def _own_command() -> str:
    """Return what a shell in this folder calls this program: its name where that finds it, else its path."""
    program = Path(sys.argv[0])
    if program.name != _PROGRAM:
        return _PROGRAM
    found = shutil.which(_PROGRAM)
    if found is not None and Path(found).resolve() == program.resolve():
        return _PROGRAM
    return shlex.quote(str(program))


def ready_lines(
    run: FirstRun, *, host: str, port: int, implicit_port: int
) -> Sequence[tuple[str, list[str]]]:
    """Return titles with command lines, each to be copied whole.

    Args:
        run: What `prepare` made.
        host: The host as a client on this machine names it, in brackets when it is an IPv6 address.
        port: Where the explicit listener is.
        implicit_port: Where the implicit listener is.
    """
    explicit, implicit = f"{host}:{port}/", f"{host}:{implicit_port}/"
    ca = shlex.quote(str(run.certificate))
    login = shlex.quote(f"{run.user}:{run.password}")
    secret = shlex.quote(run.password)
    ours = f"LOCKGATE_PASSWORD={secret} {_own_command()}"
    lftp = [
        # lftp opens a URL among its arguments before it runs the script, too early for the settings.
        f"LFTP_PASSWORD={secret} lftp -e "
        + shlex.quote(
            f'set ssl:ca-file "{run.certificate}"; set ftp:ssl-force true; set ftp:ssl-protect-data true; '
            f"open --env-password -u {run.user} {url}"
        )
        for url in (f"ftp://{explicit}", f"ftps://{implicit}")
    ]
    return (
        (
            "lockgate, a whole folder there and back",
            [
                f"{ours} put -r --ca {ca} FOLDER ftpes://{run.user}@{explicit}",
                f"{ours} get -r --ca {ca} ftpes://{run.user}@{explicit} COPY",
                f"{ours} ls --pin {run.fingerprint} ftps://{run.user}@{implicit}",
            ],
        ),
        (
            "curl, explicit and implicit TLS",
            [
                f"curl --ssl-reqd --cacert {ca} -u {login} -T FILE ftp://{explicit}",
                f"curl --ssl-reqd --cacert {ca} -u {login} ftp://{explicit}",
                f"curl --cacert {ca} -u {login} ftps://{implicit}",
            ],
        ),
        ("lftp, explicit and implicit TLS", lftp),
    )
