"""Going on with a large file costs nothing until data comes, and its copying ends with its transfer."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from endings import hidden_files
from live_server import LiveServer
from raw_client import RawClient
from waiting import until

from lockgate.storage import _existing

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]
BIG = bytes(30_000_000)


@pytest.fixture
def big(server: LiveServer) -> None:
    (server.root / "big.bin").write_bytes(BIG)


@pytest.fixture
def slow_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy byte by byte: that takes longer than any test waits."""
    monkeypatch.setattr(_existing, "_COPY_BYTES", 1)


def hidden_bytes(server: LiveServer) -> int:
    return sum((server.root / name).stat().st_size for name in hidden_files(server.root))


def begin_copying(server: LiveServer, client: RawClient) -> socket.socket:
    """Let an upload go on with a large file, until that is being copied."""
    data = client.passive()
    client.expect("APPE big.bin", 150)
    protected = client.protect_data(data)
    protected.sendall(bytes(300_000))
    until(lambda: hidden_bytes(server) > 0)
    return protected


@pytest.mark.usefixtures("big")
@pytest.mark.parametrize("offset", [None, len(BIG)])
def test_sessions_that_only_ask_to_go_on_cost_no_space_and_hold_up_nobody(
    server: LiveServer, connect: Connect, offset: int | None
) -> None:
    idle = [connect(server).log_in() for _ in range(8)]
    for client in idle:
        client.passive()
        if offset is not None:
            client.expect(f"REST {offset}", 350)
        client.expect("APPE big.bin" if offset is None else "STOR big.bin", 150)
    assert (len(hidden_files(server.root)), hidden_bytes(server)) == (8, 0)
    connect(server).log_in().expect("SIZE big.bin", 213)
    for client in idle:
        client.expect("ABOR", 426)
        assert client.read().code == 226
    assert hidden_files(server.root) == []


@pytest.mark.usefixtures("big", "slow_copy")
def test_abor_ends_the_copying(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    begin_copying(server, client)
    client.expect("ABOR", 426)
    assert client.read().code == 226
    assert hidden_files(server.root) == []
    assert (server.root / "big.bin").stat().st_size == len(BIG)
    client.expect("NOOP", 200)


@pytest.mark.usefixtures("big", "slow_copy")
def test_a_session_that_leaves_ends_the_copying(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    begin_copying(server, client)
    client.close()
    until(lambda: hidden_files(server.root) == [])


@pytest.mark.usefixtures("slow_copy")
def test_a_drain_ends_the_copying(start: Start, connect: Connect) -> None:
    server = start()
    (server.root / "big.bin").write_bytes(BIG)
    client = connect(server).log_in()
    begin_copying(server, client)
    server.drain(0.1)
    assert client.read().code == 426
    assert client.read().code == 421
    assert hidden_files(server.root) == []


def test_an_append_of_nothing_leaves_the_file_alone(server: LiveServer, connect: Connect) -> None:
    path = server.root / "same.bin"
    path.write_bytes(b"same")
    before = path.stat()
    client = connect(server).log_in()
    assert client.upload("APPE same.bin", b"").code == 226
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns, path.read_bytes()) == (
        before.st_ino,
        before.st_mtime_ns,
        b"same",
    )
    assert hidden_files(server.root) == []


@pytest.mark.parametrize(
    "change", ["DELE moving.bin", "APPE moving.bin", "STOR moving.bin", "RNTO elsewhere"]
)
@pytest.mark.parametrize("offset", [None, 2])
def test_an_append_undoes_nothing_that_others_did_meanwhile(
    server: LiveServer, connect: Connect, change: str, offset: int | None
) -> None:
    path = server.root / "moving.bin"
    path.write_bytes(b"old")
    client, other = connect(server).log_in(), connect(server).log_in()
    data = client.passive()
    if offset is not None:
        client.expect(f"REST {offset}", 350)
    client.expect("APPE moving.bin" if offset is None else "STOR moving.bin", 150)
    protected = client.protect_data(data)
    protected.sendall(b"+second")
    if change.startswith(("APPE", "STOR")):
        assert other.upload(change, b"+first").code == 226
    else:
        if change.startswith("RNTO"):
            other.expect("RNFR moving.bin", 350)
        other.expect(change, 250)
    protected.unwrap().close()
    assert client.read().code == 450
    left = path.read_bytes() if path.exists() else None
    assert left == {"APPE": b"old+first", "STOR": b"+first"}.get(change[:4])
    assert hidden_files(server.root) == []
    # And trying again is all that is needed.
    assert client.upload("APPE moving.bin", b"+again").code == 226
    assert path.read_bytes() == (left or b"") + b"+again"
