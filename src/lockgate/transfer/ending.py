"""The last moments of a sending stream: wait until the peer has everything; must not send anything."""

from __future__ import annotations

import select
import socket
import time
from enum import Enum
from typing import Protocol

from lockgate.errors import ConnectionLost
from lockgate.transfer import kernel
from lockgate.transfer.stop import Stop

__all__ = ["ANSWER_SECONDS", "PeerEnd", "settle"]

ANSWER_SECONDS = 0.5
"""How long a peer that has acknowledged everything is given for its own close_notify or FIN.

Many never answer, and some hold the data connection open until they have read the reply: each of their files
waits this long. What the answer adds is `verified_end`, not the data.
"""

_FIRST_STEP_SECONDS = 0.001
_LONGEST_STEP_SECONDS = 0.05


class PeerEnd(Enum):
    """How the peer ended its direction."""

    NOT_YET = "not yet"
    ORDERLY = "orderly"
    """close_notify in TLS, FIN in clear."""
    SILENT = "silent"
    """FIN without close_notify."""
    RESET = "reset"


class _Ending(Protocol):
    """What `settle` needs of a stream."""

    @property
    def stop(self) -> Stop: ...
    @property
    def ending_bytes(self) -> int: ...
    @property
    def raw_socket(self) -> socket.socket: ...
    def read_end(self) -> PeerEnd: ...
    def judge_wait(self, began: float) -> None: ...


def settle(stream: _Ending, end: PeerEnd) -> PeerEnd:
    """Block until the peer has ended, or has acknowledged everything and had time to end.

    A peer may end before it has everything (a half-closed client is within its rights), so the
    acknowledgements are awaited then too. A peer that closed completely answers our close_notify with a
    reset; that is no loss as long as nothing but our own end is unacknowledged.

    Args:
        stream: Our end is sent, and the socket does not block.
        end: What has been seen of the peer's end.

    Returns:
        How the peer ended; NOT_YET when it just holds the connection open.

    Raises:
        ConnectionLost: The peer reset the connection, or closed it before everything had arrived.
        TransferTimeout: The peer acknowledges nothing any more.
        TransferAborted: The stream was interrupted.
    """
    began = time.monotonic()
    sock = stream.raw_socket
    answer_deadline: float | None = None
    step = _FIRST_STEP_SECONDS
    while True:
        stream.stop.check()
        is_gone = kernel.is_gone(sock)  # asked first: what is read and counted below is then final
        if end is PeerEnd.NOT_YET:
            end = stream.read_end()
            stream.stop.check()  # an interrupted socket looks as if the peer had ended
        left = kernel.unacknowledged_bytes(sock) or 0
        if end is PeerEnd.RESET:
            raise ConnectionLost("the peer reset the data connection after everything was sent")
        if end is not PeerEnd.NOT_YET:
            if left <= stream.ending_bytes:
                return end
            if is_gone:
                raise ConnectionLost("the peer closed the data connection before it had everything")
        now = time.monotonic()
        if left == 0 and end is PeerEnd.NOT_YET:
            answer_deadline = answer_deadline or now + ANSWER_SECONDS
            if now >= answer_deadline:
                return end
        else:
            stream.judge_wait(began)
        # No event tells of acknowledgements, so while some are missing this looks again and again.
        pause_until = answer_deadline or now + step
        if end is PeerEnd.NOT_YET:
            kernel.wait_until(sock, select.POLLIN, deadline=pause_until, stop=stream.stop)
        else:
            stream.stop.wait(step)
        step = min(step * 2, _LONGEST_STEP_SECONDS)
