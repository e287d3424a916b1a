"""Who a peer is by its certificate: the identity that accounts are compared with.

Needs `cryptography`, a server's library, so nothing that the client uses may import this module. Must not
decide who may come in, and must not verify chains: TLS has done so before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.errors import CertificateRejected, ConfigError, shorten
from lockgate.tls.pins import fingerprint, parse_pin

if TYPE_CHECKING:
    from cryptography.x509 import Name, ObjectIdentifier

__all__ = ["Identity", "from_certificate", "parse_subject", "subject_text"]

# Type, value and separator; what a value has of separators is in quotes or behind a backslash.
_OPENSSL_PART = re.compile(
    r"""\s*([A-Za-z][A-Za-z0-9]*|[0-9.]+)\s*=\s*"""
    r"""("(?:[^"\\]|\\.)*"|(?:[^\s",+\\=]|\\.|[ ](?=[^\s,+]))*)\s*([,+]|$)"""
)

Rdn = frozenset[tuple[str, str]]
"""A relative distinguished name: attribute types (dotted) with values; most have one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a client certificate says about its holder; true as far as its CA is trusted.

    Attributes:
        subject_rfc4514: The subject as RFC 4514 writes it, for logs and people.
        subject_rdns: The subject's relative distinguished names, in the certificate's order.
        san_emails: The e-mail addresses among the alternative names.
        san_dns: The host names among them.
        san_uris: The URIs among them.
        fingerprint_sha256: The certificate's fingerprint as `fingerprint` writes it.
    """

    subject_rfc4514: str
    subject_rdns: tuple[Rdn, ...]
    san_emails: tuple[str, ...]
    san_dns: tuple[str, ...]
    san_uris: tuple[str, ...]
    fingerprint_sha256: str

    def subject_matches(self, required_rfc4514: str) -> bool:
        """Return whether each of these RDNs is in the subject, in any order; values count to the letter.

        Args:
            required_rfc4514: For example "CN=alice,O=Example". Nothing required matches nobody.

        Raises:
            ConfigError: This is no subject in RFC 4514's notation.
        """
        required = parse_subject(required_rfc4514)
        return bool(required) and set(required) <= set(self.subject_rdns)

    def has_email(self, address: str) -> bool:
        """Return whether an e-mail address is among the alternative names.

        What stands before the "@" counts to the letter, the host name in any case (RFC 5280 §7.5).
        """
        return bool(address) and _email_key(address) in map(_email_key, self.san_emails)

    def has_uri(self, uri: str) -> bool:
        """Return whether a URI is among the alternative names; it counts to the letter."""
        return bool(uri) and uri in self.san_uris

    def has_fingerprint(self, sha256: str) -> bool:
        """Return whether this is the certificate's fingerprint, in any spelling that `parse_pin` takes.

        Raises:
            ConfigError: This is no SHA-256 fingerprint.
        """
        return parse_pin(sha256) == parse_pin(self.fingerprint_sha256)


def parse_subject(text: str) -> tuple[Rdn, ...]:
    """Return the RDNs of a name in RFC 4514's notation, such as "CN=alice,O=Example".

    Raises:
        ConfigError: This is no such name.
    """
    if not text:
        # Older releases of cryptography refuse it, newer ones take it for the empty name.
        return ()
    from cryptography.x509 import Name

    try:
        return _rdns(Name.from_rfc4514_string(text, _attribute_names()))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{shorten(text)!r} is no certificate subject: write it like CN=alice,O=Example (RFC 4514)"
        ) from error


def subject_text(text: str) -> str:
    """Return a name in RFC 4514's notation, given in it or as `openssl x509 -subject` prints it.

    Raises:
        ConfigError: It is neither.
    """
    try:
        parse_subject(text)
    except ConfigError:
        plain = _from_openssl(text)
        if plain is None:
            raise
        parse_subject(plain)
        return plain
    return text


def _from_openssl(text: str) -> str | None:
    """Return RFC 4514's notation of `subject=CN = bank, O = "Example, Inc."`, or None if that is not it."""
    rest = text.strip().removeprefix("subject=").lstrip()
    plain = ""
    while rest:
        found = _OPENSSL_PART.match(rest)
        if found is None:
            return None
        value = found[2]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
            value = re.sub(r'([,+"\\<>;])', r"\\\1", value)
        plain += f"{found[1]}={value}{found[3]}"
        rest = rest[found.end() :]
    return None if not plain or plain.endswith((",", "+")) else plain


def from_certificate(der: bytes) -> Identity:
    """Return the identity in a certificate; takes some tens of microseconds.

    Raises:
        CertificateRejected: The certificate cannot be read.
    """
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        subject = certificate.subject
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names = x509.SubjectAlternativeName([])
        return Identity(
            subject_rfc4514=subject.rfc4514_string(),
            subject_rdns=_rdns(subject),
            san_emails=tuple(names.get_values_for_type(x509.RFC822Name)),
            san_dns=tuple(names.get_values_for_type(x509.DNSName)),
            san_uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
            fingerprint_sha256=fingerprint(der),
        )
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise CertificateRejected(
            f"the client's certificate cannot be read: {shorten(str(error))}"
        ) from error


def _attribute_names() -> dict[str, ObjectIdentifier]:
    """Return how attribute types may be written: in any case (RFC 4514), not in capitals only."""
    from cryptography.x509.oid import NameOID

    names = {
        "CN": NameOID.COMMON_NAME,
        "L": NameOID.LOCALITY_NAME,
        "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "C": NameOID.COUNTRY_NAME,
        "STREET": NameOID.STREET_ADDRESS,
        "DC": NameOID.DOMAIN_COMPONENT,
        "UID": NameOID.USER_ID,
        # Not in RFC 4514's table, but what OpenSSL prints.
        "emailAddress": NameOID.EMAIL_ADDRESS,
        "serialNumber": NameOID.SERIAL_NUMBER,
    }
    return {written: oid for name, oid in names.items() for written in {name, name.lower(), name.upper()}}


def _rdns(name: Name) -> tuple[Rdn, ...]:
    return tuple(
        frozenset((attribute.oid.dotted_string, _text(attribute.value)) for attribute in rdn)
        for rdn in name.rdns
    )


def _email_key(address: str) -> tuple[str, str]:
    local, _, host = address.rpartition("@")
    return local, host.lower()


def _text(value: str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else value
