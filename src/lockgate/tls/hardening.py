"""What every TLS context of ours is held to: versions, cipher suites, options (RFC 9325).

Must not load files and must not decide who may come in.
"""

from __future__ import annotations

import ssl

from lockgate.errors import ConfigError, shorten

__all__ = ["ALPN_PROTOCOLS", "harden", "offered_ciphers"]

#: The registered name of FTP in ALPN, for control and data connections alike.
ALPN_PROTOCOLS = ["ftp"]

# RFC 9325 §4.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing else.
_SAFE_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
# RFC 9325 §4.1: taken out for good, whatever the configuration asks for.
_NEVER = "!aNULL:!eNULL:!kRSA:!kDH:!kECDH:!PSK:!SRP:!aDSS:!EXPORT:!DES:!3DES:!RC2:!RC4:!IDEA:!SEED:!MD5"
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def harden(context: ssl.SSLContext, *, minimum: str, maximum: str | None, ciphers: str) -> None:
    """Set versions, cipher suites and options of a context.

    Args:
        context: The context, new.
        minimum: The oldest version, "1.2" or "1.3".
        maximum: The newest; None: the newest there is.
        ciphers: TLS 1.2 suites in OpenSSL's notation; "": the safe ones.

    Raises:
        ConfigError: No cipher suite is left.
    """
    context.minimum_version = _VERSIONS[minimum]
    if maximum is not None:
        context.maximum_version = _VERSIONS[maximum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # Where it stands by default it would make an end without close_notify look like a clean one.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    try:
        context.set_ciphers(f"{ciphers or _SAFE_CIPHERS}:{_NEVER}")
    except ssl.SSLError as error:
        raise ConfigError(
            f"ciphers: {shorten(ciphers)!r} leaves no cipher suite that is safe enough: "
            "use OpenSSL's notation and suites with forward secrecy, or leave it empty"
        ) from error


def offered_ciphers(*, minimum: str, maximum: str | None, ciphers: str) -> frozenset[str]:
    """Return the names of the cipher suites that a handshake under these bounds can come to.

    Raises:
        ConfigError: No cipher suite is left.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    harden(context, minimum=minimum, maximum=maximum, ciphers=ciphers)
    # OpenSSL lists the suites of every version, whatever the bounds.
    newest = {one["name"] for one in context.get_ciphers() if one["protocol"] == "TLSv1.3"}
    older = {one["name"] for one in context.get_ciphers()} - newest
    return frozenset((set() if maximum == "1.2" else newest) | (older if minimum == "1.2" else set()))
