"""No path leads out of the root, for no command that takes one (RSEC-path)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from endings import cut, hidden_files
from live_server import LiveServer
from raw_client import RawClient

Connect = Callable[..., RawClient]

VERBS = [
    *("CWD", "MKD", "RMD", "DELE", "RNFR", "SIZE", "MDTM", "MFMT 20200101000000", "SITE CHMOD 600"),
    *("MLST", "STAT", "RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"),
]
SECRET = b"secret of another"


@pytest.fixture
def outside(server: LiveServer) -> Path:
    """A directory beside the root, and links in the root that lead to it."""
    folder = server.work / "outside"
    if not folder.exists():
        folder.mkdir()
        (folder / "secret.txt").write_bytes(SECRET)
        (folder / "folder").mkdir()
        (server.root / "to-folder").symlink_to(folder)
        (server.root / "to-file").symlink_to(folder / "secret.txt")
        (server.root / "up").symlink_to("../outside")
        (server.root / "proc").symlink_to("/proc/self/root")
    return folder


def snapshot(folder: Path) -> list[tuple[str, int, float, bytes]]:
    """Return all that an attack could change in a folder."""
    return sorted(
        (
            str(path.relative_to(folder)),
            path.lstat().st_mode,
            path.lstat().st_mtime,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    )


def attack(client: RawClient, line: str) -> bytes:
    """Run a command, with an upload or a download if it comes to one; return every byte that came back."""
    if line[:4] not in ("RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"):
        return client.command(line).encode("utf-8", "surrogateescape")
    data = client.passive()
    reply = client.command(line)
    if reply.code != 150:
        assert reply.code in (501, 550, 553), reply
        return b""
    protected = client.protect_data(data)
    received = b""
    if line[:4] in ("STOR", "APPE", "STOU"):
        protected.sendall(b"attack")
    else:
        while piece := protected.recv(65536):
            received += piece
    protected.unwrap()
    client.read()
    return received


@pytest.mark.requirement("RSEC-path-a", side="S")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "template",
    [
        "../outside/{}",
        "../../../../../../..{outside}/{}",
        "{outside}/{}",
        "//..//../outside/{}",
        "..\\outside\\{}",
        "%2e%2e/outside/{}",
        "..%2foutside/{}",
        "to-folder/{}",
        "up/{}",
        "proc{outside}/{}",
        "./to-folder/../../outside/{}",
    ],
)
def test_no_path_reaches_a_neighbour_of_the_root(
    server: LiveServer, connect: Connect, outside: Path, verb: str, template: str
) -> None:
    before = snapshot(outside)
    client = connect(server).log_in()
    for name in ("secret.txt", "folder", "new"):
        path = template.format(name, outside=outside)
        answer = attack(client, f"{verb} {path}")
        assert SECRET not in answer
        assert b"secret.txt" not in answer.replace(path.encode(), b"").replace(b"/secret.txt", b"")
        if verb == "RNFR":
            client.command("RNTO stolen")
    assert snapshot(outside) == before
    # Nor may a later relative path profit from what CWD took.
    assert SECRET not in attack(client, "RETR secret.txt")


@pytest.mark.requirement("RSEC-path-a", side="S")
# DELE, RNFR and MKD work on the link itself, which is the account's own.
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("DELE", "RNFR", "MKD")])
def test_a_link_to_a_file_outside_is_of_no_use(
    server: LiveServer, connect: Connect, outside: Path, verb: str
) -> None:
    before = snapshot(outside)
    client = connect(server).log_in()
    assert SECRET not in attack(client, f"{verb} to-file")
    assert snapshot(outside) == before


@pytest.mark.requirement("RSEC-path-a", side="S")
def test_listings_tell_nothing_of_where_links_lead_outside(
    server: LiveServer, connect: Connect, outside: Path
) -> None:
    client = connect(server).log_in()
    for command in ("LIST", "MLSD"):
        listing = client.download(command)
        assert os.fsencode(server.work) not in listing
        assert b"/proc/self" not in listing


@pytest.mark.requirement("RSEC-path-a", "RSEC-line-a", side="S")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("octets", [b"a\0b", b"\0", b"a\rb", b"a\r\0b"], ids=repr)
def test_nul_and_cr_in_a_path_are_refused(
    server: LiveServer, connect: Connect, verb: str, octets: bytes
) -> None:
    client = connect(server).log_in()
    before = sorted(os.listdir(os.fsencode(server.root)))
    client.passive()
    client.write(verb.encode() + b" " + octets + b"\r\n")
    assert client.read().code in (500, 501, 550, 553)
    client.expect("NOOP", 200)
    assert sorted(os.listdir(os.fsencode(server.root))) == before


@pytest.mark.requirement("RSEC-path-a", side="S")
@pytest.mark.parametrize(
    "octets", [b"\xc0\xae\xc0\xae/outside/secret.txt", b"..\xc0\xafoutside\xc0\xafsecret.txt"]
)
def test_overlong_utf8_is_no_way_out(
    server: LiveServer, connect: Connect, outside: Path, octets: bytes
) -> None:
    client = connect(server).log_in()
    client.passive()
    client.write(b"RETR " + octets + b"\r\n")
    assert client.read().code in (501, 550, 553)


@pytest.mark.requirement("RSEC-path-a", side="S")
def test_dotdot_stays_at_the_root(server: LiveServer, connect: Connect, outside: Path) -> None:
    (server.root / "own.txt").write_bytes(b"own")
    client = connect(server).log_in()
    client.expect("CWD ../../..", 250)
    assert client.expect("PWD", 257).startswith('257 "/"')
    assert client.download("RETR ../../own.txt") == b"own"


@pytest.mark.parametrize("verb", VERBS)
def test_the_hidden_names_of_uploads_are_nobody_s(server: LiveServer, connect: Connect, verb: str) -> None:
    client = connect(server).log_in()
    data = client.passive()
    client.expect("STOR half.bin", 150)
    protected = client.protect_data(data)
    protected.sendall(b"half")
    cut(protected)
    assert client.read().code == 426
    (hidden,) = hidden_files(server.root)
    kept = (server.root / hidden).read_bytes()
    for name in (hidden, hidden.upper(), f"/{hidden}", ".lockgate-new"):
        answer = attack(client, f"{verb} {name}")
        assert b"half" not in answer
        if verb == "RNFR":
            client.command("RNTO stolen")
    (server.root / "file.txt").write_bytes(b"")
    client.expect("RNFR file.txt", 350)
    client.expect(f"RNTO {hidden}", 550, 553)
    assert hidden_files(server.root) == [hidden]
    assert (server.root / hidden).read_bytes() == kept
    client.expect("DELE half.bin", 250, 550)
    (server.root / hidden).unlink(missing_ok=True)


def test_links_inside_the_root_are_followed(server: LiveServer, connect: Connect) -> None:
    (server.root / "real").mkdir(exist_ok=True)
    (server.root / "real" / "file.txt").write_bytes(b"inside")
    if not (server.root / "alias").is_symlink():
        (server.root / "alias").symlink_to("real")
    client = connect(server).log_in()
    assert client.download("RETR alias/file.txt") == b"inside"
    client.expect("CWD alias", 250)
    client.expect("SIZE file.txt", 213)
