"""Password checks of all sessions: so many hashes at once, and turns that go round by address.

A hash takes tens of megabytes, so what bounds their number bounds the memory that a flood of logins can take.
Must not know replies; what a hash is, `lockgate.accounts` knows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lockgate.accounts.passwords import PasswordChecker
from lockgate.errors import AccountError
from lockgate.transfer.workers import Workers

from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockgate.accounts.base import Account, AccountStore

    from .config import Config

__all__ = ["HashingBusy", "PasswordChecks"]


class HashingBusy(AccountError):
    """A password was not checked, because too many others are: try again later."""


class PasswordChecks:
    """Checks passwords for sessions: those remembered at once, others when their turn comes. Event loop only.

    Args:
        config: The configuration; see `reconfigure`.
    """

    def __init__(self, config: Config) -> None:
        at_once = config.hashes_at_once()
        self.checker = PasswordChecker(
            config.passwords.parameters(), remember_seconds=config.passwords.remember_seconds
        )
        self.turns = Turns(at_once, refused=HashingBusy)
        # The turns bound the work; the queue is for the moment until a thread that is done says so.
        self._threads = Workers(at_once, queue_limit=at_once, name="lockgate-hasher")

    async def check(
        self,
        store: AccountStore,
        name: str,
        password: str,
        *,
        address: str,
        is_wanted: Callable[[], bool],
        may_enter: Callable[[Account], bool] = lambda _account: True,
    ) -> Account | None:
        """Return the account that the password opens and that may enter, or None after the same time.

        Args:
            store: Where accounts are looked up.
            name: The account's name.
            password: What the client sent.
            address: The client's, for its share of the turns.
            may_enter: Asked of an account whose password is right. One that may not is told nothing of that:
                a password that was right a moment ago is hashed again for it.
            is_wanted: Asked when the turn has come; False: nobody waits for the answer any more.

        Raises:
            AccountError: The accounts cannot be read.
            HashingBusy: Too many checks wait, or nobody waits for this one any more.
        """
        # Whoever was right a moment ago does not wait behind those who guess.
        known = store.recall_password(name, password)
        if known is not None and may_enter(known):
            return known
        await self.turns.take(address)
        try:
            if not is_wanted():
                raise HashingBusy("the client left before its turn")
            if known is not None:
                like = known.password_hash
                work = self._threads.submit(lambda: self.checker.check(name, password, None, like=like))
                await asyncio.wrap_future(work)
                return None
            found = await asyncio.wrap_future(
                self._threads.submit(lambda: store.check_password(name, password))
            )
            return found if found is not None and may_enter(found) else None
        finally:
            self.turns.give_back()

    def reconfigure(self, config: Config) -> None:
        """Take another configuration, for checks to come."""
        self.checker.reconfigure(config.passwords.parameters(), config.passwords.remember_seconds)
        at_once = config.hashes_at_once()
        self._threads.resize(at_once, queue_limit=at_once)
        self.turns.resize(at_once)

    def refuse_all(self) -> None:
        """Refuse the checks that wait."""
        self.turns.refuse_all()

    def close(self, *, seconds: float) -> None:
        """End the threads; blocks until they have ended, or for so long."""
        self._threads.close(seconds=seconds)
