"""Uploads that do not come to their end: nothing is published, and what was there stays."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
from endings import cut, hidden_files, reset
from live_server import PASSWORD, USER, LiveServer
from raw_client import RawClient
from waiting import until

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


def begin_upload(client: RawClient, command: str, content: bytes) -> socket.socket:
    """Start an upload under PROT P and send some of it."""
    data = client.passive()
    client.expect(command, 150)
    protected = client.protect_data(data)
    protected.sendall(content)
    return protected


@pytest.mark.requirement("RTLS-h", "R959-4.1-g", side="S")
@pytest.mark.parametrize("end", [cut, reset])
@pytest.mark.parametrize("verb", ["STOR", "APPE"])
def test_an_upload_without_close_notify_is_426_and_leaves_the_old_file(
    server: LiveServer, connect: Connect, end: Callable[[socket.socket], None], verb: str
) -> None:
    (server.root / "cut.bin").write_bytes(b"the old content")
    client = connect(server).log_in()
    data = begin_upload(client, f"{verb} cut.bin", b"half of it")
    end(data)
    assert client.read().code == 426
    assert (server.root / "cut.bin").read_bytes() == b"the old content"
    client.expect("NOOP", 200)


@pytest.mark.requirement("RTLS-h", side="S")
@pytest.mark.parametrize("end", [cut, reset])
def test_a_new_name_does_not_show_after_a_cut_upload(
    server: LiveServer, connect: Connect, end: Callable[[socket.socket], None]
) -> None:
    client = connect(server).log_in()
    data = begin_upload(client, f"STOR new-{end.__name__}.bin", b"half of it")
    end(data)
    assert client.read().code == 426
    for command in ("LIST", "NLST", "MLSD"):
        listing = client.download(command)
        assert b"new-" not in listing
        assert b".lockgate" not in listing
    client.expect(f"MLST new-{end.__name__}.bin", 550)
    client.passive()
    client.expect(f"RETR new-{end.__name__}.bin", 550)


@pytest.mark.requirement("RTLS-h", side="S")
def test_a_cut_inside_a_tls_record_is_426(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    data = begin_upload(client, "STOR record.bin", b"whole records")
    # The header of an application-data record and less of its body than it promises.
    socket.socket.sendall(data, b"\x17\x03\x03\x40\x00" + b"x" * 100)
    cut(data)
    assert client.read().code == 426
    assert not (server.root / "record.bin").exists()


@pytest.mark.requirement("RTLS-h", side="S")
def test_a_damaged_record_is_426_and_publishes_nothing(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    data = begin_upload(client, "STOR damaged.bin", b"whole records")
    socket.socket.sendall(data, b"\x17\x03\x03\x00\x40" + b"x" * 64)
    assert client.read().code == 426
    assert not (server.root / "damaged.bin").exists()


@pytest.mark.requirement("R4217-10.2-e", side="S")
@pytest.mark.parametrize("verb", ["STOR", "APPE"])
def test_a_client_that_connects_and_leaves_before_tls_costs_nothing(
    server: LiveServer, connect: Connect, verb: str
) -> None:
    (server.root / "kept.bin").write_bytes(b"old")
    client = connect(server).log_in()
    data = client.passive()
    client.expect(f"{verb} kept.bin", 150)
    data.close()
    assert client.read().code == 522
    assert (server.root / "kept.bin").read_bytes() == b"old"


def test_an_account_of_an_old_device_may_end_without_close_notify(start: Start, connect: Connect) -> None:
    server = start(account="require_close_notify = false")
    client = connect(server).log_in()
    data = begin_upload(client, "STOR camera.jpg", b"all of it")
    cut(data)
    assert client.read().code == 226
    assert (server.root / "camera.jpg").read_bytes() == b"all of it"
    # A reset is never an end, whatever the account may do.
    data = begin_upload(client, "STOR camera.jpg", b"half")
    reset(data)
    assert client.read().code == 426
    assert (server.root / "camera.jpg").read_bytes() == b"all of it"


def test_in_clear_a_fin_ends_a_file_and_a_reset_does_not(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"')
    client = connect(server).log_in(protect=False)
    assert client.upload("STOR clear.bin", b"all", protect=False).code == 226
    data = client.passive()
    client.expect("STOR clear.bin", 150)
    data.sendall(b"half")
    until(lambda: hidden_files(server.root))
    reset(data)
    assert client.read().code == 426
    assert (server.root / "clear.bin").read_bytes() == b"all"


@pytest.mark.requirement("R959-4.1-g", side="S")
def test_nobody_connecting_is_425_and_costs_the_old_file_nothing(start: Start, connect: Connect) -> None:
    server = start(limits="data_open_seconds = 0.1")
    (server.root / "kept.bin").write_bytes(b"old")
    client = connect(server).log_in()
    for command in ("STOR kept.bin", "RETR kept.bin", "NLST"):
        client.passive_port()
        client.expect(command, 150)
        assert client.read().code == 425
    assert (server.root / "kept.bin").read_bytes() == b"old"
    assert hidden_files(server.root) == []
    assert client.upload("STOR kept.bin", b"new").code == 226


@pytest.mark.requirement("RSEC-dos-a", "RTLS-f", side="S")
def test_a_client_that_connects_and_sends_no_hello_is_522_in_time(start: Start, connect: Connect) -> None:
    server = start(limits="handshake_seconds = 0.3")
    (server.root / "kept.bin").write_bytes(b"old")
    client = connect(server).log_in()
    data = client.passive()
    client.expect("STOR kept.bin", 150)
    assert client.read().code == 522
    assert data.recv(1) == b""
    # Half a hello is no better than none.
    data = client.passive()
    data.sendall(b"\x16\x03\x01")
    client.expect("STOR kept.bin", 150)
    assert client.read().code == 522
    assert (server.root / "kept.bin").read_bytes() == b"old"


@pytest.mark.requirement("RSEC-dos-a", "R959-4.1-g", side="S")
def test_an_upload_that_stands_still_is_426(start: Start, connect: Connect) -> None:
    server = start(limits="stall_seconds = 0.2")
    (server.root / "slow.bin").write_bytes(b"old")
    client = connect(server).log_in()
    begin_upload(client, "STOR slow.bin", b"something")
    assert client.read().code == 426
    assert (server.root / "slow.bin").read_bytes() == b"old"


@pytest.mark.requirement("RSEC-dos-a", "R959-4.1-g", side="S")
def test_a_download_that_nobody_reads_is_426(start: Start, connect: Connect) -> None:
    server = start(limits="stall_seconds = 0.3")
    (server.root / "big.bin").write_bytes(b"x" * 20_000_000)
    client = connect(server).log_in()
    data = client.passive()
    client.expect("RETR big.bin", 150)
    client.protect_data(data)
    assert client.read().code == 426
    client.expect("NOOP", 200)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_client_that_leaves_during_an_upload_publishes_nothing(
    server: LiveServer, connect: Connect
) -> None:
    (server.root / "left.bin").write_bytes(b"old")
    client = connect(server).log_in()
    data = begin_upload(client, "STOR left.bin", b"something")
    until(lambda: running_jobs(server) == 1)
    client.sock.close()
    until(lambda: running_jobs(server) == 0)
    # The server ends the data connection with the session: the client's own end is not waited for.
    with pytest.raises(OSError):  # noqa: PT011 - a cut or a reset
        data.recv(1)
    assert (server.root / "left.bin").read_bytes() == b"old"


@pytest.mark.requirement("RTLS-h", side="S")
def test_a_killed_client_leaves_no_whole_looking_file(
    server: LiveServer, connect: Connect, tls_version: str
) -> None:
    program = textwrap.dedent(f"""
        import sys
        from raw_client import RawClient, client_context
        client = RawClient("127.0.0.1", {server.port}, context=client_context(version="{tls_version}"))
        client.log_in({USER!r}, {PASSWORD!r})
        data = client.passive()
        client.expect("STOR killed.bin", 150)
        data = client.protect_data(data)
        data.sendall(b"x" * 1_000_000)
        print("sent", flush=True)
        sys.stdin.read()
    """)
    killed = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"sent\n"
        until(lambda: running_jobs(server) == 1)
    finally:
        killed.kill()
        killed.communicate()
    until(lambda: running_jobs(server) == 0)
    assert not (server.root / "killed.bin").exists()
    client = connect(server).log_in()
    assert b"killed" not in client.download("NLST")


def running_jobs(server: LiveServer) -> int:
    """Return how many transfers run."""
    return server.call(lambda: len(server.server._running_jobs()))
