"""The storage suite, uploads: what shows when, and how they go on; see `conformance`."""

from __future__ import annotations

from collections.abc import Callable

from lockgate.errors import AlreadyExists, IsADirectory, NameRejected, NotADirectory, NotFound, StorageError

from ._suite_tools import content, keep_partial, names, put, refused
from .base import OffsetBeyondEnd, Storage, TargetBusy, WriteCancelled, WriteMode

__all__ = ["UploadSuite"]


class UploadSuite:
    """Uploads: what shows when, and how they go on."""

    def test_an_upload_shows_only_when_it_is_committed(self, storage: Storage) -> None:
        upload = storage.open_write("/new", WriteMode.REPLACE)
        upload.write(b"whole")
        before = names(storage)
        upload.commit()
        assert (before, names(storage), content(storage, "/new")) == ([], ["new"], b"whole")

    def test_the_old_content_stays_until_the_commit(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.REPLACE)
        upload.write(b"new")
        before = content(storage, "/file")
        upload.commit()
        assert (before, content(storage, "/file")) == (b"old", b"new")

    def test_a_discarded_upload_leaves_nothing(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        for path in ("/file", "/other"):
            upload = storage.open_write(path, WriteMode.REPLACE)
            upload.write(b"new")
            upload.discard()
            assert storage.resumable_size(path) is None
        assert (names(storage), content(storage, "/file")) == (["file"], b"old")

    def test_a_closed_upload_is_discarded(self, storage: Storage) -> None:
        upload = storage.open_write("/file", WriteMode.REPLACE)
        upload.write(b"new")
        upload.close()
        assert (names(storage), storage.resumable_size("/file")) == ([], None)

    def test_the_first_end_of_an_upload_counts(self, storage: Storage) -> None:
        first = storage.open_write("/committed", WriteMode.REPLACE)
        first.commit()
        first.discard()
        first.close()
        second = storage.open_write("/discarded", WriteMode.REPLACE)
        second.discard()
        second.commit()
        assert names(storage) == ["committed"]
        with refused(StorageError):
            second.write(b"late")

    def test_a_write_takes_bytes_and_views_and_counts(self, storage: Storage) -> None:
        upload = storage.open_write("/file", WriteMode.REPLACE)
        view = memoryview(bytearray(b"-defg-"))[1:5]
        counts = [upload.write(b"abc"), upload.write(view), upload.write(b"")]
        position = upload.position
        upload.commit()
        assert (counts, position, content(storage, "/file")) == ([3, 4, 0], 7, b"abcdefg")

    def test_append_continues_what_is_there(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.APPEND)
        start = upload.position
        upload.write(b"+new")
        before = content(storage, "/file")
        upload.commit()
        assert (start, before, content(storage, "/file")) == (3, b"old", b"old+new")

    def test_append_without_a_target_begins_one(self, storage: Storage) -> None:
        upload = storage.open_write("/file", WriteMode.APPEND)
        upload.write(b"new")
        upload.commit()
        assert content(storage, "/file") == b"new"

    def test_append_without_a_target_continues_the_kept_partial(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"half")
        upload = storage.open_write("/file", WriteMode.APPEND)
        upload.write(b"+half")
        upload.commit()
        assert content(storage, "/file") == b"half+half"

    def test_a_failed_append_leaves_the_old_content_and_nothing_else(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.APPEND)
        upload.write(b"+n")
        upload.discard(keep=True)
        assert (content(storage, "/file"), storage.resumable_size("/file")) == (b"old", None)
        storage.remove("/file")
        assert storage.resumable_size("/file") is None

    def test_an_append_of_nothing_leaves_the_target_as_it_was(self, storage: Storage) -> None:
        for path, old in (("/file", b"old"), ("/empty", b"")):
            put(storage, path, old)
            storage.set_modified(path, 1_500_000_000)
            before = storage.stat(path)
            for mode, offset in ((WriteMode.APPEND, 0), (WriteMode.RESUME, len(old))):
                upload = storage.open_write(path, mode, offset=offset)
                assert (upload.write(b""), upload.position) == (0, len(old))
                upload.commit()
                assert (storage.stat(path), content(storage, path)) == (before, old)

    def test_an_upload_continues_what_stood_there_and_undoes_nothing(self, storage: Storage) -> None:
        def append() -> None:
            other = storage.open_write("/file", WriteMode.APPEND)
            other.write(b"+first")
            other.commit()

        for mode, offset in ((WriteMode.APPEND, 0), (WriteMode.RESUME, 3), (WriteMode.RESUME, 1)):
            changes: tuple[tuple[Callable[[], None], bytes | None], ...] = (
                (lambda: put(storage, "/file", b"other"), b"other"),
                (lambda: put(storage, "/file", b"old"), b"old"),
                (lambda: storage.remove("/file"), None),
                (lambda: storage.rename("/file", "/elsewhere"), None),
                (append, b"old+first"),
            )
            for change, left in changes:
                put(storage, "/file", b"old")
                upload = storage.open_write("/file", mode, offset=offset)
                upload.write(b"+second")
                change()
                with refused(TargetBusy):
                    upload.commit()
                upload.discard(keep=True)
                assert storage.resumable_size("/file") is None
                assert (content(storage, "/file") if "file" in names(storage) else None) == left

    def test_of_two_that_begin_what_they_append_to_the_second_is_refused(self, storage: Storage) -> None:
        first = storage.open_write("/file", WriteMode.APPEND)
        second = storage.open_write("/file", WriteMode.APPEND)
        first.write(b"first")
        second.write(b"second")
        first.commit()
        with refused(TargetBusy):
            second.commit()
        second.discard(keep=True)
        assert (content(storage, "/file"), storage.resumable_size("/file")) == (b"first", None)

    def test_a_resumed_part_does_not_replace_what_has_come_meanwhile(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"half")
        upload = storage.open_write("/file", WriteMode.RESUME, offset=4)
        upload.write(b"+half")
        put(storage, "/file", b"whole")
        with refused(TargetBusy):
            upload.commit()
        upload.discard()
        assert content(storage, "/file") == b"whole"

    def test_a_cancelled_upload_copies_nothing_and_leaves_the_target(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.APPEND)
        upload.cancel()
        with refused(WriteCancelled):
            upload.write(b"+new")
        upload.discard(keep=True)
        cut = storage.open_write("/file", WriteMode.RESUME, offset=1)
        cut.cancel()
        with refused(WriteCancelled):
            cut.commit()
        cut.discard()
        assert (content(storage, "/file"), names(storage)) == (b"old", ["file"])

    def test_what_has_begun_is_not_cancelled(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.APPEND)
        upload.write(b"+n")
        upload.cancel()
        upload.write(b"ew")
        upload.commit()
        assert content(storage, "/file") == b"old+new"

    def test_an_interrupted_upload_is_resumed_where_it_stopped(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"0123")
        assert storage.resumable_size("/file") == 4
        upload = storage.open_write("/file", WriteMode.RESUME, offset=4)
        assert upload.position == 4
        upload.write(b"4567")
        upload.commit()
        assert (content(storage, "/file"), storage.resumable_size("/file")) == (b"01234567", None)

    def test_a_resumed_upload_can_be_interrupted_again(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"0123")
        upload = storage.open_write("/file", WriteMode.RESUME, offset=4)
        upload.write(b"45")
        upload.discard(keep=True)
        assert storage.resumable_size("/file") == 6

    def test_resuming_without_receiving_gives_the_partial_back(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"0123")
        for mode, offset in ((WriteMode.RESUME, 2), (WriteMode.APPEND, 0)):
            storage.open_write("/file", mode, offset=offset).discard()
            storage.open_write("/file", mode, offset=offset).discard(keep=True)
            assert storage.resumable_size("/file") == 4
        upload = storage.open_write("/file", WriteMode.RESUME, offset=4)
        upload.write(b"45")
        upload.commit()
        assert content(storage, "/file") == b"012345"

    def test_a_resumed_upload_that_is_aborted_is_gone(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"0123")
        upload = storage.open_write("/file", WriteMode.RESUME, offset=2)
        upload.write(b"x")
        upload.discard()
        assert storage.resumable_size("/file") is None

    def test_a_resumed_upload_can_end_where_it_starts(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"0123")
        storage.open_write("/file", WriteMode.RESUME, offset=2).commit()
        assert content(storage, "/file") == b"01"

    def test_resuming_earlier_cuts_what_was_kept(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"0123456789")
        upload = storage.open_write("/file", WriteMode.RESUME, offset=2)
        upload.write(b"ab")
        upload.commit()
        assert content(storage, "/file") == b"01ab"

    def test_resuming_without_a_partial_starts_from_the_target(self, storage: Storage) -> None:
        put(storage, "/file", b"0123456789")
        upload = storage.open_write("/file", WriteMode.RESUME, offset=4)
        upload.write(b"ab")
        before = content(storage, "/file")
        upload.commit()
        assert (before, content(storage, "/file")) == (b"0123456789", b"0123ab")

    def test_an_offset_beyond_the_end_is_refused(self, storage: Storage) -> None:
        put(storage, "/file", b"0123")
        keep_partial(storage, "/partial", b"012")
        for path, offset in (("/file", 5), ("/partial", 4), ("/nothing", 1)):
            with refused(OffsetBeyondEnd):
                storage.open_write(path, WriteMode.RESUME, offset=offset)
        assert (names(storage), storage.resumable_size("/partial")) == (["file"], 3)

    def test_an_offset_goes_with_resume_only(self, storage: Storage) -> None:
        put(storage, "/file", b"0123")
        for mode, offset in ((WriteMode.REPLACE, 2), (WriteMode.APPEND, 2), (WriteMode.RESUME, -1)):
            with refused(StorageError):
                storage.open_write("/file", mode, offset=offset)

    def test_of_two_uploads_to_one_name_the_last_commit_wins(self, storage: Storage) -> None:
        first = storage.open_write("/file", WriteMode.REPLACE)
        second = storage.open_write("/file", WriteMode.REPLACE)
        for upload, data in ((first, b"first"), (second, b"second"), (first, b" whole")):
            upload.write(data)
        second.commit()
        between = content(storage, "/file")
        first.commit()
        assert (between, content(storage, "/file")) == (b"second", b"first whole")

    def test_a_partial_is_resumed_by_one_only(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"0123")
        first = storage.open_write("/file", WriteMode.RESUME, offset=4)
        with refused(OffsetBeyondEnd):
            storage.open_write("/file", WriteMode.RESUME, offset=4)
        first.discard(keep=True)
        assert storage.resumable_size("/file") == 4

    def test_create_new_wants_a_free_name_at_the_beginning(self, storage: Storage) -> None:
        put(storage, "/file")
        with refused(AlreadyExists):
            storage.open_write("/file", WriteMode.CREATE_NEW)

    def test_create_new_wants_a_free_name_at_the_commit(self, storage: Storage) -> None:
        upload = storage.open_write("/file", WriteMode.CREATE_NEW)
        upload.write(b"late")
        put(storage, "/file", b"early")
        with refused(AlreadyExists):
            upload.commit()
        upload.discard(keep=True)
        assert (content(storage, "/file"), storage.resumable_size("/file")) == (b"early", None)

    def test_unique_uploads_get_names_of_their_own(self, storage: Storage) -> None:
        storage.make_directory("/in")
        found = []
        for _ in range(3):
            name, upload = storage.create_unique("/in", "report")
            upload.write(name.encode())
            upload.commit()
            found.append(name)
        assert names(storage, "/in") == sorted(set(found))
        assert all(name.startswith("report") for name in found)
        assert content(storage, f"/in/{found[0]}") == found[0].encode()

    def test_a_unique_name_needs_no_prefix_and_takes_no_path(self, storage: Storage) -> None:
        name, upload = storage.create_unique("/", "")
        upload.commit()
        assert names(storage) == [name]
        with refused(NameRejected):
            storage.create_unique("/", "a/b")

    def test_an_upload_needs_a_directory_and_replaces_none(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        put(storage, "/file")
        for path, kind in (
            ("/folder", IsADirectory),
            ("/", IsADirectory),
            ("/missing/file", NotFound),
            ("/file/file", NotADirectory),
        ):
            with refused(kind):
                storage.open_write(path, WriteMode.REPLACE)

    def test_new_content_keeps_the_permissions(self, storage: Storage) -> None:
        put(storage, "/file")
        storage.set_mode("/file", 0o604)
        put(storage, "/file", b"new")
        assert storage.stat("/file").mode == 0o604
