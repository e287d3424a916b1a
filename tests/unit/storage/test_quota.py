"""A quota on what a storage holds: what counts, what is refused, and that no number drifts."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.errors import StorageError
from lockgate.storage.base import QuotaExceeded, WriteCancelled, WriteMode
from lockgate.storage.conformance import content, keep_partial, names, put, refused
from lockgate.storage.ledger import Ledger
from lockgate.storage.local import LocalStorage
from lockgate.storage.memory import MemoryStorage
from lockgate.storage.quota import Quota, QuotaStorage, QuotaWriter
from lockgate.storage.usage import CountedStorage, FilesBeingCounted, Usage

Limit = Callable[..., QuotaStorage]


@pytest.fixture(params=["local", "memory"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> CountedStorage:
    return LocalStorage(tmp_path) if request.param == "local" else MemoryStorage()


@pytest.fixture
def ledger(inner: CountedStorage) -> Ledger:
    return Ledger(inner, patience_seconds=10.0)


@pytest.fixture
def limit(inner: CountedStorage, ledger: Ledger) -> Limit:
    return lambda **quota: QuotaStorage(inner, ledger, Quota(**quota))


def walked(storage: CountedStorage) -> Usage:
    """What a walk of the test's own finds."""
    fresh = Ledger(storage, patience_seconds=60.0)
    fresh.ensure_counted()
    return fresh.used


# Bytes


def test_an_upload_may_fill_the_quota_and_not_a_byte_more(limit: Limit, ledger: Ledger) -> None:
    storage = limit(bytes=10)
    put(storage, "/full", b"0123456789")
    assert (ledger.used, storage.free_bytes("/")) == (Usage(10, 1), 0)
    storage.remove("/full")
    upload = storage.open_write("/more", WriteMode.REPLACE)
    with refused(QuotaExceeded):
        upload.write(b"0123456789A")
    assert upload.position == 10
    upload.discard()
    assert (names(storage), ledger.used) == ([], Usage())


def test_where_it_is_full_no_upload_begins(limit: Limit) -> None:
    storage = limit(bytes=10)
    put(storage, "/full", b"0123456789")
    for begin in (
        lambda: storage.open_write("/more", WriteMode.REPLACE),
        lambda: storage.open_write("/full", WriteMode.APPEND),
        lambda: storage.open_write("/full", WriteMode.RESUME, offset=4),
        lambda: storage.create_unique("/", ""),
    ):
        with refused(QuotaExceeded):
            begin()
    assert (names(storage), content(storage, "/full")) == (["full"], b"0123456789")


def test_a_replacement_has_room_beside_the_old_content_only(limit: Limit, ledger: Ledger) -> None:
    storage = limit(bytes=10)
    put(storage, "/file", b"012345")
    upload = storage.open_write("/file", WriteMode.REPLACE)
    with refused(QuotaExceeded):
        upload.write(b"01234")
    upload.discard()
    put(storage, "/file", b"0123")
    assert ledger.used == Usage(4, 1)


def test_what_is_appended_to_is_copied_and_counts_twice_until_the_commit(
    limit: Limit, ledger: Ledger
) -> None:
    storage = limit(bytes=20)
    put(storage, "/file", b"012345678")
    upload = storage.open_write("/file", WriteMode.APPEND)
    upload.write(b"9")
    assert ledger.used == Usage(19, 2)
    upload.commit()
    assert ledger.used == Usage(10, 1)
    large = storage.open_write("/file", WriteMode.APPEND)
    with refused(QuotaExceeded):
        large.write(b"0")
    large.discard()
    assert (content(storage, "/file"), ledger.used) == (b"0123456789", Usage(10, 1))


