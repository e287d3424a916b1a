"""Certificates that Lockgate makes itself: the server's first-run certificate, and a throw-away CA for tests.

Needs `cryptography`, imported inside functions. Must not be used by the client library. Blocks for file
reading and writing.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import ipaddress
import os
import re
import secrets
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError
from lockgate.tls.pins import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = [
    "CertificateAuthority",
    "CertificateFiles",
    "IssuedCertificate",
    "ensure_certificate",
    "kept_certificates",
]

_STEM = "lockgate"
_STEM_CHARACTERS = 120
# Marks the second of two pairs that take turns; no name without a digest behind it has such a character.
_SUCCESSOR = "_2"
_LOCK_NAME = ".lockgate.lock"
# Long enough that a fingerprint that was written down keeps, short of what clients refuse (825 days).
_VALID_DAYS = 730
# Renewed this long before its end, so that a server that is restarted now and then never serves an expired
# one.
_RENEW_DAYS = 30
_ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its key on disk.

    Attributes:
        certificate: The certificate (chain), PEM.
        key: The private key, PEM, mode 0600.
        fingerprint: The certificate's SHA-256 as `pins.fingerprint` writes it.
    """

    certificate: Path
    key: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate and its key in memory.

    Attributes:
        certificate_pem: The certificate.
        key_pem: Its private key, without a passphrase.
    """

    certificate_pem: bytes
    key_pem: bytes

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return ssl.PEM_cert_to_DER_cert(self.certificate_pem.decode("ascii"))

    def write(self, folder: Path, stem: str) -> CertificateFiles:
        """Write `stem`.pem and `stem`.key into a folder, each atomically; return where they are. Blocks."""
        return _write(self, folder / f"{stem}.pem", folder / f"{stem}.key")

    def __repr__(self) -> str:
        return f"IssuedCertificate({fingerprint(self.der)})"


def ensure_certificate(folder: Path, names: Iterable[str] = ()) -> CertificateFiles:
    """Return the self-signed certificate kept in a folder for these names; make or renew it. Blocks.

    Each set of names has a pair of files of its own, so that asking for other names never changes the pair
    that a running server uses. A pair serves as long as it is valid for another 30 days and its key fits; its
    successor is made beside it, for a server may use it to its end. Several processes may call this at once.

    Args:
        folder: Where it is kept; made if missing, for the owner alone.
        names: Host names and IP addresses that it must have beside localhost, 127.0.0.1 and ::1.

    Raises:
        ConfigError: The folder cannot be used.
    """
    wanted = tuple(dict.fromkeys([*_ALWAYS_NAMED, *(name for name in names if name)]))
    stem = _stem(wanted)
    pairs = [(folder / f"{name}.pem", folder / f"{name}.key") for name in (stem, f"{stem}{_SUCCESSOR}")]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Looked at before the lock, so that a folder that cannot be written serves what is in it.
        found = _first_usable(pairs, wanted)
        if found is not None:
            return found
        with _locked(folder / _LOCK_NAME):
            found = _first_usable(pairs, wanted)
            if found is not None:
                return found
            certificate, key = next((one for one in pairs if _usable(*one, wanted, days=0) is None), pairs[0])
            return _write(_self_signed(wanted), certificate, key)
    except OSError as error:
        raise ConfigError(
            f"no certificate can be kept in {folder}: {error.strerror}; set certificate and key in [tls]"
        ) from error


def kept_certificates(folder: Path) -> list[Path]:
    """Return the certificates that `ensure_certificate` keeps in a folder, that of loopback first. Blocks.

    Args:
        folder: Where they are kept; it need not exist.
    """
    found = [path for path in folder.glob(f"{_STEM}*.pem") if path.with_suffix(".key").is_file()]
    return sorted(found, key=lambda path: (path.stem != _STEM, path.name))


def _stem(names: tuple[str, ...]) -> str:
    """Return the file name, without its suffix, that belongs to a set of names."""
    more = sorted(name.lower() for name in names if name not in _ALWAYS_NAMED)
    if not more:
        return _STEM
    told = "+".join(more)
    shown = re.sub(r"[^0-9a-z.+-]", "_", told)[:_STEM_CHARACTERS]
    if shown != told:
        shown += f"-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    return f"{_STEM}-{shown}"


class CertificateAuthority:
    """A throw-away CA for tests: it lives in memory and signs what it is told to.

    Args:
        name: Its common name.
    """

    def __init__(self, name: str = "Lockgate test CA") -> None:
        from cryptography import x509

        self._key = _new_key()
        subject = _name(name)
        builder = _builder(subject, issuer=subject, key=self._key, days=_VALID_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        self._certificate = _sign(builder, self._key)

    @property
    def certificate_pem(self) -> bytes:
        """The CA's own certificate."""
        return _pem(self._certificate)

    def write(self, folder: Path, stem: str = "ca") -> Path:
        """Write the CA's certificate as `stem`.pem into a folder and return its path. Blocks."""
        path = folder / f"{stem}.pem"
        _write_file(path, self.certificate_pem, mode=0o644)
        return path

    def issue_server(self, names: Iterable[str] = _ALWAYS_NAMED, *, days: int = 90) -> IssuedCertificate:
        """Return a server certificate for names and IP addresses; negative `days` make an expired one."""
        from cryptography import x509

        general = [_general_name(name) for name in names]
        usage = x509.oid.ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue(_name("lockgate test server"), general, usage, days=days)

    def issue_client(
        self, subject: str, *, emails: Iterable[str] = (), uris: Iterable[str] = (), days: int = 90
    ) -> IssuedCertificate:
        """Return a client certificate.

        Args:
            subject: In RFC 4514's notation, for example "CN=alice,O=Example".
            emails: E-mail addresses for its alternative names.
            uris: URIs for them.
            days: How long it is valid; negative makes an expired one.
        """
        from cryptography import x509

        usage = x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH
        general: list[x509.GeneralName] = [x509.RFC822Name(email) for email in emails]
        general += [x509.UniformResourceIdentifier(uri) for uri in uris]
        return self._issue(x509.Name.from_rfc4514_string(subject), general, usage, days=days)

    def _issue(
        self,
        subject: x509.Name,
        names: Iterable[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        *,
        days: int,
    ) -> IssuedCertificate:
        key = _new_key()
        builder = _builder(
            subject, issuer=self._certificate.subject, key=key, days=days, issuer_key=self._key
        )
        builder = _leaf(builder, list(names), usage)
        return IssuedCertificate(certificate_pem=_pem(_sign(builder, self._key)), key_pem=_key_pem(key))


def _self_signed(names: tuple[str, ...]) -> IssuedCertificate:
    from cryptography import x509

    key = _new_key()
    subject = _name("Lockgate first-run certificate")
    builder = _builder(subject, issuer=subject, key=key, days=_VALID_DAYS)
    usage = x509.oid.ExtendedKeyUsageOID.SERVER_AUTH
    builder = _leaf(builder, [_general_name(name) for name in names], usage)
    return IssuedCertificate(certificate_pem=_pem(_sign(builder, key)), key_pem=_key_pem(key))


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode("ascii"))
    except UnicodeError as error:
        raise ConfigError(f"{name!r} is no host name that a certificate can have") from error


