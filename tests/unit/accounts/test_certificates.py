"""What a client certificate does for a login."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.accounts.base import Account, CertificateRule
from lockgate.accounts.certificates import (
    CertificateVerdict,
    SubjectMatches,
    certificate_agrees,
    judge_certificate,
)

RULED = Account(name="alice", home=Path("/a"), certificate_subject="CN=alice")
FREE = Account(name="bob", home=Path("/b"))

OFF, OPTIONAL = CertificateRule.OFF, CertificateRule.OPTIONAL
REQUIRED, SUFFICIENT = CertificateRule.REQUIRED, CertificateRule.SUFFICIENT
PASSWORD, SUFFICES = CertificateVerdict.PASSWORD_NEEDED, CertificateVerdict.SUFFICES
REFUSED = CertificateVerdict.REFUSED


def shows(*subjects: str) -> SubjectMatches:
    return lambda required: required in subjects


HERS, ANOTHERS, NONE = shows("CN=alice"), shows("CN=mallory"), None


def test_the_rule_of_the_account_is_what_is_asked() -> None:
    asked: list[str] = []

    def matches(required: str) -> bool:
        asked.append(required)
        return True

    assert certificate_agrees(RULED, matches)
    assert asked == ["CN=alice"]


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
    account: Account, rule: CertificateRule, shown: SubjectMatches | None, verdict: CertificateVerdict
) -> None:
    assert judge_certificate(account, rule, shown) is verdict
