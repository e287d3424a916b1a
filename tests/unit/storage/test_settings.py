"""What an operator decides of files: modes, owners, hidden names, symbolic links; and ways round it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockgate.errors import (
    DirectoryNotEmpty,
    NameRejected,
    NotFound,
    OutsideRoot,
    PermissionDenied,
    StorageError,
)
from lockgate.storage import _handles, _tree
from lockgate.storage._openat2 import kernel_has_openat2
from lockgate.storage.base import EntryKind, WriteMode
from lockgate.storage.conformance import content, keep_partial, names, put, refused
from lockgate.storage.local import LocalStorage
from lockgate.storage.settings import FileSettings

needs_openat2 = pytest.mark.skipif(not kernel_has_openat2(), reason="this kernel or sandbox has no openat2")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
BOTH = [pytest.param(True, marks=needs_openat2, id="openat2"), pytest.param(False, id="walk")]
HIDDEN = FileSettings(hidden=("*.tmp", ".git", "caf\u00e9*"))
SECRET = b"hidden content"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=BOTH)
def storage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalStorage]:
    """A home with things that the operator hides, and what is not hidden beside them."""
    (tmp_path / ".git" / "refs").mkdir(parents=True)
    (tmp_path / ".git" / "config").write_bytes(SECRET)
    (tmp_path / "a.tmp").write_bytes(SECRET)
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "b.tmp").write_bytes(SECRET)
    (tmp_path / "shown" / "file").write_bytes(b"shown")
    with contextlib.closing(LocalStorage(tmp_path, HIDDEN, use_openat2=request.param)) as storage:
        yield storage


def asking(storage: LocalStorage) -> tuple[Callable[[str], object], ...]:
    return (
        storage.stat,
        storage.scan,
        storage.open_read,
        storage.remove,
        storage.remove_directory,
        lambda path: storage.rename(path, "/stolen"),
        lambda path: storage.set_mode(path, 0o777),
        lambda path: storage.set_modified(path, 5),
    )


def making(storage: LocalStorage) -> tuple[Callable[[str], object], ...]:
    return (
        storage.make_directory,
        lambda path: storage.rename("/shown/file", path),
        *(lambda path, mode=mode: storage.open_write(path, mode) for mode in WriteMode),
    )


@pytest.mark.parametrize(
    "path",
    [
        "/a.tmp",
        "/.git",
        "/.git/config",
        "/.git/refs",
        "/.git/none",
        "/shown/b.tmp",
        "/.tmp",
        "/x.tmp/y",
        "/none.tmp",
    ],
)
def test_hidden_names_are_not_there_and_cannot_be_made(
    storage: LocalStorage, tmp_path: Path, path: str
) -> None:
    before = sorted(one.relative_to(tmp_path) for one in tmp_path.rglob("*"))
    for ask in asking(storage):
        with refused(NotFound):
            ask(path)
    for make in making(storage):
        with refused(NameRejected):
            make(path)
    assert storage.resumable_size(path) is None
    assert sorted(one.relative_to(tmp_path) for one in tmp_path.rglob("*")) == before


def test_hidden_names_are_not_listed(storage: LocalStorage) -> None:
    assert (names(storage), names(storage, "/shown")) == (["shown"], ["file"])


@pytest.mark.parametrize(
    "name",
    [
        "A.TMP",
        "a.tmp ",
        "a.tmp.",
        "a.tmp\n",
        ".Git",
        ".git.",
        "xgit",
        "x.git",
        "cafe\u0301",
        "tmp",
        "a.tmp\udcff",
    ],
)
def test_what_only_looks_like_a_hidden_name_is_another_file(storage: LocalStorage, name: str) -> None:
    put(storage, f"/{name}", b"mine")
    assert content(storage, f"/{name}") == b"mine"
    assert name in names(storage)


@pytest.mark.parametrize("name", ["caf\u00e9", "caf\u00e9.txt", "\udcff.tmp", "new\nline.tmp", ".tmp"])
def test_patterns_take_any_octets(storage: LocalStorage, name: str) -> None:
    with refused(NameRejected):
        put(storage, f"/{name}")


def test_a_hidden_name_stays_hidden_when_its_parent_is_renamed(storage: LocalStorage, tmp_path: Path) -> None:
    storage.rename("/shown", "/moved")
    assert names(storage, "/moved") == ["file"]
    for ask in asking(storage):
        with refused(NotFound):
            ask("/moved/b.tmp")
    assert (tmp_path / "moved" / "b.tmp").read_bytes() == SECRET


def test_a_directory_with_hidden_files_is_not_empty(storage: LocalStorage, tmp_path: Path) -> None:
    storage.remove("/shown/file")
    with refused(DirectoryNotEmpty):
        storage.remove_directory("/shown")
    assert (tmp_path / "shown" / "b.tmp").read_bytes() == SECRET


@pytest.mark.parametrize("target", [".git/config", "a.tmp", "shown/../.git/config", "shown/b.tmp"])
def test_no_link_to_a_hidden_file_is_read_or_written_through(
    storage: LocalStorage, tmp_path: Path, target: str
) -> None:
    (tmp_path / "link").symlink_to(target)
    for call in (storage.stat, storage.open_read, lambda path: storage.set_mode(path, 0o777)):
        with pytest.raises((NotFound, OutsideRoot)):
            call("/link")
    with contextlib.suppress(StorageError):
        put(storage, "/link", b"new")
    assert (tmp_path / target).read_bytes() == SECRET


def test_no_link_to_a_hidden_directory_is_gone_through(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(".git")
    (tmp_path / "chain").symlink_to("link/refs")
    for call in (
        lambda: storage.scan("/link"),
        lambda: storage.open_read("/link/config"),
        lambda: storage.scan("/chain"),
        lambda: storage.make_directory("/link/made"),
        lambda: put(storage, "/link/planted"),
        lambda: storage.remove("/link/config"),
        lambda: storage.rename("/link/config", "/stolen"),
        lambda: storage.rename("/shown/file", "/link/planted"),
    ):
        with pytest.raises((NotFound, OutsideRoot)):
            call()
    assert sorted(os.listdir(tmp_path / ".git")) == ["config", "refs"]


def test_a_listing_does_not_tell_that_a_link_leads_to_a_hidden_name(
    storage: LocalStorage, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(".git/config")
    with contextlib.closing(storage.scan("/")) as scan:
        (link,) = (entry for entry in scan if entry.kind is EntryKind.LINK)
    assert link.link_target is None


def test_what_is_hidden_counts_all_the_same(storage: LocalStorage) -> None:
    found = {holding.name: holding.is_hidden for holding in storage.holdings("/")}
    assert found == {".git": False, "a.tmp": False, "shown": False}
    assert [holding.name for holding in storage.holdings("/.git/refs")] == []
    assert storage.usage("/a.tmp").bytes == len(SECRET)


@needs_openat2
def test_without_proc_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_opened: object) -> bytes:
        raise FileNotFoundError

    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    with contextlib.closing(LocalStorage(tmp_path, use_openat2=True)) as storage:
        assert content(storage, "/link") == b"x"
        monkeypatch.setattr(_tree, "_place", missing)
        with refused(NotFound):
            storage.stat("/link")


@pytest.mark.parametrize("use_openat2", BOTH)
def test_refused_links_are_listed_renamed_and_removed_and_never_opened(
    tmp_path: Path, use_openat2: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"inside")
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "direct").symlink_to("folder/file")
    settings = FileSettings(follow_links=False)
    with contextlib.closing(LocalStorage(tmp_path, settings, use_openat2=use_openat2)) as storage:
        assert names(storage) == ["direct", "folder", "link"]
        for path in ("/link", "/link/file", "/direct"):
            for ask in (
                storage.stat,
                storage.scan,
                storage.open_read,
                lambda path: storage.set_mode(path, 0o777),
                lambda path: storage.open_write(path, WriteMode.APPEND),
                lambda path: storage.open_write(path, WriteMode.REPLACE),
            ):
                with refused(OutsideRoot):
                    ask(path)
        for call in (
            lambda: put(storage, "/link/planted"),
            lambda: storage.make_directory("/link/made"),
            lambda: storage.remove("/link/file"),
            lambda: storage.rename("/link/file", "/stolen"),
            lambda: storage.rename("/folder/file", "/link/planted"),
        ):
            with refused(OutsideRoot):
                call()
        storage.rename("/direct", "/other")
        storage.remove("/other")
    assert os.listdir(tmp_path / "folder") == ["file"]
    assert sorted(os.listdir(tmp_path)) == ["folder", "link"]


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
@pytest.mark.parametrize("process_umask", [0o000, 0o077])
def test_the_umask_of_the_settings_counts_and_not_that_of_the_process(
    tmp_path: Path, umask: int, process_umask: int
) -> None:
    before = os.umask(process_umask)
    try:
        with contextlib.closing(LocalStorage(tmp_path, FileSettings(umask=umask))) as storage:
            put(storage, "/file")
            storage.make_directory("/folder")
    finally:
        os.umask(before)
    assert (mode_of(tmp_path / "file"), mode_of(tmp_path / "folder")) == (0o666 & ~umask, 0o777 & ~umask)


def test_a_directory_keeps_the_set_group_id_that_it_inherits_and_no_client_sets_it(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o2755)
    with contextlib.closing(LocalStorage(tmp_path)) as storage:
        storage.make_directory("/folder")
        assert mode_of(tmp_path / "folder") == 0o2750
        storage.set_mode("/folder", 0o700)
        assert mode_of(tmp_path / "folder") == 0o2700
        for mode in (0o4755, 0o2755, 0o1755):
            with refused(PermissionDenied):
                storage.set_mode("/folder", mode)
        os.chmod(tmp_path, 0o755)
        storage.make_directory("/plain")
        assert mode_of(tmp_path / "plain") == 0o750


@needs_root
def test_new_files_and_directories_get_their_owner_and_group(tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path, FileSettings(owner=1234, group=4321))) as storage:
        upload = storage.open_write("/file", WriteMode.REPLACE)
        upload.write(b"x")
        upload.commit()
        storage.make_directory("/folder")
        for path in ("file", "folder"):
            status = (tmp_path / path).stat()
            assert (status.st_uid, status.st_gid) == (1234, 4321)
    assert mode_of(tmp_path / "file") == 0o640


@needs_root
def test_a_kept_part_of_before_gets_the_owner_of_now(tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path)) as storage:
        keep_partial(storage, "/file", b"half")
    with contextlib.closing(LocalStorage(tmp_path, FileSettings(owner=1234))) as storage:
        storage.open_write("/file", WriteMode.APPEND).commit()
    assert (tmp_path / "file").stat().st_uid == 1234


@needs_root
def test_what_cannot_be_given_away_is_refused_at_the_beginning_and_leaves_nothing(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    with contextlib.closing(LocalStorage(tmp_path, FileSettings(owner=1234))) as storage:
        os.seteuid(65534)
        try:
            with refused(PermissionDenied):
                storage.open_write("/file", WriteMode.REPLACE)
            with refused(PermissionDenied):
                storage.make_directory("/folder")
        finally:
            os.seteuid(0)
    assert os.listdir(tmp_path) == []


def test_storages_of_one_directory_can_count_their_parts_together(tmp_path: Path) -> None:
    with (
        contextlib.closing(LocalStorage(tmp_path, kept_limit=1)) as first,
        contextlib.closing(LocalStorage(tmp_path, HIDDEN, state=first.state)) as second,
    ):
        keep_partial(first, "/one", b"half")
        keep_partial(second, "/two", b"half")
        assert (second.resumable_size("/one"), second.resumable_size("/two")) == (4, None)


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_commit_synchronises_the_file_and_then_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_wanted: bool
) -> None:
    really, seen = os.fsync, list[tuple[str, bool]]()

    def fsync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((kind, (tmp_path / "file").exists()))
        really(descriptor)

    monkeypatch.setattr(_handles.os, "fsync", fsync)
    with contextlib.closing(LocalStorage(tmp_path, FileSettings(fsync=is_wanted))) as storage:
        put(storage, "/file")
    assert seen == ([("file", False), ("directory", True)] if is_wanted else [])
