"""What must agree across the sections of a configuration, and the files that it names.

Each check says what does not fit, why, and what to write. Sections that are wrong by themselves are passed
as None and left out, so that all problems of a file can be told together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lockgate.accounts.argon2id import MINIMUM, WORK_LIMIT_KIB
from lockgate.accounts.base import CertificateRule, ClearCommandChannel, Protection
from lockgate.errors import shorten
from lockgate.transfer.ports import PortRange

from .accounts import CERTIFICATE_KEYS, AccountConfig
from .handshakes import handshake_problems
from .limits import PassiveConfig
from .listeners import ListenerConfig, ListenerTls
from .passwords import PasswordsConfig
from .policy import PolicyConfig, merged
from .rules import RuleConfig, rule_problems
from .text import KeyPath
from .tls import CertificateConfig, TlsConfig
from .tls_checks import client_ca_problems, same_host_names, tls_file_problems, tls_problems

__all__ = ["Parts", "cross_problems", "file_problems", "parameter_problems"]

Found = Iterator[tuple[KeyPath, str]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The sections that must agree; None stands for one that is wrong by itself."""

    listeners: tuple[ListenerConfig | None, ...]
    policy: PolicyConfig | None
    tls: TlsConfig | None
    accounts: tuple[AccountConfig | None, ...]
    passwords: PasswordsConfig | None = None
    rules: tuple[RuleConfig | None, ...] = ()
    certificates: tuple[CertificateConfig | None, ...] = ()
    passive: PassiveConfig | None = None


def cross_problems(parts: Parts) -> Found:
    """Yield the place and the message of each thing that does not fit together; does no I/O."""
    yield from _same_endpoints(parts)
    yield from _passive_on_listeners(parts)
    yield from _same_names(parts)
    if parts.passwords is not None:
        yield from parameter_problems(parts.passwords)
    for index, key, message in rule_problems(parts.rules):
        yield ("rule", index, key), message
    yield from _unknown_rule_accounts(parts)
    yield from same_host_names(parts.certificates)
    if parts.tls is not None:
        yield from tls_problems(parts.tls, parts.listeners)
    if parts.policy is None:
        return
    if parts.tls is not None:
        yield from client_ca_problems(parts.tls, parts.policy, parts.listeners, parts.accounts)
        yield from handshake_problems(parts.tls, parts.policy, parts.listeners, parts.accounts)
    for index, listener in enumerate(parts.listeners):
        if listener is not None:
            for key, message in _listener_problems(listener, merged(parts.policy, listener)):
                yield ("listener", index, key), message
    yield from _idle_rules(parts, parts.policy)
    for index, account in enumerate(parts.accounts):
        if account is not None:
            for key, message in _account_problems(account, parts, parts.policy):
                yield ("account", index, key), message


def file_problems(parts: Parts) -> Found:
    """Yield the place and the message of each file that cannot be read; does I/O."""
    yield from tls_file_problems(parts.tls, parts.listeners, parts.certificates)


def parameter_problems(passwords: PasswordsConfig) -> Found:
    """Yield why new hashes with these parameters would be too cheap to guess, or too dear to check."""
    memory, passes, lanes = passwords.memory_kib, passwords.iterations, passwords.parallelism
    enough = ", ".join(f"{kib} with iterations = {count}" for kib, count in MINIMUM)
    if memory < 8 * lanes or not passwords.parameters().is_enough:
        yield (
            ("passwords", "memory_kib"),
            (
                f"memory_kib = {memory} with iterations = {passes} makes hashes that are cheaply guessed; "
                f"write one of these or more: {enough}"
            ),
        )
    elif not passwords.parameters().is_bearable:
        yield (
            ("passwords", "iterations"),
            (
                f"memory_kib = {memory} times iterations = {passes} would hold every login up for seconds; "
                f"{WORK_LIMIT_KIB} is the most that memory_kib times iterations may be"
            ),
        )


