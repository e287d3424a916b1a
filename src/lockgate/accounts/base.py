"""What an account is and what a store of accounts can be asked.

A store says who may come in and where to. It must not know TLS, sockets or reply codes, and it never tells
an unknown name from a wrong password, neither by its answer nor by its time (RFC 2577 section 7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Flag, StrEnum, auto
from pathlib import Path
from typing import Protocol, runtime_checkable

from lockgate.errors import AccountError, shorten

from .allowance import Allowance
from .files import FileRules

__all__ = [
    "Account",
    "AccountStore",
    "CertificateRule",
    "ClearCommandChannel",
    "Permission",
    "Protection",
    "SessionReuseRule",
]

NAME_LIMIT = 255
"""Longest account name in characters: more never fits a sensible USER line."""


class Protection(StrEnum):
    """Whether something must, may or must not be protected by TLS (RFC 4217 sections 10.1 and 10.2)."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    FORBIDDEN = "forbidden"


class SessionReuseRule(StrEnum):
    """Whether a data connection must resume the control connection's TLS session (RFC 4217 section 10.2)."""

    REQUIRED = "required"
    AUTO = "auto"
    OFF = "off"


class CertificateRule(StrEnum):
    """What a client certificate counts for at login (RFC 4217 sections 4.2 and 10.1)."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"
    SUFFICIENT = "sufficient"


class ClearCommandChannel(StrEnum):
    """Whether CCC may end TLS on the control connection (RFC 4217 section 5)."""

    OFF = "off"
    AFTER_LOGIN = "after-login"


class Permission(Flag):
    """What an account may do in its home."""

    READ = auto()
    WRITE = auto()
    DELETE = auto()
    LIST = auto()
    MKDIR = auto()
    RENAME = auto()

    @classmethod
    def nothing(cls) -> Permission:
        """Return no permission at all."""
        return cls(0)

    @classmethod
    def everything(cls) -> Permission:
        """Return every permission."""
        return ~cls(0)

    @classmethod
    def parse(cls, text: str) -> Permission:
        """Read words such as `"read list"`, in any case and order, separated by spaces or commas.

        Raises:
            AccountError: A word is no permission; the message lists those that are.
        """
        found = cls.nothing()
        for word in text.replace(",", " ").split():
            try:
                found |= cls[word.upper()]
            except KeyError:
                known = " ".join(cls.words())
                raise AccountError(f'"{shorten(word)}" is no permission; write some of: {known}') from None
        return found

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """Return the words that `parse` knows, in their usual order."""
        return tuple((one.name or "").lower() for one in cls)

    def __str__(self) -> str:
        return " ".join((one.name or "").lower() for one in self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One who may log in.

    The fields from `control` on override the server's policy for this account; None means: as the listener
    and the server say.

    Attributes:
        name: The argument of USER, compared exactly.
        home: The directory that the account sees as "/".
        permissions: What it may do there.
        password_hash: A hash that `passwords.hash_problem` finds nothing wrong with, or None: no password
            opens this account.
        certificate_subject: RFC 4514 text; its RDNs must be in the client certificate's subject. "": no rule.
        certificate_email: An e-mail address that must be among its alternative names. "": no rule.
        certificate_uri: A URI that must be among them. "": no rule.
        certificate_fingerprint: SHA-256 fingerprints, 64 hexadecimal digits in small letters; it must have
            one of them. Empty: no rule.
        sessions: Most sessions at once; 0: any number, None: as the server says.
        files: How its files are kept, where it is not as the server says.
        allowance: How much it may store and how fast it may be, where it is not as the server says.
    """

    name: str
    home: Path
    permissions: Permission = field(default_factory=Permission.everything)
    password_hash: str | None = field(default=None, repr=False)
    certificate_subject: str = ""
    certificate_email: str = ""
    certificate_uri: str = ""
    certificate_fingerprint: tuple[str, ...] = ()
    sessions: int | None = None
    files: FileRules = field(default_factory=FileRules)
    allowance: Allowance = field(default_factory=Allowance)
    control: Protection | None = None
    data: Protection | None = None
    session_reuse: SessionReuseRule | None = None
    require_close_notify: bool | None = None
    client_certificate: CertificateRule | None = None
    clear_command_channel: ClearCommandChannel | None = None
    legacy_auth: bool | None = None
    acceptable_tls_version: str | None = None
    acceptable_ciphers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        problem = name_problem(self.name)
        if problem:
            raise AccountError(problem)

    @property
    def names_certificate(self) -> bool:
        """True when it says which client certificates are its own."""
        return bool(
            self.certificate_subject
            or self.certificate_email
            or self.certificate_uri
            or self.certificate_fingerprint
        )

    def may(self, permission: Permission) -> bool:
        """Return whether the account has all of these permissions."""
        return permission in self.permissions

    @property
    def is_blind(self) -> bool:
        """Whether the account may neither read nor list, and so must not learn which names are taken."""
        return not self.permissions & (Permission.READ | Permission.LIST)

    @property
    def is_drop_box(self) -> bool:
        """Whether the account may put files in and do nothing with those that are there."""
        return self.is_blind and self.may(Permission.WRITE) and not self.may(Permission.DELETE)


@runtime_checkable
class AccountStore(Protocol):
    """A store of accounts; its methods may be called from several threads at once."""

    def find(self, name: str) -> Account | None:
        """Return the account of this name, or None. Blocks.

        Raises:
            AccountError: The store cannot answer now.
        """
        ...

    def recall_password(self, name: str, password: str) -> Account | None:
        """Return the account if this very password opened it not long ago, else None. Does not block.

        A store that cannot know without waiting returns None; then `check_password` decides.
        """
        ...

    def check_password(self, name: str, password: str) -> Account | None:
        """Return the account if the password opens it, else None, after the same time. Blocks.

        An unknown name, an account without password and a wrong password cannot be told apart
        (RFC 2577 section 7).

        Raises:
            AccountError: The store cannot answer now.
        """
        ...


def name_problem(name: str) -> str:
    """Return why `name` cannot name an account, or ""."""
    if not name:
        return "an account name may not be empty"
    if len(name) > NAME_LIMIT:
        return f'account name "{shorten(name)}" is longer than {NAME_LIMIT} characters'
    if name != name.strip() or not name.isprintable():
        # USER carries the rest of its line: control characters never arrive, outer spaces are easily lost.
        return f'account name "{shorten(name)}" has control characters or begins or ends with a space'
    return ""
