"""Running a session's commands one after the other, and its transfer beside them.

An idle session holds no task: what has come wakes one, which ends when there is nothing left to run. A
transfer runs as a job beside it, while the core lets ABOR and STAT through. Must not touch the socket or TLS,
and must not decide what may run: the core hands out each command in its turn.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lockgate.protocol.server import CommandRefused, Event

from .dispatch import run
from .refusallog import tell_gate

if TYPE_CHECKING:
    from .control import ControlConnection
    from .jobs import Job

__all__ = ["CommandRunner"]

_logger = logging.getLogger(__name__)

# How long one session may run commands before the others have a turn.
_TURN_SECONDS = 0.002


class CommandRunner:
    """Runs what one client asks for. All methods run on the event loop.

    Args:
        control: The connection that commands come from and replies go to.

    Attributes:
        is_running: True while a command runs; a transfer between its 150 and its end does not count.
    """

    __slots__ = ("_control", "_last_activity", "is_running")

    def __init__(self, control: ControlConnection) -> None:
        self._control = control
        self._last_activity = control.server.loop.time()
        self.is_running = False

    @property
    def is_at_rest(self) -> bool:
        """True when neither a command nor a transfer is going on."""
        return not self.is_running and self._control.session.job is None

    def idle_since(self, now: float) -> float:
        """Return when the last command or transfer ended, in the loop's time; `now` while one goes on."""
        if not self.is_at_rest:
            self._last_activity = now
        return self._last_activity

    def run_next(self) -> bool:
        """Begin to run what has come, unless that is going on; return False when there is nothing to run."""
        control = self._control
        long_work = control.session.long_work
        if long_work is not None and control.core.is_abort_waiting:
            long_work.interrupt()
        if self.is_running or control.is_write_blocked:
            return True
        event = control.core.next_event()
        if event is None:
            return False
        self.is_running = True
        control.server.spawn(self._run_all(event))
        return True

    async def _run_all(self, event: Event | None) -> None:
        control = self._control
        loop = control.server.loop
        turn_ends = loop.time() + _TURN_SECONDS
        try:
            while event is not None and not control.is_closing:
                self._last_activity = loop.time()
                await self._run_one(event)
                if loop.time() >= turn_ends:
                    # Thousands of commands may have come at once; the other sessions want their turn.
                    await asyncio.sleep(0)
                    turn_ends = loop.time() + _TURN_SECONDS
                event = None if control.is_write_blocked else control.core.next_event()
            self._last_activity = loop.time()
            control.read_on()
        except Exception:
            # A command without its reply: no later one could be told apart from it.
            _logger.exception("%s ! internal error", control.session)
            control.drop("internal error")
        finally:
            self.is_running = False
        # What came while the last reply was made.
        control.wake()

    async def _run_one(self, event: Event) -> None:
        control = self._control
        if isinstance(event, CommandRefused):
            _logger.debug("%s < %s ! %s", control.session, event.command, event.gate)
            tell_gate(control.session, event)
            control.reply(event.reply, event.command)
            return
        _logger.debug("%s < %s", control.session, event.command)
        reply = await run(control.session, event.command)
        job = control.session.job
        if job is None or job.is_started:
            control.reply(reply, event.command)
            return
        await job.prepare()
        control.reply(reply, event.command)
        job.start()
        control.server.spawn(self._finish(job))

    async def _finish(self, job: Job) -> None:
        control = self._control
        reply = await job.run()
        control.session.job = None
        if not control.is_closing:
            control.reply(reply, job.command)
            self._last_activity = control.server.loop.time()
            if control.server.is_draining and not control.is_closing:
                control.shut_down()
        job.finished.set()
        control.wake()
