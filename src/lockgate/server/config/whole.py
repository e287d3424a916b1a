"""A whole configuration: reading a file, checking it, and what the server asks of it.

All problems of a file are told together, each with its line and its remedy.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError, model_validator

from lockgate.accounts.base import Account, CertificateRule, Protection
from lockgate.accounts.memory import MemoryAccounts
from lockgate.errors import ConfigError
from lockgate.tls.policy import ClientCertificate, SessionReuse, TlsPolicy

from .accounts import AccountConfig, AccountSourceConfig
from .checks import Parts, cross_problems, file_problems
from .fields import Section
from .files import FilesConfig
from .limits import ActiveConfig, LimitsConfig, PassiveConfig
from .listeners import ListenerConfig, ListenerTls
from .policy import PolicyConfig, merged
from .text import KeyPath, Problem, expand, find_line, key_lines
from .tls import TlsConfig
from .trial import trial_problems
from .words import shown_table, table_problems, unknown_tables

__all__ = ["SIZE_LIMIT_BYTES", "Config", "accounts", "embedded_config", "load_config", "remarks"]

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
        source: The file that it was read from, to be read again on reload; None if there was none.
    """

    listeners: tuple[ListenerConfig, ...] = Field(default=(ListenerConfig(),), min_length=1)
    tls: TlsConfig = TlsConfig()
    policy: PolicyConfig = PolicyConfig()
    passive: PassiveConfig = PassiveConfig()
    active: ActiveConfig = ActiveConfig()
    limits: LimitsConfig = LimitsConfig()
    files: FilesConfig = FilesConfig()
    account_source: AccountSourceConfig = AccountSourceConfig()
    accounts: tuple[AccountConfig, ...] = ()
    source: Path | None = None

    @model_validator(mode="after")
    def _check_agreement(self) -> Config:
        messages = [message for _place, message in cross_problems(self.parts())]
        if messages:
            raise ValueError("; ".join(messages))
        return self

    def parts(self) -> Parts:
        """Return the sections that must agree."""
        return Parts(self.listeners, self.policy, self.tls, self.accounts)

    def policy_for(
        self, listener: ListenerConfig, account: AccountConfig | Account | None = None
    ) -> PolicyConfig:
        """Return the policy that holds: `[policy]`, under the listener's keys, under the account's."""
        return merged(self.policy, listener, account)

    def handshake_certificate(self, listener: ListenerConfig) -> CertificateRule:
        """Return whether the control handshake on this listener asks for a client certificate.

        The account is not known at the handshake, so it is REQUIRED only where every account requires one
        (a handshake that demands less lets the login refuse later), OPTIONAL where any may use one or where
        `client_ca` is set, and else OFF. SUFFICIENT is never returned.
        """
        if self.tls.client_ca is None or listener.tls is ListenerTls.NONE:
            return CertificateRule.OFF
        rules = {self.policy_for(listener, one).client_certificate for one in self.accounts}
        rules.add(self.policy_for(listener).client_certificate)
        return CertificateRule.REQUIRED if rules == {CertificateRule.REQUIRED} else CertificateRule.OPTIONAL

    def tls_policy(self, listener: ListenerConfig) -> TlsPolicy | None:
        """Return what the listener's TLS contexts are made from; None for a listener without TLS."""
        if listener.tls is ListenerTls.NONE:
            return None
        return TlsPolicy(
            certificate=self.tls.certificate,
            key=self.tls.key,
            client_ca=self.tls.client_ca,
            client_certificate=ClientCertificate(self.handshake_certificate(listener).value),
            minimum_version=self.tls.minimum_version,
            ciphers=self.tls.ciphers,
            session_reuse=SessionReuse(self.policy_for(listener).session_reuse.value),
        )


def accounts(config: Config) -> MemoryAccounts:
    """Return the store of the configuration's accounts."""
    return MemoryAccounts(entry.account() for entry in config.accounts)


def load_config(path: Path, environ: Mapping[str, str] | None = None, *, trial: bool = False) -> Config:
    """Read and check a configuration file. Blocks.

    Args:
        path: The TOML file; relative paths in it start from its directory.
        environ: Where `${VARIABLE}` comes from; the process environment by default.
        trial: Check also whether it can run here: the TLS files, the addresses, the homes.

    Raises:
        ConfigError: Something is wrong; the message has a line `FILE:LINE: ...` for every problem.
    """
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    lines = key_lines(text)
    source = path.absolute()
    reader = _Reader(source)
    values = expand(raw, os.environ if environ is None else environ, reader.report)
    assert isinstance(values, dict)
    config = reader.read(values)
    if config is not None and trial:
        reader.problems += trial_problems(config)
    found = {Problem(find_line(lines, place), message) for place, message in reader.problems}
    # In the file's order; what has no line of its own (a file that a default names) comes last.
    problems = sorted(found, key=lambda problem: (problem.line == 0, problem))
    if problems or config is None:
        raise ConfigError("\n".join(problem.shown(str(path)) for problem in problems))
    return config


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
    return tuple(found)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot read the configuration ({error.strerror}); "
            "`lockgate config example` prints one to start from"
        ) from error
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
            "limits": LimitsConfig,
            "files": FilesConfig,
            "accounts": AccountSourceConfig,
        }
        self.problems += unknown_tables(values, (*tables, "listener", "account"))
        listeners = self._array(ListenerConfig, "listener", values.get("listener", [{}]))
        entries = self._array(AccountConfig, "account", values.get("account", []))
        sections = {name: self._table(kind, (name,), values.get(name, {})) for name, kind in tables.items()}
        policy, tls = sections["policy"], sections["tls"]
        assert policy is None or isinstance(policy, PolicyConfig)
        assert tls is None or isinstance(tls, TlsConfig)
        parts = Parts(listeners, policy, tls, entries)
        self.problems += cross_problems(parts)
        self.problems += file_problems(parts)
        if self.problems:
            return None
        sections["account_source"] = sections.pop("accounts")
        whole = {"listeners": listeners, "accounts": entries, "source": self._source, **sections}
        return Config.model_validate(whole)

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