def _same_endpoints(parts: Parts) -> Found:
    seen: dict[tuple[str, int], int] = {}
    for index, listener in enumerate(parts.listeners):
        if listener is None or listener.port == 0:
            continue
        first = seen.setdefault((listener.address, listener.port), index)
        if first != index:
            yield (
                ("listener", index, "port"),
                (
                    f"[[listener]] number {first + 1} already has {listener.address} port {listener.port}; "
                    "give this one another port or address"
                ),
            )


def _passive_on_listeners(parts: Parts) -> Found:
    """Data connections are listened for on the address that their control connection came to."""
    taken = PortRange.parse(parts.passive.ports) if parts.passive is not None else PortRange()
    if taken.is_any:
        return
    for listener in parts.listeners:
        if listener is not None and listener.port in taken:
            yield (
                ("passive", "ports"),
                (
                    f'ports = "{taken}" has port {listener.port} in it, that of the '
                    f"[[listener]] on {listener.address}: a data connection cannot have it; write a range "
                    "without it"
                ),
            )


def _same_names(parts: Parts) -> Found:
    seen: dict[str, int] = {}
    for index, account in enumerate(parts.accounts):
        if account is None:
            continue
        first = seen.setdefault(account.name, index)
        if first != index:
            yield (
                ("account", index, "name"),
                (
                    f'[[account]] number {first + 1} already has the name "{shorten(account.name)}"; '
                    "names must differ"
                ),
            )


def _unknown_rule_accounts(parts: Parts) -> Found:
    """A rule for nobody leaves a path to the other rules: mostly a mistake in a name."""
    known = {account.name for account in parts.accounts if account is not None}
    if None in parts.accounts:
        return
    for index, rule in enumerate(parts.rules):
        for name in (rule.accounts or ()) if rule is not None else ():
            if name not in known:
                yield (
                    ("rule", index, "accounts"),
                    f'there is no [[account]] "{shorten(name)}"; correct the name or take it out of the list',
                )


def _idle_rules(parts: Parts, policy: PolicyConfig) -> Found:
    """A rule that demands TLS on data where nobody it is for can have TLS shuts its path for good."""
    listeners = [one for one in parts.listeners if one is not None]
    accounts = [one for one in parts.accounts if one is not None]
    for index, rule in enumerate(parts.rules):
        if rule is None or rule.data is not Protection.REQUIRED or None in parts.listeners + parts.accounts:
            continue
        controls = {
            merged(policy, listener, account).control
            for account in accounts
            if rule.concerns(account.name)
            for listener in listeners
            if listener.tls is not ListenerTls.NONE
        }
        if accounts and controls <= {Protection.FORBIDDEN}:
            yield (
                ("rule", index, "data"),
                (
                    'data = "required" shuts this path for good: none of the accounts it is for may have TLS '
                    'on the control connection, which PROT P needs; write data = "optional" here, or control '
                    '= "optional" for them'
                ),
            )


def _listener_problems(listener: ListenerConfig, policy: PolicyConfig) -> Iterator[tuple[str, str]]:
    if listener.tls is ListenerTls.NONE:
        yield from _clear_listener_problems(policy)
        return
    if listener.tls is ListenerTls.IMPLICIT and policy.control is Protection.FORBIDDEN:
        yield (
            "tls",
            (
                'control = "forbidden" forbids every login on a listener with tls = "implicit"; '
                'write control = "required" in this [[listener]]'
            ),
        )
    yield from _policy_problems(policy)


def _clear_listener_problems(policy: PolicyConfig) -> Iterator[tuple[str, str]]:
    for key, what in (("control", "passwords"), ("data", "files")):
        if getattr(policy, key) is Protection.REQUIRED:
            yield (
                "tls",
                (
                    f'a listener with tls = "none" cannot keep {key} = "required"; if {what} may go out in '
                    f'clear there, say so in words: write {key} = "optional" in this [[listener]]; '
                    'otherwise write tls = "explicit"'
                ),
            )
    if policy.clear_command_channel is not ClearCommandChannel.OFF:
        yield (
            "tls",
            (
                'clear_command_channel = "after-login" has no meaning on a listener with tls = "none", which '
                'has no TLS to end; write clear_command_channel = "off" in this [[listener]]'
            ),
        )
    if policy.client_certificate is CertificateRule.REQUIRED:
        yield (
            "tls",
            (
                'client_certificate = "required" cannot be met on a listener with '
                'tls = "none"; write client_certificate = "off" in this [[listener]]'
            ),
        )


