"""TYPE, STRU, MODE, ALLO, OPTS and the small commands of a session (RFC 959, RFC 1123, RFC 2389)."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient

Connect = Callable[..., RawClient]


@pytest.mark.requirement("R959-4.1-e", "R959-4-d", "R959-4-c", side="S")
@pytest.mark.parametrize(
    ("argument", "code"),
    [
        *((good, 200) for good in ("A", "a", "I", "i", "A N", "a n", "L 8", "l 8")),
        *((known, 504) for known in ("E", "A T", "A C", "L 7", "L 36")),
        *((junk, 501) for junk in ("X", "", "7", "IMAGE")),
    ],
)
def test_type(server: LiveServer, connect: Connect, argument: str, code: int) -> None:
    client = connect(server).log_in()
    client.expect(f"TYPE {argument}", code)


@pytest.mark.requirement("R959-4.1-e", "R959-4.1-f", side="S")
def test_the_defaults_are_ascii_file_and_stream(server: LiveServer, connect: Connect) -> None:
    (server.root / "default.txt").write_bytes(b"one\n")
    client = connect(server)
    client.auth()
    client.expect("USER alice", 331)
    client.expect("PASS correct horse", 230)
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 200)
    assert "Type A, structure F, mode S" in client.expect("STAT", 211)
    assert client.download("RETR default.txt") == b"one\r\n"


@pytest.mark.parametrize("refused", ["TYPE E", "TYPE X", "TYPE"])
def test_a_refused_type_leaves_the_type(server: LiveServer, connect: Connect, refused: str) -> None:
    client = connect(server).log_in()
    client.expect(refused, 501, 504)
    assert "Type I" in client.expect("STAT", 211)


@pytest.mark.requirement("R959-4.1-f", "R959-4-d", "R959-4-c", side="S")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        *((good, 200) for good in ("MODE S", "mode s", "STRU F", "stru f")),
        *((known, 504) for known in ("MODE B", "MODE C", "STRU R", "STRU P")),
        *((junk, 501) for junk in ("MODE X", "MODE", "STRU X", "STRU", "MODE SB")),
    ],
)
def test_mode_and_stru(server: LiveServer, connect: Connect, line: str, code: int) -> None:
    connect(server).log_in().expect(line, code)


@pytest.mark.requirement("R959-4.1-k", "R959-4-a", side="S")
@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("SYST", {215}),
        ("NOOP", {200}),
        ("ALLO 1000", {200, 202}),
        ("ALLO 1000 R 80", {200, 202}),
        ("ALLO x", {501}),
        ("ACCT x", {202, 230, 502, 503}),
        ("SMNT /", {202, 502}),
        ("HELP", {211, 214}),
        ("HELP RETR", {211, 214}),
        ("HELP XYZZY", {501, 502, 504}),
        ("SITE HELP", {200, 214}),
        ("SITE XYZZY", {500, 501, 504}),
        ("STAT", {211}),
        ("XYZZY", {500}),
        ("REIN x", {501}),
    ],
)
def test_the_small_commands(server: LiveServer, connect: Connect, line: str, codes: set[int]) -> None:
    client = connect(server).log_in()
    client.expect(line, *codes)
    client.expect("NOOP", 200)


@pytest.mark.requirement(
    "R2389-a", "R2389-c", "R3659-5-a", "R2640-a", "R003-3.4-b", "R003-3.3-d", "R4217-6-a", side="S"
)
def test_every_listed_feature_works(server: LiveServer, connect: Connect) -> None:
    (server.root / "feature.txt").write_bytes(b"12345")
    client = connect(server).log_in()
    reply = client.expect("FEAT", 211)
    lines = reply.split("\n")
    assert lines[0].startswith("211-")
    assert lines[-1].startswith("211 ")
    assert all(re.match(r" \S", line) for line in lines[1:-1])
    features = {line.split()[0] for line in lines[1:-1]}
    tried = {
        "AUTH": ("AUTH TLS", 503),  # in TLS already: known, and not now
        "PBSZ": ("PBSZ 0", 200),
        "PROT": ("PROT P", 200),
        "EPSV": ("EPSV", 229),
        "EPRT": ("EPRT |1|127.0.0.1|2000|", 200),
        "MDTM": ("MDTM feature.txt", 213),
        "MFMT": ("MFMT 20200101000000 feature.txt", 213),
        "MLST": ("MLST feature.txt", 250),
        "MLSD": ("MLSD feature.txt", 501),
        "REST": ("REST 1", 350),
        "HOST": ("HOST localhost", 503),  # before the login only
        "RANG": ("RANG 1 0", 350),
        "HASH": ("HASH feature.txt", 213),
        "MFF": ("MFF UNIX.mode=0640; feature.txt", 213),
        "AVBL": ("AVBL", 213),
        "MODE": ("MODE Z", 200),
        "SIZE": ("SIZE feature.txt", 213),
        "UTF8": ("OPTS UTF8 ON", 200),
        "CLNT": ("CLNT test", 200),
        "TVFS": ("CWD /./../", 250),
    }
    assert features >= {"AUTH", "PBSZ", "PROT", "EPSV", "EPRT", "MDTM", "MLST", "REST", "SIZE", "UTF8"}
    assert {" AUTH TLS", " AUTH SSL"} <= set(lines)
    for feature in features:
        line, code = tried[feature]  # a new feature wants a line here
        client.expect(line, code)


@pytest.mark.requirement("R2389-a", side="S")
def test_the_extensions_are_listed_as_their_drafts_write_them(server: LiveServer, connect: Connect) -> None:
    lines = connect(server).log_in().expect("FEAT", 211).split("\n")
    assert {
        " MODE Z", " RANG STREAM", " MFMT", " MFF modify;UNIX.mode;", " AVBL", " HASH SHA-256*;SHA-512;CRC32"
    } <= set(lines)  # fmt: skip


@pytest.mark.requirement("R2389-b", "R2640-a", side="S")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("OPTS UTF8 ON", 200),
        ("OPTS utf8 on", 200),
        ("OPTS UTF-8 ON", 200),
        ("OPTS UTF8", 200),
        ("OPTS UTF8 OFF", 504),
        ("OPTS XYZZY", 501),
        ("OPTS", 501),
        ("OPTS SIZE x", 501),
        ("OPTS HASH", 200),
        ("OPTS HASH sha-512", 200),
        ("OPTS HASH MD5", 504),
        ("OPTS HASH CRC-37", 504),
        ("OPTS MODE Z", 200),
        ("OPTS mode z level 9", 200),
        ("OPTS MODE Z ENGINE ZLIB LEVEL 1", 200),
        ("OPTS MODE Z LEVEL 10", 501),
        ("OPTS MODE Z LEVEL", 501),
        ("OPTS MODE Z ENGINE LZO", 501),
        ("OPTS MODE S", 501),
        ("OPTS MODE", 501),
        # Commands without options, by design.
        ("OPTS RANG", 501),
        ("OPTS RANG STREAM", 501),
        ("OPTS MFMT", 501),
        ("OPTS MFF modify;", 501),
        ("OPTS AVBL", 501),
        ("OPTS SITE", 501),
        ("OPTS SITE CHMOD", 501),
    ],
)
def test_opts(server: LiveServer, connect: Connect, line: str, code: int) -> None:
    connect(server).log_in().expect(line, code)


@pytest.mark.requirement("R959-4-b", side="S")
def test_multi_line_replies_begin_and_end_with_their_code(server: LiveServer, connect: Connect) -> None:
    (server.root / "226 Transfer complete.").write_bytes(b"")
    (server.root / "212 End").write_bytes(b"")
    client = connect(server).log_in()
    for line in ("FEAT", "HELP", "STAT", "STAT /", "SITE HELP"):
        client.send(line)
        lines = [client.read_line().decode()]
        while not re.match(r"\d{3} ", lines[-1]):
            lines.append(client.read_line().decode())
        assert lines[-1][:3] == lines[0][:3]
        assert lines[0][3] == "-"
        assert not any(re.match(r"\d{3}", line) for line in lines[1:-1])
    client.expect("NOOP", 200)
