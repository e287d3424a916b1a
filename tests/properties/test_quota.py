"""No order of operations makes a quota's count drift, or lets more be there than the quota."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lockgate.errors import StorageError
from lockgate.storage.base import WriteMode
from lockgate.storage.ledger import Ledger
from lockgate.storage.local import LocalStorage
from lockgate.storage.memory import MemoryStorage
from lockgate.storage.quota import Quota, QuotaStorage, QuotaWriter
from lockgate.storage.settings import FileSettings
from lockgate.storage.usage import CountedStorage, Usage

PATHS = st.sampled_from(["/a", "/b", "/d", "/d/a", "/d/b", "/e", "/e/a", "/d/e", "/d/e/a"])
LENGTHS = st.integers(0, 40)
BYTES, FILES = 100, 7


class QuotaMachine(RuleBasedStateMachine):
    """Everything that a client can have done, by several uploads at once, while the count is begun anew."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = self.make()
        self.ledger = Ledger(self.inner, patience_seconds=60)
        self.storage = QuotaStorage(self.inner, self.ledger, Quota(bytes=BYTES, files=FILES))
        self.uploads: list[QuotaWriter] = []

    def make(self) -> CountedStorage:
        return MemoryStorage(kept_limit=3)

    def files(self, account: str) -> QuotaStorage:
        return self.storage.for_account(account)

    @rule(
        path=PATHS, mode=st.sampled_from(WriteMode), offset=LENGTHS, account=st.sampled_from(["one", "two"])
    )
    def begin(self, path: str, mode: WriteMode, offset: int, account: str) -> None:
        try:
            offset = offset if mode is WriteMode.RESUME else 0
            files = self.files(account)
            self.uploads.append(files.open_write(path, mode, offset=offset))
        except StorageError:
            pass

    @rule(path=PATHS)
    def begin_unique(self, path: str) -> None:
        with contextlib.suppress(StorageError):
            self.uploads.append(self.storage.create_unique(path, "")[1])

    @rule(number=st.integers(0, 9), count=LENGTHS, cancelled=st.booleans())
    def write(self, number: int, count: int, cancelled: bool) -> None:
        if self.uploads:
            upload = self.uploads[number % len(self.uploads)]
            if cancelled:
                upload.cancel()
            with contextlib.suppress(StorageError):
                upload.write(b"x" * count)

    @rule(number=st.integers(0, 9), way=st.sampled_from(["commit", "discard", "keep", "close"]))
    def end(self, number: int, way: str) -> None:
        if not self.uploads:
            return
        upload = self.uploads.pop(number % len(self.uploads))
        try:
            if way == "commit":
                upload.commit()
            elif way != "close":
                upload.discard(keep=way == "keep")
        except StorageError:
            pass
        upload.close()

    @rule(
        path=PATHS,
        other=PATHS,
        way=st.sampled_from(["remove", "mkdir", "rmdir", "rename"]),
        account=st.sampled_from(["one", "two"]),
    )
    def change(self, path: str, other: str, way: str, account: str) -> None:
        files = self.files(account)
        try:
            match way:
                case "remove":
                    files.remove(path)
                case "mkdir":
                    files.make_directory(path)
                case "rmdir":
                    files.remove_directory(path)
                case _:
                    files.rename(path, other)
        except StorageError:
            pass

    @rule()
    def count_a_little(self) -> None:
        self.ledger.recount(0)

    @invariant()
    def agrees_with_a_walk(self) -> None:
        self.ledger.ensure_counted()
        there = walked(self.inner)
        assert self.ledger.used == there
        assert there.bytes <= BYTES
        assert there.files <= FILES

    def teardown(self) -> None:
        for upload in self.uploads:
            upload.close()
        assert self.ledger.used == walked(self.inner)
        self.inner.close()


def walked(storage: CountedStorage) -> Usage:
    fresh = Ledger(storage, patience_seconds=60)
    fresh.ensure_counted()
    return fresh.used


class LocalQuotaMachine(QuotaMachine):
    """The same on a disk."""

    def make(self) -> CountedStorage:
        self.folder = tempfile.TemporaryDirectory()
        return LocalStorage(Path(self.folder.name), kept_limit=3)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class InPlaceQuotaMachine(LocalQuotaMachine):
    """Uploads in place by one account; the other has its uploads show when they are whole."""

    def make(self) -> CountedStorage:
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        in_place = LocalStorage(root, FileSettings(in_place=True), kept_limit=3)
        self.atomic = LocalStorage(root, state=in_place.state)
        return in_place

    def files(self, account: str) -> QuotaStorage:
        if account == "one":
            return super().files(account)
        return QuotaStorage(self.atomic, self.ledger, Quota(bytes=BYTES, files=FILES))

    @invariant()
    def agrees_with_a_walk(self) -> None:
        # An upload whose file was taken away under it holds its room until it ends.
        if not self.uploads:
            super().agrees_with_a_walk()

    def teardown(self) -> None:
        super().teardown()
        self.atomic.close()


TestMemoryQuota = QuotaMachine.TestCase
TestMemoryQuota.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestInPlaceQuota = InPlaceQuotaMachine.TestCase
TestInPlaceQuota.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
TestLocalQuota = LocalQuotaMachine.TestCase
TestLocalQuota.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