def _policy_problems(policy: PolicyConfig) -> Iterator[tuple[str, str]]:
    """Yield what contradicts itself inside one merged policy."""
    if policy.control is not Protection.FORBIDDEN:
        return
    if policy.data is Protection.REQUIRED:
        # RFC 4217 §9: PBSZ and PROT need TLS on the control connection.
        yield (
            "control",
            (
                'control = "forbidden" and data = "required" contradict each other: PROT P needs TLS on the '
                'control connection; write control = "optional" or data = "optional"'
            ),
        )
    if policy.client_certificate is CertificateRule.REQUIRED:
        yield (
            "control",
            (
                'control = "forbidden" and client_certificate = "required" contradict each other;'
                ' write control = "required" or client_certificate = "off"'
            ),
        )


def _account_problems(
    account: AccountConfig, parts: Parts, policy: PolicyConfig
) -> Iterator[tuple[str, str]]:
    for key, message in _certificate_problems(account, parts, policy):
        yield key, f'account "{shorten(account.name)}": {message}'
    if account.control is not None and not any(
        _lets_in(one, account, policy) for one in parts.listeners if one is not None
    ):
        yield (
            "control",
            (
                f'account "{shorten(account.name)}": control = "{account.control}" keeps it out of every '
                "[[listener]]; change it, or add a listener that takes such a login"
            ),
        )
    if account.control is not None or account.data is not None or account.client_certificate is not None:
        for key, message in _policy_problems(merged(policy, account)):
            yield key, f'account "{shorten(account.name)}": {message}'


def _lets_in(listener: ListenerConfig, account: AccountConfig, policy: PolicyConfig) -> bool:
    """Return whether an account can log in on a listener, in clear or in TLS."""
    rules = (merged(policy, listener).control, merged(policy, listener, account).control)
    in_clear = listener.tls is not ListenerTls.IMPLICIT and Protection.REQUIRED not in rules
    in_tls = listener.tls is not ListenerTls.NONE and Protection.FORBIDDEN not in rules
    return in_clear or in_tls


def _certificate_problems(
    account: AccountConfig, parts: Parts, policy: PolicyConfig
) -> Iterator[tuple[str, str]]:
    """Yield what makes an account unusable, or a certificate rule in it idle or too wide."""
    keys = account.certificate_keys
    if account.client_certificate is CertificateRule.SUFFICIENT and not keys:
        yield (
            "client_certificate",
            (
                '"sufficient" needs certificate_subject, certificate_email, certificate_uri or '
                "certificate_fingerprint, or every trusted client could log in as this one; "
                f'write certificate_subject = "CN={shorten(account.name)}"'
            ),
        )
    if not account.password_hash and not keys:
        yield (
            "password_hash",
            (
                f"neither password_hash nor any of {', '.join(CERTIFICATE_KEYS)} is there, so nobody could "
                "log in; write password_hash with what `lockgate account hash` prints, or one of the others"
            ),
        )
    with_tls = [one for one in parts.listeners if one is not None and one.tls is not ListenerTls.NONE]
    rules = {merged(policy, one, account).client_certificate for one in with_tls}
    if not keys or not rules:
        return
    if not account.password_hash and CertificateRule.SUFFICIENT not in rules:
        yield (
            keys[0],
            (
                "there is no password_hash, and a certificate alone does not suffice; "
                'write client_certificate = "sufficient" in this [[account]] or add a password_hash'
            ),
        )
    elif rules == {CertificateRule.OFF}:
        yield (
            keys[0],
            (
                'it would be idle, because client_certificate = "off" holds here; write '
                'client_certificate = "required", "optional" or "sufficient" in this [[account]]'
            ),
        )
