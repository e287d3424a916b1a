"""Fingerprints of certificates, and pins: the one certificate that a client trusts, whatever it says.

Needs the standard library only, for the client does. Must not read what a certificate says: `identity` does.
"""

from __future__ import annotations

import hashlib
import hmac

from lockgate.errors import CertificateRejected, ConfigError, shorten

__all__ = ["check_pin", "fingerprint", "parse_pin"]

_SHA256_BYTES = 32


def fingerprint(der: bytes) -> str:
    """Return a certificate's SHA-256 fingerprint as people compare it: "AB:CD:...", 32 pairs."""
    return hashlib.sha256(der).digest().hex(":").upper()


def parse_pin(text: str) -> bytes:
    """Return the 32 bytes of a SHA-256 fingerprint in hexadecimal, in any case, with or without colons.

    A leading "sha256:" or "SHA256 Fingerprint=" (as `openssl x509 -fingerprint` prints it) may stand before
    it.

    Raises:
        ConfigError: This is no SHA-256 fingerprint.
    """
    digits = text.strip()
    for prefix in ("sha256 fingerprint=", "sha256:", "sha256="):
        if digits.lower().startswith(prefix):
            digits = digits[len(prefix) :].strip()
            break
    digits = digits.replace(":", "").replace(" ", "")
    try:
        pin = bytes.fromhex(digits)
    except ValueError:
        pin = b""
    if len(pin) != _SHA256_BYTES:
        raise ConfigError(f"{shorten(text)!r} is no SHA-256 fingerprint: write 64 hexadecimal digits")
    return pin


def check_pin(der: bytes | None, pin_sha256: bytes) -> None:
    """Return if the peer's certificate is the pinned one.

    Args:
        der: The peer's certificate, or None when it showed none.
        pin_sha256: The SHA-256 that it must have.

    Raises:
        CertificateRejected: It is another one.
    """
    if der is None:
        raise CertificateRejected("the server showed no certificate, and one is pinned")
    if not hmac.compare_digest(hashlib.sha256(der).digest(), pin_sha256):
        raise CertificateRejected(
            f"the server's certificate is not the pinned one: its fingerprint is {fingerprint(der)}; "
            "ask the server's operator whether it was renewed before you pin that"
        )
