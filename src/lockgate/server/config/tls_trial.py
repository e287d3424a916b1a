"""Whether each listener's TLS can run on this machine.

A part of `trial`: the files are loaded by the code that serves with them, which blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError
from lockgate.tls.contexts import ServerContexts
from lockgate.tls.pemfacts import certificate_names

if TYPE_CHECKING:
    from lockgate.tls.policy import TlsPolicy

    from .text import KeyPath
    from .whole import Config

__all__ = ["tls_trial_problems"]

Found = Iterator[tuple["KeyPath", str]]

# How the messages of `ServerContexts` begin, and the key that they are about.
_KEYS = {
    "certificate:": "certificate",
    "ciphers:": "ciphers",
    "client_ca:": "client_ca",
    "crl:": "crl",
    "key:": "key",
    "the key ": "key",
}


def tls_trial_problems(config: Config) -> Found:
    """Yield the place and the message of each thing that would keep TLS from running."""
    tried: set[TlsPolicy] = set()
    for index, listener in enumerate(config.listeners):
        policy = config.tls_policy(listener)
        if policy is not None and policy not in tried:
            tried.add(policy)
            for key, told in _problems(policy):
                yield _place(config, index, key, told), told


def _problems(policy: TlsPolicy) -> Iterator[tuple[str, str]]:
    try:
        ServerContexts(policy, certificate_names)
    except ConfigError as error:
        told = str(error)
        key = next((key for start, key in _KEYS.items() if told.startswith(start)), "")
        yield key, told
        if key == "ciphers" and policy.ciphers:
            # What else there is to tell.
            yield from _problems(dataclasses.replace(policy, ciphers=""))


def _place(config: Config, index: int, key: str, told: str) -> KeyPath:
    """Return where the key stands that a message is about: the message names the file, not the table."""
    tables: list[tuple[KeyPath, object]] = [
        (("certificate", number), one) for number, one in enumerate(config.certificates)
    ]
    tables += [(("listener", index), config.listeners[index]), (("tls",), config.tls)]
    for place, table in tables:
        if key == "ciphers" and getattr(table, key, None) is not None:
            return (*place, key)
        for name in (key,) if key else ("certificate", "key"):
            path = getattr(table, name, None)
            if isinstance(path, Path) and _names(told, path):
                return (*place, name if key else _key_of_bad_pair(table))
    return ("tls", key or "certificate")


def _names(told: str, path: Path) -> bool:
    """Return whether a message names a file, and not one whose path only begins like it."""
    return any(f"{path}{end}" in told for end in (" ", ":", ",")) or told.endswith(f"{path}")


def _key_of_bad_pair(table: object) -> str:
    """Return which of two files is the one that is no PEM; OpenSSL's error does not say."""
    certificate = getattr(table, "certificate", None)
    try:
        has_certificate = isinstance(certificate, Path) and b"-----BEGIN CERT" in certificate.read_bytes()
    except OSError:
        has_certificate = False
    return "key" if has_certificate else "certificate"
