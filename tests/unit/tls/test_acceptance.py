"""What a finished handshake must have come to."""

from __future__ import annotations

import pytest

from lockgate.errors import ConfigError
from lockgate.tls.acceptance import Acceptance

AES = "TLS_AES_256_GCM_SHA384"


@pytest.mark.parametrize(
    ("minimum", "version", "accepted"),
    [
        ("1.2", "TLSv1.2", True),
        ("1.2", "TLSv1.3", True),
        ("1.3", "TLSv1.3", True),
        ("1.3", "TLSv1.2", False),
        ("1.2", "TLSv1.1", False),
        ("1.2", "TLSv1", False),
        ("1.2", "", False),
    ],
)
def test_versions_below_the_least_are_not_acceptable(minimum, version, accepted):
    problem = Acceptance(minimum).problem(version, AES)
    assert problem == ("" if accepted else f"TLS {minimum} or newer is required")


def test_only_the_named_suites_are_acceptable():
    acceptance = Acceptance("1.2", (AES, "ECDHE-RSA-AES256-GCM-SHA384"))
    assert acceptance.problem("TLSv1.3", AES) == ""
    assert "cipher suite" in acceptance.problem("TLSv1.3", "TLS_AES_128_GCM_SHA256")


def test_what_is_no_version_is_an_error():
    with pytest.raises(ConfigError, match=r'"1.2" or "1.3"'):
        Acceptance("1.1")
