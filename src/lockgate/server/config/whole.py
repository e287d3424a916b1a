"""A whole configuration: reading a file, checking it, and what the server asks of it.

All problems of a file are told together, each with its line and its remedy.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, SkipValidation, ValidationError, model_validator

from lockgate.accounts.base import Account, CertificateRule
from lockgate.accounts.capacity import default_at_once, memory_kib, processors
from lockgate.accounts.memory import MemoryAccounts
from lockgate.accounts.passwords import PasswordChecker, memory_kib_of
from lockgate.errors import ConfigError
from lockgate.tls.policy import ClientCertificate, NamedCertificate, SessionReuse, TlsPolicy

from .accounts import AccountConfig, AccountSourceConfig
from .checks import Parts, cross_problems, file_problems, parameter_problems
from .features import FeaturesConfig
from .fields import Section
from .files import FilesConfig
from .limits import ActiveConfig, LimitsConfig, PassiveConfig
from .listeners import ListenerConfig, ListenerTls
from .owners import unreadable_remedy
from .passwords import PasswordsConfig
from .policy import PolicyConfig, merged
from .rates import QuotaConfig
from .rules import RuleConfig
from .syntax import syntax_problem
from .text import KeyPath, Problem, expand, find_line, key_lines
from .tls import CertificateConfig, TlsConfig, merged_tls
from .trial import trial_problems
from .words import shown_table, table_problems, unknown_tables

__all__ = ["SIZE_LIMIT_BYTES", "Config", "accounts", "embedded_config", "load_config", "load_passwords"]

_S = TypeVar("_S", bound=Section)

SIZE_LIMIT_BYTES = 16 * 1024 * 1024
"""A configuration file larger than this is a mistake (a wrong path), not a configuration."""


class Config(Section):
    """A whole configuration; one that exists is consistent.

    Attributes:
        listeners: The `[[listener]]` entries; one with the defaults when the file has none.
        tls: `[tls]`; its files matter only when some listener has TLS.
        policy: `[policy]`, before listeners and accounts override it: ask `policy_for`.
        account_source: `[accounts]`.
        accounts: The `[[account]]` entries.
        rules: The `[[rule]]` entries: ask `rules_for`.
        source: The file that it was read from, to be read again on reload; None if there was none.
        lines: Where its keys and tables stand in that file.
    """

    listeners: tuple[ListenerConfig, ...] = Field(default=(ListenerConfig(),), min_length=1)
    tls: TlsConfig = TlsConfig()
    certificates: tuple[CertificateConfig, ...] = ()
    policy: PolicyConfig = PolicyConfig()
    passive: PassiveConfig = PassiveConfig()
    active: ActiveConfig = ActiveConfig()
    features: FeaturesConfig = FeaturesConfig()
    limits: LimitsConfig = LimitsConfig()
    quota: QuotaConfig = QuotaConfig()
    files: FilesConfig = FilesConfig()
    passwords: PasswordsConfig = PasswordsConfig()
    account_source: AccountSourceConfig = AccountSourceConfig()
    accounts: tuple[AccountConfig, ...] = ()
    rules: tuple[RuleConfig, ...] = ()
    source: Path | None = None
    lines: Annotated[Mapping[KeyPath, int], SkipValidation] = Field(default_factory=dict, repr=False)

    @model_validator(mode="after")
    def _check_agreement(self) -> Config:
        messages = [message for _place, message in cross_problems(self.parts())]
        if messages:
            raise ValueError("; ".join(messages))
        return self

    def parts(self) -> Parts:
        """Return the sections that must agree."""
        return Parts(
            self.listeners,
            self.policy,
            self.tls,
            self.accounts,
            self.passwords,
            self.rules,
            self.certificates,
            self.passive,
        )

    def dearest_hash_kib(self) -> int:
        """Return the most memory that the check of one password can take, in KiB."""
        stored = (one.password_hash for one in self.accounts if one.password_hash)
        return max(self.passwords.memory_kib, *(memory_kib_of(one) for one in stored), 0)

    def hashes_at_once(self) -> int:
        """Return how many password hashes may be computed at once; 0 in the file leaves it to the machine."""
        return self.passwords.hashes_at_once or default_at_once(
            self.dearest_hash_kib(), cpus=processors(), available_kib=memory_kib()
        )

    def policy_for(
        self, listener: ListenerConfig, account: AccountConfig | Account | None = None
    ) -> PolicyConfig:
        """Return the policy that holds: `[policy]`, under the listener's keys, under the account's."""
        return merged(self.policy, listener, account)

    def rules_for(self, account: Account | None) -> tuple[RuleConfig, ...]:
        """Return the rules that hold for an account; before the login, those that are for all."""
        name = account.name if account is not None else None
        return tuple(rule for rule in self.rules if rule.concerns(name))

    def handshake_certificate(self, listener: ListenerConfig) -> CertificateRule:
        """Return whether the control handshake on this listener asks for a client certificate.

        OPTIONAL where `client_ca` is set, else OFF. Never REQUIRED: where one is, its absence is answered
        when TLS is up (RFC 4217 section 10.1: a 421 that says why, instead of an alert), see
        `demands_certificate`. One that is shown must verify in any case.
        """
        if listener.tls is ListenerTls.NONE or merged_tls(self.tls, listener).client_ca is None:
            return CertificateRule.OFF
        return CertificateRule.OPTIONAL

    def demands_certificate(self, listener: ListenerConfig) -> bool:
        """Return whether nobody can log in on this listener without a client certificate.

        The account is not known when TLS is up; where some account needs none, the login decides.
        """
        rules = {self.policy_for(listener, one).client_certificate for one in self.accounts}
        rules.add(self.policy_for(listener).client_certificate)
        return rules == {CertificateRule.REQUIRED}

    def served_certificates(self) -> tuple[Path, ...]:
        """Return the files of all certificates in use, each once: those of the listeners come first."""
        policies = [one for listener in self.listeners if (one := self.tls_policy(listener)) is not None]
        defaults = [one.certificate for one in policies if one.certificate is not None]
        named = [one.certificate for one in self.certificates] if policies else []
        return tuple(dict.fromkeys([*defaults, *named]))

    def tls_policy(self, listener: ListenerConfig) -> TlsPolicy | None:
        """Return what the listener's TLS contexts are made from; None for a listener without TLS."""
        if listener.tls is ListenerTls.NONE:
            return None
        tls = merged_tls(self.tls, listener)
        return TlsPolicy(
            certificate=tls.certificate,
            key=tls.key,
            certificates=tuple(
                NamedCertificate(one.certificate, one.key, one.names) for one in self.certificates
            ),
            client_ca=tls.client_ca,
            crl=tls.crl,
            client_certificate=ClientCertificate(self.handshake_certificate(listener).value),
            minimum_version=tls.minimum_version,
            maximum_version=tls.maximum_version or None,
            ciphers=tls.ciphers,
            unknown_names=tls.unknown_names,
            session_reuse=SessionReuse(self.policy_for(listener).session_reuse.value),
            check_key_permissions=tls.check_key_permissions,
        )


