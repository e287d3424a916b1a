"""Attacks on TLS itself, and other protocols that are led to talk to this server (ALPACA)."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from live_server import LiveServer
from raw_client import RawClient, client_context
from tls_bytes import TlsBytes

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

BROWSER = b"POST / HTTP/1.1\r\nHost: ftp.example.com\r\nContent-Length: 200\r\n\r\n"
LINES = [
    b"GET / HTTP/1.1\r\n",
    BROWSER,
    b"Host: ftp.example.com\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.requirement("RSEC-xproto-a", side="S")
@pytest.mark.parametrize("where", ["clear", "auth", "implicit"])
@pytest.mark.parametrize("line", LINES)
def test_a_browser_is_sent_away_at_its_first_line(
    server: LiveServer, connect: Connect, where: str, line: bytes
) -> None:
    client = connect(server, implicit=where == "implicit")
    if where == "auth":
        client.auth()
    # What a page makes a browser send as its body is not run.
    client.write(line + b"FEAT\r\nUSER alice\r\nPASS correct horse\r\n")
    assert client.read().code == 421
    assert client.at_end()


class Keys:
    """What a TLS 1.3 client's next record is sealed with: by hand, for the ssl module sends no KeyUpdate."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._start()

    def _start(self) -> None:
        self._key = expand(self._secret, b"key", 32 if len(self._secret) == 48 else 16)
        self._iv = expand(self._secret, b"iv", 12)
        self._number = 0

    def record(self, content: bytes, kind: int) -> bytes:
        """Return a record of a content type."""
        header = b"\x17\x03\x03" + struct.pack(">H", len(content) + 1 + 16)
        nonce = bytes(a ^ b for a, b in zip(self._iv, self._number.to_bytes(12, "big"), strict=True))
        self._number += 1
        return header + AESGCM(self._key).encrypt(nonce, content + bytes([kind]), header)

    def update(self) -> bytes:
        """Return a KeyUpdate that asks for the server's own, and go on with the next keys."""
        made = self.record(b"\x18\x00\x00\x01\x01", 22)
        self._secret = expand(self._secret, b"traffic upd", len(self._secret))
        self._start()
        return made


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446 section 7.1, one block, without context."""
    name = b"tls13 " + label
    info = struct.pack(">HB", length, len(name)) + name + b"\0" + b"\x01"
    digest = hashlib.sha384 if len(secret) == 48 else hashlib.sha256
    return hmac.new(secret, info, digest).digest()[:length]


def by_hand(server: LiveServer, work: Path) -> tuple[socket.socket, Keys]:
    """A TLS 1.3 session on the implicit port whose records the test seals itself."""
    context = client_context(server.ca_file, version="1.3")
    context.keylog_filename = str(work / "keys")
    sock = socket.create_connection((server.host, server.implicit_port), 15)
    client = TlsBytes(sock, context)
    client.handshake()
    cipher = client.tls.cipher()
    assert cipher
    assert "_GCM_" in cipher[0]
    secret = next(
        line.split()[2]
        for line in (work / "keys").read_text().splitlines()
        if line.startswith("CLIENT_TRAFFIC_SECRET_0")
    )
    keys = Keys(bytes.fromhex(secret))
    # What is sealed by hand is understood, before and after new keys: else the floods would show nothing.
    sock.sendall(keys.update() + keys.record(b"", 23) + keys.record(b"NOOP\r\n", 23))
    heard = b""
    while heard.count(b"\r\n") < 2:
        heard += client.recv(4096)
    assert heard.startswith(b"220 ")
    assert b"\r\n200 " in heard
    return sock, keys


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("attack", ["key-updates", "empty-records"])
def test_records_without_a_command_hold_nobody_up_and_end(
    start: Start, connect: Connect, tmp_path: Path, attack: str
) -> None:
    server = start(tls='maximum_version = "1.3"', limits="idle_seconds = 2")
    sock, keys = by_hand(server, tmp_path)
    client = connect(server).log_in()
    stop = threading.Event()

    def flood() -> None:
        sock.setblocking(True)
        sock.settimeout(0.5)
        try:
            while not stop.is_set():
                piece = b"".join(
                    keys.update() if attack == "key-updates" else keys.record(b"", 23) for _ in range(20)
                )
                sock.sendall(piece)
                sock.setblocking(False)
                try:
                    while sock.recv(65536):
                        pass
                    return
                except BlockingIOError:
                    sock.settimeout(0.5)
        except OSError:
            pass

    attacker = threading.Thread(target=flood)
    began = time.monotonic()
    attacker.start()
    try:
        waits = []
        for _ in range(20):
            asked = time.monotonic()
            client.expect("NOOP", 200)
            waits.append(time.monotonic() - asked)
        # Records are no commands: the session is as idle as one that says nothing, and ends like it.
        attacker.join(15)
        assert not attacker.is_alive()
    finally:
        stop.set()
        attacker.join(10)
        sock.close()
    assert sorted(waits)[10] < 0.5
    assert time.monotonic() - began < 15


@pytest.mark.requirement("RTLS-c", side="S")
def test_tls_never_compresses(connect: Connect, server: LiveServer) -> None:
    context = client_context(server.ca_file, version="1.2")
    context.options &= ~ssl.OP_NO_COMPRESSION
    client = connect(server, version="1.2")
    client.context = context
    client.auth()
    assert isinstance(client.sock, ssl.SSLSocket)
    assert client.sock.compression() is None


@pytest.mark.requirement("R2577-4-a", "R4217-15.2-a", "R4217-10.2-g", side="S")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_thief_at_the_same_address_gets_no_file(start: Start, connect: Connect, version: str) -> None:
    server = start()
    (server.root / "secret.txt").write_bytes(b"secret")
    owner = connect(server, version=version).log_in()
    assert owner.download("RETR secret.txt") == b"secret"  # it has shown that it resumes
    port = owner.passive_port()
    thief = connect(server, version=version).log_in()
    taken = thief.connect_data(port)
    owner.send("RETR secret.txt")
    assert owner.read().code == 150
    got = b""
    with contextlib.suppress(OSError):
        got = thief.protect_data(taken, reuse=True).recv(100)
    assert got == b""
    assert owner.read().code == 522
    assert owner.download("RETR secret.txt") == b"secret"


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_an_implicit_listener_refuses_a_flood_without_a_word_in_clear(start: Start, connect: Connect) -> None:
    server = start(limits="sessions_per_address = 2")
    keep = [connect(server, implicit=True) for _ in range(2)]
    for _ in range(30):
        with RawClient(server.host, server.implicit_port, greet=False) as client:
            assert client.at_end()
    for client in keep:
        client.expect("NOOP", 200)
