"""CWD to RNTO, SIZE, MDTM, MFMT, SITE CHMOD, and what accounts without a permission are refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


@pytest.fixture
def client(server: LiveServer, connect: Connect) -> RawClient:
    """A session of alice."""
    return connect(server).log_in()


@pytest.mark.requirement("R959-4.1-d", "R959-4.1-c", "R1123-a", side="S")
def test_directories_are_made_entered_left_and_removed(server: LiveServer, client: RawClient) -> None:
    assert client.expect("PWD", 257).startswith('257 "/"')
    assert client.expect("MKD one", 257).startswith('257 "/one"')
    assert (server.root / "one").is_dir()
    client.expect("CWD one", 200, 250)
    assert client.expect("PWD", 257).startswith('257 "/one"')
    assert client.expect("MKD two", 257).startswith('257 "/one/two"')
    client.expect("CWD two/.././/two", 250)
    client.expect("CDUP", 200, 250)
    assert client.expect("PWD", 257).startswith('257 "/one"')
    client.expect("RMD two", 250)
    client.expect("CDUP", 200, 250)
    client.expect("CDUP", 200, 250)
    assert client.expect("PWD", 257).startswith('257 "/"')
    client.expect("RMD one", 250)
    assert not (server.root / "one").exists()


@pytest.mark.requirement("R959-4.1-c", "R959-5-a", side="S")
def test_quotes_in_paths_are_doubled_in_257(server: LiveServer, client: RawClient) -> None:
    reply = client.expect('MKD a "b" c', 257)
    assert reply.startswith('257 "/a ""b"" c"')
    client.expect('CWD a "b" c', 250)
    assert client.expect("PWD", 257).startswith('257 "/a ""b"" c"')
    client.expect("CWD /", 250)
    client.expect('RMD a "b" c', 250)


@pytest.mark.requirement("R959-4-d", side="S")
def test_verbs_and_their_older_forms_in_any_case(client: RawClient) -> None:
    client.expect("xmkd old", 257)
    client.expect("Xcwd old", 250)
    client.expect("xPwD", 257)
    client.expect("XCUP", 200, 250)
    client.expect("xrmd old", 250)


@pytest.mark.requirement("R959-4.1-d", "R959-4.1-g", side="S")
@pytest.mark.parametrize(
    "line",
    [
        *("CWD missing", "CWD plain", "CWD plain/x", "RMD missing", "RMD plain", "RMD full", "RMD /"),
        *("DELE missing", "DELE full", "RNFR missing", "MKD full", "MKD plain", "MKD missing/x", "MKD /"),
        *("SIZE missing", "SIZE full", "MDTM missing", "MFMT 20200101000000 missing"),
        *("SITE CHMOD 644 missing", "RETR full"),
    ],
)
def test_what_is_not_there_or_not_of_that_kind_is_550(
    server: LiveServer, client: RawClient, line: str
) -> None:
    (server.root / "plain").write_bytes(b"")
    (server.root / "full").mkdir(exist_ok=True)
    (server.root / "full" / "inner").write_bytes(b"")
    client.passive()
    client.expect(line, 550)
    assert client.expect("PWD", 257).startswith('257 "/"')
    assert (server.root / "plain").is_file()
    assert (server.root / "full" / "inner").is_file()


@pytest.mark.requirement("R959-4.1-d", "R959-4-c", side="S")
def test_rename_needs_its_first_half_right_before(server: LiveServer, client: RawClient) -> None:
    (server.root / "old").write_bytes(b"content")
    client.expect("RNTO new", 503)
    client.expect("RNFR old", 350)
    client.expect("NOOP", 200)
    client.expect("RNTO new", 503)
    client.expect("RNFR old", 350)
    client.expect("RNTO new", 250)
    assert (server.root / "new").read_bytes() == b"content"
    assert not (server.root / "old").exists()
    client.expect("RNTO again", 503)


def test_rename_takes_a_file_to_another_directory(server: LiveServer, client: RawClient) -> None:
    (server.root / "here").mkdir(exist_ok=True)
    (server.root / "move").write_bytes(b"moved")
    client.expect("CWD here", 250)
    client.expect("RNFR ../move", 350)
    client.expect("RNTO /here/moved", 250)
    assert (server.root / "here" / "moved").read_bytes() == b"moved"
    client.expect("DELE moved", 250)


@pytest.mark.requirement("R3659-4-a", side="S")
def test_size_is_what_retr_would_send(server: LiveServer, client: RawClient) -> None:
    (server.root / "lines.txt").write_bytes(b"one\ntwo\n")
    assert client.expect("SIZE lines.txt", 213) == "213 8"
    client.expect("TYPE A", 200)
    reply = client.expect("SIZE lines.txt", 213, 550)
    if reply.code == 213:
        assert int(reply[4:]) == len(client.download("RETR lines.txt"))


@pytest.mark.requirement("R3659-2-a", "RX-MFMT", side="S")
def test_mdtm_tells_and_mfmt_sets_the_time_in_utc(server: LiveServer, client: RawClient) -> None:
    path = server.root / "two words.txt"
    path.write_bytes(b"")
    os.utime(path, (951782400, 951782400))  # 2000-02-29
    assert client.expect("MDTM two words.txt", 213) == "213 20000229000000"
    reply = client.expect("MFMT 20240229123456 two words.txt", 213)
    assert reply == "213 Modify=20240229123456; /two words.txt"
    assert path.stat().st_mtime == 1709210096
    assert client.expect("MDTM two words.txt", 213) == "213 20240229123456"


@pytest.mark.requirement("RX-MFMT", "R959-4-c", side="S")
@pytest.mark.parametrize(
    "line",
    [
        "MFMT",
        "MFMT 20200101000000",
        "MFMT 2020 x",
        "MFMT 20201301000000 x",
        "MFMT x x",
        "MFMT 20200230000000 x",
    ],
)
def test_mfmt_with_junk_is_501(server: LiveServer, client: RawClient, line: str) -> None:
    client.expect(line, 501)


@pytest.mark.requirement("RX-CHMOD", side="S")
@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("600", 200),
        ("0644", 200),
        ("777", 200),
        *((beyond, 550) for beyond in ("4755", "2755", "1777", "7777")),
        *((junk, 501) for junk in ("rwx", "888", "u+s", "64", "10644", "-644", "٦٤٤")),
    ],
)
def test_site_chmod_sets_permission_bits_and_nothing_else(
    server: LiveServer, client: RawClient, mode: str, code: int
) -> None:
    path = server.root / "mode file.txt"
    path.write_bytes(b"")
    path.chmod(0o640)
    client.expect(f"SITE CHMOD {mode} mode file.txt", code)
    expected = int(mode, 8) if code == 200 else 0o640
    assert stat.S_IMODE(path.stat().st_mode) == expected


@pytest.mark.parametrize("name", ["/", "..", ".", "../../.", "/."])
def test_the_root_itself_is_not_a_clients_to_change(server: LiveServer, client: RawClient, name: str) -> None:
    before = server.root.stat()
    for line in (
        f"SITE CHMOD 000 {name}",
        f"MFMT 20000101000000 {name}",
        f"RNFR {name}",
        f"DELE {name}",
        f"RMD {name}",
    ):
        client.expect(line, 550)
    after = server.root.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_an_upload_keeps_the_mode_of_the_file_it_replaces(server: LiveServer, client: RawClient) -> None:
    path = server.root / "kept-mode.txt"
    path.write_bytes(b"old")
    path.chmod(0o604)
    assert client.upload("STOR kept-mode.txt", b"new").code == 226
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


COMMANDS = {
    "read": ["RETR file.txt"],
    "write": [
        "STOR file.txt",
        "STOR new.txt",
        "APPE file.txt",
        "STOU",
        "MFMT 20200101000000 file.txt",
        "SITE CHMOD 600 file.txt",
    ],
    "delete": ["DELE file.txt", "RMD folder"],
    "list": ["LIST", "NLST", "MLSD", "MLST file.txt", "STAT file.txt", "STAT /"],
    "mkdir": ["MKD made"],
    "rename": ["RNFR file.txt"],
}


@pytest.mark.parametrize("missing", COMMANDS)
def test_each_permission_that_an_account_lacks_is_550(start: Start, connect: Connect, missing: str) -> None:
    given = " ".join(word for word in COMMANDS if word != missing)
    server = start(account=f'permissions = "{given}"')
    (server.root / "file.txt").write_bytes(b"content")
    (server.root / "folder").mkdir()
    client = connect(server).log_in()
    client.passive()
    for line in COMMANDS[missing]:
        client.expect(line, 550)
    assert sorted(path.name for path in server.root.iterdir()) == ["file.txt", "folder"]
    assert (server.root / "file.txt").read_bytes() == b"content"
    # What is given still works, and the permissions show in the facts.
    if missing != "read":
        assert client.download("RETR file.txt") == b"content"
    if missing != "list":
        line = client.expect("MLST file.txt", 250).split("\n")[1]
        letters = {"read": "r", "write": "w", "delete": "d", "rename": "f"}
        perm = line.partition("perm=")[2].partition(";")[0]
        assert all((letter in perm) is (name != missing) for name, letter in letters.items())


def test_rnto_needs_the_permission_too(start: Start, connect: Connect) -> None:
    server = start(account='permissions = "read write list"')
    (server.root / "file.txt").write_bytes(b"content")
    client = connect(server).log_in()
    client.expect("RNTO other.txt", 503, 550)
    assert (server.root / "file.txt").exists()


@pytest.mark.parametrize("permissions", ["list rename", "list rename read mkdir"])
def test_rename_alone_does_not_replace_a_file(start: Start, connect: Connect, permissions: str) -> None:
    server = start(account=f'permissions = "{permissions}"')
    (server.root / "one").write_bytes(b"one")
    (server.root / "two").write_bytes(b"two")
    client = connect(server).log_in()
    client.expect("RNFR one", 350)
    client.expect("RNTO two", 550)
    assert (server.root / "two").read_bytes() == b"two"
    client.expect("RNFR one", 350)
    client.expect("RNTO three", 250)
    assert (server.root / "three").read_bytes() == b"one"


def test_site_chmod_takes_a_name_with_spaces_around_it(server: LiveServer, client: RawClient) -> None:
    path = server.root / " both "
    path.write_bytes(b"")
    client.expect("SITE CHMOD  600  both ", 200)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_home_is_made_at_the_login(start: Start, connect: Connect) -> None:
    server = start()
    server.root.rmdir()
    client = connect(server).log_in()
    assert client.upload("STOR first.txt", b"first").code == 226
    assert (server.root / "first.txt").read_bytes() == b"first"


@pytest.mark.requirement("RSEC-info-a", side="S")
@pytest.mark.parametrize(
    "line", ["CWD missing", "RETR missing", "MKD missing/x", "DELE missing", "RNFR missing", "STAT missing"]
)
def test_replies_name_no_place_outside_the_root(server: LiveServer, client: RawClient, line: str) -> None:
    client.passive()
    reply = client.command(line)
    assert str(server.work) not in reply
    assert "Traceback" not in reply
    assert "Errno" not in reply
