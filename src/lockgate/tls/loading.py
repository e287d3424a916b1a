"""Loads certificates, keys, CAs and revocation lists into TLS contexts, and says what a file lacks.

Blocks for the files. Must not decide who may come in.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, NoReturn

from lockgate.errors import ConfigError, shorten

if TYPE_CHECKING:
    from pathlib import Path

_READ_BYTES = 1 << 20
_WANTED = {
    "CERTIFICATE": "the certificate chain in PEM (-----BEGIN CERTIFICATE-----), the own one first",
    "PRIVATE KEY": "the certificate's private key in PEM (-----BEGIN PRIVATE KEY-----)",
}

__all__ = ["load_ca", "load_certificate", "load_crl"]


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Load a certificate chain and its key.

    Args:
        context: Where to.
        certificate: The chain, PEM.
        key: Its key, PEM; None: in the same file.

    Raises:
        ConfigError: A file cannot be read, is not what it should be, or the two do not belong together.
    """

    def no_passphrase() -> NoReturn:
        # Without this OpenSSL would ask at the terminal, and a server would wait for ever.
        raise ConfigError(f"the key {key or certificate} has a passphrase: store it without one, mode 0600")

    _must_be_readable(certificate, "certificate")
    if key is not None:
        _must_be_readable(key, "key")
    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"the key {key or certificate} does not belong to {certificate}") from error
        for file, label, name in (
            (certificate, "CERTIFICATE", "certificate"),
            (key or certificate, "PRIVATE KEY", "key"),
        ):
            if problem := _lacks(file, label):
                raise ConfigError(f"{name}: {problem}") from error
        raise ConfigError(
            f"{certificate} and {key or certificate} are not a certificate chain and its key in PEM: "
            f"{shorten(error.reason or str(error))}"
        ) from error


def load_ca(context: ssl.SSLContext, file: Path, what: str) -> None:
    """Trust the CA certificates of a PEM file, which messages call `what`.

    Raises:
        ConfigError: It cannot be read, or holds none.
    """
    _must_be_readable(file, what)
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise ConfigError(f"{what}: {file} holds no CA certificates in PEM") from error


def load_crl(context: ssl.SSLContext, file: Path) -> None:
    """Hold peers to the revocation lists of a PEM file.

    Raises:
        ConfigError: It cannot be read, holds none, or holds certificates.
    """
    _must_be_readable(file, "crl")
    before = context.cert_store_stats()
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise ConfigError(f"crl: {file} holds no revocation list in PEM") from error
    after = context.cert_store_stats()
    if after["x509"] != before["x509"]:
        # They would be trusted, though nobody wrote them into client_ca.
        raise ConfigError(f"crl: {file} holds certificates: leave revocation lists in it, nothing else")
    if after["crl"] == before["crl"]:
        raise ConfigError(f"crl: {file} holds no revocation list in PEM")


def _must_be_readable(file: Path, what: str) -> None:
    # OpenSSL's error names no file.
    try:
        with file.open("rb"):
            return
    except OSError as error:
        raise ConfigError(f"{what}: {file} cannot be read: {error.strerror}") from error


def _lacks(file: Path, label: str) -> str:
    """Return what a PEM file holds in place of what is wanted, or "" when that is there."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_READ_BYTES)
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    labels = [one.decode() for one in re.findall(rb"-----BEGIN ([A-Z0-9 ]+)-----", data)]
    if any(one == label or (one.endswith(label) and label == "PRIVATE KEY") for one in labels):
        return ""
    wanted = f"what is wanted is {_WANTED[label]}"
    if data[:1] == b"\x30":
        return f"{file} is in DER or PKCS #12, not in PEM: `openssl` converts it; {wanted}"
    if not labels:
        return f"{file} is not PEM; {wanted}"
    return f"{file} holds {' and '.join(dict.fromkeys(labels))}, no {label}; {wanted}"