def test_a_cut_by_rest_alone_has_to_fit_too(limit: Limit, ledger: Ledger) -> None:
    storage = limit(bytes=15)
    put(storage, "/file", b"0123456789")
    storage.open_write("/file", WriteMode.RESUME, offset=5).commit()
    assert (content(storage, "/file"), ledger.used) == (b"01234", Usage(5, 1))
    put(storage, "/file", b"0123456789")
    upload = storage.open_write("/file", WriteMode.RESUME, offset=6)
    with refused(QuotaExceeded):
        upload.commit()
    upload.discard()
    assert (content(storage, "/file"), ledger.used) == (b"0123456789", Usage(10, 1))


def test_kept_parts_count_until_they_go(limit: Limit, ledger: Ledger) -> None:
    storage = limit(bytes=10)
    keep_partial(storage, "/half", b"01234567")
    with refused(QuotaExceeded):
        put(storage, "/other", b"012")
    upload = storage.open_write("/half", WriteMode.RESUME, offset=8)
    upload.write(b"89")
    upload.commit()
    assert ledger.used == Usage(10, 1)


def test_a_kept_part_that_is_cut_gives_back_what_was_behind(limit: Limit, ledger: Ledger) -> None:
    storage = limit(bytes=10)
    keep_partial(storage, "/half", b"01234567")
    upload = storage.open_write("/half", WriteMode.RESUME, offset=2)
    assert ledger.used == Usage(8, 1)
    upload.write(b"ab")
    assert ledger.used == Usage(4, 1)
    upload.discard()
    assert ledger.used == Usage()


def test_copying_that_is_cancelled_takes_nothing(limit: Limit, inner: CountedStorage, ledger: Ledger) -> None:
    storage = limit(bytes=30)
    put(storage, "/file", b"0123456789")
    upload = storage.open_write("/file", WriteMode.APPEND)
    upload.cancel()
    with refused(WriteCancelled):
        upload.write(b"x")
    assert ledger.used == walked(inner)
    upload.discard()
    assert ledger.used == Usage(10, 1)


def test_many_interrupted_uploads_do_not_get_round_it(
    limit: Limit, ledger: Ledger, inner: CountedStorage
) -> None:
    storage = limit(bytes=50)
    refusals = 0
    for number in range(20):
        try:
            keep_partial(storage, f"/part-{number}", b"0123456789")
        except QuotaExceeded:
            refusals += 1
    assert (refusals, ledger.used.bytes, walked(inner).bytes) == (15, 50, 50)


# Files


def test_files_directories_and_uploads_are_names_that_count(limit: Limit, ledger: Ledger) -> None:
    storage = limit(files=3)
    storage.make_directory("/folder")
    put(storage, "/folder/file")
    upload = storage.open_write("/other", WriteMode.REPLACE)
    assert ledger.used.files == 3
    for begin in (
        lambda: storage.make_directory("/bomb"),
        lambda: storage.open_write("/more", WriteMode.REPLACE),
        lambda: storage.create_unique("/", ""),
    ):
        with refused(QuotaExceeded):
            begin()
    upload.close()
    storage.make_directory("/bomb")
    storage.remove_directory("/bomb")
    storage.remove("/folder/file")
    assert ledger.used == Usage(0, 1)


def test_a_kept_part_is_resumed_where_no_further_file_fits(limit: Limit, ledger: Ledger) -> None:
    storage = limit(files=2)
    put(storage, "/one")
    keep_partial(storage, "/half", b"half")
    with refused(QuotaExceeded):
        storage.open_write("/half", WriteMode.REPLACE)
    upload = storage.open_write("/half", WriteMode.APPEND)
    upload.commit()
    assert ledger.used.files == 2


