"""Local files of transfers."""

from __future__ import annotations

import os
from random import Random

import pytest

from lockgate.client.localfiles import DownloadTarget, SourceFile, safe_local_name
from lockgate.errors import IsADirectory, NameRejected, NotFound, StorageError


def target(path, **more):
    return DownloadTarget(path, random=Random(1), **more)


def names(folder):
    return sorted(os.listdir(folder))


def test_the_target_shows_only_after_the_commit(tmp_path):
    file = target(tmp_path / "a")
    file.write(memoryview(b"new"))
    assert "a" not in names(tmp_path)
    file.commit(modified=1_000_000_000)
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mtime == 1_000_000_000


def test_the_old_content_stays_when_the_download_is_given_up(tmp_path):
    (tmp_path / "a").write_text("old")
    file = target(tmp_path / "a")
    file.write(b"new")
    file.discard()
    file.discard()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_replaced_file_keeps_its_mode(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o600)
    file = target(tmp_path / "a")
    file.commit()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_part_is_kept_only_where_it_can_be_resumed_and_holds_something(tmp_path):
    first = target(tmp_path / "a", resume_key="k")
    first.discard()
    assert names(tmp_path) == []
    second = target(tmp_path / "a", resume_key="k")
    second.write(b"12")
    second.discard()
    third = target(tmp_path / "a", resume_key="k")
    assert third.offset == 2
    third.write(b"34")
    third.commit()
    assert (tmp_path / "a").read_bytes() == b"1234"
    assert names(tmp_path) == ["a"]


def test_a_part_can_be_started_anew(tmp_path):
    first = target(tmp_path / "a", resume_key="k")
    first.write(b"12")
    first.discard()
    again = target(tmp_path / "a", resume_key="k")
    again.restart()
    again.write(b"3")
    again.commit()
    assert (tmp_path / "a").read_bytes() == b"3"


@pytest.mark.requirement("RSEC-C-path")
def test_a_link_in_the_place_of_the_part_is_not_followed(tmp_path):
    (tmp_path / ".a.k.lockgate-part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        target(tmp_path / "a", resume_key="k")
    assert "elsewhere" not in names(tmp_path)


def test_a_link_that_is_the_target_is_replaced_and_not_written_through(tmp_path):
    (tmp_path / "victim").write_text("safe")
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    file = target(tmp_path / "a")
    file.write(b"new")
    file.commit()
    assert (tmp_path / "victim").read_text() == "safe"
    assert not (tmp_path / "a").is_symlink()


def test_a_very_long_name_leaves_room_for_the_parts_name(tmp_path):
    file = target(tmp_path / ("ä" * 127))
    file.commit()
    assert names(tmp_path) == ["ä" * 127]


def test_a_target_that_became_a_directory_leaves_nothing_behind(tmp_path):
    file = target(tmp_path / "a")
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError):
        file.commit()
    assert names(tmp_path) == ["a"]


def test_a_target_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(IsADirectory):
        target(tmp_path)
    with pytest.raises(NotFound):
        target(tmp_path / "missing" / "a")


def test_sources_are_plain_files_only(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="no plain file"):
        SourceFile.open(tmp_path / "pipe")
    with pytest.raises(IsADirectory):
        SourceFile.open(tmp_path)
    with pytest.raises(NotFound):
        SourceFile.open(tmp_path / "missing")


def test_a_source_is_read_to_its_end(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    source = SourceFile.open(tmp_path / "a")
    buffer = bytearray(4)
    assert source.size == 5
    assert source.readinto(memoryview(buffer)) == 4
    assert source.readinto(memoryview(buffer)) == 1
    assert source.readinto(memoryview(buffer)) == 0
    source.close()
    source.close()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0b"])
@pytest.mark.requirement("RSEC-C-path")
def test_names_that_are_more_than_names_are_refused(name):
    with pytest.raises(NameRejected):
        safe_local_name(name)


@pytest.mark.parametrize("name", ["a", "...", "-rf", "a b", "~", "ä", "\udcff", "C:\\x"])
def test_plain_names_stay_as_they_are(name):
    assert safe_local_name(name) == name
