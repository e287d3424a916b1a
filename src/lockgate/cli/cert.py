"""`lockgate cert`: what there is to know of the certificate that `lockgate serve` uses.

Reads only: the first-run certificate is made by `serve`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lockgate.errors import ConfigError, shorten

from .firstrun import data_folder
from .terminal import error, line

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Show the server's certificate.")


@app.callback()
def _group() -> None:
    """Keep `show` a sub-command though it is the only one."""


@app.command()
def show(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", readable=False, help="The server's configuration."),
    ] = None,
) -> None:
    """Print subject, names, validity and SHA-256 fingerprint of the certificates that serve uses.

    With --config also how long the clients' CAs and their revocation lists hold, and what ends soon.
    Without: of those that serve has made, one for each --host that needed its own.
    """
    if config is not None:
        _show_configured(config)
    else:
        from lockgate.tls.devcert import kept_certificates

        paths = kept_certificates(data_folder())
        if not paths:
            raise ConfigError(
                f"there is no certificate in {data_folder()} yet; `lockgate serve` makes it on its first run"
            )
        _print_all(paths)


def _show_configured(file: Path) -> None:
    from lockgate.server.config import load_config, tls_remarks
    from lockgate.tls.pemfacts import certificate_validity, crl_validity

    config = load_config(file)
    _print_all(config.served_certificates())
    policies = [one for listener in config.listeners if (one := config.tls_policy(listener)) is not None]
    for what, kind, paths in (
        ("Client CA", certificate_validity, [one.client_ca for one in policies]),
        ("Revoked by", crl_validity, [one.crl for one in policies]),
    ):
        for path in dict.fromkeys(path for path in paths if path is not None):
            for found in kind(path):
                line()
                line(f"File         {path}")
                line(f"{what:<11}  {found.holder}")
                line(f"Valid from   {_shown(found.start)}")
                line(f"Valid until  {_until(found.start, found.end)}")
    for remark in tls_remarks(config):
        error(f"lockgate: {file}: warning: {remark}")


def _print_all(paths: Iterable[Path]) -> None:
    for index, path in enumerate(paths):
        if index:
            line()
        _print(path, _load(path))


def _load(path: Path) -> Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{path}: no certificate in PEM; expected -----BEGIN CERTIFICATE-----") from error


def _print(path: Path, certificate: Certificate) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from lockgate.tls.pins import fingerprint

    line(f"File         {path}")
    line(f"Subject      {shorten(certificate.subject.rfc4514_string(), 200)}")
    line(f"Issuer       {shorten(certificate.issuer.rfc4514_string(), 200)}")
    line(f"Names        {', '.join(_names(certificate)) or '(none: no client can verify it)'}")
    line(f"Valid from   {_shown(certificate.not_valid_before_utc)}")
    line(f"Valid until  {_until(certificate.not_valid_before_utc, certificate.not_valid_after_utc)}")
    line(f"SHA-256      {fingerprint(certificate.public_bytes(Encoding.DER))}")


def _names(certificate: Certificate) -> list[str]:
    from cryptography.x509 import DNSName, ExtensionNotFound, IPAddress, SubjectAlternativeName

    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    found = names.get_values_for_type(DNSName) + [str(one) for one in names.get_values_for_type(IPAddress)]
    return [shorten(name, 255) for name in found]


def _shown(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _until(start: datetime.datetime, end: datetime.datetime | None) -> str:
    if end is None:
        return "(no end)"
    now = datetime.datetime.now(datetime.UTC)
    if now < start:
        return f"{_shown(end)} (NOT YET VALID)"
    return f"{_shown(end)} (EXPIRED)" if now > end else f"{_shown(end)} ({(end - now).days} days left)"
