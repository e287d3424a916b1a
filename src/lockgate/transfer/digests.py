"""Checksums of stored files, read in pieces; must not know what they are for.

Nearly all time is spent in C outside the interpreter lock: reading, and hashing pieces of this size.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from lockgate.errors import TransferTimeout
from lockgate.storage.base import OffsetBeyondEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lockgate.storage.base import ReadHandle
    from lockgate.transfer.stop import Stop

__all__ = ["ALGORITHMS", "Digest", "FileDigest"]

# Half a millisecond of SHA-256 or so: how soon an interruption is noticed.
_PIECE_BYTES = 256 * 1024


class _Hasher(Protocol):
    def update(self, data: memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Crc32:
    """CRC-32 as gzip and ZIP have it."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


ALGORITHMS: Mapping[str, Callable[[], _Hasher]] = MappingProxyType(
    {
        "SHA-256": hashlib.sha256,
        "SHA-512": hashlib.sha512,
        "CRC32": _Crc32,
        "MD5": lambda: hashlib.md5(usedforsecurity=False),
    }
)
"""What there is, by upper-case name."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A checksum.

    Attributes:
        first: The first byte that it covers, counted from 0.
        last: The last one; of an empty file 0, as there is no smaller number.
        value: Lower-case hexadecimal.
    """

    first: int
    last: int
    value: str


class FileDigest:
    """The checksum of a file, made piece by piece, so that it can wait between two of them. Blocks.

    For one thread at a time. The file is open from the first `go_on` until it is done, fails, or `close`.

    Args:
        open_file: Opens the file.
        algorithm: A key of `ALGORITHMS`.
        first: Where to begin, in bytes.
        last: The last byte, or None; what lies behind the end is left out.
        stop: Ends it from another thread.
        deadline: A `time.monotonic()` value.
    """

    __slots__ = ("_first", "_hasher", "_last", "_open_file", "_position", "_reader", "deadline", "stop")

    def __init__(
        self,
        open_file: Callable[[], ReadHandle],
        algorithm: str,
        *,
        first: int = 0,
        last: int | None = None,
        stop: Stop,
        deadline: float,
    ) -> None:
        self.stop = stop
        self.deadline = deadline
        self._open_file = open_file
        self._reader: ReadHandle | None = None
        self._hasher = ALGORITHMS[algorithm]()
        self._first = self._position = first
        self._last = last

    def go_on(self, has_to_wait: Callable[[], bool] = lambda: False) -> Digest | None:
        """Read and hash on; return None when `has_to_wait` said so before the end.

        Raises:
            OffsetBeyondEnd: A range was given, and no byte lies in it.
            TransferAborted: `stop` was asked to interrupt.
            TransferTimeout: The deadline has passed.
            StorageError: Opening or reading failed.
        """
        try:
            found = self._go_on(has_to_wait)
        except BaseException:
            self.close()
            raise
        if found is not None:
            self.close()
        return found

    def close(self) -> None:
        """Close the file. May be called again, not while `go_on` runs."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _go_on(self, has_to_wait: Callable[[], bool]) -> Digest | None:
        self.stop.check()
        if self._reader is None:
            self._reader = self._open_file()
            self._reader.seek(self._first)
        first, last = self._first, self._last
        view = memoryview(bytearray(_PIECE_BYTES))
        while last is None or self._position <= last:
            self.stop.check()
            if time.monotonic() >= self.deadline:
                raise TransferTimeout("the file could not be read and hashed in time")
            count = self._reader.readinto(view if last is None else view[: last - self._position + 1])
            if not count:
                break
            self._hasher.update(view[:count])
            self._position += count
            if has_to_wait():
                return None
        if self._position == first and (first or last is not None):
            raise OffsetBeyondEnd(f"the file has no byte at {first}")
        return Digest(first, max(first, self._position - 1), self._hasher.hexdigest())
