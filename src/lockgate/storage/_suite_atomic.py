"""The storage suite, atomic uploads: what shows when; see `conformance`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from lockgate.errors import AlreadyExists

from ._suite_tools import content, keep_partial, names, put, refused
from .base import OffsetBeyondEnd, Storage, TargetBusy, WriteCancelled, WriteMode

__all__ = ["AtomicSuite"]


class AtomicSuite:
    """Uploads that show when they are whole."""

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

    def test_a_failed_append_leaves_the_old_content_and_nothing_else(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.APPEND)
        upload.write(b"+n")
        upload.discard(keep=True)
        assert (content(storage, "/file"), storage.resumable_size("/file")) == (b"old", None)
        storage.remove("/file")
        assert storage.resumable_size("/file") is None

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

    def test_create_new_wants_a_free_name_at_the_commit(self, storage: Storage) -> None:
        upload = storage.open_write("/file", WriteMode.CREATE_NEW)
        upload.write(b"late")
        put(storage, "/file", b"early")
        with refused(AlreadyExists):
            upload.commit()
        upload.discard(keep=True)
        assert (content(storage, "/file"), storage.resumable_size("/file")) == (b"early", None)

    def test_a_reader_keeps_what_it_opened(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        buffer = bytearray(9)
        with contextlib.closing(storage.open_read("/file")) as reader:
            put(storage, "/file", b"replaced")
            storage.remove("/file")
            count = reader.readinto(memoryview(buffer))
        assert bytes(buffer[:count]) == b"old"

    def test_a_directory_with_only_a_kept_partial_is_empty(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        keep_partial(storage, "/folder/file", b"half")
        assert names(storage, "/folder") == []
        storage.remove_directory("/folder")
        assert names(storage) == []

    def test_the_longest_name_can_be_uploaded(self, storage: Storage) -> None:
        put(storage, f"/{'a' * 255}", b"long")
        keep_partial(storage, f"/{'b' * 255}", b"half")
        assert (names(storage), storage.resumable_size(f"/{'b' * 255}")) == (["a" * 255], 4)
