"""What must agree among `[tls]`, the listeners' own TLS keys and `[[certificate]]`, and the files they name.

A part of `checks`; it knows no policy but that on client certificates.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from lockgate.accounts.base import CertificateRule
from lockgate.errors import shorten
from lockgate.tls.policy import TLS_VERSIONS

from .accounts import AccountConfig
from .listeners import ListenerConfig, ListenerTls
from .owners import unreadable_remedy
from .policy import PolicyConfig, merged
from .text import KeyPath
from .tls import CertificateConfig, TlsConfig, merged_tls

__all__ = ["client_ca_problems", "same_host_names", "tls_file_problems", "tls_problems"]

Found = Iterator[tuple[KeyPath, str]]
Listeners = tuple[ListenerConfig | None, ...]

_MEANINGS = {
    "certificate": "the server's certificate chain (PEM)",
    "key": "the certificate's private key (PEM)",
    "client_ca": "the CA certificates of the clients (PEM)",
    "crl": "the revocation lists of the clients' CAs (PEM)",
}


def tls_problems(tls: TlsConfig, listeners: Listeners) -> Found:
    """Yield what contradicts itself in [tls], and in each listener's TLS where that differs."""
    own = dict(_contradictions(tls))
    for key, message in own.items():
        yield ("tls", key), message
    for index, listener in enumerate(listeners):
        if listener is not None and listener.tls is not ListenerTls.NONE:
            for key, message in _contradictions(merged_tls(tls, listener)):
                if own.get(key) != message:
                    yield ("listener", index, key), message


def _contradictions(tls: TlsConfig) -> Iterator[tuple[str, str]]:
    newest = tls.maximum_version
    if newest and TLS_VERSIONS.index(newest) < TLS_VERSIONS.index(tls.minimum_version):
        yield (
            "maximum_version",
            (
                f'maximum_version = "{newest}" is below minimum_version = "{tls.minimum_version}", so no '
                "version is left; raise the one or lower the other"
            ),
        )
    if tls.crl is not None and tls.client_ca is None:
        yield (
            "crl",
            (
                "crl needs client_ca beside it: without the CA that client certificates come from there is "
                "nobody to revoke; write client_ca or take crl out"
            ),
        )


def client_ca_problems(
    tls: TlsConfig, policy: PolicyConfig, listeners: Listeners, accounts: tuple[AccountConfig | None, ...]
) -> Found:
    """Yield where client certificates are wanted and no CA is there to trust."""
    with_tls = [
        (index, one) for index, one in enumerate(listeners) if one and one.tls is not ListenerTls.NONE
    ]
    without = [(index, one) for index, one in with_tls if merged_tls(tls, one).client_ca is None]
    if tls.client_ca is None and len(without) == len(with_tls):
        yield from _nowhere(policy, listeners, accounts)
        return
    for index, listener in without:
        rule = merged(policy, listener).client_certificate
        if rule is CertificateRule.REQUIRED or listener.client_certificate not in (None, CertificateRule.OFF):
            yield ("listener", index, "client_certificate"), _needs_ca(rule)


def _nowhere(policy: PolicyConfig, listeners: Listeners, accounts: tuple[AccountConfig | None, ...]) -> Found:
    layers: list[tuple[KeyPath, CertificateRule | None]] = [(("policy",), policy.client_certificate)]
    for table, entries in (("listener", listeners), ("account", accounts)):
        layers += [((table, index), one.client_certificate) for index, one in enumerate(entries) if one]
    for place, rule in layers:
        if rule is not None and rule is not CertificateRule.OFF:
            yield (*place, "client_certificate"), _needs_ca(rule)
    for index, account in enumerate(accounts):
        for key in account.certificate_keys if account is not None else ():
            yield (
                ("account", index, key),
                f"{key} needs client_ca in [tls]: without it no client certificate is asked for",
            )


def _needs_ca(rule: CertificateRule) -> str:
    return (
        f'client_certificate = "{rule}" needs client_ca in [tls]: the file with the CA '
        "certificates that client certificates must come from"
    )


def same_host_names(certificates: tuple[CertificateConfig | None, ...]) -> Found:
    """Yield each name that two certificates are to serve."""
    seen: dict[str, int] = {}
    for index, one in enumerate(certificates):
        for name in one.names if one is not None else ():
            first = seen.setdefault(name, index)
            if first != index:
                yield (
                    ("certificate", index, "names"),
                    (
                        f'[[certificate]] number {first + 1} already serves "{shorten(name)}"; '
                        "a name can have one certificate only"
                    ),
                )


def tls_file_problems(
    tls: TlsConfig | None, listeners: Listeners, certificates: tuple[CertificateConfig | None, ...]
) -> Found:
    """Yield the place and the message of each file that cannot be read; does I/O."""
    with_tls = [one for one in listeners if one is None or one.tls is not ListenerTls.NONE]
    if tls is not None:
        wanting = [
            index
            for index, one in enumerate(listeners)
            if one is None or (one.tls is not ListenerTls.NONE and one.certificate is None)
        ]
        if wanting:
            # Without a [tls] of its own the file shows on a listener's line what is missing.
            place: KeyPath = ("tls",) if tls.model_fields_set else ("listener", wanting[0])
            yield from _file_problems(place, tls, "certificate", "key")
        yield from _file_problems(("tls",), tls, "client_ca", "crl")
    for index, listener in enumerate(listeners):
        if listener is not None and listener.tls is not ListenerTls.NONE:
            yield from _file_problems(("listener", index), listener, *_MEANINGS)
    for index, one in enumerate(certificates):
        if one is not None and with_tls:
            yield from _file_problems(("certificate", index), one, "certificate", "key")


def _file_problems(place: KeyPath, section: object, *keys: str) -> Found:
    for key in keys:
        path: Path | None = getattr(section, key)
        error = _unreadable(path) if path is not None else None
        if path is None or error is None:
            continue
        reason = error.strerror or type(error).__name__
        remedy = unreadable_remedy(path, error) or f"put {_MEANINGS[key]} there or correct the path"
        told = f"{key}: cannot read {path} ({reason}); {remedy}"
        if isinstance(section, BaseModel) and key not in section.model_fields_set:
            # A default's path stands on no line of the file.
            told += f'; that is the default: write {key} = "..." in [tls] for another file'
        yield (*place, key), told


def _unreadable(path: Path) -> OSError | None:
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return error
