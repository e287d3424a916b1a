"""Uploads in place on a disk: locks, links, modes, what other programs see, a full disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.errors import IsADirectory, NoSpace, PermissionDenied
from lockgate.storage._names import HiddenNames
from lockgate.storage.base import OffsetBeyondEnd, TargetBusy, WriteMode
from lockgate.storage.conformance import content, keep_partial, names, put, refused
from lockgate.storage.local import LocalStorage
from lockgate.storage.settings import FileSettings

IN_PLACE = FileSettings(in_place=True)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LocalStorage]:
    with contextlib.closing(LocalStorage(tmp_path, IN_PLACE)) as storage:
        yield storage


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_of_two_storages_one_writes_to_a_file_at_a_time(storage: LocalStorage, tmp_path: Path) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    with contextlib.closing(LocalStorage(tmp_path, IN_PLACE)) as other, refused(TargetBusy):
        other.open_write("/file", WriteMode.APPEND)
    upload.write(b"mine")
    upload.commit()
    assert content(storage, "/file") == b"mine"


def test_another_programs_lock_counts(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file", b"old")
    with open(tmp_path / "file", "rb") as elsewhere:
        fcntl.flock(elsewhere, fcntl.LOCK_SH)
        with refused(TargetBusy):
            storage.open_write("/file", WriteMode.REPLACE)
    put(storage, "/file", b"new")


def test_a_whole_upload_and_an_append_beside_one_in_place(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file", b"old")
    with contextlib.closing(LocalStorage(tmp_path)) as atomic:
        append = atomic.open_write("/file", WriteMode.APPEND)
        append.write(b"+atomic")
        upload = storage.open_write("/file", WriteMode.APPEND)
        upload.write(b"+place")
        with refused(TargetBusy):
            append.commit()
        append.discard()
        put(atomic, "/file", b"whole")
        with refused(TargetBusy):
            upload.commit()
        upload.discard()
    assert content(storage, "/file") == b"whole"


def test_the_part_of_an_atomic_upload_is_gone_on_with(storage: LocalStorage, tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path, state=storage.state)) as atomic:
        for path in ("/one", "/two", "/three"):
            keep_partial(atomic, path, b"half")
    assert storage.resumable_size("/one") == 4
    for path, mode, offset in (("/one", WriteMode.APPEND, 0), ("/two", WriteMode.RESUME, 4)):
        upload = storage.open_write(path, mode, offset=offset)
        upload.write(b"+half")
        upload.commit()
        assert content(storage, path) == b"half+half"
        assert stat.S_IMODE((tmp_path / path[1:]).stat().st_mode) == 0o640
    with refused(OffsetBeyondEnd):
        storage.open_write("/three", WriteMode.RESUME, offset=5)
    put(storage, "/three", b"new")
    assert sorted(os.listdir(tmp_path)) == ["one", "three", "two"]


def test_a_link_a_fifo_and_a_directory_are_not_written_to(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "void").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for mode in (WriteMode.REPLACE, WriteMode.APPEND, WriteMode.RESUME):
        for path in ("/link", "/void", "/fifo"):
            with refused(PermissionDenied):
                storage.open_write(path, mode)
        with refused(IsADirectory):
            storage.open_write("/folder", mode)
    assert sorted(os.listdir(tmp_path)) == ["fifo", "file", "folder", "link", "void"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_new_content_does_not_inherit_set_uid(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file")
    os.chmod(tmp_path / "file", 0o6755)
    put(storage, "/file", b"new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o755


def test_a_full_disk_leaves_what_fitted_and_what_was_there(storage: LocalStorage) -> None:
    put(storage, "/file", bytes(4000))
    upload = storage.open_write("/file", WriteMode.APPEND)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with refused(NoSpace):
            upload.write(bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert upload.position == 4096
    upload.discard()
    assert storage.stat("/file").size == 4096


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_file_that_another_program_takes_away_is_not_called_complete(
    storage: LocalStorage, tmp_path: Path, is_replaced: bool
) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    upload.write(b"x")
    (tmp_path / "file").rename(tmp_path / "taken")
    if is_replaced:
        (tmp_path / "file").write_bytes(b"another")
    with refused(TargetBusy):
        upload.commit()
    upload.discard()
    assert names(storage) == (["file", "taken"] if is_replaced else ["taken"])


def test_a_file_that_is_unlinked_while_somebody_waits_to_write_is_not_written_to(
    storage: LocalStorage, tmp_path: Path
) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    upload.write(b"x")
    (tmp_path / "file").unlink()
    (tmp_path / "file").write_bytes(b"another")
    upload.discard()
    assert content(storage, "/file") == b"another"
    late = storage.open_write("/new", WriteMode.REPLACE)
    (tmp_path / "new").unlink()
    (tmp_path / "new").write_bytes(b"another")
    late.discard()
    assert content(storage, "/new") == b"another"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_new_file_has_its_owner_and_mode_at_once(tmp_path: Path) -> None:
    settings = FileSettings(in_place=True, owner=1234, umask=0o002)
    with contextlib.closing(LocalStorage(tmp_path, settings)) as storage:
        upload = storage.open_write("/file", WriteMode.REPLACE)
        status = (tmp_path / "file").stat()
        upload.commit()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (1234, 0o664)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_cannot_be_given_away_leaves_nothing(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    with contextlib.closing(LocalStorage(tmp_path, FileSettings(in_place=True, owner=1234))) as storage:
        os.seteuid(65534)
        try:
            with refused(PermissionDenied):
                storage.open_write("/file", WriteMode.REPLACE)
        finally:
            os.seteuid(0)
    assert os.listdir(tmp_path) == []


def test_descriptors_are_given_back_and_nothing_hidden_is_made(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file", b"old")
    before = open_descriptors()
    for _ in range(3):
        busy = storage.open_write("/file", WriteMode.APPEND)
        with refused(TargetBusy):
            storage.open_write("/file", WriteMode.REPLACE)
        busy.close()
        with refused(OffsetBeyondEnd):
            storage.open_write("/file", WriteMode.RESUME, offset=99)
        with refused(OffsetBeyondEnd):
            storage.open_write("/none", WriteMode.RESUME, offset=1)
        storage.open_write("/other", WriteMode.REPLACE)
        put(storage, "/file", b"new")
    assert open_descriptors() == before
    assert names(storage) == ["file"]
    assert not [name for name in os.listdir(tmp_path) if HiddenNames().is_own(name)]
