"""The storage suite, uploads in place: what shows at once, and what stays; see `conformance`."""

from __future__ import annotations

from collections.abc import Callable

from lockgate.errors import AlreadyExists

from ._suite_tools import content, names, put, refused
from .base import Storage, TargetBusy, WriteMode

__all__ = ["InPlaceSuite"]


class InPlaceSuite:
    """Uploads that are written under their own name as they come."""

    is_atomic = False

    def test_what_has_come_shows_at_once(self, storage: Storage) -> None:
        upload = storage.open_write("/file", WriteMode.REPLACE)
        seen = [content(storage, "/file")]
        for piece in (b"one", b"two"):
            upload.write(piece)
            seen.append(content(storage, "/file"))
        upload.commit()
        assert (seen, content(storage, "/file")) == ([b"", b"one", b"onetwo"], b"onetwo")

    def test_what_has_come_stays_whatever_the_end_is(self, storage: Storage) -> None:
        for keep in (True, False):
            put(storage, "/file", b"old and long")
            for mode, offset, left in (
                (WriteMode.APPEND, 0, b"old and long+n"),
                (WriteMode.RESUME, 3, b"old+n"),
                (WriteMode.REPLACE, 0, b"+n"),
            ):
                upload = storage.open_write("/file", mode, offset=offset)
                upload.write(b"+n")
                upload.discard(keep=keep)
                assert (content(storage, "/file"), storage.resumable_size("/file")) == (left, None)

    def test_an_upload_that_brings_nothing_leaves_what_was_there(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        for mode, offset in ((WriteMode.REPLACE, 0), (WriteMode.APPEND, 0), (WriteMode.RESUME, 1)):
            storage.open_write("/file", mode, offset=offset).discard()
            storage.open_write("/new", mode).discard(keep=True)
        storage.create_unique("/", "unique")[1].close()
        assert (names(storage), content(storage, "/file")) == (["file"], b"old")

    def test_one_that_is_complete_and_empty_empties_the_file(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        storage.open_write("/file", WriteMode.REPLACE).commit()
        assert content(storage, "/file") == b""

    def test_what_was_cut_goes_on_where_it_stopped(self, storage: Storage) -> None:
        upload = storage.open_write("/file", WriteMode.REPLACE)
        upload.write(b"0123")
        upload.discard(keep=True)
        again = storage.open_write("/file", WriteMode.RESUME, offset=storage.stat("/file").size)
        again.write(b"45")
        again.commit()
        assert content(storage, "/file") == b"012345"

    def test_one_writes_to_a_file_at_a_time(self, storage: Storage) -> None:
        put(storage, "/file", b"old")
        upload = storage.open_write("/file", WriteMode.APPEND)
        for mode, kind in ((WriteMode.REPLACE, TargetBusy), (WriteMode.APPEND, TargetBusy)):
            with refused(kind):
                storage.open_write("/file", mode)
        with refused(TargetBusy):
            storage.open_write("/file", WriteMode.RESUME, offset=1)
        with refused(AlreadyExists):
            storage.open_write("/file", WriteMode.CREATE_NEW)
        upload.write(b"+new")
        upload.commit()
        put(storage, "/file", b"next")
        assert content(storage, "/file") == b"next"

    def test_a_file_keeps_its_name_while_it_is_written(self, storage: Storage) -> None:
        put(storage, "/other")
        upload = storage.open_write("/file", WriteMode.REPLACE)
        upload.write(b"new")
        ways: tuple[Callable[[], None], ...] = (
            lambda: storage.remove("/file"),
            lambda: storage.rename("/file", "/moved"),
            lambda: storage.rename("/other", "/file"),
        )
        for take in ways:
            with refused(TargetBusy):
                take()
        upload.commit()
        assert (names(storage), content(storage, "/file")) == (["file", "other"], b"new")
        for take in ways:
            take()
            put(storage, "/file", b"next")
            put(storage, "/other")
        assert names(storage) == ["file", "moved", "other"]
