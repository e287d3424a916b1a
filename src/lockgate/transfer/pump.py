"""Moves the bytes between a stream and a storage; must not commit, discard, or know file names.

The pump says how a transfer ended; what that means for the file is the caller's decision. All functions block
and run in a worker thread; `stream.interrupt()` from another thread ends them with the status ABORTED.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lockgate.errors import LockgateError, NoSpace, StorageError, TlsError, TransferError, TruncatedStream
from lockgate.transfer.interfaces import Compressor, Converter, Expander, Reader, Writer
from lockgate.transfer.outcome import Outcome, OutcomeStatus, failure
from lockgate.transfer.rates import Paced, Throttle, paced
from lockgate.transfer.streams import DataStream, PlainStream
from lockgate.transfer.turnstile import Turnstile

__all__ = ["BUFFER_BYTES", "Converter", "Reader", "Writer", "receive", "send", "send_chunks"]

BUFFER_BYTES = 256 * 1024
"""What is read, sent or written at once: beyond 64 KiB nothing is gained, below it something is lost."""

_CHUNK_BYTES = 64 * 1024
_SENDFILE_BYTES = 1024 * 1024
# OpenSSL returns 16 KiB a call; they are collected, but a slow upload must show in the file.
_FLUSH_SECONDS = 0.25

Progress = Callable[[int], None]


def send(
    reader: Reader,
    stream: DataStream,
    *,
    buffer_bytes: int = BUFFER_BYTES,
    limit: int | None = None,
    progress: Progress | None = None,
    convert: Converter | None = None,
    compress: Compressor | None = None,
    await_peer: bool = True,
    throttle: Throttle | None = None,
) -> Outcome:
    """Send a file from the reader's position and end the stream in order. Blocks.

    Args:
        reader: Where the bytes come from; stays open.
        stream: Where they go; finished when all was sent, and left for the caller to close in any case.
        buffer_bytes: Read and sent at once.
        limit: Read no more than this many bytes; None is all.
        progress: Called with the number of bytes of each piece sent. What it raises comes out, except
            `TransferAborted`, which ends the transfer with the status ABORTED.
        convert: TYPE A conversion, before sending.
        compress: MODE Z, behind it; `limit` counts bytes before, `progress` and the outcome those behind.
        await_peer: As for `DataStream.finish`.
        throttle: How fast; closed here. None: as fast as it goes.

    Returns:
        How it ended. STORAGE_FAILED when the reader failed; the stream then shows the peer no proper end.
    """

    def work(tally: _Tally) -> bool:
        left = limit
        with paced(stream, throttle) as mover:
            if isinstance(stream, PlainStream) and convert is None and compress is None:
                assert isinstance(mover, PlainStream | Paced)
                left = _send_file(reader, mover, limit, tally)
            if left != 0 or compress is not None:
                pieces = _pieces(reader, buffer_bytes, left, convert)
                _send_pieces(_compressed(pieces, compress, stream), mover, tally)
        return stream.finish(await_peer=await_peer)

    return _run(work, progress)


def send_chunks(
    chunks: Iterable[bytes],
    stream: DataStream,
    *,
    progress: Progress | None = None,
    compress: Compressor | None = None,
    await_peer: bool = True,
    throttle: Throttle | None = None,
) -> Outcome:
    """Send a listing as it is produced, small chunks joined, and end the stream in order. Blocks.

    Args:
        chunks: Produced lazily; a `StorageError` or `OSError` out of it gives STORAGE_FAILED.
        stream: As for `send`.
        progress: As for `send`.
        compress: As for `send`.
        await_peer: As for `DataStream.finish`.
        throttle: As for `send`.
    """

    def work(tally: _Tally) -> bool:
        with paced(stream, throttle) as mover:
            _send_pieces(_compressed(_joined(_guarded(chunks)), compress, stream), mover, tally)
        return stream.finish(await_peer=await_peer)

    return _run(work, progress)


def receive(
    stream: DataStream,
    writer: Writer,
    *,
    buffer_bytes: int = BUFFER_BYTES,
    limit: int | None = None,
    progress: Progress | None = None,
    convert: Converter | None = None,
    expand: Expander | None = None,
    require_close_notify: bool = True,
    throttle: Throttle | None = None,
    turnstile: Turnstile | None = None,
) -> Outcome:
    """Receive a file until the sender's end and answer it. Blocks.

    Whatever the end is, all that arrived has been handed to the writer, so that it can be resumed.

    Args:
        stream: Where the bytes come from; left for the caller to close.
        writer: Where they go; neither committed nor discarded here.
        buffer_bytes: Collected before they are written; less when they come slowly.
        limit: More bytes than this, expanded ones, end the transfer with STORAGE_FAILED and `NoSpace`.
        progress: Called with the number of bytes of each piece written. As for `send`.
        convert: TYPE A conversion, before writing.
        expand: MODE Z, before that; `progress` and the outcome count bytes as they came. A stream that it
            cannot take, or that ends before its own end, gives BAD_COMPRESSION.
        require_close_notify: False takes a TLS stream's FIN without close_notify for the end, as some old
            devices send it; the outcome's `verified_end` then says False. A reset is never an end.
        throttle: As for `send`; the sender has to wait once the kernel's buffers are full.
        turnstile: Where this thread waits in turn with others while bytes come slowly; None waits alone.

    Returns:
        How it ended. In clear a FIN is COMPLETE with `verified_end` False: nothing could verify it.
    """

    def work(tally: _Tally) -> bool:
        sink = _Sink(writer, limit, convert, expand, tally, stream.stop.check)
        try:
            # Who has to wait for his rate would only wait twice at a turnstile.
            turns = turnstile if throttle is None else None
            with paced(stream, throttle) as mover, _gathering(stream, turns) as set_pace:
                rest = _collect(mover, sink, buffer_bytes, set_pace)
        except TruncatedStream:
            if require_close_notify:
                raise
            sink.finish()
            return False
        with _answering(stream):
            sink.take(rest)
            sink.finish()
        return stream.finish()

    return _run(work, progress)


class _StorageFailed(Exception):
    """Carries a storage's error, as its cause, past the handlers of the network's errors."""


class _Tally:
    __slots__ = ("moved", "progress")

    def __init__(self, progress: Progress | None) -> None:
        self.moved = 0
        self.progress = progress

    def add(self, count: int) -> None:
        self.moved += count
        if self.progress is not None:
            self.progress(count)


@dataclass(slots=True)
class _Sink:
    """Expands, limits, converts, counts and writes what was received."""

    _writer: Writer
    _left: int | None
    _convert: Converter | None
    _expand: Expander | None
    _tally: _Tally
    _check: Callable[[], None]

    def take(self, data: memoryview) -> None:
        if self._expand is None:
            self._store(data)
        else:
            for piece in self._expand.feed(data):
                # A little can become a thousand times as much, and somebody may want to end it meanwhile.
                self._check()
                self._store(piece)
        self._tally.add(len(data))

    def _store(self, data: memoryview | bytes) -> None:
        if self._left is not None:
            if len(data) > self._left:
                raise _StorageFailed from NoSpace("the upload is larger than allowed")
            self._left -= len(data)
        self._write(data if self._convert is None else self._convert.feed(bytes(data)))

    def finish(self) -> None:
        if self._expand is not None:
            self._expand.finish()
        if self._convert is not None and (rest := self._convert.finish()):
            self._write(rest)

    def _write(self, data: memoryview | bytes) -> None:
        with _storage():
            self._writer.write(data)


def _run(work: Callable[[_Tally], bool], progress: Progress | None) -> Outcome:
    tally = _Tally(progress)
    began = time.monotonic()
    try:
        verified = work(tally)
    except _StorageFailed as failed:
        error = failed.__cause__
        assert isinstance(error, Exception)
    except (TransferError, TlsError) as cut:
        error = cut
    else:
        seconds = time.monotonic() - began
        return Outcome(OutcomeStatus.COMPLETE, tally.moved, verified_end=verified, seconds=seconds)
    return failure(error, bytes_moved=tally.moved, seconds=time.monotonic() - began)


@contextlib.contextmanager
def _answering(stream: DataStream) -> Iterator[None]:
    """The sender has ended in order: it gets our end too, whatever becomes of what it sent."""
    try:
        yield
    except (LockgateError, _StorageFailed):
        with contextlib.suppress(TransferError, TlsError):
            stream.finish(await_peer=False)
        raise


@contextlib.contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except (StorageError, OSError) as error:
        raise _StorageFailed from error


def _send_file(reader: Reader, stream: PlainStream | Paced, limit: int | None, tally: _Tally) -> int | None:
    """Send by sendfile; return how much is left to send in another way: 0 is nothing, None no limit."""
    with _storage():
        descriptor = reader.fileno()
    left = limit
    while descriptor is not None and left != 0:
        count = _SENDFILE_BYTES if left is None else min(left, _SENDFILE_BYTES)
        try:
            sent = stream.send_file(descriptor, count)
        except OSError:
            # The file cannot be sent this way, or cannot be read: reading it in the ordinary way will tell.
            return left
        if not sent:
            return 0
        tally.add(sent)
        left = None if left is None else left - sent
    return left


def _pieces(
    reader: Reader, buffer_bytes: int, limit: int | None, convert: Converter | None
) -> Iterator[memoryview | bytes]:
    view = _buffer(buffer_bytes)
    left = limit
    while left != 0:
        with _storage():
            count = reader.readinto(view if left is None else view[:left])
        if not count:
            break
        left = None if left is None else left - count
        if convert is None:
            yield view[:count]
        else:
            yield convert.feed(bytes(view[:count]))
    if convert is not None:
        yield convert.finish()


def _guarded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    iterator = iter(chunks)
    while True:
        with _storage():
            chunk = next(iterator, None)
        if chunk is None:
            return
        yield chunk


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    pending: list[bytes] = []
    size = 0
    for chunk in chunks:
        pending.append(chunk)
        size += len(chunk)
        if size >= _CHUNK_BYTES:
            yield b"".join(pending)
            pending.clear()
            size = 0
    if size:
        yield b"".join(pending)


def _compressed(
    pieces: Iterable[memoryview | bytes], compress: Compressor | None, stream: DataStream
) -> Iterator[memoryview | bytes]:
    if compress is None:
        yield from pieces
        return
    for piece in pieces:
        # Much that is alike becomes nothing to send for a long while.
        stream.stop.check()
        yield compress.feed(piece)
    yield compress.finish()


def _send_pieces(pieces: Iterable[memoryview | bytes], stream: DataStream | Paced, tally: _Tally) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            sent = stream.send(rest)
            rest = rest[sent:]
            tally.add(sent)


@contextlib.contextmanager
def _gathering(stream: DataStream, turnstile: Turnstile | None) -> Iterator[Callable[[bool], None]]:
    """Lend what takes note of whether the peer sends slowly: its data is then left to gather."""
    try:
        yield lambda is_slow: stream.gather(turnstile if is_slow else None)
    finally:
        stream.gather(None)


def _collect(
    stream: DataStream | Paced, sink: _Sink, buffer_bytes: int, set_pace: Callable[[bool], None]
) -> memoryview:
    """Receive until the sender's end, and return what is not written yet."""
    view = _buffer(buffer_bytes)
    filled = 0
    written_at = time.monotonic()
    try:
        while count := stream.recv_into(view[filled:]):
            filled += count
            if filled == buffer_bytes or time.monotonic() - written_at >= _FLUSH_SECONDS:
                set_pace(filled < buffer_bytes)
                written, filled = filled, 0
                sink.take(view[:written])
                written_at = time.monotonic()
    except LockgateError:
        # What arrived before the cut belongs to what can be resumed; the cut is what gets reported.
        with contextlib.suppress(_StorageFailed, LockgateError):
            sink.take(view[:filled])
        raise
    return view[:filled]


_local = threading.local()


def _buffer(size: int) -> memoryview:
    """Return this thread's buffer: fresh pages cost more than the transfer of a small file.

    Mapped, so that memory is taken only as far as it has ever been filled: slow transfers fill little.
    """
    buffer: mmap.mmap | None = getattr(_local, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = _local.buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return memoryview(buffer)[:size]
