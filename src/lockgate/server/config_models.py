"""The sections of a configuration: which keys there are, their types, ranges and defaults.

Each section validates itself alone; what must agree across sections is in `config_checks`, reading a file is
in `config`. Nothing here touches the file system.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from lockgate.accounts.base import (
    Account,
    CertificateRule,
    ClearCommandChannel,
    Permission,
    Protection,
    SessionReuseRule,
    name_problem,
)
from lockgate.errors import AccountError, ConfigError
from lockgate.tls.identity import parse_subject

from .config_text import FromEnvironment

__all__ = [
    "POLICY_KEYS",
    "AccountConfig",
    "AccountSourceConfig",
    "ActiveConfig",
    "LimitsConfig",
    "ListenerConfig",
    "ListenerTls",
    "PassiveConfig",
    "PolicyConfig",
    "PolicyOverrides",
    "TlsConfig",
    "merged",
]

_HASH = re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


class ListenerTls(StrEnum):
    """How a listener speaks TLS."""

    EXPLICIT = "explicit"
    """In clear until AUTH TLS (RFC 4217 section 4)."""
    IMPLICIT = "implicit"
    """TLS at once (draft-murray-auth-ftp-ssl-02 section 4.2)."""
    NONE = "none"
    """Clear FTP only."""


def _number(value: object) -> object:
    """Let `port = "${PORT}"` be a number; a string that stands in the file itself stays a string."""
    if isinstance(value, FromEnvironment) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    return value


def _boolean(value: object) -> object:
    if isinstance(value, FromEnvironment) and value in ("true", "false"):
        return value == "true"
    return value


def _path(value: object, info: ValidationInfo) -> object:
    """Take a path relative to the directory that the validation context names."""
    if isinstance(value, str):
        if not value or "\0" in value:
            raise ValueError("expected the path of a file or directory")
        value = Path(value).expanduser() if value.startswith("~") else Path(value)
    if isinstance(value, Path) and info.context:
        return info.context["directory"] / value
    return value


def _optional_path(value: object, info: ValidationInfo) -> object:
    return None if value == "" else _path(value, info)


def _permissions(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return Permission.parse(value)
    except AccountError as error:
        raise ValueError(str(error)) from error


_Bool = Annotated[bool, BeforeValidator(_boolean)]
_Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
_Port = Annotated[int, BeforeValidator(_number), Field(ge=0, le=65535)]
_Seconds = Annotated[float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False)]
_Path = Annotated[Path, BeforeValidator(_path), Field(validate_default=True)]
_OptionalPath = Annotated[Path | None, BeforeValidator(_optional_path)]
_Protection = Annotated[Protection, Field(strict=False)]
_SessionReuse = Annotated[SessionReuseRule, Field(strict=False)]
_CertificateRule = Annotated[CertificateRule, Field(strict=False)]
_Channel = Annotated[ClearCommandChannel, Field(strict=False)]
_ListenerTls = Annotated[ListenerTls, Field(strict=False)]


class Section(BaseModel):
    """A table of the file: frozen, its types taken strictly, unknown keys refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class PolicyConfig(Section):
    """`[policy]`: what must be protected, and how (RFC 4217 sections 5, 10.1 and 10.2)."""

    control: _Protection = Protection.REQUIRED
    data: _Protection = Protection.REQUIRED
    session_reuse: _SessionReuse = SessionReuseRule.AUTO
    require_close_notify: _Bool = True
    client_certificate: _CertificateRule = CertificateRule.OFF
    clear_command_channel: _Channel = ClearCommandChannel.OFF
    legacy_auth: _Bool = True


class PolicyOverrides(Section):
    """The keys of `[policy]` where they stand in another table; None: not said there."""

    control: _Protection | None = None
    data: _Protection | None = None
    session_reuse: _SessionReuse | None = None
    require_close_notify: _Bool | None = None
    client_certificate: _CertificateRule | None = None
    clear_command_channel: _Channel | None = None
    legacy_auth: _Bool | None = None


POLICY_KEYS = tuple(PolicyConfig.model_fields)
"""The keys of `[policy]`, in their order."""


def merged(policy: PolicyConfig, *layers: PolicyOverrides | Account | None) -> PolicyConfig:
    """Return the policy with each layer's own values laid over it, the last one on top."""
    changes = {
        key: value
        for layer in layers
        if layer is not None
        for key in POLICY_KEYS
        if (value := getattr(layer, key)) is not None
    }
    return policy.model_copy(update=changes) if changes else policy


