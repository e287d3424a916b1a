"""Listening sockets and the acceptance of connections, also when descriptors run out.

asyncio's own server answers a full descriptor table with a traceback for each connection that waits, again
and again; this one waits a moment and says so once. Must not know what a connection is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import socket
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Acceptor", "open_sockets", "raise_descriptor_limit", "sessions_that_fit"]

_logger = logging.getLogger(__name__)

_BACKLOG = 1024
# Connections taken in one turn of the event loop: a flood of them must not hold up the sessions there are.
_ACCEPTS_A_TURN = 32
_PAUSE_SECONDS = 1.0
_SILENCE_SECONDS = 60.0
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
# What a process needs beside its sessions: logs, listeners, the event loop, homes.
_RESERVED_DESCRIPTORS = 32


async def open_sockets(address: str, port: int) -> list[socket.socket]:
    """Listen on every address that a name stands for.

    Raises:
        OSError: The name is unknown, or an address cannot be listened on; nothing stays open.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, place in dict.fromkeys((one[0], one[4]) for one in found):
            sock = socket.create_server(place, family=family, backlog=_BACKLOG)
            sock.setblocking(False)
            opened.append(sock)
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    return opened


class Acceptor:
    """Accepts connections on one listening socket until `close`. Event loop only.

    Args:
        sock: A listening socket that does not block; it is taken over.
        factory: Makes the protocol of a connection.
        spawn: Runs a coroutine as a task that is kept until it ends.
    """

    __slots__ = ("_factory", "_loop", "_pause", "_said_at", "_sock", "_spawn")

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.BaseProtocol],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._factory = factory
        self._spawn = spawn
        self._pause: asyncio.TimerHandle | None = None
        self._said_at: float | None = None
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Take no more connections."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                connection, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._wait_a_moment(error)
                    return
                # That client is gone already (accept(2) passes its network errors on).
                continue
            connection.setblocking(False)
            self._spawn(self._connect(connection))

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, connection)
        except OSError:
            connection.close()

    def _wait_a_moment(self, error: OSError) -> None:
        """The socket stays readable, so looking again at once would be a busy loop."""
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(_PAUSE_SECONDS, self._go_on)
        now = self._loop.time()
        if self._said_at is None or now - self._said_at >= _SILENCE_SECONDS:
            self._said_at = now
            _logger.warning(
                "connections have to wait: %s; allow the process more descriptors (ulimit -n, LimitNOFILE=) "
                "or lower limits.sessions",
                error.strerror,
            )

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)


def raise_descriptor_limit() -> None:
    """Let the process open as many files as its hard limit allows; a session needs up to four."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems name a hard limit that cannot be set.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sessions_that_fit(wanted: int) -> int:
    """Return how many sessions the descriptor limit leaves room for, at most `wanted`; warns when fewer."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    # A quarter is left to data connections and files.
    room = max((soft - _RESERVED_DESCRIPTORS) * 3 // 4, 1)
    if room < wanted:
        _logger.warning(
            "limits.sessions is %d, and %d descriptors leave room for %d sessions", wanted, soft, room
        )
    return min(wanted, room)
