"""Files through a live server: content, both ways of opening data connections, APPE, STOU, TYPE."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Callable

import pytest
from endings import hidden_files
from live_server import LiveServer
from raw_client import RawClient, read_all

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


@pytest.mark.requirement("R4217-9-f", "R4217-12.6-a", "R959-4.1-g", "RTLS-g", side="S")
def test_a_file_goes_up_and_comes_back_unchanged(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    content = os.urandom(1_500_000)
    assert client.upload("STOR there.bin", content).code == 226
    assert (server.root / "there.bin").read_bytes() == content
    assert client.download("RETR there.bin") == content
    assert hidden_files(server.root) == []


def test_an_empty_file_goes_up_and_comes_back(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    assert client.upload("STOR empty.bin", b"").code == 226
    assert (server.root / "empty.bin").read_bytes() == b""
    assert client.download("RETR empty.bin") == b""


@pytest.mark.requirement("R4217-9-e", "R4217-9-a", "R4217-10.2-a", side="S")
def test_level_c_is_plain_tcp_and_level_p_comes_back_when_asked_for(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"')
    client = connect(server).log_in(protect=False)
    content = os.urandom(300_000)
    assert client.upload("STOR clear.bin", content, protect=False).code == 226
    assert client.download("RETR clear.bin", protect=False) == content
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 200)
    assert client.download("RETR clear.bin") == content
    client.expect("PROT C", 200)
    assert client.download("RETR clear.bin", protect=False) == content


@pytest.mark.requirement("R4217-9-a", "R959-4.1-i", side="S")
def test_an_implicit_session_transfers_without_pbsz_and_prot(server: LiveServer, connect: Connect) -> None:
    client = connect(server, implicit=True).log_in(protect=False)
    assert client.upload("STOR implicit.bin", b"x" * 70_000).code == 226
    assert client.download("RETR implicit.bin") == b"x" * 70_000


@pytest.mark.requirement("R4217-10.2-c", side="S")
@pytest.mark.parametrize("verb", ["RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"])
def test_every_transfer_command_is_521_when_the_level_is_too_low(
    server: LiveServer, connect: Connect, verb: str
) -> None:
    (server.root / "level.txt").write_bytes(b"secret")
    client = connect(server).log_in(protect=False)
    client.passive()
    client.expect(f"{verb} level.txt" if verb in ("RETR", "STOR", "APPE") else verb, 521)
    client.expect("NOOP", 200)
    assert (server.root / "level.txt").read_bytes() == b"secret"


@pytest.mark.requirement("R4217-3-b", "R003-2.3-a", side="S")
def test_the_defaults_take_neither_password_nor_data_in_clear(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.expect("USER alice", 530)
    client.expect("PASS correct horse", 503, 530)
    client.log_in(protect=False)
    client.passive()
    client.expect("NLST", 521)
    client.expect("PBSZ 0", 200)
    client.expect("PROT C", 534)
    client.expect("NLST", 521)


@pytest.mark.requirement("R4217-10.2-a", side="S")
def test_a_server_that_forbids_tls_on_data_takes_clear_transfers_only(start: Start, connect: Connect) -> None:
    server = start(policy='data = "forbidden"')
    client = connect(server).log_in(protect=False)
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 534)
    assert client.upload("STOR clear.txt", b"clear", protect=False).code == 226


@pytest.mark.requirement("R4217-10.2-d", "R4217-10.2-e", side="S")
def test_a_failed_data_handshake_is_522_after_150_and_the_session_lives_on(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in()
    (server.root / "kept.bin").write_bytes(b"old")
    data = client.passive()
    client.expect("STOR kept.bin", 150)
    data.sendall(b"this is no TLS hello\r\n")
    assert client.read().code == 522
    assert read_until_closed(data)
    assert (server.root / "kept.bin").read_bytes() == b"old"
    assert client.upload("STOR kept.bin", b"new").code == 226


@pytest.mark.requirement("R4217-10.2-e", "RTLS-j", side="S")
def test_a_data_hello_whose_alpn_lacks_ftp_is_522(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    (server.root / "alpn.bin").write_bytes(b"content")
    data = client.passive()
    client.expect("RETR alpn.bin", 150)
    client.context.set_alpn_protocols(["http/1.1"])
    with pytest.raises(OSError):  # noqa: PT011 - how the refusal arrives is TLS's affair
        client.protect_data(data, reuse=False)
    assert client.read().code == 522
    client.expect("NOOP", 200)


@pytest.mark.requirement("R4217-12.4-a", side="S")
@pytest.mark.parametrize("early", [True, False], ids=["hello-before-command", "hello-after-150"])
@pytest.mark.parametrize("command", ["RETR order.bin", "STOR order.bin"])
def test_the_hello_may_come_before_the_command_or_after_the_150(
    server: LiveServer, connect: Connect, early: bool, command: str
) -> None:
    client = connect(server).log_in()
    (server.root / "order.bin").write_bytes(b"order")
    data = client.passive()
    if early:
        data = client.protect_data(data)
    client.expect(command, 150)
    if not early:
        data = client.protect_data(data)
    if command.startswith("RETR"):
        assert read_all(data) == b"order"
        data.unwrap()
    else:
        data.sendall(b"order, new")
        data.unwrap()
    assert client.read().code == 226
    expected = b"order" if command.startswith("RETR") else b"order, new"
    assert (server.root / "order.bin").read_bytes() == expected


@pytest.mark.requirement("R4217-12.4-a", side="S")
def test_the_client_may_connect_only_after_the_150(server: LiveServer, connect: Connect) -> None:
    (server.root / "late.bin").write_bytes(b"late")
    client = connect(server).log_in()
    port = client.passive_port()
    client.expect("RETR late.bin", 150)
    data = client.protect_data(client.connect_data(port))
    assert read_all(data) == b"late"
    data.unwrap()
    assert client.read().code == 226


@pytest.mark.requirement("RTLS-i", "R4217-18-a", side="S")
def test_data_connections_resume_the_control_session_again_and_again(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in()
    for _ in range(20):
        client.command("NOOP")
        sock = client.passive()
        client.expect("NLST", 150)
        data = client.protect_data(sock)
        assert isinstance(data, ssl.SSLSocket)
        assert data.session_reused
        read_all(data)
        data.close()
        assert client.read().code == 226


@pytest.mark.requirement("R959-4.1-g", side="S")
def test_appe_adds_to_a_file_and_makes_a_missing_one(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    (server.root / "log.txt").write_bytes(b"one\n")
    assert client.upload("APPE log.txt", b"two\n").code == 226
    assert (server.root / "log.txt").read_bytes() == b"one\ntwo\n"
    (server.root / "fresh.txt").unlink(missing_ok=True)
    assert client.upload("APPE fresh.txt", b"first").code == 226
    assert (server.root / "fresh.txt").read_bytes() == b"first"


@pytest.mark.requirement("R959-4.1-h", side="S")
@pytest.mark.parametrize("command", ["STOU", "STOU report.txt"])
def test_stou_makes_a_new_name_and_the_150_says_it(
    server: LiveServer, connect: Connect, command: str
) -> None:
    client = connect(server).log_in()
    (server.root / "report.txt").write_bytes(b"old")
    names = set()
    for content in (b"first", b"second"):
        data = client.passive()
        reply = client.expect(command, 150)
        found = re.fullmatch(r"150 FILE: (\S+)", reply)
        assert found, reply
        protected = client.protect_data(data)
        protected.sendall(content)
        protected.unwrap()
        assert client.read().code == 226
        assert (server.root / found[1]).read_bytes() == content
        names.add(found[1])
    assert len(names) == 2
    assert (server.root / "report.txt").read_bytes() == b"old"


@pytest.mark.requirement("R959-4.1-g", side="S")
@pytest.mark.parametrize(
    ("command", "code"),
    [("RETR missing.bin", 550), ("RETR /", 550), ("STOR /", 550), ("STOR missing/x", 550), ("APPE /", 550)],
)
def test_what_cannot_be_opened_is_refused_before_any_150(
    server: LiveServer, connect: Connect, command: str, code: int
) -> None:
    client = connect(server).log_in()
    client.passive()
    client.expect(command, code)
    # RFC 959 names no end of the endpoint here: the next command may still use it.
    client.expect("NOOP", 200)


def test_an_endpoint_serves_the_next_command_after_a_refused_one(
    server: LiveServer, connect: Connect
) -> None:
    (server.root / "there.txt").write_bytes(b"there")
    client = connect(server).log_in()
    data = client.passive()
    client.expect("RETR missing.bin", 550)
    client.expect("RETR there.txt", 150)
    protected = client.protect_data(data)
    assert read_all(protected) == b"there"
    protected.unwrap()
    assert client.read().code == 226


@pytest.mark.requirement("R959-4.1-l", side="S")
def test_type_a_turns_line_ends_into_crlf_on_the_wire_and_lf_on_disk(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in()
    client.expect("TYPE A", 200)
    assert client.upload("STOR lines.txt", b"one\r\ntwo\r\n\r\nlast").code == 226
    assert (server.root / "lines.txt").read_bytes() == b"one\ntwo\n\nlast"
    assert client.download("RETR lines.txt") == b"one\r\ntwo\r\n\r\nlast"
    client.expect("TYPE I", 200)
    assert client.download("RETR lines.txt") == b"one\ntwo\n\nlast"


@pytest.mark.requirement("R959-4.1-l", side="S")
def test_type_a_joins_a_cr_and_its_lf_across_blocks_and_records(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    client.expect("TYPE A", 200)
    data = client.passive()
    client.expect("STOR edge.txt", 150)
    protected = client.protect_data(data)
    for piece in (b"a\r", b"\nb\r", b"c\r", b"\r", b"\nd\r"):
        protected.sendall(piece)
    protected.unwrap()
    assert client.read().code == 226
    assert (server.root / "edge.txt").read_bytes() == b"a\nb\rc\r\nd\r"
    # A file larger than the server's buffer, its line ends at every possible place of a block's edge.
    lines = b"".join(b"x" * (n % 7) + b"\n" for n in range(150_000))
    (server.root / "long.txt").write_bytes(lines)
    assert client.download("RETR long.txt") == lines.replace(b"\n", b"\r\n")


def test_type_a_works_on_clear_data_connections(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"')
    client = connect(server).log_in(protect=False)
    (server.root / "lines.txt").write_bytes(b"one\ntwo\n")
    client.expect("TYPE A", 200)
    assert client.download("RETR lines.txt", protect=False) == b"one\r\ntwo\r\n"


@pytest.mark.requirement("R3659-5-a", side="S")
def test_rest_works_on_clear_downloads_too(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"')
    client = connect(server).log_in(protect=False)
    content = os.urandom(3_000_000)
    (server.root / "sent-by-the-kernel.bin").write_bytes(content)
    client.expect("REST 1234567", 350)
    assert client.download("RETR sent-by-the-kernel.bin", protect=False) == content[1234567:]


@pytest.mark.requirement("R4217-12.6-a", side="S")
@pytest.mark.parametrize("reuse", [True, False], ids=["resumed", "full-handshake"])
def test_an_upload_is_whole_though_its_client_closes_without_reading(
    server: LiveServer, connect: Connect, reuse: bool
) -> None:
    content = os.urandom(2_000_000)
    client = connect(server).log_in()
    client.command("NOOP")
    data = client.passive()
    client.expect("STOR fire-and-forget.bin", 150)
    protected = client.protect_data(data, reuse=reuse)
    protected.sendall(content)
    protected.setblocking(False)
    with contextlib.suppress(ssl.SSLWantReadError):
        protected.unwrap()  # sends close_notify, and does not wait for the server's
    protected.close()
    assert client.read().code == 226
    assert (server.root / "fire-and-forget.bin").read_bytes() == content


@pytest.mark.requirement("R4217-15.1-b", side="S")
def test_data_and_control_show_the_same_certificate(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    data = client.passive()
    client.expect("NLST", 150)
    protected = client.protect_data(data, reuse=False)
    assert isinstance(client.sock, ssl.SSLSocket)
    assert protected.getpeercert(binary_form=True) == client.sock.getpeercert(binary_form=True)
    read_all(protected)
    protected.unwrap()
    assert client.read().code == 226


def test_two_uploads_to_one_name_never_mix(server: LiveServer, connect: Connect) -> None:
    one, two = b"1" * 400_000, b"2" * 500_000
    uploads = []
    for content in (one, two):
        client = connect(server).log_in()
        data = client.passive()
        client.expect("STOR same.bin", 150)
        uploads.append((client, client.protect_data(data), content))
    for start, end in ((0, 100_000), (100_000, 500_000)):
        for _, protected, content in uploads:
            protected.sendall(content[start:end])
    for client, protected, content in uploads:
        protected.unwrap()
        assert client.read().code == 226
        assert (server.root / "same.bin").read_bytes() == content
    assert hidden_files(server.root) == []


def read_until_closed(sock: socket.socket) -> bool:
    """Read what is left; True when the server has ended the connection, in order or not."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        return True
    return True
