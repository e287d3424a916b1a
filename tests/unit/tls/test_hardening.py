"""What every context is held to, and the suites that are left."""

from __future__ import annotations

import ssl

import pytest

from lockgate.errors import ConfigError
from lockgate.tls.hardening import ALPN_PROTOCOLS, harden, offered_ciphers

TLS13, TLS12 = "TLS_AES_256_GCM_SHA384", "ECDHE-RSA-AES128-GCM-SHA256"


@pytest.mark.parametrize(
    ("minimum", "maximum", "has13", "has12"),
    [("1.2", None, True, True), ("1.2", "1.2", False, True), ("1.3", None, True, False)],
)
def test_the_suites_on_offer_are_those_of_the_versions(
    minimum: str, maximum: str | None, has13: bool, has12: bool
) -> None:
    found = offered_ciphers(minimum=minimum, maximum=maximum, ciphers="")
    assert (TLS13 in found, TLS12 in found) == (has13, has12)


def test_what_is_not_safe_is_never_on_offer() -> None:
    assert "AES128-SHA" not in offered_ciphers(minimum="1.2", maximum=None, ciphers="ALL")
    with pytest.raises(ConfigError, match="leaves no cipher suite"):
        offered_ciphers(minimum="1.2", maximum=None, ciphers="NULL")


def test_versions_and_options_are_set() -> None:
    assert ALPN_PROTOCOLS == ["ftp"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    harden(context, minimum="1.3", maximum="1.3", ciphers="")
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_3,) * 2
    assert context.options & ssl.OP_NO_RENEGOTIATION
