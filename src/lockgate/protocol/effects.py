"""What the shell around a protocol core must do next, in order, after the bytes that came with it are sent.

Effects are values; whoever owns the socket carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .states import Control

if TYPE_CHECKING:
    from .states import SessionState

__all__ = ["CloseControl", "Effect", "StartTls", "StopTls", "tls_edge"]


@dataclass(frozen=True, slots=True)
class StartTls:
    """Begin a TLS handshake on the control connection (RFC 4217 §4), then call `handshake_done` or drop."""


@dataclass(frozen=True, slots=True)
class StopTls:
    """Close TLS with close_notify both ways and keep the socket (RFC 4217 §5 and §13).

    What the peer sent in clear behind its close_notify goes to `receive_data`.
    """


@dataclass(frozen=True, slots=True)
class CloseControl:
    """Close the control connection once everything is sent.

    Attributes:
        reason: For the log; never sent.
    """

    reason: str


Effect = StartTls | StopTls | CloseControl


def tls_edge(before: SessionState, after: SessionState) -> StartTls | StopTls | None:
    """Say what a step of the control machine means for TLS, or None where it stays as it is."""
    if before.control is Control.CLEAR and after.control is Control.NEGOTIATING:
        return StartTls()
    if before.control is Control.PROTECTED and after.control in (Control.CLEAR, Control.CLEARED):
        return StopTls()
    return None
