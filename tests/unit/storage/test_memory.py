"""What only the memory backend has: a capacity and a clock."""

from __future__ import annotations

from lockgate.errors import IsADirectory, NoSpace
from lockgate.storage.base import WriteMode
from lockgate.storage.conformance import check_limit, check_shares, content, put, refused
from lockgate.storage.memory import MemoryStorage


def test_a_full_memory_takes_what_fits_and_says_so() -> None:
    storage = MemoryStorage(capacity_bytes=10)
    put(storage, "/file", b"123456")
    upload = storage.open_write("/other", WriteMode.REPLACE)
    with refused(NoSpace):
        upload.write(b"12345")
    assert upload.position == 4
    upload.discard(keep=True)
    assert storage.resumable_size("/other") == 4


def test_what_is_removed_or_replaced_makes_room() -> None:
    storage = MemoryStorage(capacity_bytes=10)
    put(storage, "/one", b"12345")
    put(storage, "/two", b"1234")
    storage.rename("/one", "/two")
    put(storage, "/one", b"12345")
    storage.remove("/one")
    put(storage, "/one", b"54321")
    assert content(storage, "/one") == b"54321"


def test_the_kept_parts_are_bounded() -> None:
    check_limit(MemoryStorage(kept_limit=2))


def test_no_account_uses_up_what_others_may_keep() -> None:
    check_shares(MemoryStorage(kept_limit=4))


def test_times_come_from_the_given_clock() -> None:
    now = 1000.0
    storage = MemoryStorage(clock=lambda: now)
    put(storage, "/file")
    now = 2000.0
    storage.make_directory("/folder")
    assert (storage.stat("/file").modified, storage.stat("/folder").modified) == (1000.0, 2000.0)


def test_a_name_taken_by_a_directory_meanwhile_fails_the_commit() -> None:
    storage = MemoryStorage()
    upload = storage.open_write("/file", WriteMode.REPLACE)
    storage.make_directory("/file")
    with refused(IsADirectory):
        upload.commit()
    upload.discard(keep=True)
    assert storage.resumable_size("/file") is None
