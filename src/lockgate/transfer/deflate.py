"""The zlib stream of MODE Z, made and read piece by piece; must not know commands, files or sockets.

What is received comes from somebody who may mean harm, so `Inflater` bounds what one step yields, how much
the whole may expand, and how long it may go on without yielding anything. Memory never grows with the data:
zlib keeps a window of 32 KiB, and a piece is handed on before the next is made.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from lockgate.errors import TransferError

__all__ = ["FREE_EXPANSION_BYTES", "BadCompression", "Deflater", "Inflater"]

FREE_EXPANSION_BYTES = 64 * 1024 * 1024
"""So much may come out of any stream, whatever its ratio: a log of equal lines, a small disk image."""

_PIECE_BYTES = 256 * 1024
# zlib copies what it could not take yet at every step, so it gets little at a time.
_STEP_BYTES = 16 * 1024
# Deflate never makes data longer than by a few bytes per 16 KiB, and some five for every flush in between.
# What is longer than this by far consists of empty blocks: work without an end and without a result.
_FREE_INPUT_BYTES = 1024 * 1024
_LARGEST_OVERHEAD = 16


class BadCompression(TransferError):
    """The compressed data is damaged, cut, followed by something else, or made to do harm."""


class Deflater:
    """Compresses one stream; not thread-safe, never blocks.

    Args:
        level: 0 (stored) to 9.
    """

    __slots__ = ("_engine",)

    def __init__(self, level: int) -> None:
        self._engine = zlib.compressobj(level)

    def feed(self, data: memoryview | bytes) -> bytes:
        """Take the next piece and return what is ready to be sent, often nothing."""
        return self._engine.compress(data)

    def finish(self) -> bytes:
        """Return the rest, with the stream's own end mark."""
        return self._engine.flush()


class Inflater:
    """Expands one stream; not thread-safe, never blocks.

    Args:
        ratio_limit: How many times its size the stream may expand beyond `FREE_EXPANSION_BYTES`; 0: any.
    """

    __slots__ = ("_engine", "_fault", "_ratio_limit", "_taken", "_yielded")

    def __init__(self, ratio_limit: int = 0) -> None:
        self._engine = zlib.decompressobj()
        self._fault: BadCompression | None = None
        self._ratio_limit = ratio_limit
        self._taken = 0
        self._yielded = 0

    def feed(self, data: memoryview | bytes) -> Iterator[bytes]:
        """Take the next bytes of the stream and yield what they stand for, in pieces of bounded size.

        Raises:
            BadCompression: See there; what was yielded before is right as far as zlib can tell by then.
        """
        try:
            for start in range(0, len(data), _STEP_BYTES):
                yield from self._step(data[start : start + _STEP_BYTES])
        except BadCompression as fault:
            self._fault = fault
            raise

    def finish(self) -> None:
        """Raise unless the stream has come to its own end.

        Raises:
            BadCompression: It has not, or `feed` has found a fault before.
        """
        if self._fault is not None:
            raise self._fault
        if not self._has_ended():
            raise BadCompression("the compressed data ends before its end mark")

    def _has_ended(self) -> bool:
        return self._engine.eof

    def _step(self, data: memoryview | bytes) -> Iterator[bytes]:
        if self._has_ended():
            raise BadCompression(_TRAILING)
        self._taken += len(data)
        pending = data
        while True:
            piece = self._expand(pending)
            pending = self._engine.unconsumed_tail
            if piece:
                yield piece
            if self._engine.unused_data:
                raise BadCompression(_TRAILING)
            # A full piece means that there may be more, even when all of the input is inside zlib.
            if self._has_ended() or (not pending and len(piece) < _PIECE_BYTES):
                return

    def _expand(self, data: memoryview | bytes) -> bytes:
        try:
            piece = self._engine.decompress(data, _PIECE_BYTES)
        except zlib.error as error:
            raise BadCompression("the data is no zlib stream, or it is damaged") from error
        self._yielded += len(piece)
        if self._ratio_limit and self._yielded > max(FREE_EXPANSION_BYTES, self._ratio_limit * self._taken):
            raise BadCompression(
                f"the data expands more than {self._ratio_limit} times, so it must be sent in MODE S"
            )
        if self._taken > _FREE_INPUT_BYTES + _LARGEST_OVERHEAD * self._yielded:
            raise BadCompression("the compressed data is longer than what it holds by far")
        return piece


_TRAILING = "something follows the end of the compressed data"
