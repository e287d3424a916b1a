"""lftp against our server: explicit and implicit TLS, 1.2 and 1.3 (GnuTLS), files and whole trees.

lftp keeps one TLS session and offers it on every data connection; it does not read while it uploads, so a
TLS 1.3 ticket on an upload would cost it the end of the file. Measured with lftp 4.9.2.
"""

from __future__ import annotations

import logging
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from live_server import PASSWORD, USER, LiveServer
from programs import Run, run

SETTINGS = """
set ftp:ssl-force true
set ftp:ssl-protect-data true
set ssl:verify-certificate true
set net:timeout 15
set net:max-retries 1
set net:persist-retries 0
set net:reconnect-interval-base 1
set cmd:fail-exit true
"""


@dataclass(frozen=True)
class Lftp:
    """lftp that is logged in to a server and runs what it is told."""

    program: str
    server: LiveServer
    home: Path
    version: str
    mode: str = "explicit"

    def __call__(self, *commands: str, folder: Path | None = None, settings: str = "") -> Run:
        server = self.server
        if self.mode == "implicit":
            url = f"ftps://127.0.0.1:{server.implicit_port}/"
        else:
            url = f"ftp://127.0.0.1:{server.port}/"
        script = [
            SETTINGS,
            settings,
            f"set ssl:ca-file '{server.ca_file}'",
            f"set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{self.version}",
            f'open -u {USER},"{PASSWORD}" {url}',
            *([] if folder is None else [f"cd '{folder.relative_to(server.root)}'"]),
            *commands,
        ]
        path = self.home / "script"
        path.write_text("\n".join(script) + "\n")
        return run([self.program, "--norc", "-f", path], home=self.home)


@pytest.fixture
def make_lftp(client_program: Callable[[str], str], tmp_path: Path) -> Callable[..., Lftp]:
    def make(server: LiveServer, version: str, mode: str = "explicit") -> Lftp:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        return Lftp(client_program("lftp"), server, home, version, mode)

    return make


@pytest.fixture
def every_lftp(make_lftp: Callable[..., Lftp], server: LiveServer, tls_version: str, mode: str) -> Lftp:
    """lftp for the shared server, in every mode and version."""
    return make_lftp(server, tls_version, mode)


@pytest.fixture(params=[("1.2", "implicit"), ("1.3", "explicit")], ids="-".join)
def lftp(make_lftp: Callable[..., Lftp], server: LiveServer, request: pytest.FixtureRequest) -> Lftp:
    """lftp for the shared server, in each mode and each version, for what does not depend on both."""
    return make_lftp(server, *request.param)


def content(size: int, seed: int = 4217) -> bytes:
    return random.Random(seed).randbytes(size)


