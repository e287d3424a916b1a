"""Partial uploads that nobody comes back for: removed at the start, every few hours, and when a home opens.

A killed server leaves its uploads' hidden files behind, which the next one removes as soon as it has started;
and a client may never resume what was interrupted.
Must not touch anything but the storage's own hidden files, and none that may still be resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lockgate.errors import StorageError
from lockgate.storage.local import LocalStorage

from .audit import record

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from .server import Server

__all__ = ["PartialCleaner"]

_logger = logging.getLogger(__name__)

# Long enough to go on after a night or a broken line; the disk is not a store of half files.
_KEPT_SECONDS = 24 * 3600.0
_EVERY_SECONDS = 6 * 3600.0
_SOON_SECONDS = 2.0


class PartialCleaner:
    """Removes old partial uploads of one server, in helper threads.

    Args:
        server: Whose accounts' homes are looked after.
    """

    __slots__ = ("_homes", "_server", "_timer")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._timer: asyncio.TimerHandle | None = None
        self._homes: set[Path] = set()

    def start(self) -> None:
        """Clean every home that is known, soon and again every few hours. Event loop only; does not block."""
        # Not at once: what a server that was killed just now has left must be older than a file being made.
        self._timer = self._server.loop.call_later(_SOON_SECONDS, self._clean_known)

    def _clean_known(self) -> None:
        self._homes.update(account.home for account in self._server.config.accounts)
        self._submit(tuple(self._homes))
        self._timer = self._server.loop.call_later(_EVERY_SECONDS, self._clean_known)

    def home_opened(self, home: Path) -> None:
        """Clean a home that was not known before. Any thread; does not block."""
        if home not in self._homes:
            self._homes.add(home)
            self._submit((home,))

    def stop(self) -> None:
        """Start no more. Event loop only; does not block."""
        if self._timer is not None:
            self._timer.cancel()

    def _submit(self, homes: Iterable[Path]) -> None:
        # One after the other in one thread: the others are for logins and commands.
        # Busy, or closing: the next time will do.
        self._server.helpers.offer(lambda: self._clean_all(homes))

    def _clean_all(self, homes: Iterable[Path]) -> None:
        for home in homes:
            if not self._server.is_draining:
                self._clean(home)

    def _clean(self, home: Path) -> None:
        """Clean one home; blocks as long as walking it takes."""
        try:
            if not home.is_dir():
                return
            # A storage of its own: most homes are not in use, and should not stay open for this.
            storage = LocalStorage(home)
            try:
                # An upload under way is told by its age, and none stands still for longer than it may stall.
                count = storage.clean_partials(
                    max(_KEPT_SECONDS, 2 * self._server.config.limits.stall_seconds)
                )
            finally:
                storage.close()
        except (StorageError, OSError) as error:
            _logger.warning("old partial uploads below %s stay: %s", home, error)
            return
        if count:
            record("cleaned", home=home, partials=count)
