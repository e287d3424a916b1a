"""The storage suite, uploads: what holds however they are written; see `conformance`."""

from __future__ import annotations

from lockgate.errors import AlreadyExists, IsADirectory, NameRejected, NotADirectory, NotFound, StorageError

from ._suite_tools import content, keep_partial, names, put, refused
from .base import OffsetBeyondEnd, Storage, WriteMode

__all__ = ["UploadSuite"]


class UploadSuite:
    """Uploads, however they are written.

    Attributes:
        is_atomic: Nothing of an upload shows before its commit.
    """

    is_atomic = True

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

    def test_an_upload_says_what_it_is_stored_as(self, storage: Storage) -> None:
        upload = storage.open_write("/fil\u00e9", WriteMode.REPLACE)
        upload.write(b"x")
        upload.commit()
        name, unique = storage.create_unique("/", "new")
        unique.write(b"x")
        unique.commit()
        assert (upload.stored_name, unique.stored_name) == ("fil\u00e9", name)
        assert set(names(storage)) == {"fil\u00e9", name}

    def test_append_continues_what_is_there(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.APPEND)
        start = upload.position
        upload.write(b"+new")
        before = content(storage, "/file")
        upload.commit()
        shown = b"old" if self.is_atomic else b"old+new"
        assert (start, before, content(storage, "/file")) == (3, shown, b"old+new")

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

    def test_what_has_begun_is_not_cancelled(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.APPEND)
        upload.write(b"+n")
        upload.cancel()
        upload.write(b"ew")
        upload.commit()
        assert content(storage, "/file") == b"old+new"

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
        shown = b"0123456789" if self.is_atomic else b"0123ab"
        assert (before, content(storage, "/file")) == (shown, b"0123ab")

    def test_an_offset_beyond_the_end_is_refused(self, storage: Storage) -> None:
        put(storage, "/file", b"0123")
        keep_partial(storage, "/partial", b"012")
        for path, offset in (("/file", 5), ("/partial", 4), ("/nothing", 1)):
            with refused(OffsetBeyondEnd):
                storage.open_write(path, WriteMode.RESUME, offset=offset)
        shown = ["file"] if self.is_atomic else ["file", "partial"]
        assert (names(storage), storage.resumable_size("/partial")) == (shown, 3 if self.is_atomic else None)

    def test_an_offset_goes_with_resume_only(self, storage: Storage) -> None:
        put(storage, "/file", b"0123")
        for mode, offset in ((WriteMode.REPLACE, 2), (WriteMode.APPEND, 2), (WriteMode.RESUME, -1)):
            with refused(StorageError):
                storage.open_write("/file", mode, offset=offset)

    def test_create_new_wants_a_free_name_at_the_beginning(self, storage: Storage) -> None:
        put(storage, "/file")
        with refused(AlreadyExists):
            storage.open_write("/file", WriteMode.CREATE_NEW)

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
