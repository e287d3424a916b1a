"""`[[rule]]`: what is asked of data connections path by path (RFC 4217 section 10.2)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator

from lockgate.accounts.base import Protection
from lockgate.errors import RemoteProtocolError, shorten
from lockgate.protocol.paths import resolve

from .fields import Names, Section

__all__ = ["RuleConfig", "RuleDirection", "rule_problems"]


class RuleDirection(StrEnum):
    """The kind of transfer that a rule is for, seen from the client."""

    UPLOAD = "upload"
    """STOR, APPE, STOU."""
    DOWNLOAD = "download"
    """RETR."""
    LIST = "list"
    """LIST, NLST, MLSD."""
    ANY = "any"
    """All of them."""


_Direction = Annotated[RuleDirection, Field(strict=False)]
_Protection = Annotated[Protection, Field(strict=False)]


class RuleConfig(Section):
    """`[[rule]]`: for this path and all beneath it, `data` is as said here."""

    path: str
    data: _Protection
    direction: _Direction = RuleDirection.ANY
    accounts: Names | None = None

    @field_validator("path")
    @classmethod
    def _check_path(cls, value: str) -> str:
        try:
            path = resolve("/", value)
        except RemoteProtocolError as error:
            raise ValueError(str(error)) from error
        plain = value if value == "/" else value.removesuffix("/")
        if plain != path:
            raise ValueError(
                f'"{shorten(value)}" is no virtual path: write it from the root "/" that the account sees, '
                f'without "." and ".."; perhaps "{shorten(path)}"'
            )
        return path

    @field_validator("accounts")
    @classmethod
    def _check_accounts(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ():
            raise ValueError("an empty list fits no account; leave accounts out, then the rule is for all")
        return value

    def concerns(self, account: str | None) -> bool:
        """Return whether the rule holds for an account; for None, before the login, only if it is for all."""
        return self.accounts is None or account in self.accounts


def rule_problems(rules: tuple[RuleConfig | None, ...]) -> Iterator[tuple[int, str, str]]:
    """Yield index, key and message of each rule that says again, or against it, what another says."""
    seen: dict[tuple[str, RuleDirection, str | None], int] = {}
    for index, rule in enumerate(rules):
        if rule is None:
            continue
        for name in rule.accounts or (None,):
            first = seen.setdefault((rule.path, rule.direction, name), index)
            if first == index:
                continue
            whom = "every account" if name is None else f'account "{shorten(name)}"'
            yield (
                index,
                "path",
                (
                    f'[[rule]] number {first + 1} already says what holds for path "{shorten(rule.path)}", '
                    f'direction "{rule.direction}" and {whom}; take one of the two out'
                ),
            )
            break
