"""How long a control connection may take: for one step, for reading its replies, and between commands.

Must not touch the socket: when a time is up the connection is told to end, and ends as it sees fit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from .audit import record

if TYPE_CHECKING:
    from .control import ControlConnection

__all__ = ["TimeLimits"]


class TimeLimits:
    """The timers of one control connection. All methods run on the event loop.

    Args:
        control: The connection that ends when a time is up.
    """

    __slots__ = ("_control", "_idle", "_login_ends", "_stall", "_step")

    def __init__(self, control: ControlConnection) -> None:
        self._control = control
        self._step: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._login_ends = 0.0

    def forget(self) -> None:
        """Stop every timer: each would keep the session, and its TLS context, until its time is up."""
        self.step_done()
        self.reads_again()
        self._forget_idle()

    # --- the one step that is awaited: a handshake, the end of TLS, the peer's FIN ---

    def await_step(self, seconds: float, give_up: Callable[[], None]) -> None:
        """Call `give_up` unless the step that begins now is done in time; it takes an earlier one's place."""
        self.step_done()
        self._step = self._control.server.loop.call_later(seconds, give_up)

    def step_done(self) -> None:
        """No step is awaited any more."""
        if self._step is not None:
            self._step.cancel()
            self._step = None

    # --- a client that does not read ---

    def reads_no_more(self) -> None:
        """The client's replies pile up: give up after the stall limit."""
        seconds = self._control.server.config.limits.stall_seconds
        self._stall = self._control.server.loop.call_later(seconds, self._stalled)

    def reads_again(self) -> None:
        """The client has read its replies."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _stalled(self) -> None:
        self._stall = None
        self._tell("the client does not read its replies")
        self._control.abort("the client does not read its replies")

    # --- a client that says nothing, or everything but who it is ---

    def await_login(self) -> None:
        """Nobody is logged in, from now on; what else the client says gives it no more time for that."""
        control = self._control
        self._login_ends = control.server.loop.time() + control.server.config.limits.login_seconds
        self._watch()

    def _watch(self) -> None:
        """End the session when its time is up; looks again by itself."""
        self._forget_idle()
        control, limits = self._control, self._control.server.config.limits
        if control.is_closing:
            return
        now = control.server.loop.time()
        ends, reason = control.runner.idle_since(now) + limits.idle_seconds, "idle"
        told = f"Idle for {limits.idle_seconds:g} seconds; closing."
        if control.session.user_name is None and self._login_ends < ends:
            ends, reason, told = self._login_ends, "no login", "No login in time; closing."
        if ends <= now:
            self._tell(reason)
            control.dismiss(told)
            return
        self._idle = control.server.loop.call_at(ends, self._watch)

    def _forget_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _tell(self, reason: str) -> None:
        record(
            "timeout", peer=self._control.peer_address, user=self._control.session.user_name, reason=reason
        )