def _builder(
    subject: x509.Name,
    *,
    issuer: x509.Name,
    key: EllipticCurvePrivateKey,
    days: int,
    issuer_key: EllipticCurvePrivateKey | None = None,
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    end = now + datetime.timedelta(days=days)
    # Clocks differ: valid since yesterday, or since before its end if that has passed.
    start = min(now, end) - datetime.timedelta(days=1)
    public = key.public_key()
    signer = (issuer_key or key).public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _leaf(
    builder: x509.CertificateBuilder, names: list[x509.GeneralName], usage: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    from cryptography import x509

    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _first_usable(pairs: list[tuple[Path, Path]], names: tuple[str, ...]) -> CertificateFiles | None:
    return next((found for one in pairs if (found := _usable(*one, names)) is not None), None)


def _usable(
    certificate: Path, key: Path, names: tuple[str, ...], *, days: int = _RENEW_DAYS
) -> CertificateFiles | None:
    """Return what is on disk if it can be used for these names for more than so many days, else None."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = load_pem_private_key(key.read_bytes(), password=None)
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return None
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if (
        left <= datetime.timedelta(days=days)
        or private.public_key() != found.public_key()
        or not all(_general_name(name) in named for name in names)
    ):
        return None
    return CertificateFiles(
        certificate=certificate, key=key, fingerprint=fingerprint(found.public_bytes(Encoding.DER))
    )


def _write(issued: IssuedCertificate, certificate: Path, key: Path) -> CertificateFiles:
    _write_file(key, issued.key_pem, mode=0o600)
    _write_file(certificate, issued.certificate_pem, mode=0o644)
    return CertificateFiles(certificate=certificate, key=key, fingerprint=fingerprint(issued.der))


def _write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file so that a reader finds all of it or the old one, and a key is never readable by others."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that one worker process makes the certificate and the others find it."""
    try:
        import fcntl
    except ImportError:  # no lock on this system: one process at a time, as is usual there
        yield
        return
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
