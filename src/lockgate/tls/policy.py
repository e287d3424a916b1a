"""What a listener or a client demands of TLS: plain values, checked when they are made.

Nothing is loaded here; `contexts` turns a policy into an `ssl.SSLContext`. Must not touch files.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError, shorten

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "TLS_VERSIONS",
    "ClientCertificate",
    "NamedCertificate",
    "SessionReuse",
    "TlsPolicy",
    "TrustPolicy",
    "UnknownNames",
]

#: The versions that may be named in a configuration, oldest first. RFC 8996: nothing before TLS 1.2.
TLS_VERSIONS = ("1.2", "1.3")

_SHA256_BYTES = 32


class ClientCertificate(Enum):
    """What the server does about client certificates (RFC 4217 §10.1)."""

    OFF = "off"
    """None is asked for."""

    OPTIONAL = "optional"
    """Asked for; one that is shown must verify."""

    REQUIRED = "required"
    """No handshake without one that verifies."""

    SUFFICIENT = "sufficient"
    """As OPTIONAL; one that agrees with USER takes the place of the password (reply 232)."""


class SessionReuse(Enum):
    """Must a data connection resume its control connection's TLS session (RFC 4217 §10.2)."""

    REQUIRED = "required"
    """Always."""

    AUTO = "auto"
    """From the first time on that the client has shown that it can."""

    OFF = "off"
    """Never; address and client certificate are compared instead."""


class UnknownNames(Enum):
    """What happens to a client that means a host whose certificate is not here (RFC 6066 §3)."""

    SERVE = "serve"
    """It is shown the default certificate, and judges that itself."""

    REFUSE = "refuse"
    """The alert unrecognized_name; a client that names an address, or nothing, is served."""


def _check_versions(minimum: str, maximum: str | None) -> None:
    for name, value in (("minimum_version", minimum), ("maximum_version", maximum)):
        if value is not None and value not in TLS_VERSIONS:
            known = " or ".join(f'"{version}"' for version in TLS_VERSIONS)
            raise ConfigError(
                f"{name}: {shorten(value)!r} is no TLS version that is spoken here: write {known}"
            )
    if maximum is not None and TLS_VERSIONS.index(maximum) < TLS_VERSIONS.index(minimum):
        raise ConfigError(
            f"maximum_version {maximum} is below minimum_version {minimum}: no version is left to speak"
        )


@dataclass(frozen=True, slots=True)
class NamedCertificate:
    """A certificate that is shown to clients who name a host of its own (RFC 6066 §3, RFC 7151).

    Attributes:
        certificate: The certificate chain, PEM.
        key: Its private key, PEM, without a passphrase; None when it stands in the `certificate` file.
        names: The host names it serves, as `names.normal_name` returns them; empty for those in it.
    """

    certificate: Path
    key: Path | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What a server's TLS is to be.

    Attributes:
        certificate: The certificate chain, PEM, the server's own certificate first; None means that the
            server has no TLS to offer.
        key: The private key, PEM, without a passphrase; None when it stands in the `certificate` file.
        certificates: Further certificates, for clients that name their hosts.
        client_ca: The CA certificates, PEM, that client certificates must come from.
        crl: Revocation lists, PEM, one of each CA in a client's chain; None to check no revocation.
        client_certificate: Whether client certificates are asked for.
        minimum_version: The oldest TLS version spoken, "1.2" or "1.3".
        maximum_version: The newest TLS version spoken, or None for the newest there is.
        ciphers: Cipher suites for TLS 1.2 in OpenSSL's notation; "" is the safe default.
        unknown_names: Whether a client that names a host that no certificate is for is served.
        session_reuse: Whether data connections must resume the control connection's session.
        check_key_permissions: Whether keys that others can read are refused.

    Raises:
        ConfigError: The values contradict each other.
    """

    certificate: Path | None = None
    key: Path | None = None
    certificates: tuple[NamedCertificate, ...] = ()
    client_ca: Path | None = None
    crl: Path | None = None
    client_certificate: ClientCertificate = ClientCertificate.OFF
    minimum_version: str = "1.2"
    maximum_version: str | None = None
    ciphers: str = ""
    unknown_names: UnknownNames = UnknownNames.SERVE
    session_reuse: SessionReuse = SessionReuse.AUTO
    check_key_permissions: bool = False

    def __post_init__(self) -> None:
        _check_versions(self.minimum_version, self.maximum_version)
        if self.client_certificate is not ClientCertificate.OFF and self.client_ca is None:
            raise ConfigError(
                f'client_certificate is "{self.client_certificate.value}" but no client_ca is set: '
                "name the PEM file with the CA that signs the clients' certificates"
            )
        if self.key is not None and self.certificate is None:
            raise ConfigError("key is set but certificate is not: name the certificate's PEM file too")
        if self.crl is not None and self.client_ca is None:
            raise ConfigError(
                "crl is set but client_ca is not: name the PEM file with the CA whose certificates it revokes"
            )

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the policy is loaded from."""
        found = [self.certificate, self.key, self.client_ca, self.crl]
        for one in self.certificates:
            found += [one.certificate, one.key]
        return tuple(dict.fromkeys(file for file in found if file is not None))


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Whom a client trusts, and what it shows of itself.

    Without any argument the system's certificate authorities are trusted and the host name is checked.
    A pin without a CA file takes the place of both: that one certificate is trusted, whatever it says.

    Attributes:
        ca_file: CA certificates, PEM, to be trusted instead of the system's.
        pin_sha256: SHA-256 of the server's certificate in DER, 32 bytes; whoever runs the handshake checks it
            with `pins.check_pin` (`TlsEngine` does so by itself when it is given the pin).
        verify: False trusts anybody: encryption without authentication.
        certificate: The client's own certificate chain, PEM.
        key: Its private key, PEM; None when it stands in the `certificate` file.
        minimum_version: The oldest TLS version spoken, "1.2" or "1.3".
        maximum_version: The newest TLS version spoken, or None for the newest there is.

    Raises:
        ConfigError: The values contradict each other.
    """

    ca_file: Path | None = None
    pin_sha256: bytes | None = None
    verify: bool = True
    certificate: Path | None = None
    key: Path | None = None
    minimum_version: str = "1.2"
    maximum_version: str | None = None

    def __post_init__(self) -> None:
        _check_versions(self.minimum_version, self.maximum_version)
        if self.pin_sha256 is not None and len(self.pin_sha256) != _SHA256_BYTES:
            raise ConfigError(
                f"a pin is the SHA-256 of the certificate, 32 bytes; this one has {len(self.pin_sha256)}"
            )
        if not self.verify and (self.ca_file is not None or self.pin_sha256 is not None):
            raise ConfigError(
                "verification is off, yet a CA file or a pin is given: leave one of the two out"
            )
        if self.key is not None and self.certificate is None:
            raise ConfigError("a client key is given without its certificate: give both")

    @property
    def verifies_chain(self) -> bool:
        """True when the server's certificate chain and host name are verified by TLS itself."""
        return self.verify and (self.pin_sha256 is None or self.ca_file is not None)
