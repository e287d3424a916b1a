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

    @rule(
        path=PATHS, mode=st.sampled_from(WriteMode), offset=LENGTHS, account=st.sampled_from(["one", "two"])
    )
    def begin(self, path: str, mode: WriteMode, offset: int, account: str) -> None:
        try:
            offset = offset if mode is WriteMode.RESUME else 0
            files = self.storage.for_account(account)
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

    @rule(path=PATHS, other=PATHS, way=st.sampled_from(["remove", "mkdir", "rmdir", "rename"]))
    def change(self, path: str, other: str, way: str) -> None:
        try:
            match way:
                case "remove":
                    self.storage.remove(path)
                case "mkdir":
                    self.storage.make_directory(path)
                case "rmdir":
                    self.storage.remove_directory(path)
                case _:
                    self.storage.rename(path, other)
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


TestMemoryQuota = QuotaMachine.TestCase
TestMemoryQuota.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestLocalQuota = LocalQuotaMachine.TestCase
TestLocalQuota.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
