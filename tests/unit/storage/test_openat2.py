"""The two ways of opening below a root, called directly."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.storage import _openat2
from lockgate.storage._openat2 import (
    O_PATH,
    kernel_has_openat2,
    open_beneath,
    open_walking,
    rename_exclusively,
)

OPENERS = [
    pytest.param(
        open_beneath,
        marks=pytest.mark.skipif(not kernel_has_openat2(), reason="no openat2 here"),
        id="openat2",
    ),
    pytest.param(open_walking, id="walk"),
]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"deep")
    root = os.open(tmp_path, O_PATH | os.O_DIRECTORY)
    yield root
    os.close(root)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_path_below_the_root_is_opened_and_not_inherited(opener: _openat2.Opener, root: int) -> None:
    descriptor = opener(root, (b"a", b"b", b"file"), os.O_RDONLY)
    try:
        assert os.read(descriptor, 9) == b"deep"
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("opener", OPENERS)
def test_no_component_is_the_root_itself(opener: _openat2.Opener, root: int) -> None:
    descriptor = opener(root, (), O_PATH | os.O_DIRECTORY)
    assert os.path.samestat(os.fstat(descriptor), os.fstat(root))
    os.close(descriptor)


@pytest.mark.requirement("RSEC-path-a")
@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("parts", [(b"..",), (b"a", b"..", b".."), (b"/etc",), (b"../etc",)])
def test_dots_and_slashes_in_components_lead_nowhere(
    opener: _openat2.Opener, root: int, parts: tuple[bytes, ...]
) -> None:
    with pytest.raises(OSError, match="cross-device") as raised:
        opener(root, parts, O_PATH)
    assert raised.value.errno == errno.EXDEV


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("parts", "number"),
    [
        ((b"a", b"missing"), errno.ENOENT),
        ((b"missing", b"file"), errno.ENOENT),
        ((b"a", b"b", b"file", b"x"), errno.ENOTDIR),
        ((b"x" * 256,), errno.ENAMETOOLONG),
    ],
)
def test_the_system_says_why_it_refuses(
    opener: _openat2.Opener, root: int, parts: tuple[bytes, ...], number: int
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r".") as raised:
        opener(root, parts, os.O_RDONLY)
    assert raised.value.errno == number
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("flags", [O_PATH, O_PATH | os.O_DIRECTORY, os.O_RDONLY])
@pytest.mark.parametrize("name", ["link", "link/b"])
def test_the_walk_tells_links_from_other_obstacles(root: int, tmp_path: Path, flags: int, name: str) -> None:
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(OSError, match=r".") as raised:
        open_walking(root, name.encode().split(b"/"), flags)
    assert raised.value.errno == errno.ELOOP


def test_no_openat2_where_the_machine_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_openat2.platform, "machine", lambda: "pdp11")
    assert not kernel_has_openat2.__wrapped__()


def test_no_openat2_where_the_kernel_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:  # as a sandbox does
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(_openat2, "open_beneath", refuse)
    assert not kernel_has_openat2.__wrapped__()


def test_the_kernel_is_asked_also_where_the_current_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert kernel_has_openat2.__wrapped__() == kernel_has_openat2()


def test_an_exclusive_rename_replaces_nothing(root: int, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "taken").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        rename_exclusively(root, b"new", b"taken")
    rename_exclusively(root, b"new", b"free")
    assert ((tmp_path / "taken").read_bytes(), (tmp_path / "free").read_bytes()) == (b"old", b"new")
    assert not (tmp_path / "new").exists()
