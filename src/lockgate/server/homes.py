"""The files of accounts: one storage per home, opened at the first login and shared by its sessions.

Must not know sessions or replies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockgate.errors import ConfigError
from lockgate.storage.local import LocalStorage

if TYPE_CHECKING:
    from pathlib import Path

    from lockgate.accounts.base import Account
    from lockgate.storage.base import Storage

    from .cleaning import PartialCleaner

__all__ = ["Homes"]


class Homes:
    """The storages of a server. Thread-safe.

    Args:
        cleaner: Told of each home, to remove old partial uploads there.
    """

    __slots__ = ("_cleaner", "_storages")

    def __init__(self, cleaner: PartialCleaner) -> None:
        self._cleaner = cleaner
        self._storages: dict[Path, LocalStorage] = {}

    def storage_for(self, account: Account) -> Storage:
        """Return the files of an account; its home is made if it is missing. Blocks; any helper thread.

        Raises:
            ConfigError: The home cannot be made.
            StorageError: The home cannot be opened.
        """
        storage = self._storages.get(account.home)
        if storage is None:
            try:
                account.home.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"home {account.home}: cannot be made: {error.strerror}") from error
            # Two threads may both get here; the second's storage is dropped by setdefault and collected.
            storage = self._storages.setdefault(account.home, LocalStorage(account.home))
            self._cleaner.home_opened(account.home)
        return storage

    def close(self) -> None:
        """Give every home back; open handles go on."""
        for storage in self._storages.values():
            storage.close()
