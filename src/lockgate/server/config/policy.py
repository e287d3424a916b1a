"""`[policy]`, and the same keys where they stand in a listener or an account."""

from __future__ import annotations

import difflib
import ssl
from typing import Annotated

from pydantic import Field, field_validator

from lockgate.accounts.base import (
    Account,
    CertificateRule,
    ClearCommandChannel,
    Protection,
    SessionReuseRule,
)
from lockgate.errors import shorten
from lockgate.tls.acceptance import Acceptance

from .fields import Bool, Names, Section

__all__ = ["POLICY_KEYS", "PolicyConfig", "PolicyOverrides", "merged"]

_Protection = Annotated[Protection, Field(strict=False)]
_SessionReuse = Annotated[SessionReuseRule, Field(strict=False)]
_CertificateRule = Annotated[CertificateRule, Field(strict=False)]
_Version = Annotated[str, Field(pattern=r"^1\.[23]$")]
_Channel = Annotated[ClearCommandChannel, Field(strict=False)]


def _known_ciphers(names: tuple[str, ...]) -> tuple[str, ...]:
    """Take names of cipher suites that OpenSSL has here; a mistaken one would refuse everybody."""
    if not names:
        return names
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL")
    known = {one["name"] for one in context.get_ciphers()}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name.upper(), sorted(known), n=1)
            hint = f'; did you mean "{near[0]}"' if near else ""
            raise ValueError(
                f'"{shorten(name)}" is no cipher suite that OpenSSL has here{hint}; '
                "`openssl ciphers -v` lists their names"
            )
    return names


class PolicyConfig(Section):
    """`[policy]`: what must be protected, and how (RFC 4217 sections 5, 10.1 and 10.2)."""

    control: _Protection = Protection.REQUIRED
    data: _Protection = Protection.REQUIRED
    session_reuse: _SessionReuse = SessionReuseRule.AUTO
    require_close_notify: Bool = True
    client_certificate: _CertificateRule = CertificateRule.OFF
    clear_command_channel: _Channel = ClearCommandChannel.OFF
    legacy_auth: Bool = True
    acceptable_tls_version: _Version = "1.2"
    acceptable_ciphers: Names = ()

    @field_validator("acceptable_ciphers")
    @classmethod
    def _check_ciphers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _known_ciphers(value)

    def acceptance(self) -> Acceptance:
        """Return what a finished TLS handshake must have come to."""
        return Acceptance(self.acceptable_tls_version, self.acceptable_ciphers)


class PolicyOverrides(Section):
    """The keys of `[policy]` where they stand in another table; None: not said there."""

    control: _Protection | None = None
    data: _Protection | None = None
    session_reuse: _SessionReuse | None = None
    require_close_notify: Bool | None = None
    client_certificate: _CertificateRule | None = None
    clear_command_channel: _Channel | None = None
    legacy_auth: Bool | None = None
    acceptable_tls_version: _Version | None = None
    acceptable_ciphers: Names | None = None

    @field_validator("acceptable_ciphers")
    @classmethod
    def _check_ciphers(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return value if value is None else _known_ciphers(value)


POLICY_KEYS = tuple(PolicyConfig.model_fields)
"""The keys of `[policy]`, in their order."""


def merged(policy: PolicyConfig, *layers: PolicyOverrides | Account | None) -> PolicyConfig:
    """Return the policy with each layer's own values laid over it, the last one on top."""
    changes = {
        key: value
        for layer in layers
        if layer is not None
        for key in POLICY_KEYS
        if (value := getattr(layer, key)) is not None
    }
    return policy.model_copy(update=changes) if changes else policy
