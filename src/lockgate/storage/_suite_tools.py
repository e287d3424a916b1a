"""What the storage suite's tests share; needs no pytest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lockgate.errors import StorageError

from .base import Storage, WriteMode

__all__ = ["content", "keep_partial", "names", "put", "refused"]


@contextlib.contextmanager
def refused(kind: type[StorageError]) -> Iterator[None]:
    """Expect a storage error of exactly this kind: a parent class would hide the wrong answer."""
    try:
        yield
    except StorageError as error:
        if type(error) is not kind:
            raise AssertionError(f"expected {kind.__name__}, not {error!r}") from error
    else:
        raise AssertionError(f"nothing was refused, {kind.__name__} was expected")


def put(storage: Storage, path: str, data: bytes = b"content") -> None:
    """Store a file."""
    with contextlib.closing(storage.open_write(path, WriteMode.REPLACE)) as upload:
        upload.write(data)
        upload.commit()


def content(storage: Storage, path: str) -> bytes:
    """Return a file's content, read in odd pieces."""
    found = bytearray()
    buffer = memoryview(bytearray(7))
    with contextlib.closing(storage.open_read(path)) as reader:
        while count := reader.readinto(buffer):
            found += buffer[:count]
    return bytes(found)


def names(storage: Storage, path: str = "/") -> list[str]:
    """Return the names in a directory, sorted."""
    with contextlib.closing(storage.scan(path)) as scan:
        return sorted(entry.name for entry in scan)


def keep_partial(storage: Storage, path: str, data: bytes) -> None:
    """Leave an interrupted upload behind."""
    upload = storage.open_write(path, WriteMode.REPLACE)
    upload.write(data)
    upload.discard(keep=True)
