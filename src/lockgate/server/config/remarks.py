"""What a configuration allows and is still worth a warning; must not refuse anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lockgate.accounts.base import Permission, Protection
from lockgate.accounts.capacity import memory_kib
from lockgate.accounts.passwords import weakness

from .files import files_for
from .listeners import ListenerTls
from .openings import names_of, openings
from .text import Problem, find_line
from .tls_remarks import placed_tls_remarks

if TYPE_CHECKING:
    from .text import KeyPath
    from .whole import Config

__all__ = ["remarks", "shown_remarks"]

Found = Iterator[tuple["KeyPath", str]]

_GIVES_WRITE = 0o002
_OTHERS_WRITE = "lets every user of this machine change them"


def remarks(config: Config) -> tuple[Problem, ...]:
    """Return what is allowed and still worth a warning, with its line where the file has one.

    What is to be said of the TLS files is not among it: see `tls_remarks`.
    """
    return _problems(config, _remarks(config))


def shown_remarks(config: Config, file: str) -> tuple[str, ...]:
    """Return `FILE:LINE: warning: ...` for all that is worth one, that of the TLS files too. Blocks.

    Args:
        config: The configuration.
        file: How the file that it came from is to be called.
    """
    found = (*_remarks(config), *placed_tls_remarks(config))
    return tuple(one.shown(file, "warning: ") for one in _problems(config, found))


def _problems(config: Config, found: Iterable[tuple[KeyPath, str]]) -> tuple[Problem, ...]:
    told = [Problem(find_line(config.lines, place), message) for place, message in found]
    return tuple(sorted(dict.fromkeys(told), key=lambda one: (one.line == 0, one.line)))


def _remarks(config: Config) -> Found:
    if not config.accounts:
        yield (), "there is no [[account]]: nobody can log in"
    yield from openings(config)
    yield from _idle_settings(config)
    yield from _weak_hashes(config)
    yield from _memory(config)


def _idle_settings(config: Config) -> Found:
    """Yield what does nothing, or is hardly what was meant."""
    limits = config.limits
    if "sessions_per_address" in limits.model_fields_set and limits.sessions_per_address > limits.sessions:
        yield (
            ("limits", "sessions_per_address"),
            (
                f"sessions_per_address = {limits.sessions_per_address} is more than sessions = "
                f"{limits.sessions}, so that one address alone may keep everybody else out"
            ),
        )
    for index, listener in enumerate(config.listeners):
        if listener.tls is ListenerTls.IMPLICIT and listener.control is Protection.OPTIONAL:
            yield (
                ("listener", index, "control"),
                (
                    f'control = "optional" in [[listener]] number {index + 1} does nothing: with '
                    'tls = "implicit" all is in TLS before the login'
                ),
            )
    idle = [index for index, one in enumerate(config.accounts) if one.permissions == Permission.nothing()]
    if idle:
        names = names_of([config.accounts[index].name for index in idle])
        yield (
            ("account", idle[0], "permissions"),
            (
                f'permissions = "" in [[account]] {names}: it may log in and do nothing; write some of: '
                f"{' '.join(Permission.words())}"
            ),
        )
    yield from _umasks(config)


def _umasks(config: Config) -> Found:
    if not int(config.files.umask, 8) & _GIVES_WRITE:
        yield (
            ("files", "umask"),
            f'umask = "{config.files.umask}" in [files] {_OTHERS_WRITE}; write "002" or "027"',
        )
    open_ones = [
        index
        for index, one in enumerate(config.accounts)
        if one.umask is not None and not int(files_for(config.files, one).umask, 8) & _GIVES_WRITE
    ]
    if open_ones:
        names = names_of([config.accounts[index].name for index in open_ones])
        yield (
            ("account", open_ones[0], "umask"),
            (
                f'umask = "{config.accounts[open_ones[0]].umask}" in [[account]] {names} {_OTHERS_WRITE}; '
                'write "002" or "027"'
            ),
        )


def _weak_hashes(config: Config) -> Found:
    """Yield a remark for each reason why hashes are weaker than `[passwords]` would make them."""
    parameters = config.passwords.parameters()
    weak: dict[str, list[int]] = {}
    for index, account in enumerate(config.accounts):
        if account.password_hash and (reason := weakness(account.password_hash, parameters)):
            weak.setdefault(reason, []).append(index)
    for reason, indexes in weak.items():
        names = names_of([config.accounts[index].name for index in indexes])
        yield (
            ("account", indexes[0], "password_hash"),
            (
                f"the password hash of {names} is weaker than [passwords] asks for: {reason}; "
                "`lockgate account hash` makes a new one"
            ),
        )


def _memory(config: Config) -> Found:
    dearest, at_once, available = config.dearest_hash_kib(), config.hashes_at_once(), memory_kib()
    if dearest * at_once > available // 2:
        yield (
            ("passwords", "hashes_at_once"),
            (
                f"{at_once} password hashes at once can take {dearest * at_once // 1024} MiB of the "
                f"{available // 1024} MiB that there are; "
                "write a smaller hashes_at_once, or make cheaper hashes"
            ),
        )
