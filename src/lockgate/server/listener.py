"""One `[[listener]]` while the server runs: what holds for those who come in there.

Must not open sockets: `listening` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lockgate.accounts.base import Protection
from lockgate.protocol.policy import CccRule, DataRule, Flow, GatePolicy, Requirement
from lockgate.tls.contexts import ServerContexts
from lockgate.tls.pemfacts import certificate_names
from lockgate.tls.policy import SessionReuse

from .config import Config, ListenerConfig, ListenerTls, RuleConfig, RuleDirection

if TYPE_CHECKING:
    from lockgate.accounts.base import Account
    from lockgate.tls.choice import ControlTls

    from .config import PolicyConfig

__all__ = ["ListenerState", "place_of"]


class ListenerState:
    """One `[[listener]]`: its policy, and its TLS contexts.

    Args:
        config: The whole configuration.
        entry: The listener's own entry.

    Attributes:
        config: The whole configuration that holds now; a reload puts another in its place.
        entry: The listener's own entry.
        gate_policy: What the gates enforce before the login.
        account_controls: What accounts say of `control`, each word once; None: nothing of their own.
        demands_certificate: True where nobody can log in without a client certificate.

    Raises:
        ConfigError: Certificate or key cannot be used.
    """

    def __init__(self, config: Config, entry: ListenerConfig) -> None:
        policy = config.tls_policy(entry)
        self._contexts = None if policy is None else ServerContexts(policy, certificate_names)
        self._take(config, entry)

    @property
    def is_implicit(self) -> bool:
        """True where TLS comes before the greeting."""
        return self.entry.tls is ListenerTls.IMPLICIT

    def prepare(self, config: Config) -> Callable[[], None]:
        """Read the files for a new configuration; return what takes it, for connections and logins to come.

        Raises:
            ConfigError: Certificate or key cannot be used; nothing has changed.
        """
        entry = next((one for one in config.listeners if place_of(one) == place_of(self.entry)), None)
        if entry is None:
            return lambda: None
        policy, contexts = config.tls_policy(entry), self._contexts
        prepared = contexts.prepare(policy) if contexts is not None and policy is not None else None

        def install() -> None:
            if contexts is not None and prepared is not None:
                contexts.install(prepared)
            self._take(config, entry)

        return install

    def _take(self, config: Config, entry: ListenerConfig) -> None:
        self.entry = entry
        self.config = config
        self.gate_policy = self._gate_policy(None)
        self.account_controls = _account_controls(config)
        self.demands_certificate = config.demands_certificate(entry)

    @property
    def contexts(self) -> ServerContexts | None:
        """The TLS contexts; None where there is no TLS."""
        return self._contexts

    def control_tls(self, host: str) -> ControlTls:
        """Return what TLS on one control connection and its data connections runs with.

        Args:
            host: What HOST named, or "".
        """
        assert self._contexts is not None
        return self._contexts.for_control(host)

    def policy_for(self, account: Account | None) -> PolicyConfig:
        """Return the policy that holds for an account here, or before the login."""
        return self.config.policy_for(self.entry, account)

    def gate_policy_for(self, account: Account) -> GatePolicy:
        """Return what the gates enforce for an account."""
        return self._gate_policy(account)

    def session_reuse_for(self, account: Account | None) -> SessionReuse:
        """Return whether data connections must resume the control connection's TLS session."""
        return SessionReuse(self.policy_for(account).session_reuse.value)

    def _gate_policy(self, account: Account | None) -> GatePolicy:
        policy, own = self.policy_for(account), self.policy_for(None)
        # AUTH after a login in clear begins anew: an account loosens nothing for whoever comes then.
        control = own.control if own.control is Protection.FORBIDDEN else policy.control
        return GatePolicy(
            has_tls=self._contexts is not None,
            control=Requirement(control.value),
            data=Requirement(policy.data.value),
            ccc=CccRule(policy.clear_command_channel.value),
            legacy_auth=own.legacy_auth and policy.legacy_auth,
            active_mode=self.config.active.enabled,
            rules=tuple(_data_rule(rule) for rule in self.config.rules_for(account)),
        )


def _account_controls(config: Config) -> tuple[Protection | None, ...]:
    """Return the ways in which accounts treat `control`; None for those that leave it to the listener."""
    return tuple(sorted({one.control for one in config.accounts}, key=str)) or (None,)


def _data_rule(rule: RuleConfig) -> DataRule:
    return DataRule(
        path=rule.path,
        data=Requirement(rule.data.value),
        flow=None if rule.direction is RuleDirection.ANY else Flow(rule.direction.value),
        for_account=rule.accounts is not None,
    )


def place_of(entry: ListenerConfig) -> tuple[str, int, str]:
    """Return what tells listeners apart."""
    return entry.address, entry.port, entry.tls.value
