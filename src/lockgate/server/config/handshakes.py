"""Whether the TLS that a listener offers can come to what `[policy]`, listener and account accept.

A part of `checks`. Does no I/O, but asks OpenSSL which cipher suites there are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from lockgate.accounts.base import Protection
from lockgate.errors import ConfigError, shorten
from lockgate.tls.hardening import offered_ciphers

from .accounts import AccountConfig
from .listeners import ListenerConfig, ListenerTls
from .policy import PolicyConfig, PolicyOverrides, merged
from .text import KeyPath
from .tls import TlsConfig, merged_tls

__all__ = ["handshake_problems"]

Found = Iterator[tuple[KeyPath, str]]

_KEYS = ("acceptable_tls_version", "acceptable_ciphers")
_NAMES_SHOWN = 4


def handshake_problems(
    tls: TlsConfig,
    policy: PolicyConfig,
    listeners: tuple[ListenerConfig | None, ...],
    accounts: tuple[AccountConfig | None, ...],
) -> Found:
    """Yield where every handshake would come to what is not acceptable, so that nobody could log in."""
    told: set[KeyPath] = set()
    usable: list[ListenerConfig] = []
    for index, listener in enumerate(listeners):
        if listener is None or listener.tls is ListenerTls.NONE:
            continue
        rules = merged(policy, listener)
        if rules.control is Protection.FORBIDDEN:
            continue
        found = _contradiction(merged_tls(tls, listener), rules)
        if found is None:
            usable.append(listener)
            continue
        place = _place(index, listener, *found)
        if place not in told:
            told.add(place)
            yield place, found[1]
    if usable:
        yield from _of_accounts(tls, policy, usable, accounts)


def _of_accounts(
    tls: TlsConfig,
    policy: PolicyConfig,
    listeners: list[ListenerConfig],
    accounts: tuple[AccountConfig | None, ...],
) -> Found:
    for index, account in enumerate(accounts):
        if account is None or all(getattr(account, key) is None for key in _KEYS):
            continue
        found = [_contradiction(merged_tls(tls, one), merged(policy, one, account)) for one in listeners]
        if found[0] is not None and None not in found:
            key, message = found[0]
            yield ("account", index, key), f'account "{shorten(account.name)}": {message}'


def _place(index: int, listener: PolicyOverrides, key: str, _message: str) -> KeyPath:
    """Return where it is best mended: in the listener where it says something of its own."""
    own = ("maximum_version", "minimum_version", "ciphers")
    for name in (key, *own):
        if getattr(listener, name, None) is not None:
            return ("listener", index, name)
    return ("policy", key)


def _contradiction(tls: TlsConfig, policy: PolicyConfig) -> tuple[str, str] | None:
    """Return the key of [policy] that cannot be met, and why; None if all can be."""
    accepted, newest = policy.acceptable_tls_version, tls.maximum_version
    if accepted == "1.3" and newest == "1.2":
        return (
            "acceptable_tls_version",
            (
                'acceptable_tls_version = "1.3" and maximum_version = "1.2" leave no version that '
                'both allow: nobody could log in; write maximum_version = "" or '
                'acceptable_tls_version = "1.2"'
            ),
        )
    if not policy.acceptable_ciphers:
        return None
    offered = _offered(max(tls.minimum_version, accepted), newest or None, tls.ciphers)
    if not offered or offered & set(policy.acceptable_ciphers):
        return None
    shown = ", ".join(sorted(offered)[:_NAMES_SHOWN])
    more = f" and {len(offered) - _NAMES_SHOWN} more" if len(offered) > _NAMES_SHOWN else ""
    return (
        "acceptable_ciphers",
        (
            "acceptable_ciphers has none of the suites that ciphers and the versions of TLS leave: "
            f"nobody could log in; those are {shown}{more}: write some of them, or acceptable_ciphers = []"
        ),
    )


@functools.lru_cache(64)
def _offered(minimum: str, maximum: str | None, ciphers: str) -> frozenset[str]:
    try:
        return offered_ciphers(minimum=minimum, maximum=maximum, ciphers=ciphers)
    except ConfigError:
        # The trial tells of ciphers that leave nothing, and the checks of versions that do.
        return frozenset()
