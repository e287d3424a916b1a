"""`[files]` on a live server: hidden names, links, owners, and accounts that share a home."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from endings import cut
from live_server import PASSWORD, LiveServer, cheap_hash
from raw_client import RawClient

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]
HIDDEN = 'hidden = ["*.tmp", ".git"]'
SECRET = b"a secret of the operator"
BOB = f"""
[[account]]
name = "bob"
password_hash = "{cheap_hash(PASSWORD)}"
home = "root"
hidden = []
umask = "077"
"""


def furnish(root: Path) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(SECRET)
    (root / "a.tmp").write_bytes(SECRET)
    (root / "link").symlink_to(".git/config")
    (root / "links").symlink_to(".git")
    (root / "shown.txt").write_bytes(b"shown")


@pytest.mark.parametrize(
    "path", ["a.tmp", ".git", ".git/config", "/.git/../.git/config", "./.git/", "none.tmp"]
)
def test_no_verb_tells_of_a_hidden_name_or_makes_one(start: Start, connect: Connect, path: str) -> None:
    server = start(files=HIDDEN)
    furnish(server.root)
    client = connect(server).log_in()
    for verb in ("CWD", "MLST", "STAT", "SIZE", "MDTM", "RNFR", "DELE", "RMD", "SITE CHMOD 777"):
        assert client.command(f"{verb} {path}") == "550 No such file or directory.", verb
    client.expect(f"MFMT 20200101000000 {path}", 550)
    client.passive()
    for verb in ("RETR", "LIST", "NLST", "MLSD"):
        assert client.command(f"{verb} {path}") == "550 No such file or directory.", verb
    for verb in ("STOR", "APPE", "MKD"):
        client.expect(f"{verb} {path}", 553)
    client.expect("RNFR shown.txt", 350)
    client.expect(f"RNTO {path}", 553)
    assert (server.root / "a.tmp").read_bytes() == SECRET
    assert sorted(os.listdir(server.root)) == [".git", "a.tmp", "link", "links", "shown.txt"]


@pytest.mark.parametrize("path", ["link", "links", "links/config"])
def test_no_verb_goes_through_a_link_to_a_hidden_name(start: Start, connect: Connect, path: str) -> None:
    server = start(files=HIDDEN)
    furnish(server.root)
    client = connect(server).log_in()
    for verb in ("CWD", "MLST", "STAT", "SIZE", "MDTM", "SITE CHMOD 777", "MFMT 20200101000000"):
        client.expect(f"{verb} {path}", 550)
    client.passive()
    for verb in ("RETR", "LIST", "MLSD"):
        client.expect(f"{verb} {path}", 550)
    assert b"config" not in client.download("LIST")


def test_hidden_names_are_in_no_listing(start: Start, connect: Connect) -> None:
    server = start(files=HIDDEN)
    furnish(server.root)
    client = connect(server).log_in()
    for verb in ("LIST", "NLST", "MLSD"):
        listing = client.download(verb)
        assert b"shown.txt" in listing
        assert b".tmp" not in listing
        assert b".git" not in listing
    assert ".git" not in client.expect("STAT /", 212)


def test_accounts_that_share_a_home_keep_their_own_rules_and_parts(start: Start, connect: Connect) -> None:
    server = start(files=HIDDEN, more_accounts=BOB)
    furnish(server.root)
    alice, bob = connect(server).log_in(), connect(server).log_in("bob")
    assert bob.download("RETR a.tmp") == SECRET
    alice.expect("SIZE a.tmp", 550)
    assert alice.upload("STOR alices", b"x").code == bob.upload("STOR bobs", b"x").code == 226
    modes = [stat.S_IMODE((server.root / name).stat().st_mode) for name in ("alices", "bobs")]
    assert modes == [0o640, 0o600]
    data = alice.passive()
    alice.expect("STOR half", 150)
    protected = alice.protect_data(data)
    protected.sendall(b"half")
    cut(protected)
    assert alice.read().code == 426
    assert alice.expect("SIZE half", 213) == "213 4"
    bob.expect("SIZE half", 550)
    # Not 256 parts for each way to keep files, but for the home.
    storages = server.server.homes._storages.values()
    assert len(storages) == 2
    assert len({id(storage.state) for storage in storages}) == 1


def test_a_reload_changes_what_holds_for_the_next_login(start: Start, connect: Connect) -> None:
    server = start()
    furnish(server.root)
    before = connect(server).log_in()
    source = server.work / "lockgate.toml"
    source.write_text(source.read_text().replace("[files]\n", f"[files]\n{HIDDEN}\n"))
    server.call(server.server.reload)
    connect(server).log_in().expect("SIZE a.tmp", 550)
    before.expect("SIZE a.tmp", 213)


def test_refused_links_are_not_opened(start: Start, connect: Connect) -> None:
    server = start(files='symlinks = "refuse"')
    (server.root / "file").write_bytes(b"inside")
    (server.root / "link").symlink_to("file")
    client = connect(server).log_in()
    for verb in ("SIZE", "MDTM", "MLST", "CWD", "STAT"):
        client.expect(f"{verb} link", 550)
    assert b"link" in client.download("NLST")
    client.expect("DELE link", 250)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_directories_and_a_new_home_get_their_owner(start: Start, connect: Connect) -> None:
    server = start(files='owner = 1234\ngroup = "4321"\numask = "007"')
    server.root.rmdir()
    client = connect(server).log_in()
    assert client.upload("STOR file", b"x").code == 226
    client.expect("MKD folder", 257)
    found = [
        (path.stat().st_uid, path.stat().st_gid, stat.S_IMODE(path.stat().st_mode))
        for path in (server.root, server.root / "file", server.root / "folder")
    ]
    assert found == [(1234, 4321, 0o770), (1234, 4321, 0o660), (1234, 4321, 0o770)]


def test_an_owner_that_is_unknown_is_the_operators_matter(start: Start, connect: Connect) -> None:
    server = start(account='owner = "no-such-user"')
    client = connect(server)
    client.auth()
    client.expect("USER alice", 331)
    client.expect(f"PASS {PASSWORD}", 451)
