"""What the gates enforce: the levels of protection that a listener, an account and a path ask for.

Values only, made by the server of its configuration. Must not judge a command: `gates` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

from .paths import listing_paths, resolve, split
from .verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .commands import Command

__all__ = ["CccRule", "DataRule", "Flow", "GatePolicy", "Requirement", "flow_of", "paths_meant"]


class Requirement(Enum):
    """A policy for the control connection (RFC 4217 §10.1) or for data connections (§10.2)."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    FORBIDDEN = "forbidden"


class CccRule(Enum):
    """Whether a client may clear the command channel (RFC 4217 §5, §15.3)."""

    OFF = "off"
    AFTER_LOGIN = "after-login"


class Flow(Enum):
    """What a data connection is for, in the client's words."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    LIST = "list"


_FLOWS: Mapping[Verb, Flow] = MappingProxyType(
    {
        Verb.RETR: Flow.DOWNLOAD,
        Verb.STOR: Flow.UPLOAD,
        Verb.APPE: Flow.UPLOAD,
        Verb.STOU: Flow.UPLOAD,
        Verb.LIST: Flow.LIST,
        Verb.NLST: Flow.LIST,
        Verb.MLSD: Flow.LIST,
    }
)


def flow_of(verb: Verb) -> Flow:
    """Return what a transfer command's data connection is for; the verb must be one."""
    return _FLOWS[verb]


@dataclass(frozen=True, slots=True)
class DataRule:
    """The level that data connections need for what lies under one path (RFC 4217 §10.2).

    Attributes:
        path: A virtual path; it stands for itself and for everything beneath it.
        data: What is asked for there.
        flow: For one kind of transfer only; None for all.
        for_account: True when the rule names the accounts that it holds for; it goes before one that does
            not.
    """

    path: str
    data: Requirement
    flow: Flow | None = None
    for_account: bool = False

    def covers(self, path: str, flow: Flow) -> bool:
        """Return whether the rule speaks of a path, by whole components, and of this kind of transfer."""
        if self.flow is not None and self.flow is not flow:
            return False
        return self.path in ("/", path) or path.startswith(f"{self.path}/")

    @property
    def weight(self) -> tuple[int, bool, bool]:
        """What decides between rules that cover the same path: the longer one, then the narrower one."""
        return len(self.path), self.for_account, self.flow is not None


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What a listener, and after the login the account, allows.

    Attributes:
        has_tls: False where no certificate can be had: AUTH is answered 431.
        control: Must USER be protected.
        data: Must data connections be protected, where no rule says otherwise.
        ccc: May CCC be used.
        legacy_auth: Are AUTH SSL, TLS-P and TLS-C taken, as well as TLS.
        active_mode: Are PORT and EPRT taken.
        rules: What is asked of data connections path by path.
    """

    has_tls: bool = True
    control: Requirement = Requirement.REQUIRED
    data: Requirement = Requirement.REQUIRED
    ccc: CccRule = CccRule.OFF
    legacy_auth: bool = True
    active_mode: bool = True
    rules: tuple[DataRule, ...] = ()

    def data_for(self, path: str, flow: Flow) -> Requirement:
        """Return what is asked of data connections for a virtual path: the longest rule's word, or `data`."""
        found = [rule for rule in self.rules if rule.covers(path, flow)]
        return max(found, key=lambda rule: rule.weight).data if found else self.data

    def may_have_level(self, *, private: bool) -> bool:
        """Return whether any transfer at all may go at this level: PROT takes no other (RFC 4217 §10.2)."""
        against = Requirement.FORBIDDEN if private else Requirement.REQUIRED
        return self.data is not against or any(rule.data is not against for rule in self.rules)


def paths_meant(verb: Verb, command: Command, cwd: str) -> tuple[str, ...]:
    """Return every virtual path that a transfer command may turn out to mean.

    STOU makes its name later, so it means the directory. LIST and NLST may mean two, see `listing_paths`.
    """
    match verb:
        case Verb.STOU:
            return (split(resolve(cwd, command.text))[0] if command.text else cwd,)
        case Verb.LIST | Verb.NLST:
            return listing_paths(cwd, command.text)
        case _:
            return (resolve(cwd, command.text),)
