"""`[accounts]` and `[[account]]`: who may log in."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from lockgate.accounts.allowance import Allowance
from lockgate.accounts.base import Account, Permission, name_problem
from lockgate.accounts.files import FileRules
from lockgate.accounts.passwords import hash_problem
from lockgate.errors import AccountError, ConfigError, shorten
from lockgate.tls.identity import subject_text
from lockgate.tls.pins import parse_pin

from .fields import PathValue, Section, Whole
from .files import FILE_KEYS, FileOverrides
from .policy import POLICY_KEYS, PolicyOverrides
from .rates import ALLOWANCE_KEYS, AllowanceOverrides

__all__ = ["CERTIFICATE_KEYS", "AccountConfig", "AccountSourceConfig"]

CERTIFICATE_KEYS = (
    "certificate_subject",
    "certificate_email",
    "certificate_uri",
    "certificate_fingerprint",
)
"""The keys that say which client certificates are an account's own."""


def _fingerprints(value: object) -> object:
    """One fingerprint may stand without brackets."""
    return (value,) if isinstance(value, str) and value else () if value == "" else value


_Fingerprints = Annotated[tuple[str, ...], BeforeValidator(_fingerprints), Field(strict=False)]


def _permissions(value: object) -> object:
    if isinstance(value, Permission):
        return value
    if not isinstance(value, str):
        words = " ".join(str(one) for one in value) if isinstance(value, list) else "read list"
        raise ValueError(  # noqa: TRY004 - pydantic's kind
            f'expected words in one pair of quotes: permissions = "{shorten(words)}"'
        )
    try:
        return Permission.parse(value)
    except AccountError as error:
        raise ValueError(str(error)) from error


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


class AccountConfig(PolicyOverrides, FileOverrides, AllowanceOverrides):
    """`[[account]]`: one who may log in."""

    name: str
    home: PathValue
    password_hash: str = Field(default="", repr=False)
    certificate_subject: str = ""
    certificate_email: str = ""
    certificate_uri: str = ""
    certificate_fingerprint: _Fingerprints = ()
    sessions: Whole | None = None
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
        problem = hash_problem(value) if value else ""
        if problem:
            raise ValueError(problem)
        return value

    @field_validator("certificate_subject")
    @classmethod
    def _check_subject(cls, value: str) -> str:
        if value:
            try:
                return subject_text(value)
            except ConfigError as error:
                raise ValueError(
                    f"{error}; `openssl x509 -noout -subject -nameopt RFC2253` prints it so"
                ) from error
        return value

    @field_validator("certificate_email")
    @classmethod
    def _check_email(cls, value: str) -> str:
        local, _, host = value.rpartition("@")
        if value and not (local and host and value.isascii() and value.isprintable() and " " not in value):
            raise ValueError(
                f'"{shorten(value)}" is no e-mail address as certificates have them: write it like '
                "alice@example.com"
            )
        return value

    @field_validator("certificate_uri")
    @classmethod
    def _check_uri(cls, value: str) -> str:
        scheme, colon, rest = value.partition(":")
        if value and not (scheme and colon and rest and value.isascii() and " " not in value):
            raise ValueError(
                f'"{shorten(value)}" is no URI as certificates have them: write it whole, like '
                "spiffe://example.com/alice"
            )
        return value

    @field_validator("certificate_fingerprint")
    @classmethod
    def _check_fingerprints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(parse_pin(one).hex() for one in value)
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @property
    def certificate_keys(self) -> tuple[str, ...]:
        """The keys with which it says what certificates are its own."""
        return tuple(key for key in CERTIFICATE_KEYS if getattr(self, key))

    def account(self) -> Account:
        """Return this entry as the account stores have it."""
        given = {key: getattr(self, key) for key in (*POLICY_KEYS, *CERTIFICATE_KEYS)}
        try:
            return Account(
                name=self.name,
                home=self.home,
                permissions=self.permissions,
                password_hash=self.password_hash or None,
                sessions=self.sessions,
                files=FileRules(**{key: getattr(self, key) for key in FILE_KEYS}),
                allowance=Allowance(**{key: getattr(self, key) for key in ALLOWANCE_KEYS}),
                **given,
            )
        except AccountError as error:
            raise ConfigError(str(error)) from error
