"""What a configuration allows and is still worth a warning; must not refuse anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lockgate.accounts.base import Protection
from lockgate.accounts.capacity import memory_kib
from lockgate.accounts.passwords import weakness
from lockgate.errors import shorten

if TYPE_CHECKING:
    from .whole import Config

__all__ = ["remarks"]

_NAMES_SHOWN = 3


def remarks(config: Config) -> tuple[str, ...]:
    """Return what is allowed and still worth a warning."""
    found: list[str] = []
    if not config.accounts:
        found.append("there is no [[account]]: nobody can log in")
    found += [
        f"passwords may go out in clear on {listener.address} port {listener.port}"
        for listener in config.listeners
        if config.policy_for(listener).control is not Protection.REQUIRED
    ]
    found += _weak_hashes(config)
    found += _memory(config)
    return tuple(found)


def _weak_hashes(config: Config) -> Iterator[str]:
    """Yield a remark for each reason why hashes are weaker than `[passwords]` would make them."""
    parameters = config.passwords.parameters()
    names: dict[str, list[str]] = {}
    for account in config.accounts:
        if account.password_hash and (reason := weakness(account.password_hash, parameters)):
            names.setdefault(reason, []).append(f'"{shorten(account.name)}"')
    for reason, whose in names.items():
        more = f" and {len(whose) - _NAMES_SHOWN} more" if len(whose) > _NAMES_SHOWN else ""
        shown = ", ".join(whose[:_NAMES_SHOWN])
        yield (
            f"the password hash of {shown}{more} is weaker than [passwords] asks for: {reason}; "
            "`lockgate account hash` makes a new one"
        )


def _memory(config: Config) -> Iterator[str]:
    dearest, at_once, available = config.dearest_hash_kib(), config.hashes_at_once(), memory_kib()
    if dearest * at_once > available // 2:
        yield (
            f"{at_once} password hashes at once can take {dearest * at_once // 1024} MiB of the "
            f"{available // 1024} MiB that there are; write a smaller hashes_at_once, or make cheaper hashes"
        )
