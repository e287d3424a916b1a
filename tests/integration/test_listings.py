"""LIST, NLST, MLSD, MLST, STAT: their form, and names that try to be more than names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer
from raw_client import RawClient

Connect = Callable[..., RawClient]

ODD_NAMES = [
    b"two words",
    b" leading and trailing ",
    b"-rf",
    b'a "quoted" name',
    b"star*[a-z]?.txt",
    b"back\\slash",
    b"%2e%2e",
    b"semi;type=dir; x",
    b"caf\xc3\xa9",
    b"not utf-8 \xe9\xfe",
    b"tab\tname",
    b"escape\x1b[2Jname",
    b"bell\x07",
    b"next\xc2\x85line",
    b"226 Transfer complete.",
    b"x" * 255,
]
FORGED = [b"line\r\n226 forged", b"nl\ntype=dir; forged", b"cr\rforged"]


@pytest.fixture
def tree(server: LiveServer) -> Path:
    """A directory with a file, a directory and a link, made once."""
    root = server.root / "tree"
    if not root.exists():
        root.mkdir()
        (root / "file.txt").write_bytes(b"12345")
        os.utime(root / "file.txt", (1577836800, 1577836800))  # 2020-01-01
        (root / "folder").mkdir()
        (root / "link").symlink_to("file.txt")
    return root


@pytest.fixture
def odd(server: LiveServer) -> Path:
    """A directory of odd names, made once."""
    root = server.root / "odd"
    if not root.exists():
        root.mkdir()
        for name in ODD_NAMES + FORGED:
            Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(name)
    return root


def facts(line: bytes) -> tuple[dict[str, str], bytes]:
    """Return the facts, names in lower case, and the name of one MLSx line."""
    text, _, name = line.partition(b" ")
    pairs = (fact.split("=", 1) for fact in text.decode().removesuffix(";").split(";"))
    return {key.lower(): value for key, value in pairs}, name


@pytest.mark.requirement("R959-4.1-k", "R959-4.1-l", side="S")
@pytest.mark.parametrize("kind", ["A", "I"])
def test_nlst_sends_bare_names_with_crlf(server: LiveServer, connect: Connect, tree: Path, kind: str) -> None:
    client = connect(server).log_in()
    client.expect(f"TYPE {kind}", 200)
    listing = client.download("NLST tree")
    assert listing.endswith(b"\r\n")
    assert sorted(listing.split(b"\r\n")[:-1]) == [b"file.txt", b"folder", b"link"]


@pytest.mark.requirement("R959-4.1-k", "R959-4.1-l", side="S")
@pytest.mark.parametrize(
    "command", ["LIST tree", "LIST -la tree", "LIST /tree", "LIST tree/", "LIST -a -l tree"]
)
def test_list_sends_lines_for_people_with_crlf(
    server: LiveServer, connect: Connect, tree: Path, command: str
) -> None:
    client = connect(server).log_in()
    lines = client.download(command).decode().split("\r\n")
    assert lines.pop() == ""
    assert len(lines) == 3
    by_kind = {line[0]: line for line in lines}
    assert re.fullmatch(r"-rw\S+ +\d+ \S+ +\S+ +5 Jan +1 +2020 file\.txt", by_kind["-"])
    assert by_kind["d"].endswith(" folder")
    assert by_kind["l"].endswith(" link -> file.txt")


@pytest.mark.requirement("R959-4.1-k", side="S")
def test_a_listing_without_argument_is_of_the_working_directory(
    server: LiveServer, connect: Connect, tree: Path
) -> None:
    client = connect(server).log_in()
    client.expect("CWD tree", 250)
    for command in ("LIST", "LIST -a", "NLST", "MLSD"):
        assert b"file.txt" in client.download(command)


def test_list_of_a_file_lists_the_file(server: LiveServer, connect: Connect, tree: Path) -> None:
    client = connect(server).log_in()
    assert client.download("NLST tree/file.txt") == b"file.txt\r\n"
    assert client.download("LIST tree/file.txt").count(b"\r\n") == 1


def test_an_empty_directory_is_an_empty_listing(server: LiveServer, connect: Connect) -> None:
    (server.root / "empty").mkdir(exist_ok=True)
    client = connect(server).log_in()
    for verb in ("LIST", "NLST", "MLSD"):
        assert client.download(f"{verb} empty") == b""


@pytest.mark.requirement("R3659-7-a", "R3659-7-b", side="S")
def test_mlsd_sends_facts_and_names(server: LiveServer, connect: Connect, tree: Path) -> None:
    client = connect(server).log_in()
    lines = client.download("MLSD tree").split(b"\r\n")
    assert lines.pop() == b""
    found = {name: known for known, name in map(facts, lines)}
    assert {b"file.txt", b"folder"} <= found.keys()
    known = found[b"file.txt"]
    assert known["type"] == "file"
    assert known["size"] == "5"
    assert known["modify"] == "20200101000000"
    assert set("adfrw") == set(known["perm"])
    assert known["unique"] != found[b"folder"]["unique"]
    assert found[b"folder"]["type"] == "dir"
    assert set(found[b"folder"]["perm"]) == set("cdeflmp")
    kinds = [one["type"].lower() for one in found.values()]
    assert kinds.count("cdir") <= 1
    assert kinds.count("pdir") <= 1


@pytest.mark.requirement("R3659-7-a", side="S")
def test_mlst_answers_on_the_control_connection(server: LiveServer, connect: Connect, tree: Path) -> None:
    client = connect(server).log_in()
    lines = client.expect("MLST tree/file.txt", 250).split("\n")
    assert len(lines) == 3
    assert lines[0].startswith("250-")
    assert lines[2].startswith("250 ")
    assert re.match(r" [^ ]", lines[1])
    known, name = facts(lines[1][1:].encode())
    assert name == b"/tree/file.txt"
    assert known["size"] == "5"
    known, name = facts(client.expect("MLST", 250).split("\n")[1][1:].encode())
    assert known["type"] in ("dir", "cdir")


@pytest.mark.requirement("R3659-7-c", side="S")
def test_opts_mlst_picks_facts_and_feat_shows_them(server: LiveServer, connect: Connect, tree: Path) -> None:
    client = connect(server).log_in()
    assert client.expect("OPTS MLST size;TYPE;xyzzy;", 200) == "200 MLST OPTS type;size;"
    known, _ = facts(client.expect("MLST tree/file.txt", 250).split("\n")[1][1:].encode())
    assert known == {"type": "file", "size": "5"}
    assert b"type=file;size=5; file.txt\r\n" in client.download("MLSD tree")
    (line,) = re.findall(r"(?m)^ MLST (.*)$", client.expect("FEAT", 211))
    starred = {fact for fact in line.split(";") if fact.endswith("*")}
    assert starred == {"type*", "size*"}
    assert "modify" in line.split(";")
    client.expect("OPTS MLST", 200)
    assert client.expect("MLST tree/file.txt", 250).split("\n")[1] == "  /tree/file.txt"


@pytest.mark.requirement("R3659-7-c", side="S")
def test_mlsd_of_a_file_is_501_and_of_nothing_550(server: LiveServer, connect: Connect, tree: Path) -> None:
    client = connect(server).log_in()
    client.passive()
    client.expect("MLSD tree/file.txt", 501)
    client.expect("MLSD missing", 550)
    client.expect("MLST missing", 550)
    client.expect("LIST missing", 550)
    client.expect("NLST missing", 550)
    client.expect("STAT missing", 450, 550)


@pytest.mark.requirement("R3659-7-d", side="S")
def test_mlsd_leaves_the_type_and_converts_nothing(server: LiveServer, connect: Connect, tree: Path) -> None:
    client = connect(server).log_in()
    client.expect("TYPE A", 200)
    assert b"\r\r\n" not in client.download("MLSD tree")
    assert "Type A" in client.expect("STAT", 211)


@pytest.mark.requirement("R959-4.1-m", side="S")
def test_stat_with_a_path_lists_it_on_control(server: LiveServer, connect: Connect, tree: Path) -> None:
    client = connect(server).log_in()
    reply = client.expect("STAT tree", 212)
    assert {"file.txt", "folder"} <= {line.split(" ")[-1] for line in reply.split("\n")}
    assert client.expect("STAT tree/file.txt", 213).count("file.txt") == 1


@pytest.mark.requirement("R959-5-a", "R2640-a", "R2640-b", "RSEC-line-b", side="S")
@pytest.mark.parametrize("name", ODD_NAMES, ids=repr)
def test_odd_names_are_names_to_every_command(
    server: LiveServer, connect: Connect, odd: Path, name: bytes
) -> None:
    client = connect(server).log_in()
    client.expect("CWD odd", 250)
    shown = name.decode("utf-8", "surrogateescape")
    listed = client.download("NLST").split(b"\r\n")
    assert name in listed
    assert name in [facts(line)[1] for line in client.download("MLSD").split(b"\r\n") if line]
    assert client.download(f"RETR {shown}") == name
    assert client.expect(f"SIZE {shown}", 213) == f"213 {len(name)}"
    lines = client.expect(f"MLST {shown}", 250).split("\n")
    assert len(lines) == 3
    assert lines[1].endswith(f" /odd/{shown}")
    client.expect(f"RNFR {shown}", 350)
    client.expect("RNTO ../taken.tmp", 250)
    assert client.upload(f"STOR {shown}", name).code == 226
    assert Path(os.fsdecode(os.fsencode(odd) + b"/" + name)).read_bytes() == name
    client.expect(f"DELE {shown}", 250)
    client.expect("RNFR ../taken.tmp", 350)
    client.expect(f"RNTO {shown}", 250)


@pytest.mark.requirement("R2640-b", "R1123-b", side="S")
def test_an_octet_255_in_a_name_is_doubled_on_the_control_connection(
    server: LiveServer, connect: Connect
) -> None:
    name = b"iac \xff\xfe name"
    Path(os.fsdecode(os.fsencode(server.root) + b"/" + name)).write_bytes(b"found")
    client = connect(server).log_in()
    assert name in client.download("NLST").split(b"\r\n")
    client.write(b"SIZE " + name.replace(b"\xff", b"\xff\xff") + b"\r\n")
    assert client.read() == "213 5"


@pytest.mark.requirement("RSEC-line-b", side="S")
@pytest.mark.parametrize("command", ["LIST odd", "NLST odd", "MLSD odd"])
def test_no_name_forges_a_line_of_a_listing(
    server: LiveServer, connect: Connect, odd: Path, command: str
) -> None:
    client = connect(server).log_in()
    listing = client.download(command)
    assert b"\r" not in listing.replace(b"\r\n", b"")
    assert b"\n" not in listing.replace(b"\r\n", b"")
    lines = listing.split(b"\r\n")[:-1]
    forms = {
        "LIST": rb"[-dl][-rwx]{9} .*",
        "NLST": rb"(?!226 forged|type=dir; forged|forged).*",
        "MLSD": rb"type=file;size=.*",
    }
    assert all(re.fullmatch(forms[command[:4]], line, re.DOTALL) for line in lines)
    assert len(lines) in (len(ODD_NAMES), len(ODD_NAMES) + len(FORGED))


@pytest.mark.requirement("RSEC-line-b", "R959-4-b", side="S")
def test_no_name_forges_a_line_of_a_reply(server: LiveServer, connect: Connect, odd: Path) -> None:
    client = connect(server).log_in()
    client.send("STAT odd")
    lines = [client.read_line()]
    while not lines[-1].startswith(b"212 "):
        lines.append(client.read_line())
    assert len(lines) == 2 + len(ODD_NAMES) + len(FORGED)
    assert not any(re.search(rb"[\x00-\x1f\x7f]", line) for line in lines)
    assert all(line.startswith(b" ") for line in lines[1:-1])
    client.expect("NOOP", 200)


def test_a_large_directory_is_listed_whole(server: LiveServer, connect: Connect) -> None:
    root = server.root / "large"
    if not root.exists():
        root.mkdir()
        for number in range(3000):
            (root / f"file-{number:05}").touch()
    client = connect(server).log_in()
    for verb in ("LIST", "NLST", "MLSD"):
        assert client.download(f"{verb} large").count(b"\r\n") == 3000
    # STAT answers on the control connection and is bounded.
    assert len(client.expect("STAT large", 212).split("\n")) < 1100
