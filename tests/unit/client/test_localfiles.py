"""Local files of transfers."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from random import Random

import pytest

from lockgate.client.localfiles import SourceFile, StreamTarget, open_target, safe_local_name
from lockgate.errors import IsADirectory, LocalProtocolError, NameRejected, NotFound, StorageError


def target(path, **more):
    return open_target(path, random=Random(1), **more)


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


def test_where_a_link_leads_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_text("old")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("folder/real")
    file = target(tmp_path / "a")
    file.write(b"new")
    assert (tmp_path / "a").read_text() == "old"
    file.commit()
    assert (tmp_path / "folder" / "real").read_text() == "new"
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "b").is_symlink()
    assert names(tmp_path / "folder") == ["real"]


def test_links_that_lead_to_no_file_are_refused_and_stay(tmp_path):
    (tmp_path / "nowhere").symlink_to("missing")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "folder").symlink_to(".")
    with pytest.raises(NotFound, match="leads nowhere"):
        target(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="round"):
        target(tmp_path / "round")
    with pytest.raises(IsADirectory):
        target(tmp_path / "folder")
    assert names(tmp_path) == ["folder", "nowhere", "round"]
    assert (tmp_path / "nowhere").is_symlink()


def test_devices_are_written_to_and_never_replaced(tmp_path):
    (tmp_path / "sink").symlink_to("/dev/null")
    for path in (Path("/dev/null"), tmp_path / "sink"):
        file = target(path)
        assert isinstance(file, StreamTarget)
        assert file.write(b"gone") == 4
        file.commit(modified=0)
        file.discard()
    assert Path("/dev/null").is_char_device()
    assert (tmp_path / "sink").is_symlink()
    assert names(tmp_path) == ["sink"]
    with pytest.raises(LocalProtocolError, match="resume"):
        target(tmp_path / "sink", resume_key="k")


def test_a_pipe_is_written_to_where_somebody_reads(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="nobody reads"):
        target(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    file = target(tmp_path / "pipe")
    file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    with pytest.raises(StorageError, match="pipe"):
        file.write(b"nobody")
    file.discard()
    assert (tmp_path / "pipe").is_fifo()


def test_a_socket_is_refused_and_stays(tmp_path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
    with pytest.raises(StorageError, match="not replaced"):
        target(tmp_path / "s")
    assert (tmp_path / "s").is_socket()


def test_standard_output_is_written_to_where_it_stands(tmp_path, capfd):
    os.write(1, b"before ")
    file = target(Path("/dev/stdout"))
    file.write(b"and after")
    file.commit()
    assert capfd.readouterr().out == "before and after"


def test_an_open_descriptor_is_read_to_its_end():
    reader, writer = os.pipe()
    os.write(writer, b"12345")
    os.close(writer)
    source = SourceFile.open(Path(f"/dev/fd/{reader}"))
    buffer = bytearray(10)
    assert source.size is None
    assert source.fileno() is None
    assert source.readinto(memoryview(buffer)) == 5
    assert source.readinto(memoryview(buffer)) == 0
    source.close()
    os.close(reader)


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
