"""Every backend passes the storage suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.storage._openat2 import kernel_has_openat2
from lockgate.storage.base import Storage
from lockgate.storage.conformance import StorageConformance
from lockgate.storage.ledger import Ledger
from lockgate.storage.local import LocalStorage
from lockgate.storage.memory import MemoryStorage
from lockgate.storage.quota import Quota, QuotaStorage
from lockgate.storage.settings import FileSettings


@pytest.mark.skipif(not kernel_has_openat2(), reason="this kernel or sandbox has no openat2")
class TestLocalStorage(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        storage = LocalStorage(tmp_path, use_openat2=True)
        yield storage
        storage.close()


class TestLocalStorageWithoutOpenat2(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        storage = LocalStorage(tmp_path, use_openat2=False)
        yield storage
        storage.close()


class TestLocalStorageWithFsync(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        storage = LocalStorage(tmp_path, FileSettings(fsync=True))
        yield storage
        storage.close()


class TestMemoryStorage(StorageConformance):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()


class TestQuotaStorage(StorageConformance):
    @pytest.fixture(params=["local", "memory"])
    def storage(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
        inner = LocalStorage(tmp_path) if request.param == "local" else MemoryStorage()
        ledger = Ledger(inner)
        storage = QuotaStorage(inner, ledger, Quota(bytes=1 << 20, files=200))
        yield storage
        kept = ledger.used
        inner.close()
        with_what_is_there = LocalStorage(tmp_path) if request.param == "local" else None
        if with_what_is_there is not None:
            fresh = Ledger(with_what_is_there)
            fresh.ensure_counted()
            assert kept == fresh.used
            with_what_is_there.close()
