"""Clients that are slow on purpose, or gone without a word."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient
from tls_bytes import eventually

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


def dribble(sock: socket.socket, stop: threading.Event) -> None:
    """Send an octet now and then, long before any stall limit."""
    try:
        while not stop.wait(0.05):
            sock.sendall(b"x")
    except OSError:
        pass


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_an_upload_of_a_byte_at_a_time_ends(start: Start, connect: Connect) -> None:
    server = start(limits="stall_bytes = 1000\nstall_seconds = 1.0")
    client = connect(server).log_in()
    sock = client.passive()
    client.expect("STOR slow.bin", 150)
    data = client.protect_data(sock)
    stop = threading.Event()
    slow = threading.Thread(target=dribble, args=(data, stop))
    slow.start()
    try:
        assert client.read().code == 426
    finally:
        stop.set()
        slow.join(10)
    assert not (server.root / "slow.bin").exists()
    assert client.upload("STOR quick.bin", b"x" * 100_000).code == 226


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("side", ["control", "passive", "active"])
def test_the_kernel_looks_after_peers_that_vanish(start: Start, connect: Connect, side: str) -> None:
    server = start(limits="stall_seconds = 200")
    client = connect(server).log_in()
    if side == "active":
        listener = socket.create_server((server.host, 0))
        client.closes(listener)
        client.expect(f"EPRT |1|{server.host}|{listener.getsockname()[1]}|", 200)
        client.expect("STOR x", 150)
        peer, _ = listener.accept()
        client.closes(peer)
    else:
        peer = client.passive() if side == "passive" else client.sock
    options = server.call(lambda: _options_of_the_peer(peer.getsockname()))
    assert options["SO_KEEPALIVE"] == 1
    assert options["TCP_KEEPIDLE"] <= 120
    assert options["TCP_KEEPINTVL"] * options["TCP_KEEPCNT"] <= 180
    assert options["TCP_USER_TIMEOUT"] == 200_000


def _options_of_the_peer(name: tuple[str, int]) -> dict[str, int]:
    """The options of this process's socket that is connected to `name`: the server runs in a thread of it."""
    import gc

    for one in gc.get_objects():
        if isinstance(one, socket.socket) and one.fileno() >= 0:
            try:
                if one.getpeername() != name:
                    continue
            except OSError:
                continue
            found = {"SO_KEEPALIVE": one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}
            for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"):
                found[option] = one.getsockopt(socket.IPPROTO_TCP, getattr(socket, option))
            return found
    pytest.fail("the server has no such socket")


@pytest.mark.requirement("RSEC-dos-a", "RTLS-f", side="S")
def test_a_handshake_of_a_byte_now_and_then_on_a_data_connection_ends_in_time(
    start: Start, connect: Connect
) -> None:
    server = start(limits="handshake_seconds = 0.5")
    client = connect(server).log_in()
    sock = client.passive()
    client.expect("STOR slow.bin", 150)
    sock.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
    stop = threading.Event()
    slow = threading.Thread(target=dribble, args=(sock, stop))
    began = time.monotonic()
    slow.start()
    try:
        assert client.read().code == 522
    finally:
        stop.set()
        slow.join(10)
    assert time.monotonic() - began < 8
    eventually(lambda: server.call(lambda: server.server.data_budget.count) == 0)
