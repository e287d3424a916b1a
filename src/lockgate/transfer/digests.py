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

__all__ = ["ALGORITHMS", "Digest", "digest"]

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


def digest(
    reader: ReadHandle,
    algorithm: str,
    *,
    first: int = 0,
    last: int | None = None,
    stop: Stop,
    deadline: float,
) -> Digest:
    """Read a file and return its checksum. Blocks.

    Args:
        reader: The file; stays open.
        algorithm: A key of `ALGORITHMS`.
        first: Where to begin, in bytes.
        last: The last byte, or None; what lies behind the end is left out.
        stop: Ends it from another thread.
        deadline: A `time.monotonic()` value.

    Raises:
        OffsetBeyondEnd: A range was given, and no byte lies in it.
        TransferAborted: `stop` was asked to interrupt.
        TransferTimeout: The deadline has passed.
        StorageError: Reading failed.
    """
    hasher = ALGORITHMS[algorithm]()
    view = memoryview(bytearray(_PIECE_BYTES))
    reader.seek(first)
    position = first
    while last is None or position <= last:
        stop.check()
        if time.monotonic() >= deadline:
            raise TransferTimeout("the file could not be read and hashed in time")
        count = reader.readinto(view if last is None else view[: last - position + 1])
        if not count:
            break
        hasher.update(view[:count])
        position += count
    if position == first and (first or last is not None):
        raise OffsetBeyondEnd(f"the file has no byte at {first}")
    return Digest(first, max(first, position - 1), hasher.hexdigest())
