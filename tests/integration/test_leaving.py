"""A client that leaves at an awkward moment: everything it held is given back."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from endings import hidden_files
from live_server import LiveServer
from raw_client import RawClient, client_context
from waiting import until

Start = Callable[..., LiveServer]


@contextmanager
def busy_helpers(server: LiveServer) -> Iterator[None]:
    """Keep every helper thread at work, so that the next command that opens a file waits its turn."""
    free = threading.Event()
    helpers = server.server.helpers
    try:
        for _ in range(16):
            helpers.submit(lambda: free.wait(30))
        yield
    finally:
        free.set()


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("command", ["STOR gone.bin", "RETR there.bin", "NLST", "MLSD"])
def test_a_client_that_leaves_while_its_file_is_being_opened_keeps_nothing(
    server: LiveServer, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    (server.root / "there.bin").write_bytes(b"there")
    client = RawClient(server.host, server.port, context=client_context()).log_in()
    client.passive()
    with busy_helpers(server):
        client.send(command)
        until(lambda: server.server.helpers._waiting)
        client.close()
        until(lambda: server.call(lambda: server.server.door.admission.count) == 0)
    until(lambda: not server.server._tasks)
    assert server.call(lambda: server.server.data_budget.count) == 0
    assert hidden_files(server.root) == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.requirement("RTLS-g", "R959-4.1-b", side="S")
def test_the_control_session_ends_with_close_notify(
    server: LiveServer, connect: Callable[..., RawClient]
) -> None:
    client = connect(server).log_in()
    client.expect("QUIT", 221)
    # Without close_notify this raises ssl.SSLEOFError.
    assert client.sock.recv(1) == b""


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("begun", ["connected", "half-a-hello", "handshake-done"])
@pytest.mark.parametrize("line", ["EPSV", "PORT 127,0,0,1,200,200", "ABOR", "QUIT"])
def test_a_data_connection_that_no_command_takes_is_closed_with_its_endpoint(
    server: LiveServer, connect: Callable[..., RawClient], begun: str, line: str
) -> None:
    client = connect(server).log_in()
    data = client.passive()
    if begun == "half-a-hello":
        data.sendall(b"\x16\x03\x01")
    elif begun == "handshake-done":
        data = client.protect_data(data)
    client.expect(line, 200, 221, 226, 229)
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # cut or reset, but not left open
        assert data.recv(1) == b""
    if line != "QUIT":
        assert client.upload("STOR next.bin", b"next").code == 226
    client.close()
    until(lambda: server.call(lambda: server.server.data_budget.count) == 0)


def test_many_sessions_at_once_get_their_own_files(
    server: LiveServer, connect: Callable[..., RawClient]
) -> None:
    clients = [connect(server).log_in() for _ in range(24)]
    contents = [bytes([number]) * (50_000 + number) for number in range(24)]

    def work(number: int) -> bytes:
        client = clients[number]
        for _ in range(4):
            assert client.upload(f"STOR many-{number}.bin", contents[number]).code == 226
        return client.download(f"RETR many-{number}.bin")

    with ThreadPoolExecutor(24) as threads:
        assert list(threads.map(work, range(24))) == contents
