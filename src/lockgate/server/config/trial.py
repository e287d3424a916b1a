"""Whether a configuration can run on this machine: its certificate, its addresses, its accounts' homes.

Nothing is made, changed or listened on: an
address is bound for a moment on a port of the system's choice.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.accounts.base import Permission
from lockgate.errors import shorten

from .files import files_for
from .owners import owner_problems, this_user, whose
from .tls_trial import tls_trial_problems

if TYPE_CHECKING:
    from .accounts import AccountConfig
    from .text import KeyPath
    from .whole import Config

__all__ = ["trial_problems"]

Found = Iterator[tuple["KeyPath", str]]

_CHANGES = Permission.WRITE | Permission.DELETE | Permission.MKDIR | Permission.RENAME


def trial_problems(config: Config) -> Found:
    """Yield the place and the message of each thing that would not run here.

    Blocks for files and, where a listener has a host name, for its resolution.
    """
    yield from tls_trial_problems(config)
    for index, listener in enumerate(config.listeners):
        problem = _address_problem(listener.address)
        if problem:
            yield ("listener", index, "address"), f"address: {problem}"
    for index, account in enumerate(config.accounts):
        problem = _home_problem(account)
        if problem:
            yield ("account", index, "home"), f'account "{shorten(account.name)}": {problem}'
    yield from _owner_problems(config)


def _owner_problems(config: Config) -> Found:
    for key, message in owner_problems(config.files):
        yield ("files", key), message
    for index, account in enumerate(config.accounts):
        if any(getattr(account, key) is not None for key in ("owner", "group")):
            for key, message in owner_problems(files_for(config.files, account)):
                if getattr(account, key) is not None:
                    yield ("account", index, key), f'account "{shorten(account.name)}": {message}'


def _address_problem(address: str) -> str:
    """Return why nothing can be listened on at an address, or ""."""
    try:
        found = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no host name"
        return (
            f'"{address}" is neither an IP address nor a host name that can be resolved ({reason}); '
            'write an address of this machine, such as "127.0.0.1", "0.0.0.0" or "::"'
        )
    for family, kind, protocol, _name, place in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(place)
        except OSError as error:
            shown = str(place[0])
            resolved = "" if shown == address else f', to which "{address}" resolves,'
            return (
                f"{shown}{resolved} is no address of this machine ({error.strerror}); "
                'write one that it has, or "0.0.0.0" or "::" for every one'
            )
    return ""


def _home_problem(account: AccountConfig) -> str:
    """Return why an account's home cannot be used, or made at its first login, or ""."""
    home = account.home
    remedy = "make the folder for the server's user, or write another home"
    try:
        if home.is_dir():
            return _unusable(home, may_change=bool(account.permissions & _CHANGES))
        if home.is_symlink() or home.exists():
            return f"home {home} is not a directory; {remedy}"
        above = next(one for one in home.absolute().parents if one.exists())
    except OSError as error:
        return f"home {home} cannot be used: {error.strerror}; {remedy}"
    if not above.is_dir():
        return f"home {home} cannot be made, because {above} is not a directory; {remedy}"
    if not _may(above, os.W_OK | os.X_OK):
        return f"home {home} cannot be made, because {above} cannot be written by this user; {remedy}"
    return ""


def _unusable(home: Path, *, may_change: bool) -> str:
    """Return what the server's user lacks in a home that is there, with the remedy, or ""."""
    if not _may(home, os.R_OK | os.X_OK):
        return (
            f"home {home} cannot be read and entered by {this_user()}, whom this runs as ({whose(home)}); "
            f"run `chown {this_user()} {home}`, or write another home"
        )
    if may_change and not _may(home, os.W_OK):
        return (
            f"home {home} cannot be written by {this_user()}, whom this runs as ({whose(home)}), though the "
            f'account may write; run `chown {this_user()} {home}`, or write permissions = "read list"'
        )
    return ""


def _may(path: Path, mode: int) -> bool:
    """Return whether this process may, by the rights with which it opens files."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
