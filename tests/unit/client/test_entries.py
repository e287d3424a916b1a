"""Listings as entries, and names that are not taken."""

from __future__ import annotations

import pytest

from lockgate.client.entries import entries_from_list, entries_from_mlsd, joined
from lockgate.errors import NameRejected, RemoteProtocolError

NOW = 1_700_000_000.0


def test_mlsd_lines_become_entries_without_the_directory_itself():
    data = (
        b"type=cdir;modify=20240101000000; /in\r\n"
        b"type=pdir; /\r\n"
        b"Type=File;Size=5;Modify=20240101000000;UNIX.mode=0644; a b;c\r\n"
        b"type=dir; sub\r\n"
        b"type=OS.unix=slink:/target; link\r\n"
        b"type=OS.unix=socket; sock\r\n"
    )
    entries = entries_from_mlsd(data, "/in")
    assert [(entry.name, entry.kind, entry.path) for entry in entries] == [
        ("a b;c", "file", "/in/a b;c"),
        ("sub", "dir", "/in/sub"),
        ("link", "link", "/in/link"),
        ("sock", "other", "/in/sock"),
    ]
    assert (entries[0].size, entries[0].mode, entries[0].modified) == (5, 0o644, 1704067200)
    assert entries[2].target == "/target"


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b", "a/../../b", "..\0"])
@pytest.mark.requirement("RSEC-C-path")
def test_a_name_that_might_lead_elsewhere_stops_the_listing(name):
    with pytest.raises((NameRejected, RemoteProtocolError)):
        entries_from_mlsd(f"type=file;size=1; {name}\r\n".encode(), "/in")


@pytest.mark.requirement("RSEC-C-path")
def test_such_a_name_stops_a_list_too():
    line = b"-rw-r--r-- 1 u g 5 Jan 01 2024 ../evil\r\n"
    with pytest.raises(NameRejected):
        entries_from_list(line, "", now=NOW)


def test_list_lines_become_entries_whose_time_is_not_exact():
    data = b"total 8\r\ndrwxr-xr-x 2 u g 4096 Jan 01 2024 sub\r\n-rw-r--r-- 1 u g 5 Jan 01 2024 a b\r\n"
    entries = entries_from_list(data, "", now=NOW)
    assert [(entry.name, entry.kind, entry.path) for entry in entries] == [
        ("sub", "dir", "sub"),
        ("a b", "file", "a b"),
    ]
    assert not entries[1].is_modified_exact


def test_a_list_of_nothing_is_empty_and_one_in_an_unknown_dialect_is_an_error():
    assert entries_from_list(b"total 0\r\n", "", now=NOW) == []
    with pytest.raises(RemoteProtocolError, match="dialect"):
        entries_from_list(b"NAME SIZE OWNER\r\nX 1 ME\r\n", "", now=NOW)


def test_names_that_are_not_utf8_keep_their_octets():
    assert entries_from_mlsd(b"type=file; \xff\xfe\r\n", "/")[0].path == "/\udcff\udcfe"


@pytest.mark.parametrize(("directory", "path"), [("", "a"), ("/", "/a"), ("/in", "/in/a"), ("in/", "in/a")])
def test_names_are_joined_to_the_path_that_was_listed(directory, path):
    assert joined(directory, "a") == path
