"""Accounts that are all known beforehand, as those of a configuration file.

The store holds no open resource. It must not change while it is used: a reload makes a new one.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator

from lockgate.errors import AccountError, shorten

from .base import Account
from .passwords import PasswordChecker

__all__ = ["MemoryAccounts"]


class MemoryAccounts:
    """An `AccountStore` over accounts in memory; safe for use by several threads.

    Args:
        accounts: The accounts; their names must differ.
        checker: Checks passwords; one with the default parameters if None. Hand the old store's checker to a
            new store to keep what it remembers.

    Raises:
        AccountError: Two accounts have the same name.
    """

    def __init__(self, accounts: Iterable[Account] = (), checker: PasswordChecker | None = None) -> None:
        self._accounts: dict[str, Account] = {}
        for account in accounts:
            if account.name in self._accounts:
                raise AccountError(f'two accounts have the name "{shorten(account.name)}"; names must differ')
            self._accounts[account.name] = account
        self._checker = checker or PasswordChecker()
        self._hashes = tuple(one.password_hash for one in self._accounts.values() if one.password_hash)
        self._key = secrets.token_bytes(16)

    @property
    def checker(self) -> PasswordChecker:
        """What checks the passwords."""
        return self._checker

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def __len__(self) -> int:
        return len(self._accounts)

    def find(self, name: str) -> Account | None:
        """Return the account of this name, or None; does not block."""
        return self._accounts.get(name)

    def recall_password(self, name: str, password: str) -> Account | None:
        """Return the account if this very password opened it not long ago, else None; computes no hash."""
        account = self._accounts.get(name)
        if account is None or account.password_hash is None:
            return None
        return account if self._checker.recalls(name, password, account.password_hash) else None

    def forget_others(self) -> None:
        """Have the checker forget what it remembers of accounts that are gone or have another hash now."""
        self._checker.keep_only({one.name: one.password_hash for one in self})

    def check_password(self, name: str, password: str) -> Account | None:
        """Return the account if the password opens it, else None; blocks while it hashes."""
        account = self._accounts.get(name)
        stored = account.password_hash if account is not None else None
        fits = self._checker.check(name, password, stored, like=self._like(name))
        return account if fits else None

    def _like(self, name: str) -> str | None:
        """Return the hash that a name without one imitates in time.

        Hashes of different kinds and ages have different costs. So each unknown name takes the cost of
        some account's hash, always of the same one: its time neither stands out nor varies from one try to
        the next.
        """
        if not self._hashes:
            return None
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8)
        return self._hashes[int.from_bytes(digest.digest(), "big") % len(self._hashes)]
