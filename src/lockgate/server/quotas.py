"""Which quota holds for whom, and when homes are counted; what counts is `storage.quota`'s.

A home has one ledger, whoever works in it and however often it is opened. Homes in use are counted again
every few minutes, in a helper thread: the operator's programs change files too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError, StorageError
from lockgate.storage.ledger import Ledger
from lockgate.storage.quota import Quota, QuotaStorage

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from lockgate.accounts.base import Account
    from lockgate.storage.base import Storage
    from lockgate.storage.usage import CountedStorage

    from .server import Server

__all__ = ["Quotas"]

_logger = logging.getLogger(__name__)

_EVERY_SECONDS = 600.0
# A slice of counting, after which a drain is noticed; what takes more slices is gone on with the next time.
_SLICE_SECONDS = 1.0
_SLICES = 600

_Key = tuple[int, int]


class Quotas:
    """The ledgers of one server.

    Args:
        server: Whose accounts' homes are counted.
    """

    __slots__ = ("_ledgers", "_server", "_timer")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ledgers: dict[_Key, Ledger] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Count the homes in use, now and again every few minutes. Event loop only; does not block."""
        self.stop()
        self._submit([ledger for ledger in self._ledgers.copy().values() if ledger.is_in_use])
        self._timer = self._server.loop.call_later(_EVERY_SECONDS, self.start)

    def stop(self) -> None:
        """Count no more. Event loop only; does not block."""
        if self._timer is not None:
            self._timer.cancel()

    def limited(self, account: Account, storage: CountedStorage) -> Storage:
        """Return an account's files with its quota; the files themselves where no quota looks at them.

        An account without a quota is counted where another one with the same home has a quota. Blocks
        shortly; any helper thread.

        Raises:
            ConfigError: The home cannot be looked at.
        """
        quota = self._quota(account)
        try:
            status = account.home.stat()
        except OSError as error:
            raise ConfigError(f"home {account.home}: {error.strerror}") from error
        key = (status.st_dev, status.st_ino)
        ledger = self._ledgers.get(key)
        if ledger is None:
            if quota == Quota() and not self._is_limited_for_others(account):
                return storage
            # Two threads may both get here; setdefault leaves one ledger.
            made = Ledger(storage)
            ledger = self._ledgers.setdefault(key, made)
            if ledger is made:
                self._submit((ledger,))
        return QuotaStorage(storage, ledger, quota)

    def _quota(self, account: Account) -> Quota:
        own, default = account.allowance, self._server.config.quota
        size = default.quota_bytes if own.quota_bytes is None else own.quota_bytes
        count = default.quota_files if own.quota_files is None else own.quota_files
        return Quota(bytes=size or None, files=count or None)

    def _is_limited_for_others(self, account: Account) -> bool:
        entries = self._server.config.accounts
        return any(self._quota(one.account()) != Quota() for one in entries if one.home == account.home)

    def _submit(self, ledgers: Iterable[Ledger]) -> None:
        # One after the other in one thread: the others are for logins and commands.
        # Busy, or closing: whoever needs a number counts himself.
        self._server.helpers.offer(lambda: self._count_all(ledgers))

    def _count_all(self, ledgers: Iterable[Ledger]) -> None:
        for ledger in ledgers:
            try:
                for _ in range(_SLICES):
                    if self._server.is_draining or ledger.recount(_SLICE_SECONDS):
                        break
            except (StorageError, OSError) as error:
                _logger.warning("a home cannot be counted for its quota: %s", error)
