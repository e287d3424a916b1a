"""Attacks on the root of a local storage: whatever is asked for, nothing outside is read, changed or told."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockgate.errors import NotFound, OutsideRoot, PermissionDenied, StorageError
from lockgate.storage._openat2 import kernel_has_openat2
from lockgate.storage.base import EntryKind, WriteMode
from lockgate.storage.conformance import content, keep_partial, names, put, refused
from lockgate.storage.local import LocalStorage

needs_openat2 = pytest.mark.skipif(not kernel_has_openat2(), reason="this kernel or sandbox has no openat2")
pytestmark = pytest.mark.requirement("RSEC-path-a")

SECRET = b"a secret of the host"
# The race is run this often, and on until both its outcomes have been seen.
ROUNDS = 1000
MOST_ROUNDS = 30_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    os.chmod(outside / "secret", 0o640)
    os.utime(outside / "secret", (5, 5))
    return root


@pytest.fixture(
    params=[pytest.param(True, marks=needs_openat2, id="openat2"), pytest.param(False, id="walk")]
)
def storage(root: Path, request: pytest.FixtureRequest) -> Iterator[LocalStorage]:
    storage = LocalStorage(root, use_openat2=request.param)
    yield storage
    storage.close()


@pytest.fixture
def outside(root: Path) -> Iterator[Path]:
    """The directory outside, which must be at the end what it was at the beginning."""
    folder = root.parent / "outside"
    yield folder
    status = os.stat(folder / "secret")
    assert sorted(os.listdir(folder)) == ["secret"]
    assert (folder / "secret").read_bytes() == SECRET
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o640, 5)


def every_call(storage: LocalStorage, path: str) -> list[Callable[[], object]]:
    """Every call that goes through the link at `path`, a directory or a file, or to the secret behind it."""
    return [
        lambda: storage.stat(path),
        lambda: storage.scan(path),
        lambda: storage.open_read(path),
        lambda: storage.open_write(path, WriteMode.REPLACE),
        lambda: storage.open_write(path, WriteMode.APPEND),
        lambda: storage.open_write(path, WriteMode.RESUME, offset=3),
        lambda: storage.set_mode(path, 0o777),
        lambda: storage.set_modified(path, 99),
    ]


def every_call_below(storage: LocalStorage, folder: str) -> list[Callable[[], object]]:
    path = f"{folder}/secret"
    return [
        *every_call(storage, path),
        lambda: storage.remove(path),
        lambda: storage.rename(path, "/stolen"),
        lambda: storage.rename("/mine", f"{folder}/planted"),
        lambda: storage.make_directory(f"{folder}/planted"),
        lambda: storage.remove_directory(path),
        lambda: storage.create_unique(folder, "planted"),
        lambda: storage.resumable_size(path),
    ]


@pytest.mark.parametrize("target", ["{outside}", "../outside", "inner/../../outside", "/"])
def test_no_call_goes_through_a_link_out_of_the_root(
    storage: LocalStorage, root: Path, outside: Path, target: str
) -> None:
    put(storage, "/mine")
    (root / "inner").mkdir()
    (root / "link").symlink_to(target.format(outside=outside))
    for call in [*every_call(storage, "/link"), *every_call_below(storage, "/link")]:
        with refused(OutsideRoot):
            call()
    assert names(storage) == ["inner", "link", "mine"]


@pytest.mark.parametrize("target", ["{outside}/secret", "../outside/secret"])
def test_a_link_to_a_file_outside_is_neither_read_nor_replaced(
    storage: LocalStorage, root: Path, outside: Path, target: str
) -> None:
    (root / "link").symlink_to(target.format(outside=outside))
    for call in every_call(storage, "/link"):
        with refused(OutsideRoot):
            call()
    assert (root / "link").is_symlink()


def test_a_link_out_of_the_root_can_be_renamed_and_removed_itself(
    storage: LocalStorage, root: Path, outside: Path
) -> None:
    (root / "link").symlink_to(outside / "secret")
    storage.rename("/link", "/other")
    assert names(storage) == ["other"]
    storage.remove("/other")
    assert names(storage) == []


def test_an_upload_onto_a_name_that_becomes_a_link_replaces_the_link(
    storage: LocalStorage, root: Path, outside: Path
) -> None:
    upload = storage.open_write("/file", WriteMode.REPLACE)
    upload.write(b"mine")
    (root / "file").symlink_to(outside / "secret")
    upload.commit()
    assert not (root / "file").is_symlink()
    assert content(storage, "/file") == b"mine"


def test_a_link_in_the_place_of_the_kept_partial_is_not_written_through(
    storage: LocalStorage, root: Path, outside: Path
) -> None:
    keep_partial(storage, "/file", b"half")
    (hidden,) = os.listdir(root)
    (root / hidden).unlink()
    (root / hidden).symlink_to(outside / "secret")
    assert storage.resumable_size("/file") is None
    upload = storage.open_write("/file", WriteMode.APPEND)
    upload.write(b"new")
    upload.commit()
    assert content(storage, "/file") == b"new"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("use_openat2", [pytest.param(True, marks=needs_openat2), False])
@pytest.mark.parametrize("path", ["/root/etc/passwd", "/root", "/cwd", "/exe", "/fd/{number}"])
def test_magic_links_of_proc_are_not_followed(path: str, use_openat2: bool, outside: Path) -> None:
    storage = LocalStorage(Path("/proc/self"), use_openat2=use_openat2)
    with contextlib.closing(storage), open(outside / "secret", "rb") as secret:
        for call in (storage.stat, storage.scan, storage.open_read):
            with refused(OutsideRoot):
                call(path.format(number=secret.fileno()))


def test_a_link_to_a_magic_link_is_not_followed(storage: LocalStorage, root: Path, outside: Path) -> None:
    (root / "link").symlink_to(f"/proc/self/root{outside}")
    for call in every_call_below(storage, "/link"):
        with refused(OutsideRoot):
            call()


def test_a_listing_does_not_tell_where_links_outside_lead(storage: LocalStorage, root: Path) -> None:
    (root / "folder").mkdir()
    (root / "folder" / "absolute").symlink_to("/etc/passwd")
    (root / "folder" / "climbing").symlink_to("../../outside/secret")
    (root / "folder" / "inside").symlink_to("../folder/file")
    with contextlib.closing(storage.scan("/folder")) as scan:
        found = {entry.name: (entry.kind, entry.link_target) for entry in scan}
    assert found == {
        "absolute": (EntryKind.LINK, None),
        "climbing": (EntryKind.LINK, None),
        "inside": (EntryKind.LINK, "../folder/file"),
    }


@needs_openat2
def test_links_that_stay_inside_are_followed(root: Path) -> None:
    (root / "folder").mkdir()
    (root / "folder" / "file").write_bytes(b"inside")
    (root / "folder" / "up").symlink_to("../folder/file")
    (root / "link").symlink_to("folder")
    with contextlib.closing(LocalStorage(root, use_openat2=True)) as storage:
        assert content(storage, "/link/up") == b"inside"
        assert storage.stat("/link").kind is EntryKind.DIRECTORY
        assert storage.stat("/folder/up").size == 6
        put(storage, "/link/new", b"new")
        storage.set_mode("/link/up", 0o600)
    assert (root / "folder" / "new").read_bytes() == b"new"
    assert stat.S_IMODE(os.stat(root / "folder" / "file").st_mode) == 0o600


def test_the_walk_follows_no_link_at_all(root: Path) -> None:
    (root / "folder").mkdir()
    (root / "folder" / "file").write_bytes(b"inside")
    (root / "link").symlink_to("folder")
    with contextlib.closing(LocalStorage(root, use_openat2=False)) as storage:
        for path in ("/link", "/link/file"):
            with refused(OutsideRoot):
                storage.stat(path)
        assert content(storage, "/folder/file") == b"inside"


def test_links_in_a_circle_and_into_the_void_end(storage: LocalStorage, root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    (root / "void").symlink_to("nothing")
    with refused(OutsideRoot):
        storage.open_read("/one")
    with pytest.raises((NotFound, OutsideRoot)):
        storage.open_read("/void")


def test_a_directory_swapped_for_a_link_in_a_race_leads_nowhere(
    storage: LocalStorage, root: Path, outside: Path
) -> None:
    (root / "spot").mkdir()
    (root / "spot" / "secret").write_bytes(b"harmless")
    (root / "link").symlink_to("../outside")
    put(storage, "/mine")
    is_done = threading.Event()

    exchange = ctypes.CDLL(None, use_errno=True).renameat2
    spot, link = os.fsencode(root / "spot"), os.fsencode(root / "link")

    def swap() -> None:
        # RENAME_EXCHANGE: one step, so that every look at the name finds one of the two.
        while not is_done.is_set():
            assert exchange(-100, spot, -100, link, ctypes.c_uint(2)) == 0

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen: set[bytes] = set()
    refusals: set[type[StorageError]] = set()
    calls = [
        lambda: seen.add(content(storage, "/spot/secret")),
        lambda: put(storage, "/spot/planted"),
        lambda: storage.set_mode("/spot/secret", 0o604),
        lambda: storage.set_modified("/spot/secret", 99),
        lambda: storage.make_directory("/spot/folder"),
        lambda: storage.remove("/spot/planted"),
        lambda: storage.rename("/spot/folder", "/spot/other"),
        lambda: storage.remove_directory("/spot/other"),
    ]
    try:
        for number in range(MOST_ROUNDS):
            for call in calls:
                try:
                    call()
                except StorageError as error:
                    refusals.add(type(error))
            if number >= ROUNDS and seen and OutsideRoot in refusals:
                break
    finally:
        is_done.set()
        swapper.join()
    assert seen <= {b"harmless"}
    # Without both outcomes nothing raced and the test showed nothing.
    assert seen
    assert OutsideRoot in refusals


def test_a_fifo_is_neither_waited_for_nor_read(storage: LocalStorage, root: Path) -> None:
    os.mkfifo(root / "fifo")
    assert storage.stat("/fifo").kind is EntryKind.OTHER
    for call in every_call(storage, "/fifo")[2:]:
        with refused(PermissionDenied):
            call()
    storage.remove("/fifo")
    assert names(storage) == []


def test_a_socket_is_neither_read_nor_replaced(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)  # a socket's path may have some 100 octets only
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for call in every_call(storage, "/socket")[2:]:
            with refused(PermissionDenied):
                call()


def test_a_device_is_never_opened(storage: LocalStorage, root: Path) -> None:
    try:
        os.mknod(root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except OSError:
        pytest.skip("making a device needs root")
    assert storage.stat("/zero").kind is EntryKind.OTHER
    for call in every_call(storage, "/zero")[2:]:
        with refused(PermissionDenied):
            call()


def test_messages_do_not_tell_where_the_root_is(storage: LocalStorage, root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside)
    for call in [lambda: storage.stat("/missing"), *every_call_below(storage, "/link")]:
        with pytest.raises(StorageError) as raised:
            call()
        assert str(root.parent) not in str(raised.value)
        assert "\n" not in str(raised.value)
