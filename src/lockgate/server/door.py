"""Who may connect, and who may try a password: the limits on those that are strangers still (RFC 2577).

Answers in words; the sessions make replies of them. Must not know commands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lockgate.accounts.lockout import Lockout
from lockgate.accounts.throttle import LoginThrottle

from .audit import record
from .limits import Admission, ConnectionRate, Repeats, Waiting
from .listening import sessions_that_fit

if TYPE_CHECKING:
    from lockgate.accounts.base import Account

    from .config import LimitsConfig
    from .control import ControlConnection

__all__ = ["Door"]

# How long a refusal that is repeated is counted before it is told again.
_SILENCE_SECONDS = 10.0


class Door:
    """Lets connections in, and passwords be tried. Event loop only.

    Args:
        limits: `[limits]`.
        clock: A monotonic clock in seconds.

    Attributes:
        admission: Counts sessions.
        throttle: How long answers to failed logins are held back.
        lockout: Who may not try passwords for a while.
    """

    def __init__(self, limits: LimitsConfig, *, clock: Callable[[], float]) -> None:
        self.admission = Admission(sessions_that_fit(limits.sessions), limits.sessions_per_address)
        self.throttle = LoginThrottle()
        self.lockout = Lockout(limits.lockout())
        self._rate = ConnectionRate(limits.connections_per_minute, clock=clock)
        self._waiting: Waiting[ControlConnection] = Waiting(limits.sessions_before_login)
        self._repeats = Repeats(_SILENCE_SECONDS, clock=clock)
        self._sessions_per_account = limits.sessions_per_account

    def reconfigure(self, limits: LimitsConfig) -> None:
        """Take other limits, for connections and logins to come; those that are in stay."""
        self.admission.sessions = sessions_that_fit(limits.sessions)
        self.admission.per_address = limits.sessions_per_address
        self.lockout.limits = limits.lockout()
        self._rate.per_minute = limits.connections_per_minute
        self._waiting.limit = limits.sessions_before_login
        self._sessions_per_account = limits.sessions_per_account

    def enter(self, control: ControlConnection) -> str:
        """Count a new connection; return why it may not stay, or ""."""
        address = control.peer_address
        if not self._rate.take(address):
            reason = "Too many connections from your address; try again later."
        else:
            reason = self.admission.enter(address)
        if reason:
            if count := self._repeats.count(f"{address} {reason}"):
                record("refused", peer=address, reason=reason, times=count)
            return reason
        oldest = self._waiting.add(address, control)
        if oldest is not None:
            if count := self._repeats.count("waiting"):
                record("made-room", peer=oldest.peer_address, times=count)
            # The newcomer may be it itself: then its own address has the most.
            self._waiting.remove(oldest.peer_address, oldest)
            if oldest is control:
                self.admission.leave(address)
                return "Too many sessions that have not logged in."
            oldest.make_room()
        return ""

    def leave(self, control: ControlConnection) -> None:
        """Count out a connection that was let in."""
        self._waiting.remove(control.peer_address, control)
        self.admission.leave(control.peer_address)

    def log_in(self, control: ControlConnection, account: Account) -> bool:
        """Count a session of an account, and a success for its address; False: the account has too many."""
        limit = self._sessions_per_account if account.sessions is None else account.sessions
        if not self.admission.log_in(account.name, limit):
            record("refused", peer=control.peer_address, user=account.name, reason="sessions of the account")
            return False
        self._waiting.remove(control.peer_address, control)
        return True

    def log_out(self, account: Account) -> None:
        """Count a session of an account out."""
        self.admission.log_out(account.name)
