"""Whether a configuration can run on this machine: its certificate, its addresses, its accounts' homes.

The TLS files are loaded by the code that serves with them. Nothing is made, changed or listened on: an
address is bound for a moment on a port of the system's choice.
"""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError, shorten
from lockgate.tls.contexts import ServerContexts

from .files import files_for
from .owners import owner_problems

if TYPE_CHECKING:
    from lockgate.tls.policy import TlsPolicy

    from .text import KeyPath
    from .whole import Config

__all__ = ["trial_problems"]

Found = Iterator[tuple["KeyPath", str]]

# How the messages of `ServerContexts` begin, and the key of [tls] that they are about.
_TLS_KEYS = {
    "ciphers:": "ciphers",
    "client_ca:": "client_ca",
    "crl:": "crl",
    "key:": "key",
    "the key ": "key",
}


def trial_problems(config: Config) -> Found:
    """Yield the place and the message of each thing that would not run here.

    Blocks for files and, where a listener has a host name, for its resolution.
    """
    policies = {policy for one in config.listeners if (policy := config.tls_policy(one)) is not None}
    for policy in policies:
        yield from _tls_problems(policy)
    for index, listener in enumerate(config.listeners):
        problem = _address_problem(listener.address)
        if problem:
            yield ("listener", index, "address"), f"address: {problem}"
    for index, account in enumerate(config.accounts):
        problem = _home_problem(account.home)
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


def _tls_problems(policy: TlsPolicy) -> Found:
    try:
        ServerContexts(policy)
    except ConfigError as error:
        told = str(error)
        key = next((key for start, key in _TLS_KEYS.items() if told.startswith(start)), None)
        yield ("tls", key or _key_of_bad_pair(policy)), told
        if key == "ciphers" and policy.ciphers:
            # What else there is to tell.
            yield from _tls_problems(dataclasses.replace(policy, ciphers=""))


def _key_of_bad_pair(policy: TlsPolicy) -> str:
    """Return which of two files is the one that is no PEM; OpenSSL's error does not say."""
    try:
        has_certificate = (
            policy.certificate is not None and b"-----BEGIN CERT" in policy.certificate.read_bytes()
        )
    except OSError:
        has_certificate = False
    return "key" if has_certificate else "certificate"


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


def _home_problem(home: Path) -> str:
    """Return why an account's home cannot be used, or made at its first login, or ""."""
    remedy = "make the folder for the server's user, or write another home"
    try:
        if home.is_dir():
            usable = os.access(home, os.R_OK | os.X_OK)
            return "" if usable else f"home {home} cannot be read by this user; {remedy}"
        if home.is_symlink() or home.exists():
            return f"home {home} is not a directory; {remedy}"
        above = next(one for one in home.absolute().parents if one.exists())
    except OSError as error:
        return f"home {home} cannot be used: {error.strerror}; {remedy}"
    if not above.is_dir():
        return f"home {home} cannot be made, because {above} is not a directory; {remedy}"
    if not os.access(above, os.W_OK | os.X_OK):
        return f"home {home} cannot be made, because {above} cannot be written by this user; {remedy}"
    return ""
