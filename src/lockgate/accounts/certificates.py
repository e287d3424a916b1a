"""What a client certificate means for a login (RFC 4217 sections 4.2 and 10.1).

The server decides how the certificate and the argument of USER must agree; here is that decision. It takes
the certificate as something that compares itself, so that accounts need not know TLS, and does no I/O.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from .base import Account, CertificateRule

__all__ = ["CertificateVerdict", "ShownCertificate", "certificate_agrees", "judge_certificate"]


class ShownCertificate(Protocol):
    """A client certificate that was shown and verified: what can be asked of it."""

    def subject_matches(self, required_rfc4514: str, /) -> bool:
        """Return whether all RDNs of an RFC 4514 text are in its subject."""
        ...

    def has_email(self, address: str, /) -> bool:
        """Return whether the e-mail address is among its alternative names."""
        ...

    def has_uri(self, uri: str, /) -> bool:
        """Return whether the URI is among its alternative names."""
        ...

    def has_fingerprint(self, sha256: str, /) -> bool:
        """Return whether this is its SHA-256 fingerprint, given as 64 hexadecimal digits."""
        ...


class CertificateVerdict(Enum):
    """What the login still needs, as far as certificates go."""

    PASSWORD_NEEDED = auto()
    """The certificate does not stand in the way: 331, and the password decides."""
    SUFFICES = auto()
    """The certificate is the login: 232 to USER (RFC 4217 section 12.1)."""
    REFUSED = auto()
    """No password helps: the login fails, with the same answers and time as with a wrong password."""


def certificate_agrees(account: Account, shown: ShownCertificate | None) -> bool:
    """Return whether a verified certificate was shown that has everything the account demands of it.

    Args:
        account: Whose rules are asked, all of them; one without a rule agrees with every certificate.
        shown: The certificate; None: there was none.
    """
    if shown is None:
        return False
    one_of = account.certificate_fingerprint
    return (
        (not account.certificate_subject or shown.subject_matches(account.certificate_subject))
        and (not account.certificate_email or shown.has_email(account.certificate_email))
        and (not account.certificate_uri or shown.has_uri(account.certificate_uri))
        and (not one_of or any(shown.has_fingerprint(sha256) for sha256 in one_of))
    )


def judge_certificate(
    account: Account, rule: CertificateRule, shown: ShownCertificate | None
) -> CertificateVerdict:
    """Return what the client's certificate does for this account under this rule.

    - OFF: certificates are not looked at.
    - OPTIONAL: none need be shown; one that is shown must agree.
    - REQUIRED: one must be shown and agree, and the password decides then.
    - SUFFICIENT: one that agrees is the login; without it, or with another, the password decides. An account
      without a certificate rule is never opened by a certificate alone: any trusted client would fit.

    Args:
        account: The account that USER named.
        rule: The merged policy's `client_certificate`.
        shown: As in `certificate_agrees`.
    """
    agrees = certificate_agrees(account, shown)
    refused = False
    match rule:
        case CertificateRule.OFF:
            pass
        case CertificateRule.OPTIONAL:
            refused = shown is not None and not agrees
        case CertificateRule.REQUIRED:
            refused = not agrees
        case CertificateRule.SUFFICIENT:
            if agrees and account.names_certificate:
                return CertificateVerdict.SUFFICES
    return CertificateVerdict.REFUSED if refused else CertificateVerdict.PASSWORD_NEEDED
