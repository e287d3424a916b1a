"""What the kernel can tell about a TCP connection, and its time limits; must not know what the bytes mean.

Everything here has an answer on other systems than Linux too: "not known".
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
import time

from lockgate.transfer.stop import Stop

__all__ = [
    "block_with_limit",
    "bytes_moved",
    "is_gone",
    "keep_alive",
    "set_low_water",
    "set_no_delay",
    "unacknowledged_bytes",
    "unblock",
    "wait_until",
]

_ON_LINUX = sys.platform.startswith("linux")
_TCP_CLOSE = 7
# struct tcp_info (linux/tcp.h): tcpi_bytes_acked and tcpi_bytes_received, both 64 bit, since Linux 4.1.
_BYTES_ACKED_OFFSET = 120
_TCP_INFO_BYTES = 136


def set_no_delay(sock: socket.socket) -> None:
    """Switch Nagle's algorithm off: with it TLS handshakes fall from 900 to 22 a second (delayed ACKs)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def keep_alive(sock: socket.socket, seconds: float) -> None:
    """Let the kernel ask a silent peer whether it is still there, and end the connection when it is not.

    It asks after a minute, so that firewalls do not forget a control connection during a long transfer, and
    gives up after four answers that did not come in a minute more. A peer that acknowledges nothing
    of what was sent is given up after `seconds`, two minutes at least.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    if _ON_LINUX:
        # Not shorter than the questions above take, for it would cut them short (tcp(7)).
        limit = min(max(seconds, 120.0), 86400.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limit * 1000))


def block_with_limit(sock: socket.socket, seconds: float) -> None:
    """Let single operations on `sock` block in the kernel, for `seconds` at most, then fail with EAGAIN.

    Python's own time limits wrap every call in a `poll`, and for a TLS send they cover the whole piece, not
    its progress. So Python is told that the socket does not block (it then polls nothing and reports EAGAIN,
    or the "want" errors of TLS), while the descriptor does block, with the kernel's limit for each system
    call.
    """
    sock.settimeout(0.0)
    limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    os.set_blocking(sock.fileno(), True)


def unblock(sock: socket.socket) -> None:
    """Make operations on `sock` return at once, for Python and for the kernel."""
    sock.settimeout(0.0)


def set_low_water(sock: socket.socket, count: int) -> None:
    """Let `poll` call `sock` readable from `count` bytes on; the peer's end and errors always count."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)


def wait_until(sock: socket.socket, events: int, *, deadline: float, stop: Stop | None = None) -> bool:
    """Block until one of the `select.POLL*` events is there; return False when the deadline passes first.

    Args:
        sock: Any socket.
        events: The events to wait for; errors and hang-ups always count.
        deadline: A `time.monotonic()` value.
        stop: Checked before and after the wait; its owner has attached `sock`.

    Raises:
        TransferAborted: `stop` was asked to interrupt.
    """
    if stop is not None:
        stop.check()
    poller = select.poll()
    poller.register(sock, events)
    # Rounded up: a wait cut down to 0 ms would spin until the deadline.
    ready = poller.poll(max(0, int((deadline - time.monotonic()) * 1000) + 1))
    if stop is not None:
        stop.check()
    return bool(ready)


def unacknowledged_bytes(sock: socket.socket) -> int | None:
    """Return how much of what was sent (FIN included, as one byte) the peer's TCP has not acknowledged."""
    if not _ON_LINUX:
        return None
    import fcntl
    import termios

    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return None
    return int(struct.unpack("i", answer)[0])


def is_gone(sock: socket.socket) -> bool:
    """Tell whether the connection is over for the kernel: closed in both directions, or reset."""
    if not _ON_LINUX:
        return False
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
    except OSError:
        return True


def has_ended(sock: socket.socket) -> bool:
    """Tell whether the peer has ended its direction, or the connection is broken; reads nothing."""
    if not _ON_LINUX:
        return False
    poller = select.poll()
    try:
        poller.register(sock.fileno(), select.POLLRDHUP)
    except (OSError, ValueError):
        return True
    return bool(poller.poll(0))


def bytes_moved(sock: socket.socket) -> int:
    """Return a number that grows whenever the peer acknowledges or sends something (0: not known)."""
    if not _ON_LINUX:
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return 0
    if len(info) < _TCP_INFO_BYTES:
        return 0
    acked, received = struct.unpack_from("@QQ", info, _BYTES_ACKED_OFFSET)
    return int(acked) + int(received)
