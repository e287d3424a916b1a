"""REST on downloads and uploads, and going on with an upload that was interrupted (RFC 3659 section 5)."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from endings import cut, hidden_files, reset
from live_server import PASSWORD, LiveServer, cheap_hash
from raw_client import RawClient, read_all

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]
CONTENT = bytes(range(256)) * 400


@pytest.mark.requirement("R959-4.1-i", "R3659-5-a", side="S")
def test_rest_starts_the_next_download_there_and_is_used_once(server: LiveServer, connect: Connect) -> None:
    (server.root / "rest.bin").write_bytes(CONTENT)
    client = connect(server).log_in()
    client.expect("REST 1000", 350)
    assert client.download("RETR rest.bin") == CONTENT[1000:]
    assert client.download("RETR rest.bin") == CONTENT


@pytest.mark.requirement("R959-4.1-i", "R3659-5-a", side="S")
def test_rest_starts_the_next_upload_there_and_is_used_once(server: LiveServer, connect: Connect) -> None:
    (server.root / "rest-up.bin").write_bytes(b"0123456789")
    client = connect(server).log_in()
    client.expect("REST 4", 350)
    assert client.upload("STOR rest-up.bin", b"abc").code == 226
    assert (server.root / "rest-up.bin").read_bytes() == b"0123abc"
    assert client.upload("STOR rest-up.bin", b"new").code == 226
    assert (server.root / "rest-up.bin").read_bytes() == b"new"


@pytest.mark.requirement("R959-4.1-i", side="S")
@pytest.mark.parametrize("between", ["NLST", "LIST", "MLSD", "TYPE I", "RETR missing.bin"])
def test_another_transfer_or_a_new_type_clears_rest(
    server: LiveServer, connect: Connect, between: str
) -> None:
    (server.root / "rest.bin").write_bytes(CONTENT)
    client = connect(server).log_in()
    client.expect("REST 1000", 350)
    if between.startswith("TYPE"):
        client.expect(between, 200)
    elif between.startswith("RETR"):
        client.passive()
        client.expect(between, 550)
    else:
        client.download(between)
    assert client.download("RETR rest.bin") == CONTENT


@pytest.mark.requirement("R959-4.1-i", side="S")
def test_commands_that_move_no_data_leave_rest_standing(server: LiveServer, connect: Connect) -> None:
    (server.root / "rest.bin").write_bytes(CONTENT)
    client = connect(server).log_in()
    client.expect("REST 99000", 350)
    client.expect("NOOP", 200)
    client.expect("SIZE rest.bin", 213)
    client.expect("PROT P", 200)
    assert client.download("RETR rest.bin") == CONTENT[99000:]


@pytest.mark.requirement("R3659-5-a", side="S")
@pytest.mark.parametrize("offset", ["10", "11", "9223372036854775807"])
def test_rest_beyond_the_end_is_refused_and_at_the_end_is_nothing_left(
    server: LiveServer, connect: Connect, offset: str
) -> None:
    (server.root / "ten.bin").write_bytes(b"0123456789")
    client = connect(server).log_in()
    client.expect(f"REST {offset}", 350)
    if offset == "10":
        assert client.download("RETR ten.bin") == b""
        return
    client.passive()
    client.expect("RETR ten.bin", 554)
    client.expect(f"REST {offset}", 350)
    client.expect("STOR ten.bin", 554)
    assert (server.root / "ten.bin").read_bytes() == b"0123456789"
    assert hidden_files(server.root) == []


@pytest.mark.requirement("R3659-5-a", side="S")
@pytest.mark.parametrize("junk", ["junk", "-1", "1.5", "1 2", "9" * 40, "٣", "0x10", ""])
def test_rest_with_junk_is_501(server: LiveServer, connect: Connect, junk: str) -> None:
    connect(server).log_in().expect(f"REST {junk}", 501)


@pytest.mark.requirement("R3659-5-a", side="S")
def test_rest_in_type_a_counts_bytes_on_the_wire(server: LiveServer, connect: Connect) -> None:
    (server.root / "lines.txt").write_bytes(b"one\ntwo\nthree\n")
    client = connect(server).log_in()
    client.expect("TYPE A", 200)
    client.expect("REST 4", 350)
    assert client.download("RETR lines.txt") == b"\ntwo\r\nthree\r\n"


@pytest.mark.parametrize("ending", ["cut", "ABOR"])
@pytest.mark.parametrize("going_on", ["REST", "APPE"])
def test_an_interrupted_upload_goes_on_where_it_stopped(
    server: LiveServer, connect: Connect, ending: str, going_on: str
) -> None:
    content = os.urandom(700_000)
    name = f"resumed-{ending}-{going_on}.bin"
    (server.root / name).unlink(missing_ok=True)
    client = connect(server).log_in()
    interrupt(client, f"STOR {name}", content[:300_000], by_abort=ending == "ABOR")
    assert not (server.root / name).exists()
    assert name.encode() not in client.download("NLST")
    # By the same account on a session of its own, as after a broken line.
    client = connect(server).log_in()
    stored = int(client.expect(f"SIZE {name}", 213)[4:])
    assert 0 < stored <= 300_000
    if ending == "cut":
        assert stored == 300_000
    if going_on == "REST":
        client.expect(f"REST {stored}", 350)
    verb = "STOR" if going_on == "REST" else "APPE"
    assert client.upload(f"{verb} {name}", content[stored:]).code == 226
    assert (server.root / name).read_bytes() == content
    assert hidden_files(server.root) == []


def test_an_interrupted_upload_starts_anew_without_rest(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    interrupt(client, "STOR anew.bin", b"the first try, cut off")
    assert client.upload("STOR anew.bin", b"second").code == 226
    assert (server.root / "anew.bin").read_bytes() == b"second"
    assert hidden_files(server.root) == []


def test_another_account_sees_nothing_of_an_interrupted_upload(start: Start, connect: Connect) -> None:
    server = start(
        more_accounts=f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash(PASSWORD)}"\nhome = "bob"'
    )
    client = connect(server).log_in()
    interrupt(client, "STOR mine.bin", b"half")
    client.expect("SIZE mine.bin", 213)
    connect(server).log_in("bob").expect("SIZE mine.bin", 550)


@pytest.mark.parametrize("going_on", ["REST", "APPE"])
@pytest.mark.parametrize("first", ["STOR report", "APPE report", "REST 10"])
def test_going_on_with_a_file_continues_what_size_and_retr_show(
    server: LiveServer, connect: Connect, first: str, going_on: str
) -> None:
    old = b"OLD" * 13 + b"!"
    (server.root / "report").write_bytes(old)
    client = connect(server).log_in()
    if first.startswith("REST"):
        client.expect(first, 350)
        first = "STOR report"
    data = client.passive()
    client.expect(first, 150)
    protected = client.protect_data(data)
    protected.sendall(b"x" * 60)
    reset(protected)
    assert client.read().code == 426
    assert hidden_files(server.root) == []
    client = connect(server).log_in()
    assert client.expect("SIZE report", 213) == "213 40"
    assert client.download("RETR report") == old
    if going_on == "REST":
        client.expect("REST 40", 350)
    assert client.upload("STOR report" if going_on == "REST" else "APPE report", b"+tail").code == 226
    assert (server.root / "report").read_bytes() == old + b"+tail"


def test_a_hidden_part_of_an_older_server_is_not_gone_on_with(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    (server.root / "report").unlink(missing_ok=True)
    interrupt(client, "STOR report", b"x" * 40)
    (server.root / "report").write_bytes(b"o" * 40)
    client.expect("REST 40", 350)
    assert client.upload("STOR report", b"+tail").code == 226
    assert (server.root / "report").read_bytes() == b"o" * 40 + b"+tail"
    assert hidden_files(server.root) == []


@pytest.mark.parametrize("taking", ["STOR", "RNTO", "MKD"])
def test_a_part_goes_when_its_name_is_taken(server: LiveServer, connect: Connect, taking: str) -> None:
    client = connect(server).log_in()
    name = f"taken-{taking}"
    interrupt(client, f"STOR {name}", b"half")
    if taking == "STOR":
        assert client.upload(f"STOR {name}", b"whole").code == 226
    elif taking == "MKD":
        client.expect(f"MKD {name}", 257)
    else:
        (server.root / "other").write_bytes(b"other")
        client.expect("RNFR other", 350)
        client.expect(f"RNTO {name}", 250)
    assert hidden_files(server.root) == []
    client.expect(f"{'RMD' if taking == 'MKD' else 'DELE'} {name}", 250)
    client.expect(f"SIZE {name}", 550)


def test_only_size_tells_of_a_part(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    interrupt(client, "STOR silent.bin", b"half")
    client.expect("SIZE silent.bin", 213)
    for line in (
        "MLST silent.bin",
        "MDTM silent.bin",
        "STAT silent.bin",
        "RNFR silent.bin",
        "DELE silent.bin",
    ):
        client.expect(line, 450, 550)
    for line in ("NLST", "LIST", "MLSD"):
        assert b"silent" not in client.download(line)
    assert client.upload("STOR silent.bin", b"whole").code == 226
    client.expect("DELE silent.bin", 250)


def test_a_cut_upload_under_a_unique_name_is_not_kept(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    before = hidden_files(server.root)
    interrupt(client, "STOU", b"half")
    assert hidden_files(server.root) == before


@pytest.mark.parametrize(("offset", "code"), [(17, 226), (18, 554), (9223372036854775807, 554)])
def test_rest_in_type_a_beyond_the_end_is_no_226(
    server: LiveServer, connect: Connect, offset: int, code: int
) -> None:
    (server.root / "lines.txt").write_bytes(b"one\ntwo\nthree\n")
    client = connect(server).log_in()
    client.expect("TYPE A", 200)
    client.expect(f"REST {offset}", 350)
    data = client.passive()
    client.expect("RETR lines.txt", 150)
    protected = client.protect_data(data)
    assert read_all(protected) == b""
    protected.close()
    assert client.read().code == code


def test_a_cut_ascii_upload_is_not_kept(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    client.expect("TYPE A", 200)
    interrupt(client, "STOR ascii.txt", b"one\r\ntwo")
    client.expect("TYPE I", 200)
    client.expect("SIZE ascii.txt", 550)
    assert hidden_files(server.root) == []


def interrupt(client: RawClient, command: str, content: bytes, *, by_abort: bool = False) -> None:
    """Begin an upload and let it be cut after some bytes have reached the server."""
    data = client.passive()
    client.expect(command, 150)
    protected = client.protect_data(data)
    protected.sendall(content)
    if not by_abort:
        cut(protected)
        assert client.read().code == 426
        return
    # STAT tells when something has arrived.
    while " 0 bytes" in client.command("STAT"):
        pass
    client.expect("ABOR", 426)
    assert client.read().code == 226
