"""A drop box on a disk: nothing that is there shows, counts or is replaced."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.errors import NameRejected
from lockgate.storage.base import OffsetBeyondEnd, WriteMode
from lockgate.storage.conformance import content, keep_partial, names, put, refused
from lockgate.storage.ledger import Ledger
from lockgate.storage.local import LocalStorage
from lockgate.storage.quota import Quota, QuotaStorage
from lockgate.storage.settings import FileSettings


@pytest.fixture(params=[False, True], ids=["atomic", "in-place"])
def box(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalStorage]:
    settings = FileSettings(drop_box=True, in_place=request.param)
    with contextlib.closing(LocalStorage(tmp_path, settings)) as storage:
        yield storage


@pytest.fixture
def atomic(tmp_path: Path) -> Iterator[LocalStorage]:
    with contextlib.closing(LocalStorage(tmp_path, FileSettings(drop_box=True))) as storage:
        yield storage


@pytest.mark.parametrize("mode", [WriteMode.REPLACE, WriteMode.APPEND, WriteMode.CREATE_NEW])
@pytest.mark.parametrize("name", ["report.csv", "n" * 255])
def test_what_is_there_is_never_replaced_and_what_comes_is_beside_it(
    box: LocalStorage, tmp_path: Path, mode: WriteMode, name: str
) -> None:
    (tmp_path / name).write_bytes(b"another's")
    for number in range(3):
        upload = box.open_write(f"/{name}", mode)
        upload.write(b"%d" % number)
        upload.commit()
    others = sorted(content(box, f"/{one}") for one in names(box) if one != name)
    assert (others, (tmp_path / name).read_bytes()) == ([b"0", b"1", b"2"], b"another's")


@pytest.mark.parametrize("patterns", [("taken.*",), ("taken?*",), ("taken?*", "*[-]taken")])
@pytest.mark.parametrize("is_in_place", [False, True])
def test_no_pattern_hides_what_is_stored_beside(
    tmp_path: Path, patterns: tuple[str, ...], is_in_place: bool
) -> None:
    settings = FileSettings(drop_box=True, in_place=is_in_place, hidden=patterns)
    with contextlib.closing(LocalStorage(tmp_path, settings)) as box:
        for data in (b"first", b"second", b"third"):
            put(box, "/taken", data)
        assert sorted(content(box, f"/{name}") for name in names(box)) == [b"first", b"second", b"third"]


@pytest.mark.parametrize("is_taken", [False, True])
def test_where_every_name_beside_is_hidden_none_is_taken_in(tmp_path: Path, is_taken: bool) -> None:
    if is_taken:
        (tmp_path / "taken").touch()
    settings = FileSettings(drop_box=True, hidden=("*[0-9a-f]*[0-9a-f]*[0-9a-f]*",))
    with contextlib.closing(LocalStorage(tmp_path, settings)) as box, refused(NameRejected):
        box.open_write("/taken", WriteMode.REPLACE)


def test_a_free_name_is_taken_as_it_is(box: LocalStorage) -> None:
    put(box, "/report.csv", b"mine")
    assert names(box) == ["report.csv"]
    assert content(box, "/report.csv") == b"mine"


@pytest.mark.parametrize("make", ["file", "folder", "link", "read-only"])
def test_beginning_an_upload_tells_nothing_of_what_is_there(
    box: LocalStorage, tmp_path: Path, make: str
) -> None:
    path = tmp_path / "name"
    if make == "folder":
        path.mkdir()
    elif make == "link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b"another's")
        path.chmod(0o400)
    upload = box.open_write("/name", WriteMode.REPLACE)
    upload.write(b"mine")
    upload.commit()
    for name in ("/name", "/free"):
        with refused(OffsetBeyondEnd):
            box.open_write(name, WriteMode.RESUME, offset=1)
    assert len(os.listdir(tmp_path)) == 2


def test_a_part_is_kept_whether_the_name_is_taken_or_not(atomic: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"another's")
    for name in ("taken", "free"):
        assert atomic.resumable_size(f"/{name}") is None
        keep_partial(atomic, f"/{name}", b"half")
        assert atomic.resumable_size(f"/{name}") == 4
        upload = atomic.open_write(f"/{name}", WriteMode.RESUME, offset=4)
        upload.write(b"+half")
        upload.commit()
        assert atomic.resumable_size(f"/{name}") is None
    found = sorted(content(atomic, f"/{name}") for name in names(atomic))
    assert found == [b"another's", b"half+half", b"half+half"]


def test_parts_of_others_are_not_gone_on_with(atomic: LocalStorage, tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path)) as other:
        keep_partial(other, "/file", b"half")
        assert atomic.resumable_size("/file") is None
        keep_partial(atomic, "/file", b"mine!")
        assert (other.resumable_size("/file"), atomic.resumable_size("/file")) == (4, 5)


def test_drop_boxes_of_one_directory_share_no_parts(atomic: LocalStorage) -> None:
    one, other = atomic.for_account("one"), atomic.for_account("other")
    keep_partial(one, "/file", b"secret")
    assert other.resumable_size("/file") is None
    with refused(OffsetBeyondEnd):
        other.open_write("/file", WriteMode.RESUME, offset=3)
    put(other, "/file", b"whole")
    keep_partial(other, "/file", b"mine")
    assert (one.resumable_size("/file"), other.resumable_size("/file")) == (6, 4)
    upload = one.open_write("/file", WriteMode.APPEND)
    upload.write(b"+")
    upload.commit()
    assert sorted(content(atomic, f"/{name}") for name in names(atomic)) == [b"secret+", b"whole"]
    assert other.resumable_size("/file") == 4


def test_parts_of_a_drop_box_are_cleaned_up(atomic: LocalStorage, tmp_path: Path) -> None:
    keep_partial(atomic, "/file", b"half")
    (hidden,) = os.listdir(tmp_path)
    os.utime(tmp_path / hidden, (1000, 1000))
    assert atomic.clean_partials(3600) == 1


def test_the_quota_counts_what_is_stored_beside(box: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"0123456789")
    ledger = Ledger(box)
    limited = QuotaStorage(box, ledger, Quota(bytes=100, files=10))
    for _ in range(3):
        put(limited, "/taken", b"12345")
    put(limited, "/free", b"12345")
    cut = limited.open_write("/taken", WriteMode.REPLACE)
    cut.write(b"half")
    cut.discard(keep=True)
    fresh = Ledger(box)
    fresh.ensure_counted()
    assert ledger.used == fresh.used
    assert ledger.used.bytes == 10 + 4 * 5 + 4
