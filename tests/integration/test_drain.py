"""The end of a server: SIGTERM lets transfers end, SIGKILL leaves nothing that looks whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from endings import hidden_files
from live_server import LiveServer
from raw_client import RawClient, client_context
from server_process import serving
from waiting import until

Connect = Callable[..., RawClient]
CONTENT = os.urandom(400_000)


def test_a_transfer_that_runs_at_sigterm_completes_and_new_sessions_are_refused(
    tmp_path: Path, connect: Connect
) -> None:
    with serving(tmp_path) as server:
        idle = connect(server).log_in()
        client = connect(server).log_in()
        data = client.passive()
        client.expect("STOR last.bin", 150)
        protected = client.protect_data(data)
        protected.sendall(CONTENT[:200_000])
        server.process.send_signal(signal.SIGTERM)
        assert idle.read().code == 421
        assert idle.at_end()
        until(server.refuses)
        protected.sendall(CONTENT[200_000:])
        protected.unwrap()
        assert client.read().code == 226
        assert client.read().code == 421
        client.close()
        idle.close()
        assert server.process.wait(15) == 0
    assert (tmp_path / "root" / "last.bin").read_bytes() == CONTENT
    assert hidden_files(tmp_path / "root") == []


def test_a_session_ends_with_its_transfer_though_others_still_run(tmp_path: Path, connect: Connect) -> None:
    with serving(tmp_path) as server:
        clients = [connect(server).log_in() for _ in range(2)]
        streams = []
        for number, client in enumerate(clients):
            data = client.passive()
            client.expect(f"STOR {number}.bin", 150)
            streams.append(client.protect_data(data))
        server.process.send_signal(signal.SIGTERM)
        until(server.refuses)
        # Else this client could begin one transfer after the other as long as the slowest one takes.
        for client, stream in zip(clients, streams, strict=True):
            assert server.process.poll() is None
            stream.unwrap()
            assert client.read().code == 226
            assert client.read().code == 421
            assert client.at_end()
            client.close()
        assert server.process.wait(15) == 0


def test_a_second_sigterm_interrupts_what_still_runs(tmp_path: Path, connect: Connect) -> None:
    with serving(tmp_path) as server:
        client = connect(server).log_in()
        data = client.passive()
        client.expect("STOR never.bin", 150)
        protected = client.protect_data(data)
        protected.sendall(CONTENT)
        server.process.send_signal(signal.SIGTERM)
        until(server.refuses)
        server.process.send_signal(signal.SIGTERM)
        assert client.read().code == 426
        assert client.read().code == 421
        client.close()
        assert server.process.wait(15) == 0
    assert not (tmp_path / "root" / "never.bin").exists()


@pytest.mark.requirement("RTLS-h", side="S")
def test_a_killed_server_leaves_the_old_file_and_no_new_one(tmp_path: Path, connect: Connect) -> None:
    with serving(tmp_path) as server:
        (server.root / "old.bin").write_bytes(b"old")
        for name in ("old.bin", "new.bin"):
            client = connect(server).log_in()
            data = client.passive()
            client.expect(f"STOR {name}", 150)
            client.protect_data(data).sendall(CONTENT)
        until(lambda: len(hidden_files(server.root)) == 2)
        server.process.kill()
        server.process.wait(15)
    assert (tmp_path / "root" / "old.bin").read_bytes() == b"old"
    assert not (tmp_path / "root" / "new.bin").exists()
    with serving(tmp_path) as server:
        client = connect(server).log_in()
        assert client.download("NLST") == b"old.bin\r\n"
        assert b".lockgate" not in client.download("MLSD")


@pytest.mark.parametrize("command", ["STOR slow.bin", "RETR big.bin"])
def test_a_transfer_that_outlasts_the_drain_is_426_and_the_session_hears_421(
    start: Callable[..., LiveServer], connect: Connect, command: str
) -> None:
    server = start()
    (server.root / "slow.bin").write_bytes(b"old")
    (server.root / "big.bin").write_bytes(bytes(20_000_000))
    client = connect(server).log_in()
    data = client.passive()
    client.expect(command, 150)
    protected = client.protect_data(data)
    if command.startswith("STOR"):
        protected.sendall(CONTENT)
    server.drain(0.1)
    assert client.read().code == 426
    assert client.read().code == 421
    assert client.at_end()
    assert (server.root / "slow.bin").read_bytes() == b"old"


def test_an_upload_whose_client_never_connected_does_not_hold_up_the_drain(
    start: Callable[..., LiveServer], connect: Connect
) -> None:
    server = start()
    client = connect(server).log_in()
    client.passive_port()
    client.expect("STOR nobody.bin", 150)
    server.drain(0.1)
    assert client.read().code == 426
    assert client.read().code == 421


def test_ready_lines_name_the_ports(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with RawClient(
            server.host, server.implicit_port, context=client_context(server.ca_file), implicit=True
        ) as client:
            client.expect("QUIT", 221)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(15) == 0