def test_uploads_that_begin_at_once_get_no_more_files_than_there_may_be(limit: Limit, ledger: Ledger) -> None:
    storage = limit(files=3)
    barrier = threading.Barrier(16)
    begun: list[QuotaWriter] = []

    def begin(number: int) -> None:
        barrier.wait(10)
        with contextlib.suppress(QuotaExceeded):
            begun.append(storage.open_write(f"/{number}", WriteMode.REPLACE))

    for _ in range(20):
        crew = [threading.Thread(target=begin, args=(number,)) for number in range(16)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join(30)
        assert (len(begun), ledger.used) == (3, Usage(0, 3))
        while begun:
            begun.pop().discard()
    assert ledger.used == Usage()


# Names


def test_renaming_gives_back_what_is_replaced(limit: Limit, ledger: Ledger) -> None:
    storage = limit(bytes=100)
    put(storage, "/one", b"12345")
    put(storage, "/two", b"123")
    storage.rename("/one", "/two")
    assert ledger.used == Usage(5, 1)


def test_an_upload_into_a_directory_that_is_renamed_counts(
    limit: Limit, ledger: Ledger, inner: CountedStorage
) -> None:
    storage = limit(bytes=100)
    for number in range(5):
        storage.make_directory("/a")
        upload = storage.open_write("/a/file", WriteMode.REPLACE)
        upload.write(b"0123456789")
        storage.rename("/a", f"/b{number}")
        upload.commit()
    assert ledger.used == walked(inner) == Usage(50, 10)


def test_a_link_gives_back_a_name_and_not_what_it_leads_to(tmp_path: Path) -> None:
    inner = LocalStorage(tmp_path)
    put(inner, "/file", b"12345")
    (tmp_path / "link").symlink_to("file")
    ledger = Ledger(inner)
    QuotaStorage(inner, ledger, Quota(bytes=100)).remove("/link")
    assert ledger.used == Usage(5, 1)


def test_two_accounts_share_a_ledger_and_each_has_its_quota(limit: Limit, ledger: Ledger) -> None:
    small, large, unlimited = limit(bytes=5), limit(bytes=20), limit()
    put(unlimited, "/file", b"0123456789")
    with refused(QuotaExceeded):
        small.open_write("/other", WriteMode.REPLACE)
    put(large, "/other", b"0123456789")
    with refused(QuotaExceeded):
        large.open_write("/more", WriteMode.REPLACE)
    put(unlimited, "/more", b"0123456789")
    assert (small.free_bytes("/"), large.free_bytes("/"), ledger.used) == (0, 0, Usage(30, 3))


# Counting


def test_what_is_there_at_first_is_counted_hidden_or_not(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"12345")
    (tmp_path / f".lockgate-{'0' * 32}.part").write_bytes(b"123")
    inner = LocalStorage(tmp_path)
    storage = QuotaStorage(inner, Ledger(inner), Quota(bytes=8))
    with refused(QuotaExceeded):
        storage.open_write("/new", WriteMode.REPLACE)


def test_a_sparse_file_counts_by_its_length(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        os.truncate(file.fileno(), 1 << 30)
    inner = LocalStorage(tmp_path)
    ledger = Ledger(inner)
    ledger.ensure_counted()
    assert ledger.used == Usage(1 << 30, 1)


def test_a_count_that_takes_long_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"folder-{number}" / "file").write_bytes(b"12345")
    inner = LocalStorage(tmp_path)
    storage = QuotaStorage(inner, Ledger(inner, patience_seconds=0.0), Quota(bytes=100))
    refusals = 0
    while True:
        try:
            put(storage, "/new", b"1")
            break
        except FilesBeingCounted:
            refusals += 1
    assert refusals >= 5
    assert storage.free_bytes("/") is not None


def test_room_that_the_operator_makes_is_found_by_the_next_who_wants_it(tmp_path: Path) -> None:
    now = [0.0]
    inner = LocalStorage(tmp_path)
    storage = QuotaStorage(inner, Ledger(inner, clock=lambda: now[0]), Quota(bytes=10))
    put(storage, "/file", b"0123456789")
    (tmp_path / "file").unlink()
    now[0] += 3600
    put(storage, "/file", b"0123456789")
    (tmp_path / "file").unlink()
    with refused(QuotaExceeded):  # not again so soon: counting costs
        put(storage, "/file", b"0123456789")


def test_counting_again_finds_what_others_did(tmp_path: Path) -> None:
    inner = LocalStorage(tmp_path)
    ledger = Ledger(inner)
    storage = QuotaStorage(inner, ledger, Quota(bytes=100))
    put(storage, "/file", b"01234")
    (tmp_path / "operator").write_bytes(b"0123456789")
    assert ledger.used == Usage(5, 1)
    assert ledger.recount(60)
    assert ledger.used == Usage(15, 2)


def test_counting_again_beside_changes_keeps_the_exact_number(
    limit: Limit, ledger: Ledger, inner: CountedStorage
) -> None:
    storage = limit(bytes=1000)
    for number in range(8):
        storage.make_directory(f"/{number}")
        put(storage, f"/{number}/file", b"0123456789")
    assert not ledger.recount(0)  # begun, and stopped after the first look
    for number in range(7):
        storage.rename(f"/{number}/file", f"/{number + 1}/moved")
    storage.remove("/7/file")
    put(storage, "/new", b"012")
    upload = storage.open_write("/under-way", WriteMode.REPLACE)
    upload.write(b"01234")
    while not ledger.recount(0):
        pass
    assert ledger.used == walked(inner)
    upload.discard()
    assert ledger.used == walked(inner)


def test_a_directory_that_moves_hides_nothing_from_the_count(
    limit: Limit, ledger: Ledger, inner: CountedStorage
) -> None:
    storage = limit(bytes=1000)
    for name in ("/a", "/b"):
        storage.make_directory(name)
    # Whichever of the two is looked at first: once the tree moves there when that has been done.
    for source, target in (("/a", "/b"), ("/b", "/a")):
        storage.make_directory(f"{source}/in")
        put(storage, f"{source}/in/file", b"0123456789")
        for _ in range(2):
            ledger.recount(0)
        storage.rename(f"{source}/in", f"{target}/in")
        while not ledger.recount(0):
            pass
        assert ledger.used == walked(inner)
        storage.remove(f"{target}/in/file")
        storage.remove_directory(f"{target}/in")


# Many at once


@pytest.mark.parametrize("seed", range(3))
def test_parallel_uploads_never_hold_more_than_the_quota(
    limit: Limit, inner: CountedStorage, ledger: Ledger, seed: int
) -> None:
    quota, threads, rounds = 10_000, 8, 6
    storage = limit(bytes=quota, files=30)
    barrier = threading.Barrier(threads)
    seen: list[Usage] = []
    errors: list[BaseException] = []

    def work(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        try:
            for _ in range(rounds):
                upload = _begin(storage, chance)
                for _ in range(chance.randrange(1, 8)):
                    if upload is None:
                        break
                    try:
                        upload.write(b"x" * chance.randrange(1, 900))
                    except QuotaExceeded:
                        break
                barrier.wait(30)
                if number == 0:
                    seen.extend((walked(inner), ledger.used))
                barrier.wait(30)
                _end(storage, upload, chance)
                barrier.wait(30)
                if number == 0:
                    seen.extend((walked(inner), ledger.used))
                barrier.wait(30)
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    crew = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join(60)
    assert errors == []
    assert all(one.bytes <= quota and one.files <= 30 for one in seen)
    assert seen[0::2] == seen[1::2]  # the walk and the ledger agree


def _begin(storage: QuotaStorage, chance: random.Random) -> QuotaWriter | None:
    path = f"/{chance.randrange(6)}"
    try:
        match chance.randrange(4):
            case 0:
                return storage.open_write(path, WriteMode.APPEND)
            case 1:
                return storage.create_unique("/", "")[1]
            case 2:
                return storage.open_write(path, WriteMode.RESUME, offset=chance.randrange(50))
            case _:
                return storage.open_write(path, WriteMode.REPLACE)
    except StorageError:
        return None


def _end(storage: QuotaStorage, upload: QuotaWriter | None, chance: random.Random) -> None:
    if upload is None:
        return
    try:
        match chance.randrange(4):
            case 0:
                upload.discard(keep=True)
            case 1:
                upload.close()
            case _:
                upload.commit()
        if chance.random() < 0.4:
            storage.remove(f"/{chance.randrange(6)}")
    except StorageError:
        upload.close()
