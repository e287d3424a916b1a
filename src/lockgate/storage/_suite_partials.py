"""The storage suite, interrupted uploads: what counts as kept, and for how long; see `conformance`."""

from __future__ import annotations

from collections.abc import Callable

from lockgate.errors import NotFound

from ._suite_tools import content, keep_partial, names, put, refused
from .base import OffsetBeyondEnd, Storage, WriteMode

__all__ = ["PartialSuite", "check_limit", "check_shares"]


class PartialSuite:
    """Interrupted uploads: what is kept counts only while nothing is visible under its name."""

    def test_a_kept_partial_shows_by_its_size_alone(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"half")
        assert (names(storage), storage.resumable_size("/file")) == ([], 4)
        with refused(NotFound):
            storage.stat("/file")
        with refused(NotFound):
            storage.open_read("/file")

    def test_over_an_existing_target_nothing_is_kept(self, storage: Storage) -> None:
        for mode, offset in ((WriteMode.REPLACE, 0), (WriteMode.APPEND, 0), (WriteMode.RESUME, 2)):
            put(storage, "/file", b"OLD OLD")
            upload = storage.open_write("/file", mode, offset=offset)
            upload.write(b"hidden!")
            upload.discard(keep=True)
            assert storage.resumable_size("/file") is None
            storage.remove("/file")
            assert storage.resumable_size("/file") is None

    def test_resuming_continues_what_is_visible_and_no_hidden_part(self, storage: Storage) -> None:
        # Begun while the name was free, cut when it was taken: neither order may keep a part for it.
        upload = storage.open_write("/file", WriteMode.REPLACE)
        upload.write(b"hidden!")
        put(storage, "/file", b"OLD OLD")
        upload.discard(keep=True)
        assert storage.resumable_size("/file") is None
        for mode, offset, expected in (
            (WriteMode.RESUME, 7, b"OLD OLD+tail"),
            (WriteMode.APPEND, 0, b"OLD OLD+tail+tail"),
        ):
            upload = storage.open_write("/file", mode, offset=offset)
            upload.write(b"+tail")
            upload.commit()
            assert content(storage, "/file") == expected

    def test_a_partial_is_dropped_when_something_takes_its_name(self, storage: Storage) -> None:
        put(storage, "/other")

        ways: tuple[tuple[Callable[[str], object], Callable[[str], object]], ...] = (
            (lambda path: put(storage, path, b"whole"), storage.remove),
            (lambda path: storage.rename("/other", path), lambda path: storage.rename(path, "/elsewhere")),
            (storage.make_directory, storage.remove_directory),
        )
        for make, unmake in ways:
            keep_partial(storage, "/file", b"half")
            make("/file")
            assert storage.resumable_size("/file") is None
            unmake("/file")
            assert storage.resumable_size("/file") is None
            with refused(OffsetBeyondEnd):
                storage.open_write("/file", WriteMode.RESUME, offset=4)

    def test_a_part_of_a_resumed_upload_is_not_kept_for_a_taken_name(self, storage: Storage) -> None:
        for written in (b"", b"more"):
            keep_partial(storage, "/file", b"half")
            upload = storage.open_write("/file", WriteMode.RESUME, offset=4)
            upload.write(written)
            put(storage, "/file", b"whole")
            upload.discard(keep=True)
            storage.remove("/file")
            assert storage.resumable_size("/file") is None

    def test_a_part_is_of_one_account(self, storage: Storage) -> None:
        one, other = storage.for_account("one"), storage.for_account("other")
        keep_partial(one, "/file", b"secret")
        for stranger in (other, storage, one.for_account("other")):
            assert stranger.resumable_size("/file") is None
            with refused(OffsetBeyondEnd):
                stranger.open_write("/file", WriteMode.RESUME, offset=1)
        begun = other.open_write("/file", WriteMode.APPEND)
        begun.write(b"mine")
        begun.discard(keep=True)
        assert (one.resumable_size("/file"), other.resumable_size("/file")) == (6, 4)
        upload = storage.for_account("one").open_write("/file", WriteMode.RESUME, offset=6)
        upload.write(b"+end")
        upload.commit()
        assert content(other, "/file") == b"secret+end"

    def test_the_parts_of_all_accounts_go_when_something_takes_their_name(self, storage: Storage) -> None:
        one, other = storage.for_account("one"), storage.for_account("other")
        put(one, "/other")
        ways: tuple[tuple[Callable[[str], object], Callable[[str], object]], ...] = (
            (lambda path: put(other, path, b"whole"), other.remove),
            (lambda path: other.rename("/other", path), lambda path: other.rename(path, "/elsewhere")),
            (other.make_directory, other.remove_directory),
        )
        for make, unmake in ways:
            keep_partial(one, "/file", b"half")
            keep_partial(storage, "/file", b"half")
            make("/file")
            assert one.resumable_size("/file") is None
            unmake("/file")
            assert (one.resumable_size("/file"), storage.resumable_size("/file")) == (None, None)

    def test_a_folder_that_goes_takes_the_parts_of_all_accounts_along(self, storage: Storage) -> None:
        one, other = storage.for_account("one"), storage.for_account("other")
        one.make_directory("/folder")
        keep_partial(one, "/folder/file", b"half")
        keep_partial(other, "/folder/file", b"half")
        other.remove_directory("/folder")
        other.make_directory("/folder")
        assert one.resumable_size("/folder/file") is None

    def test_nothing_received_is_nothing_kept(self, storage: Storage) -> None:
        keep_partial(storage, "/file", b"")
        assert storage.resumable_size("/file") is None

    def test_a_unique_upload_is_never_kept(self, storage: Storage) -> None:
        name, upload = storage.create_unique("/", "report")
        upload.write(b"half")
        upload.discard(keep=True)
        assert (names(storage), storage.resumable_size(f"/{name}")) == ([], None)

    def test_a_folder_that_goes_takes_its_partials_along(self, storage: Storage) -> None:
        storage.make_directory("/folder")
        keep_partial(storage, "/folder/file", b"half")
        storage.rename("/folder", "/moved")
        assert storage.resumable_size("/moved/file") == 4
        storage.remove_directory("/moved")
        storage.make_directory("/moved")
        assert storage.resumable_size("/moved/file") is None


