"""Lets many slow senders' threads work one after another, each on all that has gathered meanwhile.

OpenSSL hands out one record a call, and every call gives the interpreter lock away and asks for it again. A
thousand slow uploads whose threads woke for each record would queue for that lock, a queue in which every
thread wakes up again each switch interval to ask for its turn: nothing else would run. So a slow stream's
thread waits here, without that lock, while its data gathers in the kernel; one thread watches all their
sockets and lets a few of them through at a time. Must not read or send anything.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque

from lockgate.transfer import kernel

__all__ = ["Gathering", "Turnstile"]

# How often the sockets are looked at: for many at once, since a look costs more than a socket.
_TICK_SECONDS = 0.02
# How long data may gather: the more streams there are the longer, so that wake-ups stay bounded. A peer that
# ends TLS but not TCP has its answer this much later.
_SHORTEST_SECONDS = 0.1
_LONGEST_SECONDS = 1.0
_WAKES_A_SECOND = 1000
# So much is worth a wake-up at once; well within what the kernel buffers from the start.
_ENOUGH_BYTES = 32 * 1024
# How many may be past the turnstile at once: one computes while another is in the kernel.
_PASSING = 2
# A place is kept until what was read is written; who takes longer (his disk stands still) loses it.
_PLACE_SECONDS = 0.1
# Nobody waits for ever, whatever goes wrong.
_PATIENCE_SECONDS = 5.0


class Turnstile:
    """Where the threads of slow streams wait; thread-safe. It has a thread of its own while it is used.

    Where the system has no epoll it lets everybody through.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poller = select.epoll() if hasattr(select, "epoll") else None
        self._members = 0
        self._waiting: dict[int, Gathering] = {}
        self._ready: deque[Gathering] = deque()
        self._passing: set[Gathering] = set()
        self._is_watched = False

    @property
    def is_usable(self) -> bool:
        """False where the system has no epoll: everybody is let through."""
        return self._poller is not None

    def close(self) -> None:
        """Give the descriptor back, once no stream gathers any more."""
        with self._lock:
            if self._poller is not None and not self._is_watched:
                self._poller.close()
                self._poller = None

    def enter(self, sock: socket.socket, limit_seconds: float) -> Gathering | None:
        """Make a stream's socket one whose data gathers; None where that cannot be.

        Args:
            sock: Blocks with a limit (`kernel.block_with_limit`).
            limit_seconds: That limit, to be put back in the end.
        """
        with self._lock:
            if self._poller is None:
                return None
            # No memory or watches left: this stream goes on as it is.
            try:
                self._poller.register(sock, select.EPOLLIN)
            except OSError:
                return None
            self._members += 1
            if not self._is_watched:
                self._is_watched = True
                threading.Thread(target=self._watch, name="lockgate-turnstile", daemon=True).start()
        kernel.unblock(sock)
        kernel.set_low_water(sock, _ENOUGH_BYTES)
        return Gathering(self, sock, limit_seconds)

    def leave(self, gathering: Gathering) -> None:
        """Take a stream out; its place goes to the next."""
        with self._lock:
            self._members -= 1
            if self._poller is not None:
                with contextlib.suppress(OSError, ValueError):
                    self._poller.unregister(gathering.number)
            self._step_out(gathering)

    def wait(self, gathering: Gathering) -> None:
        """Block until a stream's data has gathered and its turn has come, or patience has ended."""
        with self._lock:
            self._step_out(gathering)
            gathering.since = time.monotonic()
            self._waiting[gathering.number] = gathering
        if not gathering.turn.acquire(timeout=_PATIENCE_SECONDS):
            self._give_up(gathering)

    def _give_up(self, gathering: Gathering) -> None:
        with self._lock:
            self._waiting.pop(gathering.number, None)
            with contextlib.suppress(ValueError):
                self._ready.remove(gathering)
            # It may have been let through at this very moment.
            gathering.turn.acquire(blocking=False)

    def _step_out(self, gathering: Gathering) -> None:
        if gathering in self._passing:
            self._passing.remove(gathering)
            self._let_through()

    def _let_through(self) -> None:
        while self._ready and len(self._passing) < _PASSING:
            following = self._ready.popleft()
            following.since = time.monotonic()
            self._passing.add(following)
            following.turn.release()

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            with self._lock:
                if not self._members:
                    self._is_watched = False
                    return
                self._look()

    def _look(self) -> None:
        waiting = self._waiting
        seconds = min(max(len(waiting) / _WAKES_A_SECOND, _SHORTEST_SECONDS), _LONGEST_SECONDS)
        now = time.monotonic()
        for gathering in [one for one in self._passing if now - one.since > _PLACE_SECONDS]:
            self._step_out(gathering)
        since = now - seconds
        # Who came first stands first.
        due = []
        for number, gathering in waiting.items():
            if gathering.since > since:
                break
            due.append(number)
        if self._poller is not None:
            due += [number for number, _ in self._poller.poll(0, max(self._members, 1))]
        for number in due:
            if number in waiting:
                self._ready.append(waiting.pop(number))
        self._let_through()


class Gathering:
    """One stream whose data gathers: it does not block when it reads but waits at the turnstile.

    All methods are for the stream's own thread.

    Attributes:
        number: The socket's descriptor.
        turn: Released when the stream may go on; the turnstile's.
        since: When it began to wait, or was let through; the turnstile's.
    """

    __slots__ = ("_limit_seconds", "_sock", "_turnstile", "number", "since", "turn")

    def __init__(self, turnstile: Turnstile, sock: socket.socket, limit_seconds: float) -> None:
        self._turnstile = turnstile
        self._sock = sock
        self._limit_seconds = limit_seconds
        self.number = sock.fileno()
        self.turn = threading.Lock()
        self.turn.acquire()
        self.since = 0.0

    def wait(self) -> None:
        """Give up the place, and block until enough has come or a moment has passed.

        An interruption ends it soon.
        """
        self._turnstile.wait(self)

    def end(self) -> None:
        """Let the socket block in the call that reads again."""
        self._turnstile.leave(self)
        kernel.set_low_water(self._sock, 1)
        # It may be closed by now, or reset.
        with contextlib.suppress(OSError, ValueError):
            kernel.block_with_limit(self._sock, self._limit_seconds)
