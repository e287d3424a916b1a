"""File contents that say themselves what they must be, so that any visible file can be checked whole."""

from __future__ import annotations

import random
import struct

__all__ = ["HEADER_BYTES", "content", "fault"]

_HEADER = struct.Struct(">8sQQ")
HEADER_BYTES = _HEADER.size
_MAGIC = b"lockgate"
_BLOCK_BYTES = 64 * 1024


def content(size: int, seed: int) -> bytes:
    """Return the one content of this size (at least the header's) and seed."""
    block = random.Random(seed).randbytes(_BLOCK_BYTES)
    body = size - HEADER_BYTES
    return _HEADER.pack(_MAGIC, size, seed) + (block * (body // _BLOCK_BYTES + 1))[:body]


def fault(data: bytes) -> str:
    """Say what is wrong with a file's content, or ""."""
    if len(data) < HEADER_BYTES:
        return f"{len(data)} bytes, not even a header"
    magic, size, seed = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        return "no header of ours"
    if size != len(data):
        return f"{len(data)} of {size} bytes"
    return "" if data == content(size, seed) else "damaged"