def accounts(config: Config, checker: PasswordChecker | None = None) -> MemoryAccounts:
    """Return the store of the configuration's accounts, which checks passwords with `checker`, if given."""
    checker = checker or PasswordChecker(config.passwords.parameters())
    return MemoryAccounts((entry.account() for entry in config.accounts), checker)


def load_config(path: Path, environ: Mapping[str, str] | None = None, *, trial: bool = False) -> Config:
    """Read and check a configuration file. Blocks.

    Args:
        path: The TOML file; relative paths in it start from its directory.
        environ: Where `${VARIABLE}` comes from; the process environment by default.
        trial: Check also whether it can run here: the TLS files, the addresses, the homes.

    Raises:
        ConfigError: Something is wrong; the message has a line `FILE:LINE: ...` for every problem.
    """
    reader = _Reader(path.absolute())
    values, lines = _parsed(path, environ, reader.report)
    config = reader.read(values)
    if config is not None and trial:
        reader.problems += trial_problems(config)
    _raise_problems(path, lines, reader.problems)
    assert config is not None
    return config.model_copy(update={"lines": lines})


def load_passwords(path: Path, environ: Mapping[str, str] | None = None) -> PasswordsConfig:
    """Read `[passwords]` alone of a configuration file, whose accounts may still lack their hashes. Blocks.

    Raises:
        ConfigError: The file cannot be read, or something in that table is wrong.
    """
    reader = _Reader(path.absolute())
    values, lines = _parsed(path, environ, reader.report)
    found = reader.passwords(values)
    _raise_problems(path, lines, [one for one in reader.problems if one[0][:1] == ("passwords",)])
    assert found is not None
    return found