class ListenerConfig(PolicyOverrides):
    """`[[listener]]`: an address where control connections are taken; port 0 means any free one."""

    address: str = "127.0.0.1"
    port: _Port = 2121
    tls: _ListenerTls = ListenerTls.EXPLICIT

    @field_validator("address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9.:%_-]+", value):
            raise ValueError('expected an IP address or a host name, such as "127.0.0.1", "0.0.0.0" or "::"')
        return value


class TlsConfig(Section):
    """`[tls]`: the server's certificate, whom it trusts, versions and ciphers."""

    certificate: _Path = Path("server.pem")
    key: _Path = Path("server.key")
    client_ca: _OptionalPath = None
    minimum_version: Annotated[str, Field(pattern=r"^1\.[23]$")] = "1.2"
    ciphers: str = ""


class PassiveConfig(Section):
    """`[passive]`: where the server listens for data connections (PASV, EPSV)."""

    ports: str = "0"
    address: str = ""

    @field_validator("ports")
    @classmethod
    def _check_ports(cls, value: str) -> str:
        if value != "0":
            _parse_range(value)
        return value

    @field_validator("address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if value:
            try:
                ipaddress.IPv4Address(value)
            except ValueError:
                raise ValueError(
                    'expected an IPv4 address, the only kind that a 227 reply can carry, or "" for the '
                    "control connection's own"
                ) from None
        return value

    @property
    def port_range(self) -> tuple[int, int] | None:
        """The first and the last port, or None: any free port."""
        return None if self.ports == "0" else _parse_range(self.ports)


def _parse_range(text: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(text)
    if found:
        first = int(found.group(1))
        last = int(found.group(2) or first)
        if 1 <= first <= last <= 65535:
            return first, last
    raise ValueError('expected "0" (any free port), one port, or "first-last" from 1 to 65535: "50000-50100"')


class ActiveConfig(Section):
    """`[active]`: whether the server connects to the client for data (PORT, EPRT)."""

    enabled: _Bool = True


class LimitsConfig(Section):
    """`[limits]`: how many, and how long; times are in seconds."""

    sessions: _Count = 10000
    sessions_per_address: _Count = 100
    transfers: _Count = 1000
    idle_seconds: _Seconds = 300
    handshake_seconds: _Seconds = 15
    data_open_seconds: _Seconds = 30
    stall_seconds: _Seconds = 120
    login_attempts: _Count = 3


class AccountSourceConfig(Section):
    """`[accounts]`: where accounts are kept besides this file."""

    database: str = ""

    @field_validator("database")
    @classmethod
    def _check_database(cls, value: str) -> str:
        if value:
            raise ValueError(
                "accounts in a database are not supported by this version of lockgate; "
                'write database = "" and list the accounts as [[account]] in this file'
            )
        return value


class AccountConfig(PolicyOverrides):
    """`[[account]]`: one who may log in."""

    name: str
    home: _Path
    password_hash: str = Field(default="", repr=False)
    certificate_subject: str = ""
    permissions: Permission = Field(default_factory=Permission.everything)

    _read_permissions = field_validator("permissions", mode="before")(_permissions)

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        problem = name_problem(value)
        if problem:
            raise ValueError(problem)
        return value

    @field_validator("password_hash")
    @classmethod
    def _check_hash(cls, value: str) -> str:
        if value and not _HASH.fullmatch(value):
            # The value itself stays out of the message: it may be a password written here by mistake.
            raise ValueError(
                'expected an argon2id hash ("$argon2id$..."), never the password itself; '
                "make one with: lockgate account hash"
            )
        return value

    @field_validator("certificate_subject")
    @classmethod
    def _check_subject(cls, value: str) -> str:
        if value:
            try:
                parse_subject(value)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return value

    def account(self) -> Account:
        """Return this entry as the account stores have it."""
        overrides = {key: getattr(self, key) for key in POLICY_KEYS}
        try:
            return Account(
                name=self.name,
                home=self.home,
                permissions=self.permissions,
                password_hash=self.password_hash or None,
                certificate_subject=self.certificate_subject,
                **overrides,
            )
        except AccountError as error:
            raise ConfigError(str(error)) from error
