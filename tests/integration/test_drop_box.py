"""Read-only accounts and drop boxes: which verb needs which word, and that no reply tells what is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from endings import cut, hidden_files
from live_server import PASSWORD, LiveServer, cheap_hash
from raw_client import RawClient

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

WORDS = ("read", "write", "delete", "list", "mkdir", "rename")
# What each command needs: all of the words of one of the sets.
NEEDS: dict[str, tuple[set[str], ...]] = {
    "RETR file": ({"read"},),
    "HASH file": ({"read"},),
    "STOR new": ({"write"},),
    "APPE new": ({"write"},),
    "STOU": ({"write"},),
    "LIST": ({"list"},),
    "NLST": ({"list"},),
    "MLSD": ({"list"},),
    "MLST file": ({"list"},),
    "STAT file": ({"list"},),
    "SIZE file": ({"read"}, {"list"}),
    "MDTM file": ({"read"}, {"list"}),
    "MFMT 20200101000000 file": ({"write", "read"}, {"write", "list"}),
    "MFF modify=20200101000000; file": ({"write", "read"}, {"write", "list"}),
    "SITE CHMOD 600 file": ({"write", "read"}, {"write", "list"}),
    "SITE UTIME 20200101000000 file": ({"write", "read"}, {"write", "list"}),
    "DELE file": ({"delete"},),
    "RMD folder": ({"delete"},),
    "MKD made": ({"mkdir"},),
    "RNFR file": ({"rename"},),
    "CWD folder": (set(),),
    "AVBL": (set(),),
}
# One word each, the usual mixtures, everything.
GIVEN = [*WORDS, "read list", "write mkdir", "write rename", "read write", "write list", " ".join(WORDS)]
# Every command of a session that names something; what tells nothing on its own is not in it.
PROBES = [
    *("CWD {}", "CWD {}/x", "SIZE {}", "MDTM {}", "MFMT 20200101000000 {}", "MFF modify=20200101000000; {}"),
    *("SITE CHMOD 600 {}", "SITE UTIME 20200101000000 {}", "MLST {}", "STAT {}", "HASH {}", "AVBL {}"),
    *("RNFR {}", "DELE {}", "RMD {}", "LIST {}", "NLST {}", "MLSD {}", "RETR {}", "STOR {}/x", "MKD {}"),
]
EVERYTHING = f"""
[[account]]
name = "owner"
password_hash = "{cheap_hash(PASSWORD)}"
home = "root"
"""


def furnish(root: Path) -> None:
    (root / "file").write_bytes(b"content")
    (root / "folder").mkdir()


def try_out(client: RawClient, line: str) -> bool:
    """Run a command, end its transfer if it begins one, and say whether it was allowed."""
    if line[:4] in ("RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"):
        client.passive()
    reply = client.command(line)
    if reply.code == 150:
        client.expect("ABOR", 426)
        assert client.read().code == 226
    assert reply.code in (150, 200, 211, 212, 213, 250, 257, 350, 550), (line, reply)
    return reply.code != 550


@pytest.mark.parametrize("given", GIVEN)
def test_each_verb_needs_its_words(start: Start, connect: Connect, given: str) -> None:
    server = start(account=f'permissions = "{given}"')
    for line, needs in NEEDS.items():
        for name in os.listdir(server.root):
            (server.root / name).rmdir() if (server.root / name).is_dir() else (server.root / name).unlink()
        furnish(server.root)
        with RawClient(server.host, server.port) as client:
            client.log_in()
            is_allowed = any(need <= set(given.split()) for need in needs)
            assert try_out(client, line) is is_allowed, line


def answers(client: RawClient, name: str) -> list[str]:
    """Every reply to the probes about a name, the name itself taken out."""
    client.passive()
    found = []
    for probe in PROBES:
        reply = client.command(probe.format(name))
        assert reply.code not in (150, 125), probe
        found.append(f"{probe}: {reply.replace(name, 'NAME')}")
    return found


@pytest.mark.parametrize("permissions", ["write", ""])
def test_no_reply_tells_a_blind_account_which_files_are_there(
    start: Start, connect: Connect, permissions: str
) -> None:
    server = start(account=f'permissions = "{permissions}"')
    (server.root / "visible").write_bytes(b"another's")
    (server.root / "closed").write_bytes(b"another's")
    (server.root / "closed").chmod(0)
    (server.root / "absent").symlink_to("nowhere")
    (server.root / "outside").symlink_to("/etc/passwd")
    client = connect(server).log_in()
    expected = answers(client, "missing")
    for name in ("visible", "closed", "absent", "outside"):
        assert answers(client, name) == expected


@pytest.mark.parametrize("line", ["STOR {}", "APPE {}", "REST 3|STOR {}", "STOU {}"])
@pytest.mark.parametrize("style", ["atomic", "in-place"])
def test_uploading_tells_a_drop_box_nothing_and_replaces_nothing(
    start: Start, connect: Connect, line: str, style: str
) -> None:
    server = start(account=f'permissions = "write"\nuploads = "{style}"')
    (server.root / "there").write_bytes(b"another's")
    (server.root / "foldr").mkdir()
    client = connect(server).log_in()
    told = []
    for name in ("there", "foldr", "there", "fresh", "fresh"):
        rest, _, verb = line.format(name).rpartition("|")
        if rest:
            client.expect(rest, 350)
            client.passive()
            told.append(client.command(verb))
            continue
        data = client.passive()
        begun = client.expect(verb, 150)
        protected = client.protect_data(data)
        protected.sendall(b"mine")
        protected.unwrap().close()
        told.append(f"{begun.partition(name)[0]} {client.read()} {client.command(f'SIZE {name}')}")
    assert len(set(told)) == 1, told
    assert (server.root / "there").read_bytes() == b"another's"
    stored = [one for one in server.root.iterdir() if one.is_file() and one.read_bytes() == b"mine"]
    assert len(stored) == (0 if "REST" in line else 5)


@pytest.mark.parametrize("name", ["there", "fresh"])
def test_a_drop_box_goes_on_with_its_own_part_whatever_is_there(
    start: Start, connect: Connect, name: str
) -> None:
    server = start(account='permissions = "write"')
    (server.root / "there").write_bytes(b"another's")
    client = connect(server).log_in()
    data = client.passive()
    client.expect(f"STOR {name}", 150)
    protected = client.protect_data(data)
    protected.sendall(b"half")
    cut(protected)
    assert client.read().code == 426
    assert client.expect(f"SIZE {name}", 213) == "213 4"
    client.expect("REST 4", 350)
    assert client.upload(f"STOR {name}", b"+half").code == 226
    client.expect(f"SIZE {name}", 550)
    assert hidden_files(server.root) == []
    assert b"half+half" in [path.read_bytes() for path in server.root.iterdir()]
    assert (server.root / "there").read_bytes() == b"another's"


def test_a_drop_box_renames_its_uploads_and_replaces_nothing(start: Start, connect: Connect) -> None:
    server = start(account='permissions = "write rename"')
    (server.root / "there").write_bytes(b"another's")
    client = connect(server).log_in()
    assert client.upload("STOR up.part", b"mine").code == 226
    client.expect("RNFR up.part", 350)
    client.expect("RNTO there", 550)
    client.expect("RNFR up.part", 350)
    client.expect("RNTO up", 250)
    assert (server.root / "there").read_bytes() == b"another's"
    assert (server.root / "up").read_bytes() == b"mine"


def test_full_accounts_replace_as_ever_and_see_what_a_drop_box_has_stored(
    start: Start, connect: Connect
) -> None:
    server = start(account='permissions = "write"', more_accounts=EVERYTHING)
    box, owner = connect(server).log_in(), connect(server).log_in("owner")
    assert owner.upload("STOR file", b"one").code == 226
    assert owner.upload("STOR file", b"two").code == 226
    assert box.upload("STOR file", b"dropped").code == 226
    assert owner.download("RETR file") == b"two"
    (other,) = [name for name in owner.download("NLST").decode().split() if name != "file"]
    assert other.startswith("file.")
    assert owner.download(f"RETR {other}") == b"dropped"


def test_what_is_stored_beside_a_name_is_hidden_from_nobody(start: Start, connect: Connect) -> None:
    server = start(
        files='hidden = ["taken.*"]',
        account='permissions = "write"',
        more_accounts=EVERYTHING,
    )
    client = connect(server).log_in()
    for content in (b"first", b"second"):
        assert client.upload("STOR taken", content).code == 226
    owner = connect(server).log_in("owner")
    names = owner.download("NLST").decode().split()
    assert sorted(owner.download(f"RETR {name}") for name in names) == [b"first", b"second"]
