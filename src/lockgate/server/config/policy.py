"""`[policy]`, and the same keys where they stand in a listener or an account."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lockgate.accounts.base import (
    Account,
    CertificateRule,
    ClearCommandChannel,
    Protection,
    SessionReuseRule,
)

from .fields import Bool, Section

__all__ = ["POLICY_KEYS", "PolicyConfig", "PolicyOverrides", "merged"]

_Protection = Annotated[Protection, Field(strict=False)]
_SessionReuse = Annotated[SessionReuseRule, Field(strict=False)]
_CertificateRule = Annotated[CertificateRule, Field(strict=False)]
_Channel = Annotated[ClearCommandChannel, Field(strict=False)]


class PolicyConfig(Section):
    """`[policy]`: what must be protected, and how (RFC 4217 sections 5, 10.1 and 10.2)."""

    control: _Protection = Protection.REQUIRED
    data: _Protection = Protection.REQUIRED
    session_reuse: _SessionReuse = SessionReuseRule.AUTO
    require_close_notify: Bool = True
    client_certificate: _CertificateRule = CertificateRule.OFF
    clear_command_channel: _Channel = ClearCommandChannel.OFF
    legacy_auth: Bool = True


class PolicyOverrides(Section):
    """The keys of `[policy]` where they stand in another table; None: not said there."""

    control: _Protection | None = None
    data: _Protection | None = None
    session_reuse: _SessionReuse | None = None
    require_close_notify: Bool | None = None
    client_certificate: _CertificateRule | None = None
    clear_command_channel: _Channel | None = None
    legacy_auth: Bool | None = None


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
