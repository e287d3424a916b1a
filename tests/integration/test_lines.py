"""Lines that are none, other protocols' lines, and what FEAT says, on a live server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient
from tls_bytes import enter, stands, tls_end_is_clean

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


@pytest.mark.requirement("RSEC-line-a", "R959-4-c", "R959-4-a", side="S")
@pytest.mark.parametrize(
    "line",
    [
        b"\r\n",
        b"   \r\n",
        b"XYZZY\r\n",
        b"XYZZY with words\r\n",
        b"NOOP\0\r\n",
        b"\0\0\0\0\r\n",
        b"NOOP\n",
        b"NOOP\rNOOP\r\n",
        b"\r\r\n",
        b"\x1b[2J\r\n",
        b"\x80\x81\xfe\r\n",
        "ÄÖÜ\r\n".encode(),
        b"A" * 9000 + b"\r\n",
        b"NOOP " + b"A" * 60_000 + b"\r\n",
        b"%s%n%x\r\n",
    ],
    ids=lambda line: repr(line[:12]),
)
def test_a_line_that_is_no_command_gets_one_error_reply(
    server: LiveServer, connect: Connect, line: bytes
) -> None:
    client = connect(server).log_in()
    client.write(line)
    assert client.read().code in (500, 501)
    # One reply, and the next command is answered by its own.
    client.expect("SYST", 215)


@pytest.mark.requirement("RSEC-line-a", side="S")
@pytest.mark.parametrize("line", [b"MKD smuggled\nNOOP\r\n", b"MKD smuggled\rx\r\n", b"MKD smug\0gled\r\n"])
def test_bare_line_ends_and_nul_smuggle_no_command(server: LiveServer, connect: Connect, line: bytes) -> None:
    client = connect(server).log_in()
    client.write(line)
    assert client.read().code in (500, 501)
    if b"\n" in line[:-2]:
        assert client.read().code == 200
    client.expect("SYST", 215)
    assert not list(server.root.glob("smug*"))


@pytest.mark.requirement("RSEC-xproto-a", side="S")
@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1",
        b"POST /upload HTTP/1.1",
        b"HEAD / HTTP/1.0",
        b"PUT /x HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT example.org:443 HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"EHLO mail.example",
        b"SSH-2.0-OpenSSH_9.0",
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["clear", "tls"])
def test_other_protocols_end_the_session_before_their_body_is_read(
    server: LiveServer, connect: Connect, request_line: bytes, inside: bool
) -> None:
    client = connect(server)
    if inside:
        client.auth()
    client.write(
        request_line + b"\r\nHost: ftp.example\r\n\r\nUSER alice\r\nPASS correct horse\r\nMKD http\r\n"
    )
    assert client.read().code == 421
    assert client.sock.recv(1) == b""
    assert not (server.root / "http").exists()


@pytest.mark.requirement("RSEC-xproto-a", "RSEC-line-a", side="S")
def test_junk_before_the_login_ends_the_session_soon(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.auth()
    client.write(b"Header: value\r\n" * 200)
    codes = []
    while (code := client.read().code) != 421:
        codes.append(code)
        assert len(codes) < 100
    assert set(codes) == {500}
    assert tls_end_is_clean(client)


@pytest.mark.requirement("R1123-b", "R4217-14-b", side="S")
def test_telnet_octets_inside_tls_do_no_harm(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    # WILL ECHO, DO TIMING-MARK, IP, DM, NOP, a subnegotiation.
    client.write(b"\xff\xfb\x01\xff\xfd\x06\xff\xf4\xff\xf2\xff\xf1\xff\xfa\x18\x01\xff\xf0NOOP\r\n")
    assert client.read().code == 200
    client.write(b"NO\xff\xf1OP\r\n")
    assert client.read().code == 200


@pytest.mark.requirement("R959-4-a", "R959-4-b", "R2389-a", side="S")
def test_replies_have_the_form_of_the_rfc(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    for command in ("FEAT", "HELP", "HELP STOR", "STAT", "MLST /", "SYST", "NOPE"):
        client.send(command)
        first = client.read_line().decode()
        code = first[:3]
        assert code.isdigit()
        assert first[3] in " -"
        line = first
        while line[3:4] == "-" or not line.startswith(code):
            line = client.read_line().decode()
            assert not (line[:3].isdigit() and line[:3] != code)
        assert line.startswith(code + " ") or first[3] == " "


def features(client: RawClient) -> list[str]:
    """Return the feature lines without their leading space."""
    lines = client.expect("FEAT", 211).split("\n")
    assert lines[0].startswith("211-")
    assert lines[-1].startswith("211 ")
    assert all(line[0] == " " and line[1] != " " for line in lines[1:-1])
    return [line[1:] for line in lines[1:-1]]


@pytest.mark.requirement("R4217-6-a", "R4217-6-b", "R2389-a", "R2640-a", "R003-3.4-b", side="S")
@pytest.mark.parametrize("stage", ["greeted", "tls", "logged-in"])
def test_feat_lists_what_there_is_before_the_login_too(
    server: LiveServer, connect: Connect, stage: str
) -> None:
    client = connect(server)
    if stage != "greeted":
        client.auth()
    if stage == "logged-in":
        enter(client)
    listed = features(client)
    assert {"AUTH TLS", "PBSZ", "PROT", "UTF8", "SIZE", "MDTM", "REST STREAM", "TVFS"} <= set(listed)
    assert any(line.startswith("MLST type*;") for line in listed)
    assert len(listed) == len(set(listed))


@pytest.mark.requirement("R2389-c", "R003-3.4-b", "R003-3.3-d", side="S")
def test_every_listed_feature_works(start: Start, connect: Connect) -> None:
    server = start(policy='clear_command_channel = "after-login"\ndata = "optional"')
    (server.root / "file.txt").write_bytes(b"12345")
    client = connect(server)
    before = {line.split(" ")[0] for line in features(client)}
    for line in features(client):
        if line.startswith("AUTH"):
            with RawClient(server.host, server.port, context=client.context) as other:
                other.auth(line.split(" ")[1])
    client.log_in()
    trials = {
        "PBSZ": ("PBSZ 0", 200),
        "PROT": ("PROT P", 200),
        "UTF8": ("OPTS UTF8 ON", 200),
        "SIZE": ("SIZE file.txt", 213),
        "MDTM": ("MDTM file.txt", 213),
        "MFMT": ("MFMT 20200102030405 file.txt", 213),
        "MLST": ("MLST file.txt", 250),
        "EPSV": ("EPSV", 229),
        "EPRT": ("EPRT |1|127.0.0.1|50000|", 200),
        "REST": ("REST 2", 350),
        "MODE": ("MODE Z", 200),
        "HOST": ("HOST localhost", 503),  # before the login only
        "RANG": ("RANG 1 0", 350),
        "HASH": ("HASH file.txt", 213),
        "MFF": ("MFF modify=20200102030405; file.txt", 213),
        "AVBL": ("AVBL", 213),
        "CLNT": ("CLNT tests", 200),
        "TVFS": ("CWD /./../", 250),
    }
    for line in features(client):
        name = line.split(" ")[0]
        if name not in ("AUTH", "CCC"):
            command, code = trials[name]  # a feature that is not known here has no trial: add one
            client.expect(command, code)
    client.expect("MODE S", 200)
    client.expect("REST 2", 350)
    assert client.download("RETR file.txt") == b"345"
    assert "CCC" in before
    client.expect("CCC", 200)
    client.stop_tls()
    client.expect("NOOP", 200)


@pytest.mark.requirement("R2389-b", side="S")
@pytest.mark.parametrize("options", ["OPTS", "OPTS NONE", "OPTS AUTH TLS", "OPTS UTF8 MAYBE", "OPTS MLST\t"])
def test_opts_of_nothing_listed_is_501(server: LiveServer, connect: Connect, options: str) -> None:
    client = connect(server).log_in()
    with stands(client):
        client.expect(options, 501)


@pytest.mark.requirement("R003-3.3-d", side="S")
def test_clnt_is_answered_before_the_login_too(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.expect("CLNT tests 1.0", 200)
    client.expect("CLNT", 501)


@pytest.mark.requirement("R959-4-d", side="S")
def test_verbs_and_parameter_letters_may_be_in_any_case(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.expect("auth tls", 234)
    client.start_tls()
    for line, code in (
        ("UsEr alice", 331),
        ("pAsS correct horse", 230),
        ("pbsz 0", 200),
        ("prot p", 200),
        ("type i", 200),
        ("stru f", 200),
        ("mode s", 200),
        ("quit", 221),
    ):
        client.expect(line, code)


@pytest.mark.requirement("R4217-7-b", "R2389-c", "R959-4-c", side="S")
@pytest.mark.parametrize("line", ["SSCN ON", "SSCN", "CPSV"])
def test_server_to_server_transfers_are_neither_listed_nor_taken(
    server: LiveServer, connect: Connect, line: str
) -> None:
    client = connect(server).log_in()
    client.expect(line, 502)
    assert line[:4] not in client.expect("FEAT", 211)
    client.download("NLST")
