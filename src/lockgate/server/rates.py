"""Which token buckets hold for whom: the server's, an account's, a session's. Must not move data.

Used on the event loop only, except for the buckets themselves, which are thread-safe.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lockgate.transfer.rates import Throttle, TokenBucket

from .session import Direction

if TYPE_CHECKING:
    from lockgate.accounts.base import Account

    from .config import LimitsConfig

__all__ = ["Rates", "SessionRates"]


class _Pair:
    """A bucket each way; 0 is no limit."""

    __slots__ = ("__weakref__", "download", "upload")

    def __init__(self, upload: int, download: int) -> None:
        self.upload = TokenBucket(upload or None)
        self.download = TokenBucket(download or None)

    def change(self, upload: int, download: int) -> None:
        for bucket, rate in ((self.upload, upload), (self.download, download)):
            if bucket.rate != (rate or None):
                bucket.set_rate(rate or None)


class SessionRates:
    """The buckets of one session.

    Args:
        account: Who has logged in.
        session: The session's own buckets.
        shared: The account's and the server's.
    """

    __slots__ = ("__weakref__", "_shared", "account", "session")

    def __init__(self, account: Account, session: _Pair, *shared: _Pair) -> None:
        self.account = account
        self.session = session
        self._shared = shared

    def throttle(self, direction: Direction) -> Throttle | None:
        """Return what a transfer that begins now has to wait for; None where nothing limits it."""
        pairs = (self.session, *self._shared)
        buckets = [pair.upload if direction is Direction.IN else pair.download for pair in pairs]
        limiting = [bucket for bucket in buckets if bucket.rate is not None]
        return Throttle(limiting) if limiting else None


class Rates:
    """The buckets of a server.

    Args:
        limits: `[limits]`.
    """

    __slots__ = ("_accounts", "_limits", "_server", "_sessions")

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._server = _Pair(limits.upload_rate, limits.download_rate)
        # Of accounts that are logged in: an account's pair is held by its sessions.
        self._accounts: weakref.WeakValueDictionary[str, _Pair] = weakref.WeakValueDictionary()
        self._sessions: weakref.WeakSet[SessionRates] = weakref.WeakSet()

    def for_session(self, account: Account) -> SessionRates:
        """Return the buckets of a session that logs in."""
        shared = self._accounts.get(account.name)
        rates = _account_rates(account)
        if shared is None:
            shared = self._accounts[account.name] = _Pair(*rates)
        else:
            shared.change(*rates)
        session = SessionRates(account, _Pair(*self._session_rates(account)), shared, self._server)
        self._sessions.add(session)
        return session

    def replace(self, limits: LimitsConfig, accounts: Iterable[Account]) -> None:
        """Take new rates, at once for transfers that have been waiting for some bucket.

        Args:
            limits: The new `[limits]`.
            accounts: Those that are known beforehand; others get theirs at the next login.
        """
        self._limits = limits
        self._server.change(limits.upload_rate, limits.download_rate)
        known = {account.name: account for account in accounts}
        for name, pair in list(self._accounts.items()):
            if name in known:
                pair.change(*_account_rates(known[name]))
        for session in list(self._sessions):
            session.account = known.get(session.account.name, session.account)
            session.session.change(*self._session_rates(session.account))

    def _session_rates(self, account: Account) -> tuple[int, int]:
        own, default = account.allowance, self._limits
        upload, download = own.session_upload_rate, own.session_download_rate
        return (
            default.session_upload_rate if upload is None else upload,
            default.session_download_rate if download is None else download,
        )


def _account_rates(account: Account) -> tuple[int, int]:
    return account.allowance.upload_rate or 0, account.allowance.download_rate or 0
