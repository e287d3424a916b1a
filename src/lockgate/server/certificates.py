"""Certificates of a running server: files that change are taken into use, and what ends soon is told.

Sessions keep what they began with. Files are read in helper threads; nothing here may block the event loop.
Must not know what is in a file: `tls.contexts` loads it, `config.tls_remarks` looks at its times.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.errors import LockgateError

from .audit import record
from .config.tls_remarks import endings, seconds_to_next_end, tls_remarks

if TYPE_CHECKING:
    import asyncio

    from lockgate.tls.contexts import Prepared, ServerContexts

    from .server import Server

__all__ = ["CertificateKeeper"]

_logger = logging.getLogger(__name__)

# Programs that renew write certificate and key one after the other, some minutes apart where a hook copies
# them: what does not fit is looked at again in silence before anybody is told.
_LOOKS_IN_SILENCE = 5
_DAY_SECONDS = 24 * 3600.0
_AFTER_THE_END_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at changed files has brought: new contexts, or why there are none."""

    contexts: ServerContexts
    prepared: Prepared | None
    problem: str


class CertificateKeeper:
    """Watches the TLS files of one server.

    Args:
        server: Whose listeners' certificates are kept.

    Attributes:
        failed_looks: How often in a row changed files could not be used.
    """

    __slots__ = ("_reminder", "_server", "_timer", "failed_looks")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._timer: asyncio.TimerHandle | None = None
        self._reminder: asyncio.TimerHandle | None = None
        self.failed_looks = 0

    def start(self) -> None:
        """Watch from now on, and tell of what ends soon: now, every day, and when it ends. Event loop only.

        Called again after a reload: then it begins anew, with the configuration that is in force.
        """
        self.stop()
        self.failed_looks = 0
        self._remind()
        self._watch_later()

    def stop(self) -> None:
        """Look no more. Event loop only; does not block."""
        for timer in (self._timer, self._reminder):
            if timer is not None:
                timer.cancel()
        self._timer = self._reminder = None

    # --- what ends soon ---

    def _remind(self) -> None:
        """Tell of what ends soon or has ended, and do so again in a day, and when the next one ends."""
        config, loop = self._server.config, self._server.loop
        reminder = self._reminder = loop.call_later(_DAY_SECONDS, self._remind)

        def tell() -> None:
            for remark in tls_remarks(config):
                _logger.warning("%s", remark)
            for one in endings(config):
                record("certificate-ends", file=one.file, what=one.what, when=one.when, days=one.days)
            seconds = seconds_to_next_end(config)
            if seconds is not None and seconds < _DAY_SECONDS:
                # The loop is gone when the server has stopped meanwhile.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._remind_earlier, reminder, seconds)

        self._server.helpers.offer(tell)

    def _remind_earlier(self, reminder: asyncio.TimerHandle, seconds: float) -> None:
        if self._reminder is reminder:
            reminder.cancel()
            # Clients judge it by the second: a moment later, so that it is over for us too.
            self._reminder = self._server.loop.call_later(seconds + _AFTER_THE_END_SECONDS, self._remind)

    # --- files that change ---

    def _watch_later(self) -> None:
        seconds = self._server.config.tls.reload_seconds
        if seconds and not self._server.is_draining:
            self._timer = self._server.loop.call_later(seconds, self._watch)

    def _watch(self) -> None:
        timer = self._timer
        contexts = self._server.tls_contexts()

        def look() -> None:
            found = [one for each in contexts if (one := _look(each)) is not None]
            # The loop is gone when the server has stopped meanwhile.
            with contextlib.suppress(RuntimeError):
                self._server.loop.call_soon_threadsafe(self._take, timer, found)

        if not self._server.helpers.offer(look):
            # Busy: the next time will do.
            self._watch_later()

    def _take(self, timer: asyncio.TimerHandle | None, found: list[_Found]) -> None:
        """Use what was read, unless a reload has come in between: it has read everything itself."""
        if timer is not self._timer:
            return
        problems = [one.problem for one in found if one.problem]
        used = [one.prepared for one in found if one.prepared is not None]
        for one in found:
            if one.prepared is not None:
                one.contexts.install(one.prepared)
        if used:
            record("certificates-reloaded", listeners=len(used))
            if self._reminder is not None:
                self._reminder.cancel()
            self._remind()
        self.failed_looks = self.failed_looks + 1 if problems else 0
        if self.failed_looks == _LOOKS_IN_SILENCE:
            _logger.warning("changed certificates are not used, the old ones stay: %s", problems[0])
            record("certificates-refused", reason=problems[0])
        self._watch_later()


def _look(contexts: ServerContexts) -> _Found | None:
    """Read changed files again; blocks. None when nothing has changed."""
    if not contexts.files_changed():
        return None
    try:
        return _Found(contexts, contexts.prepare(), "")
    except LockgateError as error:
        return _Found(contexts, None, str(error))
    except Exception:
        # A mistake of ours must not end the watch.
        _logger.exception("certificates cannot be read again")
        return _Found(contexts, None, "internal error")
