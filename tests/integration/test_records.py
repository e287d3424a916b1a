"""TLS records and lines cut and joined anyhow; and how TLS ends at the end of a session."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient
from tls_bytes import TlsBytes, enter, open_bytes, tls_end_is_clean

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

LINES = ["USER alice", "PASS correct horse", "PBSZ 0", "PROT P", "TYPE I", "PWD"]
CODES = [331, 230, 200, 200, 200, 257]


@pytest.mark.requirement("RTLS-k", side="S")
@pytest.mark.parametrize("piece", [1, 2, 5, 100])
def test_handshake_and_commands_may_come_in_pieces_of_any_size(
    server: LiveServer, connect: Connect, piece: int
) -> None:
    client = connect(server)
    for octet in b"AUTH TLS\r\n":
        client.write(bytes([octet]))
    assert client.read().code == 234
    tls = TlsBytes(client.sock, client.context)
    tls.handshake(piece=piece)
    client.sock = tls  # type: ignore[assignment]
    for line, code in zip(LINES, CODES, strict=True):
        tls.send_pieces(tls.seal(line.encode() + b"\r\n"), piece)
        assert client.read().code == code


@pytest.mark.requirement("RTLS-k", side="S")
def test_one_command_may_span_many_records(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    tls = open_bytes(client)
    for line, code in zip(LINES, CODES, strict=True):
        tls.plain.sendall(b"".join(tls.seal(bytes([octet])) for octet in line.encode() + b"\r\n"))
        assert client.read().code == code


@pytest.mark.requirement("RTLS-k", "R959-4-a", side="S")
def test_many_commands_may_stand_in_one_record(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    tls = open_bytes(client)
    tls.sendall("".join(f"{line}\r\n" for line in LINES + ["NOOP"] * 500).encode())
    assert [client.read().code for _ in range(506)] == CODES + [200] * 500


@pytest.mark.requirement("RTLS-k", side="S")
def test_commands_may_travel_with_the_clients_finished(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.expect("AUTH TLS", 234)
    tls = TlsBytes(client.sock, client.context)
    tls.handshake(last=b"USER alice\r\nPASS correct horse\r\n")
    client.sock = tls  # type: ignore[assignment]
    assert [client.read().code, client.read().code] == [331, 230]


@pytest.mark.requirement("RTLS-g", "R959-4.1-b", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_quit_is_answered_221_and_then_close_notify(
    server: LiveServer, connect: Connect, implicit: bool
) -> None:
    client = connect(server, implicit=implicit).log_in()
    client.expect("QUIT", 221)
    assert tls_end_is_clean(client)


@pytest.mark.requirement("R959-4.1-b", side="S")
def test_nothing_behind_quit_is_run_and_its_221_arrives(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    client.write(b"QUIT\r\nMKD behind\r\n" + b"NOOP\r\n" * 1000)
    assert client.read().code == 221
    assert tls_end_is_clean(client)
    assert not (server.root / "behind").exists()


@pytest.mark.requirement("RTLS-g", side="S")
def test_a_client_that_ends_tls_is_answered_with_close_notify_and_the_end(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server)
    tls = open_bytes(client)
    enter(client)
    # What it said before is still answered; nothing in clear is taken behind it.
    tls.plain.sendall(tls.seal(b"NOOP\r\n") + tls.close_notify() + b"MKD clear\r\n")
    assert client.read().code == 200
    assert tls.recv(1) == b""
    assert tls.rest() == b""
    client.sock = tls.plain
    assert client.at_end()
    assert not (server.root / "clear").exists()


@pytest.mark.requirement("RTLS-f", "RSEC-dos-a", side="S")
@pytest.mark.parametrize("end", ["fin", "rst", "bad-record"])
def test_a_session_cut_anyhow_does_no_harm(server: LiveServer, connect: Connect, end: str) -> None:
    client = connect(server)
    tls = open_bytes(client)
    enter(client)
    if end == "fin":
        tls.plain.shutdown(socket.SHUT_WR)
    elif end == "rst":
        tls.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        tls.plain.close()
    else:
        record = bytearray(tls.seal(b"NOOP\r\n"))
        record[-1] ^= 1
        tls.plain.sendall(record)
        with pytest.raises(ssl.SSLError):  # bad_record_mac
            tls.recv(1)
    connect(server).log_in().download("NLST")
