"""A quota beside uploads in place: what they write counts once, whatever is asked of a name meanwhile."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockgate.errors import StorageError
from lockgate.storage.base import TargetBusy, WriteHandle, WriteMode
from lockgate.storage.conformance import put, refused
from lockgate.storage.ledger import Ledger
from lockgate.storage.local import LocalStorage
from lockgate.storage.quota import Quota, QuotaStorage
from lockgate.storage.settings import FileSettings
from lockgate.storage.usage import Usage

IN_PLACE = FileSettings(in_place=True)
# What somebody asks of a name that is being written to; all but the last are refused.
ASKED: dict[str, Callable[[QuotaStorage], object]] = {
    "remove": lambda storage: storage.remove("/file"),
    "rename": lambda storage: storage.rename("/file", "/other"),
    "replace": lambda storage: storage.rename("/beside", "/file"),
    "missing": lambda storage: storage.rename("/missing", "/file"),
    "make": lambda storage: storage.make_directory("/file"),
    "remove directory": lambda storage: storage.remove_directory("/file"),
    "write": lambda storage: storage.open_write("/file", WriteMode.REPLACE),
    "drop": lambda storage: storage.open_write("/file", WriteMode.REPLACE).discard(),
}


class Interrupted(LocalStorage):
    """A storage in which something happens between the first look at a name and its change."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def remove(self, path: str) -> None:
        self.meanwhile()
        super().remove(path)

    def rename(self, source: str, target: str) -> None:
        self.meanwhile()
        super().rename(source, target)

    def make_directory(self, path: str) -> None:
        self.meanwhile()
        super().make_directory(path)

    def remove_directory(self, path: str) -> None:
        self.meanwhile()
        super().remove_directory(path)

    def open_write(self, path: str, mode: WriteMode, *, offset: int = 0) -> WriteHandle:  # type: ignore[override]
        self.meanwhile()
        return super().open_write(path, mode, offset=offset)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LocalStorage]:
    with contextlib.closing(LocalStorage(tmp_path, IN_PLACE)) as opened:
        yield opened


def walked(root: Path) -> Usage:
    found = [path.lstat() for path in root.rglob("*")]
    return Usage(sum(status.st_size for status in found), len(found))


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("before", [0, 50], ids=["grows", "shrinks"])
def test_what_is_written_while_a_name_is_measured_counts_once(
    storage: LocalStorage, tmp_path: Path, asked: str, before: int
) -> None:
    ledger = Ledger(storage)
    limited = QuotaStorage(storage, ledger, Quota(bytes=1000))
    put(limited, "/beside", b"1")
    if before:
        put(limited, "/file", b"x" * before)
    settings = FileSettings(in_place=True, drop_box=asked == "drop")
    with contextlib.closing(Interrupted(tmp_path, settings, state=storage.state)) as other:
        upload = limited.open_write("/file", WriteMode.REPLACE)
        other.meanwhile = lambda: upload.write(b"0123456789")
        with contextlib.nullcontext() if asked == "drop" else pytest.raises(StorageError):
            ASKED[asked](QuotaStorage(other, ledger, Quota(bytes=1000)))
        assert ledger.used == walked(tmp_path)
        upload.write(b"0123456789")
        upload.commit()
    assert ledger.used == walked(tmp_path)


@pytest.mark.parametrize("way", ["removed", "renamed", "replaced"])
def test_a_file_that_is_taken_away_under_an_upload_is_counted_where_it_is(
    storage: LocalStorage, tmp_path: Path, way: str
) -> None:
    # By an account that keeps its files in the other way, and so does not ask for the lock.
    ledger = Ledger(storage)
    limited = QuotaStorage(storage, ledger, Quota(bytes=1000))
    with contextlib.closing(LocalStorage(tmp_path, state=storage.state)) as inner:
        other = QuotaStorage(inner, ledger, Quota())
        put(limited, "/file", b"x" * 50)
        upload = limited.open_write("/file", WriteMode.APPEND)
        upload.write(b"0123456789")
        if way == "removed":
            other.remove("/file")
        elif way == "renamed":
            other.rename("/file", "/other")
        else:
            put(other, "/file", b"new")
        upload.write(b"0123456789")
        with refused(TargetBusy):
            upload.commit()
        upload.discard()
    assert ledger.used == walked(tmp_path)


def test_uploads_and_removals_at_once_leave_no_trace_in_the_count(
    storage: LocalStorage, tmp_path: Path
) -> None:
    ledger = Ledger(storage)
    limited = QuotaStorage(storage, ledger, Quota(bytes=200_000))
    ended = threading.Event()

    def store(mode: WriteMode, pieces: int) -> None:
        while not ended.is_set():
            with contextlib.suppress(StorageError), contextlib.closing(limited.open_write("/k", mode)) as one:
                for _ in range(pieces):
                    one.write(b"x" * 1000)
                one.commit()

    def remove() -> None:
        while not ended.is_set():
            with contextlib.suppress(StorageError):
                limited.remove("/k")

    work = (
        lambda: store(WriteMode.REPLACE, 50),
        lambda: store(WriteMode.APPEND, 20),
        lambda: store(WriteMode.REPLACE, 300),  # more than there is room for
        remove,
    )
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    ended.wait(2.0)
    ended.set()
    for thread in threads:
        thread.join(30)
    assert ledger.used == walked(tmp_path)
    if (tmp_path / "k").exists():
        limited.remove("/k")
    assert (ledger.used, os.listdir(tmp_path)) == (Usage(), [])
