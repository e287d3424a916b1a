"""What certificates and revocation lists on disk say of themselves: names and times.

Needs `cryptography`, a server's library, so nothing that the client uses may import this module. Verifies
nothing. Blocks for file reading.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError, shorten
from lockgate.tls.names import normal_name

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate

__all__ = ["Validity", "certificate_names", "certificate_validity", "crl_validity"]

_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a certificate or a revocation list holds.

    Attributes:
        holder: The subject of the certificate, the issuer of the list, as RFC 4514 writes it.
        start: From when on.
        end: Until when; for a list its next update, None where it names none.
    """

    holder: str
    start: datetime.datetime
    end: datetime.datetime | None


def certificate_names(file: Path) -> tuple[str, ...]:
    """Return the host names and IP addresses in the first certificate of a file, as `normal_name` has them.

    Names that no client can ask for are left out.

    Raises:
        ConfigError: The file holds no certificate that can be read.
    """
    from cryptography.x509 import DNSName, ExtensionNotFound, IPAddress, SubjectAlternativeName

    try:
        names = _certificates(file)[0].extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return ()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{file}: its alternative names cannot be read: {shorten(str(error))}") from error
    written = [*names.get_values_for_type(DNSName), *map(str, names.get_values_for_type(IPAddress))]
    found = (normal_name(name, wildcard=True) for name in written)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def certificate_validity(file: Path) -> tuple[Validity, ...]:
    """Return how long each certificate of a file is valid, in the file's order.

    Raises:
        ConfigError: The file holds no certificate that can be read.
    """
    return tuple(
        Validity(_shown(one.subject.rfc4514_string()), one.not_valid_before_utc, one.not_valid_after_utc)
        for one in _certificates(file)
    )


def crl_validity(file: Path) -> tuple[Validity, ...]:
    """Return how long each revocation list of a file holds, in the file's order.

    Raises:
        ConfigError: The file holds no revocation list that can be read.
    """
    from cryptography.x509 import load_pem_x509_crl

    try:
        lists = [load_pem_x509_crl(block) for block in _CRL.findall(_read(file))]
        found = tuple(
            Validity(_shown(one.issuer.rfc4514_string()), one.last_update_utc, one.next_update_utc)
            for one in lists
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{file}: a revocation list cannot be read: {shorten(str(error))}") from error
    if not found:
        raise ConfigError(f"{file}: no revocation list in PEM; expected -----BEGIN X509 CRL-----")
    return found


def _certificates(file: Path) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(_read(file))
    except ValueError as error:
        raise ConfigError(f"{file}: no certificate in PEM; expected -----BEGIN CERTIFICATE-----") from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _shown(name: str) -> str:
    return shorten(name, 120) or "(no name)"
