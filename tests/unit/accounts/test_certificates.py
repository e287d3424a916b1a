"""What a client certificate does for a login."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lockgate.accounts.base import Account, CertificateRule
from lockgate.accounts.certificates import (
    CertificateVerdict,
    ShownCertificate,
    certificate_agrees,
    judge_certificate,
)

RULED = Account(name="alice", home=Path("/a"), certificate_subject="CN=alice")
FREE = Account(name="bob", home=Path("/b"))

OFF, OPTIONAL = CertificateRule.OFF, CertificateRule.OPTIONAL
REQUIRED, SUFFICIENT = CertificateRule.REQUIRED, CertificateRule.SUFFICIENT
PASSWORD, SUFFICES = CertificateVerdict.PASSWORD_NEEDED, CertificateVerdict.SUFFICES
REFUSED = CertificateVerdict.REFUSED


@dataclass(frozen=True)
class Shown:
    """A certificate that has these things."""

    subject: str = "CN=alice"
    email: str = ""
    uri: str = ""
    sha256: str = ""

    def subject_matches(self, required: str) -> bool:
        return required == self.subject

    def has_email(self, address: str) -> bool:
        return address == self.email

    def has_uri(self, uri: str) -> bool:
        return uri == self.uri

    def has_fingerprint(self, sha256: str) -> bool:
        return sha256 == self.sha256


HERS, ANOTHERS, NONE = Shown(), Shown("CN=mallory"), None
FULL = Account(
    name="full",
    home=Path("/f"),
    certificate_subject="CN=full",
    certificate_email="f@x",
    certificate_uri="u:f",
    certificate_fingerprint=("01", "02"),
)
FITS = Shown("CN=full", "f@x", "u:f", "02")


def test_every_rule_of_the_account_must_be_met() -> None:
    assert certificate_agrees(FULL, FITS)
    assert certificate_agrees(FULL, replace(FITS, sha256="01"))
    for change in ({"subject": "CN=x"}, {"email": "g@x"}, {"uri": "u:g"}, {"sha256": "03"}):
        assert not certificate_agrees(FULL, replace(FITS, **change))


@pytest.mark.parametrize(
    "rule",
    [
        {"certificate_subject": "CN=alice"},
        {"certificate_email": "a@x"},
        {"certificate_uri": "u:a"},
        {"certificate_fingerprint": ("01",)},
    ],
)
def test_one_rule_alone_is_enough_to_log_in_by(rule: dict[str, Any]) -> None:
    account = Account(name="one", home=Path("/o"), **rule)
    assert account.names_certificate
    fits = Shown("CN=alice", "a@x", "u:a", "01")
    assert judge_certificate(account, SUFFICIENT, fits) is SUFFICES
    assert judge_certificate(account, SUFFICIENT, Shown("", "", "", "")) is PASSWORD
    assert judge_certificate(account, REQUIRED, Shown("", "", "", "")) is REFUSED


def test_no_certificate_agrees_with_nothing() -> None:
    assert not certificate_agrees(RULED, None)
    assert not certificate_agrees(FREE, None)


def test_an_account_without_a_rule_agrees_with_every_certificate() -> None:
    assert certificate_agrees(FREE, ANOTHERS)


@pytest.mark.parametrize(
    ("account", "rule", "shown", "verdict"),
    [
        (RULED, OFF, NONE, PASSWORD),
        (RULED, OFF, HERS, PASSWORD),
        (RULED, OFF, ANOTHERS, PASSWORD),
        (FREE, OFF, ANOTHERS, PASSWORD),
        (RULED, OPTIONAL, NONE, PASSWORD),
        (RULED, OPTIONAL, HERS, PASSWORD),
        (RULED, OPTIONAL, ANOTHERS, REFUSED),
        (FREE, OPTIONAL, ANOTHERS, PASSWORD),
        (RULED, REQUIRED, NONE, REFUSED),
        (RULED, REQUIRED, HERS, PASSWORD),
        (RULED, REQUIRED, ANOTHERS, REFUSED),
        (FREE, REQUIRED, NONE, REFUSED),
        (FREE, REQUIRED, ANOTHERS, PASSWORD),
        (RULED, SUFFICIENT, NONE, PASSWORD),
        (RULED, SUFFICIENT, HERS, SUFFICES),
        (RULED, SUFFICIENT, ANOTHERS, PASSWORD),
        (FREE, SUFFICIENT, NONE, PASSWORD),
        (FREE, SUFFICIENT, ANOTHERS, PASSWORD),
    ],
)
def test_every_rule_gives_its_verdict(
    account: Account, rule: CertificateRule, shown: ShownCertificate | None, verdict: CertificateVerdict
) -> None:
    assert judge_certificate(account, rule, shown) is verdict