def _parsed(
    path: Path, environ: Mapping[str, str] | None, report: Callable[[KeyPath, str], None]
) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Return the values of a file, and the line of each key."""
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(syntax_problem(text, error).shown(str(path))) from error
    values = expand(raw, os.environ if environ is None else environ, report)
    assert isinstance(values, dict)
    return values, key_lines(text)


def _raise_problems(path: Path, lines: dict[KeyPath, int], told: list[tuple[KeyPath, str]]) -> None:
    found = {Problem(find_line(lines, place), message) for place, message in told}
    # In the file's order; what has no line of its own (a file that a default names) comes last.
    problems = sorted(found, key=lambda problem: (problem.line == 0, problem))
    if problems:
        raise ConfigError("\n".join(problem.shown(str(path)) for problem in problems))


def embedded_config(
    directory: Path,
    certificate: Path,
    key: Path,
    password_hash: str,
    *,
    host: str = "127.0.0.1",
    port: int = 2121,
    implicit_port: int | None = 2990,
    user: str = "demo",
) -> Config:
    """Return the configuration of a server that was started without one.

    Args:
        directory: The root of the only account.
        certificate: The server's certificate chain.
        key: Its private key.
        password_hash: The argon2id hash of the only account's password.
        host: The address to listen on.
        port: For explicit TLS; 0 for any free one.
        implicit_port: For implicit TLS; None for no such listener.
        user: The name of the only account.

    Raises:
        ConfigError: A value is out of range.
    """
    try:
        listeners = [ListenerConfig(address=host, port=port, tls=ListenerTls.EXPLICIT)]
        if implicit_port is not None:
            listeners.append(ListenerConfig(address=host, port=implicit_port, tls=ListenerTls.IMPLICIT))
        return Config(
            listeners=tuple(listeners),
            tls=TlsConfig(certificate=certificate, key=key),
            accounts=(AccountConfig(name=user, home=directory, password_hash=password_hash),),
        )
    except ValidationError as error:
        told = "\n".join(message for _place, message in table_problems(error, (), None))
        raise ConfigError(told) from error


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        remedy = unreadable_remedy(path, error) or "`lockgate config example` prints one to start from"
        raise ConfigError(f"{path}: cannot read the configuration ({error.strerror}); {remedy}") from error
    if len(data) > SIZE_LIMIT_BYTES:
        raise ConfigError(f"{path}: larger than {SIZE_LIMIT_BYTES} bytes; is this really a configuration?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from error


class _Reader:
    """Makes a Config of the tables of a file and collects every problem on the way."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._directory = source.parent
        self.problems: list[tuple[KeyPath, str]] = []

    def report(self, place: KeyPath, message: str) -> None:
        self.problems.append((place, message))

    def read(self, values: dict[str, Any]) -> Config | None:
        """Return the configuration, or None when `problems` says why not."""
        tables: dict[str, type[Section]] = {
            "tls": TlsConfig,
            "policy": PolicyConfig,
            "passive": PassiveConfig,
            "active": ActiveConfig,
            "features": FeaturesConfig,
            "limits": LimitsConfig,
            "quota": QuotaConfig,
            "files": FilesConfig,
            "passwords": PasswordsConfig,
            "accounts": AccountSourceConfig,
        }
        self.problems += unknown_tables(values, (*tables, "listener", "certificate", "account", "rule"))
        listeners = self._array(ListenerConfig, "listener", values.get("listener", [{}]))
        certificates = self._array(CertificateConfig, "certificate", values.get("certificate", []))
        entries = self._array(AccountConfig, "account", values.get("account", []))
        rules = self._array(RuleConfig, "rule", values.get("rule", []))
        sections = {name: self._table(kind, (name,), values.get(name, {})) for name, kind in tables.items()}
        policy, tls = sections["policy"], sections["tls"]
        assert policy is None or isinstance(policy, PolicyConfig)
        assert tls is None or isinstance(tls, TlsConfig)
        passwords = sections["passwords"]
        assert passwords is None or isinstance(passwords, PasswordsConfig)
        passive = sections["passive"]
        assert passive is None or isinstance(passive, PassiveConfig)
        parts = Parts(listeners, policy, tls, entries, passwords, rules, certificates, passive)
        self.problems += cross_problems(parts)
        self.problems += file_problems(parts)
        if self.problems:
            return None
        sections["account_source"] = sections.pop("accounts")
        arrays = {
            "listeners": listeners,
            "certificates": certificates,
            "accounts": entries,
            "rules": rules,
        }
        return Config.model_validate({**arrays, "source": self._source, **sections})

    def passwords(self, values: dict[str, Any]) -> PasswordsConfig | None:
        """Return `[passwords]` alone, or None when `problems` says why not."""
        found = self._table(PasswordsConfig, ("passwords",), values.get("passwords", {}))
        if found is not None:
            self.problems += parameter_problems(found)
        return found

    def _table(self, kind: type[_S], place: KeyPath, value: object) -> _S | None:
        """Validate one table; report what is wrong in it."""
        if not isinstance(value, dict):
            name = place[0]
            self.report(place, f"{name} must be a table; write its keys under {shown_table(place)}")
            return None
        try:
            return kind.model_validate(value, context={"directory": self._directory})
        except ValidationError as error:
            self.problems += table_problems(error, place, kind)
            return None

    def _array(self, kind: type[_S], name: str, value: object) -> tuple[_S | None, ...]:
        if not isinstance(value, list):
            self.report((name,), f"write [[{name}]] with two brackets: there may be several")
            return ()
        return tuple(self._table(kind, (name, index), one) for index, one in enumerate(value))
