"""The storage suite, the tree: reading, listing, directories, names; see `conformance`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from lockgate.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    IsADirectory,
    NameRejected,
    NotADirectory,
    NotFound,
    OutsideRoot,
    PermissionDenied,
    StorageError,
)

from ._names import HIDDEN_PREFIX
from ._suite_tools import content, names, put, refused
from .base import EntryKind, EntryScan, OffsetBeyondEnd, ReadHandle, Storage, WriteHandle, WriteMode

__all__ = ["TreeSuite"]

# Octets that are no UTF-8, as they come from the wire; and text that some tools would take for more than a
# name.
_ODD_NAMES = (
    b"caf\xe9",
    b"\xff\xfe",
    "Grüße ☃".encode(),
    b"a\\..\\b",
    b"%2e%2e",
    b"two  spaces ",
    b'tab\tquote"',
)


class TreeSuite:
    """Everything about names that is not an upload."""

    def test_the_backend_and_its_handles_keep_the_protocols(self, storage: Storage) -> None:
        put(storage, "/file")
        with (
            contextlib.closing(storage.open_read("/file")) as reader,
            contextlib.closing(storage.open_write("/file", WriteMode.REPLACE)) as writer,
            contextlib.closing(storage.scan("/")) as scan,
        ):
            assert isinstance(storage, Storage)
            assert isinstance(reader, ReadHandle)
            assert isinstance(writer, WriteHandle)
            assert isinstance(scan, EntryScan)

    def test_a_file_says_what_it_is(self, storage: Storage) -> None:
        put(storage, "/file", b"12345")
        storage.set_modified("/file", 1_000_000_000.5)
        storage.set_mode("/file", 0o640)
        entry = storage.stat("/file")
        assert (entry.name, entry.kind, entry.size) == ("file", EntryKind.FILE, 5)
        assert (entry.modified, entry.mode, entry.link_target) == (1_000_000_000.5, 0o640, None)
        assert entry.unique
        assert entry.owner
        assert entry.group

    def test_a_directory_says_what_it_is(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        entry = storage.stat("/folder")
        assert (entry.name, entry.kind) == ("folder", EntryKind.DIRECTORY)

    def test_the_root_is_a_directory_called_slash(self, storage: Storage) -> None:
        entry = storage.stat("/")
        assert (entry.name, entry.kind) == ("/", EntryKind.DIRECTORY)

    def test_the_unique_fact_goes_with_the_file(self, storage: Storage) -> None:
        put(storage, "/one")
        put(storage, "/two")
        first, second = storage.stat("/one").unique, storage.stat("/two").unique
        storage.rename("/one", "/three")
        assert first != second
        assert storage.stat("/three").unique == first

    def test_a_scan_gives_what_stat_gives(self, storage: Storage) -> None:
        put(storage, "/file", b"12345")
        storage.make_directory("/folder")
        with contextlib.closing(storage.scan("/")) as scan:
            found = {entry.name: entry for entry in scan}
        assert found == {"file": storage.stat("/file"), "folder": storage.stat("/folder")}

    def test_a_scan_can_be_closed_before_its_end(self, storage: Storage) -> None:
        for number in range(3):
            put(storage, f"/{number}")
        scan = storage.scan("/")
        next(scan)
        scan.close()
        scan.close()
        assert list(scan) == []

    def test_entries_that_vanish_during_a_scan_do_no_harm(self, storage: Storage) -> None:
        for number in range(20):
            put(storage, f"/{number}")
        scan = storage.scan("/")
        first = next(scan).name
        for number in range(20):
            storage.remove(f"/{number}")
        rest = [entry.name for entry in scan]
        assert {first, *rest} <= {str(number) for number in range(20)}
        assert names(storage) == []

    def test_only_directories_are_scanned(self, storage: Storage) -> None:
        put(storage, "/file")
        with refused(NotADirectory):
            storage.scan("/file")
        with refused(NotFound):
            storage.scan("/missing")

    def test_reading_starts_where_it_is_told(self, storage: Storage) -> None:
        put(storage, "/file", b"0123456789")
        buffer = bytearray(4)
        with contextlib.closing(storage.open_read("/file")) as reader:
            reader.seek(8)
            counts = [reader.readinto(memoryview(buffer)), reader.readinto(memoryview(buffer))]
            assert (reader.size, counts, bytes(buffer[:2])) == (10, [2, 0], b"89")
            reader.seek(10)
            for offset in (11, -1):
                with refused(OffsetBeyondEnd):
                    reader.seek(offset)

    def test_a_closed_reader_reads_no_more(self, storage: Storage) -> None:
        put(storage, "/file")
        reader = storage.open_read("/file")
        reader.close()
        reader.close()
        with refused(StorageError):
            reader.readinto(memoryview(bytearray(4)))

    def test_only_files_are_read(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        put(storage, "/file")
        for path, kind in (
            ("/folder", IsADirectory),
            ("/", IsADirectory),
            ("/missing", NotFound),
            ("/missing/file", NotFound),
            ("/file/file", NotADirectory),
        ):
            with refused(kind):
                storage.open_read(path)

    def test_remove_takes_files_only(self, storage: Storage) -> None:
        put(storage, "/file")
        storage.make_directory("/folder")
        storage.remove("/file")
        for path, kind in (("/file", NotFound), ("/folder", IsADirectory), ("/", PermissionDenied)):
            with refused(kind):
                storage.remove(path)
        assert names(storage) == ["folder"]

    def test_a_directory_needs_a_free_name_and_a_parent(self, storage: Storage) -> None:
        put(storage, "/file")
        storage.make_directory("/folder")
        storage.make_directory("/folder/inner")
        for path, kind in (
            ("/folder", AlreadyExists),
            ("/file", AlreadyExists),
            ("/", AlreadyExists),
            ("/missing/inner", NotFound),
            ("/file/inner", NotADirectory),
        ):
            with refused(kind):
                storage.make_directory(path)
        assert names(storage, "/folder") == ["inner"]

    def test_only_an_empty_directory_is_removed(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        put(storage, "/folder/file")
        for path, kind in (
            ("/folder", DirectoryNotEmpty),
            ("/folder/file", NotADirectory),
            ("/missing", NotFound),
            ("/", PermissionDenied),
        ):
            with refused(kind):
                storage.remove_directory(path)
        storage.remove("/folder/file")
        storage.remove_directory("/folder")
        assert names(storage) == []

    def test_a_directory_with_an_upload_under_way_stays(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        upload = storage.open_write("/folder/file", WriteMode.REPLACE)
        with refused(DirectoryNotEmpty):
            storage.remove_directory("/folder")
        upload.commit()
        assert names(storage, "/folder") == ["file"]

    def test_rename_moves_files_and_directories(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        put(storage, "/folder/file", b"moved")
        storage.rename("/folder", "/other")
        storage.rename("/other/file", "/file")
        assert (names(storage), names(storage, "/other")) == (["file", "other"], [])
        assert content(storage, "/file") == b"moved"

    def test_rename_replaces_a_file(self, storage: Storage) -> None:
        put(storage, "/old", b"old")
        put(storage, "/new", b"new")
        storage.rename("/new", "/old")
        storage.rename("/old", "/old")
        assert (names(storage), content(storage, "/old")) == (["old"], b"new")

    def test_rename_refuses_what_would_lose_a_tree(self, storage: Storage) -> None:
        storage.make_directory("/full")
        put(storage, "/full/file")
        storage.make_directory("/folder")
        put(storage, "/file")
        for source, target, kind in (
            ("/missing", "/new", NotFound),
            ("/file", "/missing/new", NotFound),
            ("/file", "/folder", IsADirectory),
            ("/folder", "/file", NotADirectory),
            ("/folder", "/full", DirectoryNotEmpty),
            ("/full", "/full/inner", NameRejected),
            ("/", "/new", PermissionDenied),
            ("/file", "/", PermissionDenied),
        ):
            with refused(kind):
                storage.rename(source, target)
        assert (names(storage), names(storage, "/full")) == (["file", "folder", "full"], ["file"])

    def test_a_time_no_file_system_knows_is_refused(self, storage: Storage) -> None:
        put(storage, "/file")
        storage.set_modified("/file", 5)
        with refused(PermissionDenied):
            storage.set_modified("/", 5)
        for timestamp in (float("nan"), float("inf"), 1e30):
            with refused(StorageError):
                storage.set_modified("/file", timestamp)
        with refused(NotFound):
            storage.set_modified("/missing", 5)
        assert storage.stat("/file").modified == 5

    def test_only_permission_bits_can_be_set(self, storage: Storage) -> None:
        put(storage, "/file")
        storage.set_mode("/file", 0o600)
        for mode in (0o4755, 0o2755, 0o1777, -1):
            with refused(PermissionDenied):
                storage.set_mode("/file", mode)
        with refused(NotFound):
            storage.set_mode("/missing", 0o600)
        with refused(PermissionDenied):
            storage.set_mode("/", 0o600)
        assert storage.stat("/file").mode == 0o600

    def test_odd_names_come_back_as_they_were(self, storage: Storage) -> None:
        wanted = [raw.decode("utf-8", "surrogateescape") for raw in _ODD_NAMES]
        for name in wanted:
            put(storage, f"/{name}", name.encode("utf-8", "surrogateescape"))
            storage.make_directory(f"/{name}-folder")
        for name in wanted:
            assert content(storage, f"/{name}") == name.encode("utf-8", "surrogateescape")
            assert storage.stat(f"/{name}").name == name
        assert names(storage) == sorted([*wanted, *(f"{name}-folder" for name in wanted)])

    def test_names_that_cannot_be_are_refused(self, storage: Storage) -> None:
        put(storage, "/file")
        for name in ("a" * 256, "ä" * 128, "nul\0", "\ud800"):
            with refused(NameRejected):
                storage.open_write(f"/{name}", WriteMode.REPLACE)
            with refused(NameRejected):
                storage.make_directory(f"/{name}")
            with refused(NameRejected):
                storage.rename("/file", f"/{name}")
            with refused(NameRejected):
                storage.stat(f"/{name}")
        assert names(storage) == ["file"]

    def test_paths_that_are_not_normalised_lead_nowhere(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        calls = (storage.stat, storage.scan, storage.open_read, storage.remove, storage.make_directory)
        for path in ("/..", "/../etc/passwd", "/folder/..", "/folder/../../x"):
            for call in calls:
                with refused(OutsideRoot):
                    call(path)
        with refused(NameRejected):
            storage.stat("folder")

    def test_hidden_names_are_not_there_and_cannot_be_made(self, storage: Storage) -> None:
        put(storage, "/file")
        reading: tuple[Callable[[str], object], ...] = (
            storage.stat,
            storage.scan,
            storage.open_read,
            storage.remove,
            storage.remove_directory,
            lambda path: storage.rename(path, "/new"),
            lambda path: storage.set_mode(path, 0o600),
            lambda path: storage.set_modified(path, 5),
        )
        making: tuple[Callable[[str], object], ...] = (
            storage.make_directory,
            lambda path: storage.rename("/file", path),
            lambda path: storage.open_write(path, WriteMode.REPLACE),
        )
        # A disk that ignores case also ignores what Unicode calls ignorable.
        joined = f"{HIDDEN_PREFIX[:5]}\u200d{HIDDEN_PREFIX[5:]}x"
        for name in (f"{HIDDEN_PREFIX}x", f"{HIDDEN_PREFIX.upper()}x", joined):
            for path in (f"/{name}", f"/{name}/inner"):
                for call in reading:
                    with refused(NotFound):
                        call(path)
                for call in making:
                    with refused(NameRejected):
                        call(path)
                assert storage.resumable_size(path) is None
            with refused(NameRejected):
                storage.create_unique("/", name)
        assert names(storage) == ["file"]

    def test_the_room_that_is_left_is_no_less_than_nothing(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        for path in ("/", "/folder"):
            found = storage.free_bytes(path)
            assert found is None or found >= 0
        with refused(NotFound):
            storage.free_bytes("/missing")

    def test_after_close_nothing_new_begins_and_open_handles_go_on(self, storage: Storage) -> None:
        put(storage, "/file", b"12345")
        reader = storage.open_read("/file")
        upload = storage.open_write("/other", WriteMode.REPLACE)
        storage.close()
        storage.close()
        buffer = bytearray(9)
        assert reader.readinto(memoryview(buffer)) == 5
        assert upload.write(b"x") == 1
        upload.commit()
        reader.close()
        with refused(StorageError):
            storage.stat("/file")
