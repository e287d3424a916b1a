"""How fast data may move: token buckets, and what makes a stream wait for them; must not know whose they are.

A bucket hands out its bytes in turns of a fixed size, each with the time from which it may be used. Whoever
has used up his turn gets the next one behind all who wait: of several transfers that share a bucket each
gets the same, and none starves. A turn is used piece by piece, whatever other, slower buckets allow beside
it, and what is left of it at the end is given back, so that transfers which are begun and aborted cost others
nothing but what they have moved.

Only payload counts: what TLS, TCP and IP add is not seen here.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from lockgate.transfer.stop import Stop
from lockgate.transfer.streams import DataStream, PlainStream

__all__ = ["BURST_SECONDS", "Paced", "Throttle", "TokenBucket", "paced"]

BURST_SECONDS: Final = 0.25
"""What was not used for so long may be used at once: a small file after a pause does not wait."""

# Short enough that an ABOR, a STAT and the others in the queue see movement; long enough that big rates are
# not made of system calls.
_TURN_SECONDS: Final = 0.02
_LEAST_TURN_BYTES: Final = 64
_MOST_TURN_BYTES: Final = 256 * 1024
_UNLIMITED_TURN_BYTES: Final = 1024 * 1024


class TokenBucket:
    """So many bytes a second, shared by all who take from it; thread-safe, no method blocks.

    Args:
        rate: Bytes a second; None is no limit.
        clock: Monotonic seconds.
    """

    __slots__ = ("__weakref__", "_clock", "_free_at", "_lock", "_rate")

    def __init__(self, rate: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        # When everything that has been handed out will have passed at this rate.
        self._free_at = clock() - BURST_SECONDS

    @property
    def rate(self) -> int | None:
        """Bytes a second; None is no limit."""
        return self._rate

    def set_rate(self, rate: int | None) -> None:
        """Change the rate, for turns to come; what has been handed out beforehand is remembered."""
        with self._lock:
            now = self._clock()
            owed_seconds = max(self._free_at - now, 0.0)
            owed_bytes = 0.0 if self._rate is None else owed_seconds * self._rate
            self._rate = rate
            self._free_at = now if rate is None else now + owed_bytes / rate

    def take_turn(self) -> tuple[int, float]:
        """Return how many bytes the next turn has, and from when (of the clock) they may move."""
        with self._lock:
            rate = self._rate
            if rate is None:
                return _UNLIMITED_TURN_BYTES, 0.0
            count = min(max(int(rate * _TURN_SECONDS), _LEAST_TURN_BYTES), _MOST_TURN_BYTES)
            self._free_at = max(self._free_at, self._clock() - BURST_SECONDS) + count / rate
            return count, self._free_at

    def give_back(self, count: int) -> None:
        """Take back what was not used of a turn."""
        with self._lock:
            if self._rate is not None:
                self._free_at -= count / self._rate


class Throttle:
    """Makes one transfer wait for all of its buckets. For the thread that moves the data, but for `waited`.

    Args:
        buckets: All of them must agree.
        clock: Monotonic seconds, the buckets' own.
    """

    __slots__ = ("_buckets", "_clock", "_left", "_waited_seconds", "_waits_since")

    def __init__(
        self, buckets: Sequence[TokenBucket], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets = tuple(buckets)
        self._clock = clock
        self._left = [0] * len(self._buckets)
        self._waited_seconds = 0.0
        self._waits_since: float | None = None

    def waited(self) -> float:
        """Return how many seconds the transfer has waited here so far; any thread, does not block."""
        since = self._waits_since
        return self._waited_seconds + (0.0 if since is None else max(self._clock() - since, 0.0))

    def allow(self, wanted: int, stop: Stop) -> int:
        """Return how many of `wanted` bytes may move now, at least one; blocks until then.

        Raises:
            TransferAborted: `stop` was asked to interrupt.
        """
        allowed_at = 0.0
        for index, bucket in enumerate(self._buckets):
            if not self._left[index]:
                self._left[index], at = bucket.take_turn()
                allowed_at = max(allowed_at, at)
        now = self._clock()
        if allowed_at > now:
            self._waits_since = now
            stop.wait(allowed_at - now)
            self._waits_since = None
            self._waited_seconds += self._clock() - now
        stop.check()
        return min(wanted, *self._left)

    def spend(self, count: int) -> None:
        """Note that bytes have moved; no more than were allowed."""
        self._left = [left - count for left in self._left]

    def close(self) -> None:
        """Give back what was not used; may be called twice."""
        for index, bucket in enumerate(self._buckets):
            bucket.give_back(self._left[index])
            self._left[index] = 0


class Paced:
    """A stream that moves as fast as a throttle lets it; for the pump.

    The waiting lies between the stream's calls, each of which judges for itself how long nothing moved: a
    peer is never held to have stalled because it was made to wait here.
    """

    __slots__ = ("_stream", "_throttle")

    def __init__(self, stream: DataStream, throttle: Throttle) -> None:
        self._stream = stream
        self._throttle = throttle

    def send(self, data: memoryview) -> int:
        """Send some of `data`; as `DataStream.send`."""
        allowed = self._throttle.allow(len(data), self._stream.stop)
        return self._moved(self._stream.send(data[:allowed]))

    def recv_into(self, buffer: memoryview) -> int:
        """Receive into `buffer`; as `DataStream.recv_into`.

        What is not read stays in this kernel's buffer, and when that is full the sender has to wait.
        """
        allowed = self._throttle.allow(len(buffer), self._stream.stop)
        return self._moved(self._stream.recv_into(buffer[:allowed]))

    def send_file(self, file_descriptor: int, count: int) -> int:
        """Send some of a file; as `PlainStream.send_file`."""
        assert isinstance(self._stream, PlainStream)
        allowed = self._throttle.allow(count, self._stream.stop)
        return self._moved(self._stream.send_file(file_descriptor, allowed))

    def _moved(self, count: int) -> int:
        self._throttle.spend(count)
        return count


@contextlib.contextmanager
def paced(stream: DataStream, throttle: Throttle | None) -> Iterator[DataStream | Paced]:
    """Lend what moves the data of a stream: the stream itself where nothing limits it."""
    if throttle is None:
        yield stream
        return
    try:
        yield Paced(stream, throttle)
    finally:
        throttle.close()
