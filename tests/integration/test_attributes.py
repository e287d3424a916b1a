"""MFMT, MFF, AVBL and SITE on a live server: what they change, all or nothing, and odd arguments."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer
from raw_client import RawClient

Start = Callable[..., LiveServer]
Connect = Callable[..., RawClient]

WHEN, WHEN_SECONDS = "20200102030405", 1577934245


@pytest.fixture
def client(server: LiveServer, connect: Connect) -> RawClient:
    return connect(server).log_in()


@pytest.fixture
def file(server: LiveServer) -> Path:
    """A file whose facts are known before each test."""
    path = server.root / "facts"
    path.write_bytes(b"12345")
    path.chmod(0o640)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def facts(path: Path) -> tuple[int, int]:
    """Return permission bits, and the time of the last change."""
    status = path.stat()
    return status.st_mode & 0o7777, int(status.st_mtime)


UNCHANGED = (0o640, 1_000_000_000)


@pytest.mark.requirement("RX-MFMT", "RX-CHMOD", side="S")
@pytest.mark.parametrize(
    ("line", "reply", "expected"),
    [
        (f"MFF modify={WHEN}; facts", f"213 Modify={WHEN}; /facts", (0o640, WHEN_SECONDS)),
        ("MFF unix.MODE=0600; facts", "213 UNIX.mode=0600; /facts", (0o600, 1_000_000_000)),
        (
            f"MFF UNIX.mode=644;Modify={WHEN}; /x/../facts",
            f"213 Modify={WHEN};UNIX.mode=0644; /facts",
            (0o644, WHEN_SECONDS),
        ),
        (f"MFMT {WHEN} facts", f"213 Modify={WHEN}; /facts", (0o640, WHEN_SECONDS)),
        (f"SITE UTIME {WHEN} facts", "200 The time was set.", (0o640, WHEN_SECONDS)),
        ("site utime 202001020304 facts", "200 The time was set.", (0o640, WHEN_SECONDS - 5)),
        (
            f"SITE UTIME facts 20190101000000 {WHEN} 20210101000000 UTC",
            "200 The time was set.",
            (0o640, WHEN_SECONDS),
        ),
        ("SITE CHMOD 600 facts", "200 The mode was set.", (0o600, 1_000_000_000)),
    ],
)
def test_facts_are_changed(
    client: RawClient, file: Path, line: str, reply: str, expected: tuple[int, int]
) -> None:
    assert client.command(line) == reply
    assert facts(file) == expected


@pytest.mark.parametrize(
    ("line", "code"),
    [
        # One fact that cannot be changed, or badly written: the other one stays too.
        (f"MFF modify={WHEN};create={WHEN}; facts", 504),
        ("MFF UNIX.mode=0600;UNIX.owner=root; facts", 504),
        ("MFF UNIX.mode=0600;size=3; facts", 504),
        (f"MFF modify={WHEN};UNIX.mode=4755; facts", 550),
        (f"MFF modify={WHEN};UNIX.mode=1777; facts", 550),
        (f"MFF modify={WHEN};UNIX.mode=rwx; facts", 501),
        ("MFF UNIX.mode=0600;modify=20201302030405; facts", 501),
        ("MFF UNIX.mode=0600;modify=00000102030405; facts", 501),
        # Times that a calendar has and a file system has not.
        ("MFF UNIX.mode=0600;modify=00010101000000; facts", 501),
        ("MFMT 00010101000000 facts", 501),
        ("SITE UTIME 00010101000000 facts", 501),
        # Forms.
        ("MFF facts", 501),
        ("MFF modify=20200102030405 facts", 501),
        (f"MFF modify={WHEN};facts", 501),
        (f"MFF modify={WHEN};modify={WHEN}; facts", 501),
        (f"MFF modify={WHEN};; facts", 501),
        (f"MFMT {WHEN}", 501),
        ("MFMT facts", 501),
        (f"MFCT {WHEN} facts", 502),
        ("SITE UTIME facts", 501),
        (f"SITE UTIME {WHEN}", 501),
        (f"SITE UTIME facts 1 {WHEN} 3 UTC", 501),
        ("SITE UTIME 2020010203 facts", 501),
        ("SITE CHMOD 4755 facts", 550),
        ("SITE CHMOD u+s facts", 501),
        ("SITE SYMLINK facts link", 504),
        ("SITE EXEC ls", 504),
        ("SITE \x1b[31mUTIME facts", 504),
    ],
)
def test_what_is_refused_changes_nothing(client: RawClient, file: Path, line: str, code: int) -> None:
    assert client.command(line).code == code
    assert facts(file) == UNCHANGED
    assert not (file.parent / "link").exists()
    client.expect("NOOP", 200)


@pytest.mark.parametrize(
    "name",
    ["../../../outside", "/../outside", "out/../../outside", "link", "facts/x", ".lockgate-x.part", "/"],
)
@pytest.mark.parametrize(
    "command", [f"MFF modify={WHEN};UNIX.mode=0777;", f"SITE UTIME {WHEN}", f"MFMT {WHEN}", "SITE CHMOD 777"]
)
def test_no_path_leads_to_what_is_not_the_clients(
    server: LiveServer, client: RawClient, file: Path, command: str, name: str
) -> None:
    outside = server.root.parent / "outside"
    hidden = server.root / ".lockgate-x.part"
    for path in (outside, hidden):
        path.write_bytes(b"")
        path.chmod(0o640)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    link = server.root / "link"
    if not link.is_symlink():
        link.symlink_to(outside)
    root = facts(server.root)
    assert client.command(f"{command} {name}").code == 550
    assert facts(outside) == facts(hidden) == facts(file) == UNCHANGED
    assert facts(server.root) == root


def test_changing_facts_takes_the_permission_to_write(start: Start, connect: Connect) -> None:
    server = start(account='permissions = "read list delete mkdir rename"')
    path = server.root / "facts"
    path.write_bytes(b"")
    client = connect(server).log_in()
    before = facts(path)
    for line in (
        f"MFF modify={WHEN}; facts",
        f"MFMT {WHEN} facts",
        f"SITE UTIME {WHEN} facts",
        "SITE CHMOD 600 facts",
    ):
        client.expect(line, 550)
    assert facts(path) == before


def test_names_may_look_like_facts(server: LiveServer, client: RawClient) -> None:
    path = server.root / "modify=1; UNIX.mode=2;"
    path.write_bytes(b"")
    client.expect(f"MFF modify={WHEN};UNIX.mode=0604; modify=1; UNIX.mode=2;", 213)
    assert facts(path) == (0o604, WHEN_SECONDS)


def test_replies_carry_no_control_characters(server: LiveServer, client: RawClient) -> None:
    (server.root / "a\x1b[2Jb").write_bytes(b"")
    assert client.expect(f"MFF modify={WHEN}; a\x1b[2Jb", 213).endswith(" /a?[2Jb")
    assert client.expect(f"SITE UTIME {WHEN} a\x1b[2Jb", 200) == "200 The time was set."


def test_folders_have_facts_too(server: LiveServer, client: RawClient) -> None:
    (server.root / "folder").mkdir(exist_ok=True)
    client.expect(f"MFF modify={WHEN};UNIX.mode=0750; folder", 213)
    assert facts(server.root / "folder") == (0o750, WHEN_SECONDS)


def test_site_help_lists_what_there_is(client: RawClient) -> None:
    text = client.expect("SITE HELP", 214)
    for word in ("HELP", "CHMOD", "UTIME"):
        assert f"\n {word}" in text
    assert "SYMLINK" not in text


@pytest.mark.requirement("RX-AVBL", side="S")
def test_avbl_tells_what_the_disk_has_left(server: LiveServer, client: RawClient) -> None:
    (server.root / "below").mkdir(exist_ok=True)
    free = shutil.disk_usage(server.root).free
    for line in ("AVBL", "AVBL /", "AVBL below"):
        reply = client.expect(line, 213)
        # Other programs use the disk too.
        assert abs(int(reply[4:]) - free) < 1 << 32
    client.expect("AVBL missing", 550)
    client.expect("AVBL ../../outside/x", 550)


@pytest.mark.requirement("RX-AVBL", side="S")
def test_avbl_is_no_more_than_the_quota_has_left(start: Start, connect: Connect) -> None:
    server = start(account="quota_bytes = 100_000")
    client = connect(server).log_in()
    assert client.expect("AVBL", 213) == "213 100000"
    assert client.upload("STOR a", bytes(60_000)).code == 226
    assert client.expect("AVBL", 213) == "213 40000"
