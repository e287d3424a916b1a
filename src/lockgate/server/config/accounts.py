"""`[accounts]` and `[[account]]`: who may log in."""

from __future__ import annotations

from pydantic import Field, field_validator

from lockgate.accounts.allowance import Allowance
from lockgate.accounts.base import Account, Permission, name_problem
from lockgate.accounts.files import FileRules
from lockgate.accounts.passwords import hash_problem
from lockgate.errors import AccountError, ConfigError
from lockgate.tls.identity import parse_subject

from .fields import PathValue, Section
from .files import FILE_KEYS, FileOverrides
from .policy import POLICY_KEYS, PolicyOverrides
from .rates import ALLOWANCE_KEYS, AllowanceOverrides

__all__ = ["AccountConfig", "AccountSourceConfig"]


def _permissions(value: object) -> object:
    if not isinstance(value, str):
        return value
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
                files=FileRules(**{key: getattr(self, key) for key in FILE_KEYS}),
                allowance=Allowance(**{key: getattr(self, key) for key in ALLOWANCE_KEYS}),
                **overrides,
            )
        except AccountError as error:
            raise ConfigError(str(error)) from error
