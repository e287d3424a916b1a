"""CAs that revoke: roots, intermediates, client certificates and their revocation lists, made in memory."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["Holder", "holder", "revocation_list"]

_ONE_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Holder:
    """A certificate with its key; a CA's signs others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def write(self, folder: Path, stem: str, *chain: Holder) -> tuple[Path, Path]:
        """Write certificate with chain, and key; return where they are."""
        certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
        certificate.write_bytes(self.pem + b"".join(one.pem for one in chain))
        key.touch(mode=0o600)
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


def holder(name: str, issuer: Holder | None = None, *, ca: bool = False, days: int = 90) -> Holder:
    """Make a certificate: self-signed without an issuer, a client's unless it is a CA's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(_USAGES, False) | {
        "key_cert_sign": ca,
        "crl_sign": ca,
        "digital_signature": not ca,
    }
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _ONE_DAY)
        .not_valid_after(now + days * _ONE_DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
    )
    if not ca:
        client = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(client, critical=False)
    return Holder(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def revocation_list(issuer: Holder, *revoked: Holder, days: float = 60.0) -> bytes:
    """Return a CA's list in PEM; negative `days` make one whose next update has passed."""
    now = datetime.datetime.now(datetime.UTC)
    end = now + days * _ONE_DAY
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(min(now, end) - _ONE_DAY)
        .next_update(end)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(now - _ONE_DAY).build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)