def check_limit(storage: Storage) -> None:
    """Have a storage that keeps two parts refuse the third, whatever is done with the first two."""
    for number in range(3):
        keep_partial(storage, f"/{number}", b"half")
    assert _kept(storage) == [0, 1]
    # Going on with one neither needs room nor makes it.
    one = storage.open_write("/0", WriteMode.APPEND)
    one.write(b"+")
    one.discard(keep=True)
    storage.open_write("/1", WriteMode.APPEND).discard()
    keep_partial(storage, "/2", b"half")
    assert (_kept(storage), storage.resumable_size("/0")) == ([0, 1], 5)
    keep_partial(storage, "/1", b"again")
    # One that is whole, or aborted, does.
    storage.open_write("/0", WriteMode.APPEND).commit()
    keep_partial(storage, "/2", b"half")
    aborted = storage.open_write("/1", WriteMode.APPEND)
    aborted.write(b"+")
    aborted.discard()
    keep_partial(storage, "/3", b"half")
    keep_partial(storage, "/4", b"half")
    assert _kept(storage) == [2, 3]


def check_shares(storage: Storage) -> None:
    """Have a storage that keeps four parts of one account keep what others need all the same."""
    greedy, second, third = (storage.for_account(name) for name in ("greedy", "second", "third"))
    for account in (greedy, second, third, greedy, second):
        for number in range(5):
            keep_partial(account, f"/{number}", b"half")
    assert [_kept(account) for account in (greedy, second, third)] == [[0, 1, 2, 3], [0, 1], [0]]
    # Less than an equal share does not help while there is none to have: a fifth of four is nothing.
    for name in ("fourth", "fifth"):
        keep_partial(storage.for_account(name), "/0", b"half")
    assert [_kept(storage.for_account(name)) for name in ("fourth", "fifth")] == [[0], []]


def _kept(storage: Storage) -> list[int]:
    return [number for number in range(5) if storage.resumable_size(f"/{number}") is not None]
