"""What counting asks of the backends: names, kept parts and uploads under way, and the room that is left."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.storage.base import WriteMode
from lockgate.storage.conformance import content, keep_partial, put
from lockgate.storage.local import LocalStorage
from lockgate.storage.memory import MemoryStorage
from lockgate.storage.usage import NOTHING, CountedStorage, Usage

Make = Callable[[], CountedStorage]


@pytest.fixture(params=["local", "memory"])
def counted(request: pytest.FixtureRequest, tmp_path: Path) -> CountedStorage:
    return LocalStorage(tmp_path) if request.param == "local" else MemoryStorage()


def held(storage: CountedStorage, path: str = "/") -> list[tuple[int, bool]]:
    """Length and whether it is hidden, of everything in a directory."""
    return sorted((one.usage.bytes, one.is_hidden) for one in storage.holdings(path))


def test_a_name_takes_its_length_and_its_kept_part(counted: CountedStorage) -> None:
    put(counted, "/file", b"12345")
    keep_partial(counted, "/half", b"123")
    counted.make_directory("/folder")
    put(counted, "/folder/inner", b"not counted here")
    found = [counted.usage(f"/{name}") for name in ("file", "half", "folder", "missing")]
    assert found == [Usage(5, 1), Usage(3, 1), Usage(0, 1), NOTHING]
    assert [counted.usage(path) for path in ("/", "/..", "/file/x", "/missing/x")] == [NOTHING] * 4


def test_holdings_show_what_a_scan_hides(counted: CountedStorage) -> None:
    put(counted, "/file", b"12345")
    keep_partial(counted, "/half", b"123")
    upload = counted.open_write("/under-way", WriteMode.REPLACE)
    upload.write(b"1234567")
    assert held(counted) == [(3, True), (5, False), (7, True)]
    upload.close()
    assert held(counted) == [(3, True), (5, False)]


def test_an_uploads_place_tells_how_it_ended(counted: CountedStorage) -> None:
    put(counted, "/file", b"old")
    upload = counted.open_write("/file", WriteMode.APPEND)
    with contextlib.closing(upload.place()) as place:
        empty = (place.own(), place.around())
        upload.write(b"+new")
        grown = (place.own(), place.around())
        upload.commit()
        done = (place.own(), place.around())
    assert empty == (Usage(0, 1), Usage(3, 1))
    assert grown == (Usage(7, 1), Usage(3, 1))
    assert done == (NOTHING, Usage(7, 1))


def test_a_place_is_found_where_its_directory_has_gone(counted: CountedStorage) -> None:
    counted.make_directory("/a")
    upload = counted.open_write("/a/file", WriteMode.REPLACE)
    upload.write(b"123")
    counted.rename("/a", "/b")
    with contextlib.closing(upload.place()) as place:
        upload.commit()
        assert place.around() == Usage(3, 1)


def test_a_prepared_upload_is_committed_and_seen_by_nobody_before(counted: CountedStorage) -> None:
    put(counted, "/file", b"0123456789")
    upload = counted.open_write("/file", WriteMode.RESUME, offset=4)
    upload.prepare()
    assert content(counted, "/file") == b"0123456789"
    upload.commit()
    assert content(counted, "/file") == b"0123"


def test_a_link_takes_a_name_and_no_length(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    put(storage, "/file", b"12345")
    (tmp_path / "link").symlink_to("file")
    assert storage.usage("/link") == Usage(0, 1)
    assert held(storage) == [(0, False), (5, False)]


def test_the_disk_and_the_capacity_say_what_is_left(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    found = LocalStorage(tmp_path).free_bytes("/")
    assert found is not None
    assert 0 <= found <= status.f_blocks * status.f_frsize
    small = MemoryStorage(capacity_bytes=10)
    put(small, "/file", b"123456")
    assert (small.free_bytes("/"), MemoryStorage().free_bytes("/")) == (4, None)
