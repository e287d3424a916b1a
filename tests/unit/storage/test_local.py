"""What only a disk has: permissions, descriptors, full disks, what a crash leaves behind."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.errors import (
    AlreadyExists,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotFound,
    PermissionDenied,
    StorageError,
)
from lockgate.storage import _openat2, _uploads
from lockgate.storage._handles import Upload
from lockgate.storage._holdings import Writing
from lockgate.storage._kept import KeptParts
from lockgate.storage._names import HiddenNames
from lockgate.storage._tree import Tree
from lockgate.storage.base import WriteMode
from lockgate.storage.conformance import content, keep_partial, names, put, refused
from lockgate.storage.local import LocalStorage
from lockgate.storage.settings import FileSettings

NOBODY = 65534


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LocalStorage]:
    storage = LocalStorage(tmp_path)
    yield storage
    storage.close()


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody whom the disk refuses things; root is refused nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_root_that_is_missing_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with refused(NotFound):
        LocalStorage(tmp_path / "missing")
    with refused(NotADirectory):
        LocalStorage(tmp_path / "file")


def test_a_root_that_is_moved_stays_the_root(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    with contextlib.closing(LocalStorage(tmp_path / "before")) as storage:
        (tmp_path / "before").rename(tmp_path / "after")
        put(storage, "/file")
    assert (tmp_path / "after" / "file").read_bytes() == b"content"


@pytest.mark.parametrize("prefix", ["", "hidden/", "..", "é"])
def test_a_hidden_prefix_that_could_hide_nothing_or_all_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ValueError, match="hidden prefix"):
        LocalStorage(tmp_path, hidden_prefix=prefix)


def test_the_hidden_prefix_is_the_operators_choice(tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path, hidden_prefix=".in-")) as storage:
        keep_partial(storage, "/file", b"half")
        assert os.listdir(tmp_path)[0].startswith(".in-")
        put(storage, "/.lockgate-mine")
        assert names(storage) == [".lockgate-mine"]


def test_files_and_directories_get_the_configured_modes(tmp_path: Path) -> None:
    with contextlib.closing(LocalStorage(tmp_path, FileSettings(umask=0o077))) as storage:
        put(storage, "/file")
        storage.make_directory("/folder")
    assert (mode_of(tmp_path / "file"), mode_of(tmp_path / "folder")) == (0o600, 0o700)


def test_an_upload_under_way_is_nobody_elses_to_read(storage: LocalStorage, tmp_path: Path) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    (hidden,) = os.listdir(tmp_path)
    mode = mode_of(tmp_path / hidden)
    upload.commit()
    assert (mode, mode_of(tmp_path / "file")) == (0o600, 0o640)


def test_new_content_does_not_inherit_set_uid(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file")
    os.chmod(tmp_path / "file", 0o6755)
    put(storage, "/file", b"new")
    assert mode_of(tmp_path / "file") == 0o755


def test_a_failed_commit_leaves_the_target_and_nothing_else(storage: LocalStorage, tmp_path: Path) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    upload.write(b"late")
    (tmp_path / "file").mkdir()
    with refused(IsADirectory):
        upload.commit()
    upload.discard(keep=True)
    assert (names(storage), storage.resumable_size("/file")) == (["file"], None)
    assert os.listdir(tmp_path) == ["file"]


def test_a_forgotten_upload_leaves_no_file(storage: LocalStorage, tmp_path: Path) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    upload.write(b"forgotten")
    del upload
    gc.collect()
    assert os.listdir(tmp_path) == []


def test_discarding_what_is_already_gone_does_no_harm(storage: LocalStorage, tmp_path: Path) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    upload.write(b"x")
    (hidden,) = os.listdir(tmp_path)
    os.unlink(tmp_path / hidden)
    upload.discard(keep=True)
    assert storage.resumable_size("/file") is None


def test_nothing_is_written_where_the_disk_forbids_it(storage: LocalStorage, tmp_path: Path) -> None:
    for name in ("readable", "locked"):
        storage.make_directory(f"/{name}")
        put(storage, f"/{name}/file")
    put(storage, "/readable/own")
    os.chmod(tmp_path, 0o755)
    os.chmod(tmp_path / "readable", 0o555)
    os.chmod(tmp_path / "readable" / "file", 0o444)
    os.chmod(tmp_path / "locked" / "file", 0o000)
    os.chmod(tmp_path / "locked", 0o000)
    with without_privileges():
        for call in (
            lambda: storage.open_write("/readable/new", WriteMode.REPLACE),
            lambda: storage.open_write("/readable/file", WriteMode.REPLACE),
            lambda: storage.remove("/readable/file"),
            lambda: storage.make_directory("/readable/folder"),
            lambda: storage.rename("/readable/file", "/readable/new"),
            lambda: storage.scan("/locked"),
            lambda: storage.open_read("/locked/file"),
            lambda: storage.stat("/locked/file"),
        ):
            with refused(PermissionDenied):
                call()
        assert storage.resumable_size("/locked/file") is None
    os.chmod(tmp_path / "locked", 0o700)


def test_a_write_protected_file_is_not_replaced_in_a_writable_directory(
    storage: LocalStorage, tmp_path: Path
) -> None:
    put(storage, "/file", b"protected")
    os.chmod(tmp_path, 0o777)
    os.chmod(tmp_path / "file", 0o444)
    with without_privileges(), refused(PermissionDenied):
        storage.open_write("/file", WriteMode.REPLACE)
    assert os.listdir(tmp_path) == ["file"]


def test_a_drop_box_takes_uploads_and_shows_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    storage.make_directory("/box")
    os.chmod(tmp_path, 0o777)
    os.chmod(tmp_path / "box", 0o333)
    with without_privileges():
        put(storage, "/box/file")
        with refused(PermissionDenied):
            storage.scan("/box")
    os.chmod(tmp_path / "box", 0o700)
    assert names(storage, "/box") == ["file"]


def test_the_owner_can_open_up_a_file_without_permissions(storage: LocalStorage, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    with without_privileges():
        put(storage, "/file")
        storage.set_mode("/file", 0)
        storage.set_modified("/file", 1_500_000_000)
        storage.set_mode("/file", 0o600)
    assert (mode_of(tmp_path / "file"), storage.stat("/file").modified) == (0o600, 1_500_000_000)


def test_setting_the_time_of_change_leaves_the_time_of_access(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file")
    os.utime(tmp_path / "file", (7, 8))
    storage.set_modified("/file", 1_700_000_000.25)
    status = os.stat(tmp_path / "file")
    assert (status.st_atime, status.st_mtime_ns) == (7, 1_700_000_000_250_000_000)


def test_a_full_disk_is_no_space_and_what_fitted_can_be_kept(storage: LocalStorage) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with refused(NoSpace):
            upload.write(bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert upload.position == 4096
    upload.discard(keep=True)
    assert storage.resumable_size("/file") == 4096


def test_descriptors_are_given_back_whatever_happens(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file", bytes(1000))
    storage.make_directory("/folder")
    os.mkfifo(tmp_path / "fifo")
    storage.stat("/file")
    before = open_descriptors()
    for _ in range(3):
        next(storage.scan("/"))
        storage.scan("/folder")
        storage.open_read("/file")
        storage.open_write("/file", WriteMode.APPEND)
        keep_partial(storage, "/kept", b"half")
        storage.open_write("/kept", WriteMode.RESUME, offset=2).close()
        for mode, path, offset in (
            (WriteMode.RESUME, "/file", 2000),
            (WriteMode.CREATE_NEW, "/file", 0),
            (WriteMode.REPLACE, "/folder", 0),
            (WriteMode.REPLACE, "/fifo", 0),
        ):
            with pytest.raises(StorageError):
                storage.open_write(path, mode, offset=offset)
        for path in ("/folder", "/fifo", "/missing"):
            with pytest.raises(StorageError):
                storage.open_read(path)
        with pytest.raises(StorageError):
            storage.rename("/file", "/folder")
    assert open_descriptors() == before


def test_closing_the_storage_gives_the_root_back(tmp_path: Path) -> None:
    before = open_descriptors()
    storage = LocalStorage(tmp_path)
    storage.close()
    assert open_descriptors() == before


def test_a_reader_can_be_handed_to_sendfile(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file", b"0123456789")
    with contextlib.closing(storage.open_read("/file")) as reader, open(tmp_path / "out", "wb") as out:
        reader.seek(4)
        assert os.sendfile(out.fileno(), reader.fileno(), None, 3) == 3
        rest = bytearray(9)
        count = reader.readinto(memoryview(rest))
    assert ((tmp_path / "out").read_bytes(), bytes(rest[:count])) == (b"456", b"789")


def test_the_root_is_not_changed_by_a_link_to_it_either(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "up").symlink_to("..")
    before = os.stat(tmp_path)
    for path in ("/", "/folder/up"):
        with refused(PermissionDenied):
            storage.set_mode(path, 0o700)
        with refused(PermissionDenied):
            storage.set_modified(path, 5)
    after = os.stat(tmp_path)
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_an_exclusive_rename_works_without_renameat2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_openat2, "_libc", object)  # a C library that lacks the call
    with contextlib.closing(LocalStorage(tmp_path, use_openat2=False)) as storage:
        late = storage.open_write("/file", WriteMode.CREATE_NEW)
        early = storage.open_write("/file", WriteMode.CREATE_NEW)
        early.write(b"early")
        early.commit()
        with refused(AlreadyExists):
            late.commit()
        late.discard()
        assert content(storage, "/file") == b"early"
    assert os.listdir(tmp_path) == ["file"]


def test_of_many_exclusive_uploads_one_wins(storage: LocalStorage, tmp_path: Path) -> None:
    uploads = [storage.open_write("/file", WriteMode.CREATE_NEW) for _ in range(8)]
    barrier = threading.Barrier(len(uploads))
    won: list[int] = []

    def finish(number: int) -> None:
        uploads[number].write(str(number).encode())
        barrier.wait(timeout=30)
        try:
            uploads[number].commit()
            won.append(number)
        except AlreadyExists:
            uploads[number].discard()

    threads = [threading.Thread(target=finish, args=(number,)) for number in range(len(uploads))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert content(storage, "/file") == str(won[0]).encode()
    assert os.listdir(tmp_path) == ["file"]


def test_of_many_who_resume_one_partial_one_gets_it(storage: LocalStorage) -> None:
    keep_partial(storage, "/file", b"0123")
    barrier = threading.Barrier(8)
    won: list[object] = []

    def resume() -> None:
        barrier.wait(timeout=30)
        with contextlib.suppress(StorageError):
            won.append(storage.open_write("/file", WriteMode.RESUME, offset=4))

    threads = [threading.Thread(target=resume) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_stale_partials_are_removed_everywhere_and_nothing_else(
    storage: LocalStorage, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    outside.mkdir()
    (root / "link").symlink_to("../outside")
    with contextlib.closing(LocalStorage(root)) as inner:
        for path in ("/file", "/a/file", "/a/b/file"):
            keep_partial(inner, path, b"half")
        keep_partial(inner, "/fresh", b"fresh")
        abandoned = inner.open_write("/a/dead", WriteMode.REPLACE)
        for folder in (root, root / "a", root / "a" / "b"):
            for name in os.listdir(folder):
                if name.startswith(".lockgate-"):
                    os.utime(folder / name, (1000, 1000))
        keep_partial(inner, "/fresh", b"again")
        for foreign in (root / ".lockgate-notes", outside / f".lockgate-{'0' * 32}.part", root / "mine"):
            foreign.touch()
            os.utime(foreign, (1000, 1000))
        assert inner.clean_partials(3600) == 4
        assert [inner.resumable_size(path) for path in ("/file", "/a/file", "/fresh")] == [None, None, 5]
        abandoned.close()
    assert os.listdir(outside) == [f".lockgate-{'0' * 32}.part"]
    assert {".lockgate-notes", "mine"} <= set(os.listdir(root))


def test_the_age_of_partials_is_judged_by_the_given_clock(storage: LocalStorage, tmp_path: Path) -> None:
    keep_partial(storage, "/file", b"half")
    modified = os.stat(tmp_path / os.listdir(tmp_path)[0]).st_mtime
    assert storage.clean_partials(100, now=modified + 99) == 0
    assert storage.clean_partials(100, now=modified + 101) == 1


def test_a_partial_that_is_resumed_is_fresh_again(storage: LocalStorage, tmp_path: Path) -> None:
    keep_partial(storage, "/file", b"half")
    os.utime(tmp_path / os.listdir(tmp_path)[0], (1000, 1000))
    upload = storage.open_write("/file", WriteMode.RESUME, offset=4)
    assert storage.clean_partials(3600) == 0
    upload.commit()
    assert content(storage, "/file") == b"half"


def test_a_partial_that_became_shorter_is_put_back(storage: LocalStorage, tmp_path: Path) -> None:
    keep_partial(storage, "/file", b"half")
    (hidden,) = os.listdir(tmp_path)
    with contextlib.closing(Tree(tmp_path)) as tree:
        upload = Upload(
            path="/file",
            folder=tree.folder(()),
            target=b"file",
            working=HiddenNames().working(b"file"),
            kept=HiddenNames().kept(b"file"),
            hidden=HiddenNames(),
            stem=HiddenNames().kept_stem(b"file"),
            parts=KeptParts(),
            writing=Writing(),
            guard=b"file",
            is_keepable=True,
            mode=0o600,
            refusal=None,
            files=FileSettings(),
        )
        # Asked for 5 bytes, as if a longer one had been seen a moment before; then when it is gone.
        assert _uploads._take_kept(upload, 5) is None
        assert os.listdir(tmp_path) == [hidden]
        storage.open_write("/file", WriteMode.RESUME, offset=4).commit()
        assert _uploads._take_kept(upload, 4) is None


def test_a_directory_with_a_foreign_hidden_file_is_not_removed(storage: LocalStorage, tmp_path: Path) -> None:
    storage.make_directory("/folder")
    keep_partial(storage, "/folder/file", b"half")
    (tmp_path / "folder" / ".lockgate-notes").touch()
    with pytest.raises(StorageError, match="under way"):
        storage.remove_directory("/folder")
    assert storage.resumable_size("/folder/file") == 4


def test_names_are_octets_in_every_locale(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from lockgate.storage.local import LocalStorage\n"
        "from lockgate.storage.base import WriteMode\n"
        "s = LocalStorage(Path(sys.argv[1]))\n"
        "s.open_write('/gr\\u00fc\\udcff', WriteMode.REPLACE).commit()\n"
        "assert [e.name for e in s.scan('/')] == ['gr\\u00fc\\udcff']\n"
        "print(sys.getfilesystemencoding())\n"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() != "utf-8"
    assert os.listdir(os.fsencode(tmp_path)) == [b"gr\xc3\xbc\xff"]


def test_owners_without_a_name_are_numbers(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "/file")
    if os.geteuid() != 0:
        pytest.skip("giving files away needs root")
    os.chown(tmp_path / "file", 54321, 54322)
    entry = storage.stat("/file")
    assert (entry.owner, entry.group) == ("54321", "54322")


def test_what_a_killed_server_left_goes_whatever_its_age_and_nothing_that_is_being_written(
    tmp_path: Path,
) -> None:
    work = "import sys; from pathlib import Path; from lockgate.storage.base import WriteMode\n"
    work += "from lockgate.storage.local import LocalStorage\n"
    work += f"one = LocalStorage(Path({str(tmp_path)!r})).open_write('/dead', WriteMode.REPLACE)\n"
    work += "one.write(b'half'); print('ready', flush=True); sys.stdin.read()"
    with (
        subprocess.Popen(
            [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as writer,
        contextlib.closing(LocalStorage(tmp_path)) as storage,
    ):
        assert writer.stdout is not None
        writer.stdout.readline()
        mine = storage.open_write("/living", WriteMode.REPLACE)
        mine.write(b"more")
        cut = storage.open_write("/kept", WriteMode.REPLACE)
        cut.write(b"part")
        cut.discard(keep=True)
        later = time.time() + 10
        # It lives, and so does this process: only their locks tell.
        assert storage.clean_partials(3600, now=later) == 0
        writer.kill()
        writer.wait(10)
        assert storage.clean_partials(3600, now=later) == 1
        assert storage.resumable_size("/kept") == 4
        mine.commit()
    assert (tmp_path / "living").read_bytes() == b"more"
