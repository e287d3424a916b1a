"""Every backend passes the storage suite."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.storage._openat2 import kernel_has_openat2
from lockgate.storage.base import Storage
from lockgate.storage.conformance import InPlaceConformance, StorageConformance
from lockgate.storage.ledger import Ledger
from lockgate.storage.local import LocalStorage
from lockgate.storage.memory import MemoryStorage
from lockgate.storage.quota import Quota, QuotaStorage
from lockgate.storage.settings import FileSettings

BOTH_WAYS = [
    pytest.param(
        (True, False), marks=pytest.mark.skipif(not kernel_has_openat2(), reason="no openat2"), id="openat2"
    ),
    pytest.param((False, True), id="walk-fsync"),
]


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


@pytest.mark.parametrize("storage", BOTH_WAYS, indirect=True)
class TestLocalStorageInPlace(InPlaceConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Storage]:
        use_openat2, fsync = request.param
        settings = FileSettings(in_place=True, fsync=fsync)
        with contextlib.closing(LocalStorage(tmp_path, settings, use_openat2=use_openat2)) as storage:
            yield storage


class TestQuotaStorageInPlace(InPlaceConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        with contextlib.closing(LocalStorage(tmp_path, FileSettings(in_place=True))) as inner:
            ledger = Ledger(inner)
            yield QuotaStorage(inner, ledger, Quota(bytes=1 << 20, files=200))
            kept = ledger.used
        with contextlib.closing(LocalStorage(tmp_path)) as inner:
            fresh = Ledger(inner)
            fresh.ensure_counted()
            assert kept == fresh.used
