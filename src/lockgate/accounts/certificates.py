"""What a client certificate means for a login (RFC 4217 sections 4.2 and 10.1).

The server decides how the certificate and the argument of USER must agree; here is that decision. It takes
the comparison as a callable, so that accounts need not know TLS, and does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from .base import Account, CertificateRule

__all__ = ["CertificateVerdict", "SubjectMatches", "certificate_agrees", "judge_certificate"]

SubjectMatches = Callable[[str], bool]
"""Tells whether all RDNs of an RFC 4514 text are in the subject of the certificate that was shown."""


class CertificateVerdict(Enum):
    """What the login still needs, as far as certificates go."""

    PASSWORD_NEEDED = auto()
    """The certificate does not stand in the way: 331, and the password decides."""
    SUFFICES = auto()
    """The certificate is the login: 232 to USER (RFC 4217 section 12.1)."""
    REFUSED = auto()
    """No password helps: the login fails, with the same answers and time as with a wrong password."""


def certificate_agrees(account: Account, subject_matches: SubjectMatches | None) -> bool:
    """Return whether a verified certificate was shown whose subject has what the account demands.

    Args:
        account: Whose rule is asked; one without a rule agrees with every certificate.
        subject_matches: Compares with the certificate that was shown and verified; None: there was none.
    """
    if subject_matches is None:
        return False
    return not account.certificate_subject or subject_matches(account.certificate_subject)


def judge_certificate(
    account: Account, rule: CertificateRule, subject_matches: SubjectMatches | None
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
        subject_matches: As in `certificate_agrees`.
    """
    agrees = certificate_agrees(account, subject_matches)
    refused = False
    match rule:
        case CertificateRule.OFF:
            pass
        case CertificateRule.OPTIONAL:
            refused = subject_matches is not None and not agrees
        case CertificateRule.REQUIRED:
            refused = not agrees
        case CertificateRule.SUFFICIENT:
            if agrees and account.certificate_subject:
                return CertificateVerdict.SUFFICES
    return CertificateVerdict.REFUSED if refused else CertificateVerdict.PASSWORD_NEEDED
