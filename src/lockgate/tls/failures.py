"""Turns OpenSSL's errors into ours, which name the cause and what to do about it.

Shared by the engine and by whoever runs handshakes on blocking sockets. Must not decide anything.
"""

from __future__ import annotations

import re
import ssl

from lockgate.errors import CertificateRejected, HandshakeFailed, TlsError, shorten

__all__ = ["explain_handshake", "explain_stream"]

# OpenSSL's reason -> (what happened, what to do about it).
_CAUSES = {
    "CALLBACK_FAILED": (
        "the client names a host that no certificate here is for",
        'give that host one, or write unknown_names = "serve" in [tls]',
    ),
    "UNSUPPORTED_PROTOCOL": ("the peer speaks no TLS version that is allowed here", "TLS 1.2 is the floor"),
    "NO_PROTOCOLS_AVAILABLE": ("no TLS version is left to speak", "check minimum and maximum version"),
    "WRONG_VERSION_NUMBER": (
        "what the peer sent is not TLS",
        "check the port, and explicit against implicit TLS",
    ),
    "HTTP_REQUEST": ("the peer speaks HTTP, not TLS", "check the port"),
    "NO_SHARED_CIPHER": ("no cipher suite in common", "check the ciphers and the certificate's key type"),
    "TLSV1_ALERT_PROTOCOL_VERSION": ("the peer refuses our TLS versions", "TLS 1.2 is the floor"),
    "SSLV3_ALERT_HANDSHAKE_FAILURE": (
        "the peer found nothing acceptable in our offer (alert handshake_failure)",
        "check versions, ciphers and whether it wants a client certificate",
    ),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": (
        "the peer wants a certificate of ours and got none",
        "give one (--cert and --key)",
    ),
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": ("the peer does not take ALPN 'ftp'", "check the port"),
}

# What X.509 verification says of revocation (OpenSSL's X509_V_ERR_*) -> what to do about it.
_REVOCATION = {
    3: "crl has no list of one of the CAs in its chain: put every CA's in",
    8: "a list in crl does not bear its CA's signature: fetch it again",
    11: "a list in crl is not valid yet: check the clock",
    12: "a list in crl is past its next update, so nobody is let in: fetch the CA's new one",
    23: "its CA has revoked it",
}

_REASON_IN_TEXT = re.compile(r"\[SSL\] (.+?)(?: \(_ssl\.c|$)")

# Where CPython's own source names itself in a message: nobody's business.
_PYTHONS_PLACE = re.compile(r" ?\(_ssl\.c:\d+\)")

# Alerts about the certificate that *we* showed -> what to do about it.
_OUR_CERTIFICATE_ALERTS = {
    "UNKNOWN_CA": "check which CA it trusts, and that we send the whole chain",
    "BAD_CERTIFICATE": "check the certificate, its names and its chain",
    "CERTIFICATE_EXPIRED": "renew it if it has ended; if not, the peer's clock is wrong",
    "CERTIFICATE_REVOKED": "its CA has revoked it: get a new one",
    "CERTIFICATE_UNKNOWN": "check that the peer trusts its CA, its names and its dates",
    "UNSUPPORTED_CERTIFICATE": "check its key type, signature and purpose",
    "ACCESS_DENIED": "the peer knows it and lets it in nowhere: ask there",
}


def explain_handshake(error: Exception, *, server_side: bool) -> HandshakeFailed:
    """Return our exception for an error of a TLS handshake; the caller raises it `from` the error.

    Does not block. The peer's own words never come in: OpenSSL's messages are its own.

    Args:
        error: What `ssl` raised; `ssl.SSLError`, or `OSError` on sockets.
        server_side: Whether we are the TLS server, which decides what remedy is named.

    Returns:
        `CertificateRejected` when the peer's certificate was at fault, else `HandshakeFailed`.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateRejected(_verification(error, server_side=server_side))
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
        return HandshakeFailed("TLS handshake: the peer closed the connection before it was done")
    if isinstance(error, TimeoutError):
        return HandshakeFailed("TLS handshake: the peer did not answer in time")
    reason = _reason(error)
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return CertificateRejected("the client showed no certificate, and the policy requires one")
    return HandshakeFailed(f"TLS handshake: {_cause(error, reason)}")


def explain_stream(error: ssl.SSLError) -> TlsError:
    """Return our exception for an error of an established TLS stream; does not block.

    In TLS 1.3 a server judges the client's certificate after the client's handshake is done, so its
    refusal shows only here (RFC 8446 §4.4.2.4); it comes out as `HandshakeFailed` all the same.
    """
    reason = _reason(error)
    if reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED" or _is_about_our_certificate(reason):
        return HandshakeFailed(f"TLS handshake: {_cause(error, reason)}")
    return TlsError(f"TLS stream: {_cause(error, reason)}")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(reason, str):
        return reason
    # CPython's table lacks some of OpenSSL's reasons, such as the alert no_application_protocol; their
    # text is in the message: "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)".
    found = _REASON_IN_TEXT.search(str(error))
    return found[1].replace(" ", "_").upper() if found else ""


def _is_about_our_certificate(reason: str) -> bool:
    return reason.partition("_ALERT_")[2] in _OUR_CERTIFICATE_ALERTS


def _cause(error: Exception, reason: str) -> str:
    if reason in _CAUSES:
        what, remedy = _CAUSES[reason]
        return f"{what}: {remedy}"
    if _is_about_our_certificate(reason):
        alert = reason.partition("_ALERT_")[2]
        remedy = _OUR_CERTIFICATE_ALERTS[alert]
        return f"the peer does not accept our certificate (alert {alert.lower()}): {remedy}"
    if "_ALERT_" in reason:
        return f"the peer sent the fatal alert {reason.partition('_ALERT_')[2].lower()}"
    return shorten(reason.replace("_", " ").lower() or _PYTHONS_PLACE.sub("", str(error)), 120)


def _verification(error: ssl.SSLCertVerificationError, *, server_side: bool) -> str:
    why = shorten(_PYTHONS_PLACE.sub("", str(getattr(error, "verify_message", "") or error)), 160)
    if server_side and (remedy := _REVOCATION.get(getattr(error, "verify_code", 0))) is not None:
        return f"the client's certificate does not verify: {why}; {remedy}"
    if server_side:
        return f"the client's certificate does not verify: {why}; client_ca must hold the CA that signed it"
    return (
        f"the server's certificate does not verify: {why}; "
        "if it is the right server, trust its CA (trust=, --ca FILE) or pin the certificate (--pin SHA256)"
    )