def make_tree(root: Path) -> dict[str, bytes]:
    """Write a small tree of odd names and return what is in it."""
    files = {
        "empty": b"",
        "with space": content(10_000, 1),
        "deep/er/grüße.txt": content(300_000, 2),
        "deep/it's": content(1, 3),
        'deep/a "quote"': content(70_000, 4),
        "deep/-hyphen": content(2_000_000, 5),
        "[x]*?": b"glob",
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def read_tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_a_file_goes_up_and_comes_down_unchanged(every_lftp, folder, tmp_path):
    data = content(3_000_001)
    (tmp_path / "file").write_bytes(data)
    every_lftp(f"put '{tmp_path}/file' -o there", f"get there -o '{tmp_path}/back'", folder=folder).ok()
    assert (folder / "there").read_bytes() == data
    assert (tmp_path / "back").read_bytes() == data


def test_a_tree_is_mirrored_both_ways(every_lftp, folder, tmp_path):
    local, back = tmp_path / "local", tmp_path / "back"
    local.mkdir()
    files = make_tree(local)
    every_lftp(
        f"mirror -R --parallel=3 '{local}' tree", f"mirror --parallel=3 tree '{back}'", folder=folder
    ).ok()
    assert read_tree(folder / "tree") == files
    assert read_tree(back) == files


def test_a_second_mirror_has_nothing_to_do(lftp, folder, tmp_path):
    local = tmp_path / "local"
    local.mkdir()
    make_tree(local)
    lftp(f"mirror -R '{local}' tree", folder=folder).ok()
    again = lftp(f"mirror -R --verbose '{local}' tree", folder=folder).ok()
    assert "Transferring" not in again.text + again.errors


def test_a_file_is_fetched_in_pieces_over_several_sessions(lftp, folder, tmp_path):
    data = content(4_000_000)
    (folder / "big").write_bytes(data)
    lftp(f"pget -n 4 big -o '{tmp_path}/big'", folder=folder).ok()
    assert (tmp_path / "big").read_bytes() == data


def test_cut_transfers_are_resumed(lftp, folder, tmp_path):
    data = content(500_000)
    (folder / "down").write_bytes(data)
    (tmp_path / "down").write_bytes(data[:200_001])
    (tmp_path / "up").write_bytes(data)
    (folder / "up").write_bytes(data[:200_001])
    lftp(f"reget down -o '{tmp_path}/down'", f"reput '{tmp_path}/up' -o up", folder=folder).ok()
    assert (tmp_path / "down").read_bytes() == data
    assert (folder / "up").read_bytes() == data


def test_names_are_made_changed_and_removed(lftp, folder):
    (folder / "old name").write_bytes(b"1")
    (folder / "rubbish").write_bytes(b"2")
    lftp(
        "mkdir -p a/b", "mv 'old name' a/b/new", "rm rubbish", "mkdir gone", "rmdir gone",
        "chmod 600 a/b/new", folder=folder,
    ).ok()  # fmt: skip
    assert read_tree(folder) == {"a/b/new": b"1"}
    assert (folder / "a/b/new").stat().st_mode & 0o777 == 0o600
    assert not (folder / "gone").exists()


def test_listings_name_everything(lftp, folder):
    files = make_tree(folder)
    found = lftp("find", folder=folder).ok().text.splitlines()
    assert {line.removeprefix("./") for line in found if not line.endswith("/")} == set(files)
    assert "with space" in lftp("set ftp:use-mlsd off", "ls", folder=folder).ok().text


@pytest.mark.requirement("R4217-7-a", "R4217-12.4-a")
def test_active_mode_moves_files_both_ways(every_lftp, folder, tmp_path):
    data = content(600_000)
    (tmp_path / "file").write_bytes(data)
    every_lftp(
        "set ftp:passive-mode off",
        f"put '{tmp_path}/file' -o there",
        f"get there -o '{tmp_path}/back'",
        folder=folder,
    ).ok()
    assert (tmp_path / "back").read_bytes() == data


@pytest.mark.requirement("R4217-10.2-f", "R4217-18-a")
def test_demanded_session_reuse_is_met(make_lftp, start, tls_version, mode, tmp_path):
    server = start(policy='session_reuse = "required"')
    local, back = tmp_path / "local", tmp_path / "back"
    local.mkdir()
    files = {f"file {number}": content(number * 40_000, number) for number in range(25)}
    for name, data in files.items():
        (local / name).write_bytes(data)
    make_lftp(server, tls_version, mode)(f"mirror -R '{local}' tree", f"mirror tree '{back}'").ok()
    assert read_tree(back) == files


@pytest.mark.requirement("R4217-10.2-c")
def test_data_in_clear_is_refused(make_lftp, server, tls_version, folder, tmp_path):
    lftp = make_lftp(server, tls_version)
    (folder / "some").write_bytes(b"secret")
    # Said before it connects: a session that was Private once stays so, for PROT C is refused too.
    clear = "set ftp:ssl-protect-data false"
    refused = lftp(f"get {folder.name}/some -o '{tmp_path}/some'", settings=clear)
    assert refused.code != 0
    assert not (tmp_path / "some").exists()
    assert "521" in refused.errors


@pytest.mark.requirement("R4217-9-e")
def test_data_in_clear_works_where_it_is_allowed(make_lftp, start, tls_version, tmp_path):
    server = start(policy='data = "optional"')
    (server.root / "some").write_bytes(content(100_000))
    lftp = make_lftp(server, tls_version)
    lftp(f"get some -o '{tmp_path}/some'", settings="set ftp:ssl-protect-data false").ok()
    assert (tmp_path / "some").read_bytes() == content(100_000)


MODE_Z = """
set ftp:use-mode-z true
set ftp:mode-z-level 9
set ftp:compressed-re ""
"""


@pytest.mark.requirement("RX-MODEZ")
def test_files_go_both_ways_compressed(every_lftp, folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lockgate.audit")
    files = {"text": b"the same line again\n" * 50_000, "noise": content(1_500_001), "empty": b""}
    names = " ".join(files)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    every_lftp(
        f"lcd '{tmp_path}'", f"mput {names}", f"mget -O '{tmp_path / 'home'}' {names}", "cls",
        folder=folder, settings=MODE_Z,
    ).ok()  # fmt: skip
    assert read_tree(folder) == files
    assert {name: (tmp_path / "home" / name).read_bytes() for name in files} == files
    # As it passed: a fiftieth of the text.
    moved = [
        record.getMessage()
        for record in caplog.records
        if re.search("(STOR|RETR) .*/text ", record.getMessage())
    ]
    assert len(moved) == 2
    assert all(int(re.search(r" bytes=(\d+)", line)[1]) < 20_000 for line in moved)


@pytest.mark.requirement("RX-MODEZ")
def test_cut_transfers_are_resumed_compressed(lftp, folder, tmp_path):
    data = content(400_000) + bytes(400_000)
    (folder / "down").write_bytes(data)
    (tmp_path / "down").write_bytes(data[:200_001])
    (tmp_path / "up").write_bytes(data)
    (folder / "up").write_bytes(data[:200_001])
    lftp(
        f"reget down -o '{tmp_path}/down'", f"reput '{tmp_path}/up' -o up", folder=folder, settings=MODE_Z
    ).ok()
    assert (tmp_path / "down").read_bytes() == data
    assert (folder / "up").read_bytes() == data


def test_times_are_set_by_site_utime(lftp, folder, tmp_path):
    (tmp_path / "old").write_bytes(b"1")
    os.utime(tmp_path / "old", (1_000_000_000, 1_000_000_000))
    lftp(
        f"put '{tmp_path}/old'", folder=folder, settings="set ftp:use-feat no\nset ftp:use-site-utime yes"
    ).ok()
    assert (folder / "old").stat().st_mtime == 1_000_000_000
