"""Going on with a file on a disk: when it is copied, what ends the copying, which hidden parts count."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.errors import StorageError
from lockgate.storage import _existing
from lockgate.storage._kept import KeptParts
from lockgate.storage._names import HiddenNames
from lockgate.storage.base import TargetBusy, WriteCancelled, WriteMode
from lockgate.storage.conformance import check_limit, check_shares, content, keep_partial, put, refused
from lockgate.storage.local import LocalStorage
from lockgate.storage.settings import FileSettings


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LocalStorage]:
    storage = LocalStorage(tmp_path)
    yield storage
    storage.close()


@pytest.mark.parametrize("mode", [WriteMode.APPEND, WriteMode.RESUME])
def test_beginning_to_continue_a_file_copies_nothing_of_it(
    storage: LocalStorage, tmp_path: Path, mode: WriteMode
) -> None:
    put(storage, "/file", bytes(1_000_000))
    uploads = [
        storage.open_write("/file", mode, offset=999_999 * (mode is WriteMode.RESUME)) for _ in range(16)
    ]
    sizes = [(tmp_path / name).stat().st_size for name in os.listdir(tmp_path) if name != "file"]
    for upload in uploads:
        upload.close()
    assert (sizes, os.listdir(tmp_path)) == ([0] * 16, ["file"])


@pytest.mark.parametrize("has_kernel_copy", [True, False])
def test_a_copy_ends_between_two_pieces_when_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_kernel_copy: bool
) -> None:
    monkeypatch.setattr(_existing, "_COPY_BYTES", 1000)
    monkeypatch.setattr(_existing, "_PIECE_BYTES", 1000)
    if not has_kernel_copy:
        monkeypatch.delattr(os, "copy_file_range")
    (tmp_path / "source").write_bytes(bytes(10_000))
    with open(tmp_path / "source", "rb") as source, open(tmp_path / "copy", "wb") as target:
        with pytest.raises(WriteCancelled):
            _existing.copy_content(
                source.fileno(), target.fileno(), 10_000, is_cancelled=lambda: source.tell() >= 3000
            )
        assert os.fstat(target.fileno()).st_size == 3000


def test_a_copy_that_failed_is_neither_tried_again_nor_committed(
    storage: LocalStorage, tmp_path: Path
) -> None:
    put(storage, "/file", b"0123456789")
    upload = storage.open_write("/file", WriteMode.APPEND)
    os.truncate(tmp_path / "file", 5)
    for _ in range(2):
        with refused(StorageError):
            upload.write(b"+")
    with refused(StorageError):
        upload.commit()
    upload.discard(keep=True)
    assert os.listdir(tmp_path) == ["file"]


def test_the_kept_parts_of_one_home_are_bounded(tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path, kept_limit=2)) as storage:
        check_limit(storage)
    assert len(os.listdir(tmp_path)) == 3


def test_no_account_uses_up_what_others_may_keep(tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path, kept_limit=4)) as storage:
        check_shares(storage)
    assert len(os.listdir(tmp_path)) == 4 + 2 + 1 + 1


@pytest.mark.parametrize("take", ["publish", "make", "in-place", "drop"])
def test_parts_of_an_earlier_process_go_too_when_something_takes_their_name(
    tmp_path: Path, take: str
) -> None:
    with contextlib.closing(LocalStorage(tmp_path)) as earlier:
        for account in ("one", "other"):
            keep_partial(earlier.for_account(account), "/file", b"half")
    settings = FileSettings(in_place=take == "in-place", drop_box=take == "drop")
    with contextlib.closing(LocalStorage(tmp_path, settings)) as storage:
        taker, own = storage.for_account("third"), storage.for_account("one")
        if take == "make":
            taker.make_directory("/file")
        else:
            put(taker, "/file")
        assert os.listdir(tmp_path) == ["file"]
        assert own.resumable_size("/file") is None


def test_parts_of_an_earlier_process_are_their_accounts_still(tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path)) as earlier:
        keep_partial(earlier.for_account("one"), "/file", b"half")
    with contextlib.closing(LocalStorage(tmp_path)) as storage:
        found = [storage.for_account(name).resumable_size("/file") for name in ("one", "other", "")]
    assert found == [4, None, None]


def test_renaming_a_directory_makes_no_room_for_more_parts(tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path, kept_limit=1)) as storage:
        storage.make_directory("/a")
        keep_partial(storage, "/a/file", b"half")
        storage.rename("/a", "/b")
        keep_partial(storage, "/file", b"half")
        assert storage.resumable_size("/file") is None
        storage.remove_directory("/b")
        keep_partial(storage, "/file", b"half")
        assert storage.resumable_size("/file") == 4


def test_parts_that_others_clean_up_count_for_a_day(tmp_path: Path) -> None:
    now = 0.0
    parts = KeptParts(1, clock=lambda: now)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:

        def keep(name: bytes) -> bool:
            (tmp_path / "working").write_bytes(b"half")
            return parts.keep(folder, working=b"working", kept=name, target=b"file", was_kept=False)

        assert (keep(b"one"), keep(b"two")) == (True, False)
        (tmp_path / "one").unlink()
        assert not keep(b"two")
        now = 24 * 3600.0
        assert keep(b"two")
    finally:
        os.close(folder)


def test_what_an_older_server_kept_beside_a_file_is_of_no_use(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file", b"OLD")
    hidden = tmp_path / HiddenNames().kept(b"file").decode()
    for mode, offset in ((WriteMode.RESUME, 3), (WriteMode.APPEND, 0)):
        hidden.write_bytes(b"hidden")
        assert storage.resumable_size("/file") is None
        upload = storage.open_write("/file", mode, offset=offset)
        upload.write(b"+")
        upload.commit()
        assert (content(storage, "/file"), hidden.exists()) == (b"OLD+", False)
        put(storage, "/file", b"OLD")


def test_a_link_that_leads_nowhere_takes_a_name_too(storage: LocalStorage, tmp_path: Path) -> None:
    keep_partial(storage, "/file", b"half")
    (tmp_path / "file").symlink_to("nowhere")
    assert storage.resumable_size("/file") is None
    upload = storage.open_write("/file", WriteMode.APPEND)
    upload.write(b"new")
    upload.commit()
    assert content(storage, "/file") == b"new"


def test_a_copy_of_a_file_that_shrinks_fails(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"123")
    with (
        open(tmp_path / "short", "rb") as source,
        open(tmp_path / "copy", "wb") as target,
        pytest.raises(OSError, match="became shorter"),
    ):
        _existing.copy_content(source.fileno(), target.fileno(), 4, is_cancelled=lambda: False)


def test_a_large_file_is_copied_before_it_is_continued(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(1_000_003)
    put(storage, "/file", data)
    for has_kernel_copy in (True, False):
        if not has_kernel_copy:  # a file system or system without copy_file_range
            monkeypatch.delattr(os, "copy_file_range")
        upload = storage.open_write("/file", WriteMode.RESUME, offset=1_000_001)
        upload.write(b"end")
        upload.commit()
        assert content(storage, "/file") == data[:1_000_001] + b"end"


def test_of_two_storages_of_one_directory_the_second_append_is_refused(
    storage: LocalStorage, tmp_path: Path
) -> None:
    put(storage, "/file", b"old")
    with contextlib.closing(LocalStorage(tmp_path)) as other:
        uploads = [one.open_write("/file", WriteMode.APPEND) for one in (storage, other)]
        for number, upload in enumerate(uploads):
            upload.write(str(number).encode())
        uploads[1].commit()
        with refused(TargetBusy):
            uploads[0].commit()
        uploads[0].discard()
    assert content(storage, "/file") == b"old1"


def test_an_append_waits_for_nobody_who_is_replacing_the_file_just_now(
    storage: LocalStorage, tmp_path: Path
) -> None:
    put(storage, "/file", b"old")
    upload = storage.open_write("/file", WriteMode.APPEND)
    upload.write(b"+new")
    # As another process has it in the moment between its look and its rename.
    with open(tmp_path / "file", "rb") as elsewhere:
        fcntl.flock(elsewhere, fcntl.LOCK_EX)
        with refused(TargetBusy):
            upload.commit()
    upload.commit()
    assert content(storage, "/file") == b"old+new"


@pytest.mark.parametrize("new", [b"old!", b"OLD"])
def test_a_file_that_a_program_writes_into_meanwhile_is_not_replaced(
    storage: LocalStorage, tmp_path: Path, new: bytes
) -> None:
    put(storage, "/file", b"old")
    os.utime(tmp_path / "file", (5, 5))
    upload = storage.open_write("/file", WriteMode.APPEND)
    upload.write(b"+new")
    (tmp_path / "file").write_bytes(new)
    with refused(TargetBusy):
        upload.commit()
    upload.discard()
    assert content(storage, "/file") == new


def test_of_many_appends_at_once_none_is_lost_that_was_committed(
    storage: LocalStorage, tmp_path: Path
) -> None:
    put(storage, "/file", b"")
    barrier = threading.Barrier(8)
    done: list[bytes] = []

    def append(number: int) -> None:
        with contextlib.closing(LocalStorage(tmp_path)) as own:
            for turn in range(20):
                barrier.wait(timeout=30)
                line = b"%d.%d\n" % (number, turn)
                with (
                    contextlib.suppress(TargetBusy),
                    contextlib.closing(own.open_write("/file", WriteMode.APPEND)) as upload,
                ):
                    upload.write(line)
                    upload.commit()
                    done.append(line)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(content(storage, "/file").splitlines(keepends=True)) == sorted(done)
    assert len(done) >= 20
