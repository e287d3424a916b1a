"""What the pump asks of those who give it files, take them, or change the bytes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

__all__ = ["Compressor", "Converter", "Expander", "Reader", "Writer"]


class Reader(Protocol):
    """Where `send` reads; `storage.base.ReadHandle` is one."""

    def fileno(self) -> int | None:
        """Return a descriptor whose own position is the reader's, for sendfile; None if there is none."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of `buffer` and return how much; 0 at the end."""


class Writer(Protocol):
    """Where `receive` writes; `storage.base.WriteHandle` is one."""

    def write(self, data: memoryview | bytes, /) -> int:
        """Write all of `data`, and do not keep it."""


class Converter(Protocol):
    """TYPE A: what `protocol.ascii` has."""

    def feed(self, data: bytes, /) -> bytes:
        """Convert a piece."""

    def finish(self) -> bytes:
        """Return what was held back."""


class Compressor(Protocol):
    """MODE Z when sending; `deflate.Deflater` is one."""

    def feed(self, data: memoryview | bytes, /) -> bytes:
        """Take a piece and return what is ready, often nothing."""

    def finish(self) -> bytes:
        """Return the rest."""


class Expander(Protocol):
    """MODE Z when receiving; `deflate.Inflater` is one."""

    def feed(self, data: memoryview | bytes, /) -> Iterator[bytes]:
        """Take a piece and yield what it stands for."""

    def finish(self) -> None:
        """Raise unless the stream has come to its own end."""
