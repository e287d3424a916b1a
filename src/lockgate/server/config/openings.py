"""Settings that turn a safe default off, and what each one means; must not refuse anything.

One remark for each place where such a setting is written; accounts that say the same are told together.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Final

from lockgate.accounts.base import ClearCommandChannel, Protection, SessionReuseRule
from lockgate.errors import shorten

from .listeners import ListenerTls

if TYPE_CHECKING:
    from .listeners import ListenerConfig
    from .policy import PolicyConfig, PolicyOverrides
    from .text import KeyPath
    from .whole import Config

__all__ = ["names_of", "openings"]

Found = Iterator[tuple["KeyPath", str]]

_NAMES_SHOWN: Final = 3
_MEANINGS: Final[dict[tuple[str, object], str]] = {
    ("control", Protection.OPTIONAL): "passwords may go out in clear",
    ("control", Protection.FORBIDDEN): "passwords go out in clear only",
    ("data", Protection.OPTIONAL): "files and listings may go out in clear",
    ("data", Protection.FORBIDDEN): "files and listings go out in clear only",
    ("session_reuse", SessionReuseRule.OFF): (
        "a data connection need not show that it comes from the client that is logged in, so that another "
        "program which gets to the port first can take or feed the transfer"
    ),
    ("require_close_notify", False): "an upload that somebody cut short on the way may count as complete",
    ("clear_command_channel", ClearCommandChannel.AFTER_LOGIN): (
        "after CCC commands and names of files go in clear, and can be changed on the way"
    ),
}
"""What it means that a key of [policy] has a value."""

_LOCKOUTS: Final = {
    "lockout_failures_per_address": "an address may guess passwords without ever being locked out",
    "lockout_failures_per_account": "the password of one name may be guessed at without end from everywhere",
}


def openings(config: Config) -> Found:
    """Yield the place and the meaning of each setting that turns a safe default off."""
    for key, shown, meaning in _open_keys(config.policy):
        yield ("policy", key), f"{shown} in [policy]: {meaning}"
    for index, listener in enumerate(config.listeners):
        yield from _of_listener(index, listener)
    yield from _of_accounts(config)
    for index, rule in enumerate(config.rules):
        if rule.data is not Protection.REQUIRED:
            only = " only" if rule.data is Protection.FORBIDDEN else ""
            may = "go" if only else "may go"
            yield (
                ("rule", index, "data"),
                (
                    f'data = "{rule.data}" in [[rule]] number {index + 1}: what is under '
                    f'"{shorten(rule.path)}" {may} out in clear{only} (direction: {rule.direction})'
                ),
            )
    if not config.tls.check_key_permissions:
        yield (
            ("tls", "check_key_permissions"),
            (
                "check_key_permissions = false in [tls]: a private key that other users of this machine "
                "can read is used without a word"
            ),
        )
    for key, meaning in _LOCKOUTS.items():
        if not getattr(config.limits, key):
            yield ("limits", key), f"{key} = 0 in [limits]: {meaning}"


def names_of(names: list[str]) -> str:
    """Return the first of some accounts' names, quoted, and how many more there are."""
    shown = ", ".join(f'"{shorten(name)}"' for name in names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else "")


def _open_keys(table: PolicyConfig | PolicyOverrides) -> Iterator[tuple[str, str, str]]:
    """Yield key, `key = value` and meaning of what a table turns off."""
    for (key, value), meaning in _MEANINGS.items():
        if getattr(table, key) == value:
            shown = f'"{value.value}"' if isinstance(value, Enum) else "false"
            yield key, f"{key} = {shown}", meaning


def _of_listener(index: int, listener: ListenerConfig) -> Found:
    where = f"[[listener]] number {index + 1}"
    on = f"on {listener.address} port {listener.port}"
    if listener.tls is ListenerTls.NONE:
        # What it must say of control and data beside that says nothing more.
        yield (
            ("listener", index, "tls"),
            f'tls = "none" in {where}: passwords, files and listings may go out in clear {on}',
        )
        return
    for key, shown, meaning in _open_keys(listener):
        if key == "control" and listener.tls is ListenerTls.IMPLICIT:
            continue
        yield ("listener", index, key), f"{shown} in {where}: {meaning} ({on})"


def _of_accounts(config: Config) -> Found:
    found: dict[tuple[str, str, str], list[int]] = {}
    for index, account in enumerate(config.accounts):
        for told in _open_keys(account):
            found.setdefault(told, []).append(index)
    for (key, shown, meaning), indexes in found.items():
        names = names_of([config.accounts[index].name for index in indexes])
        yield ("account", indexes[0], key), f"{shown} in [[account]] {names}: {meaning}"
