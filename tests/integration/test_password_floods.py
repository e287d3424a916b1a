"""A flood of logins takes neither the server's memory nor everybody's turn."""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from raw_client import RawClient
from server_process import ServerProcess, serving
from waiting import until

from lockgate.accounts.passwords import HashParameters, hash_password

MEMORY_KIB = 64 * 1024
AT_ONCE = 2
LOGINS = 300
MARGIN_KIB = 40 * 1024
ACCOUNT = """[[account]]
name = "dear"
home = "dear"
password_hash = "{}"
"""


@contextmanager
def server_with_dear_hashes(work: Path) -> Iterator[ServerProcess]:
    """A server whose account `dear` has a hash of 64 MiB, and that takes logins in clear."""
    stored = hash_password("open", HashParameters(MEMORY_KIB, 1, 1))
    with serving(
        work,
        policy='control = "optional"\ndata = "optional"',
        limits=f"sessions_per_address = {LOGINS + 50}",
        passwords=f"hashes_at_once = {AT_ONCE}",
        more_accounts=ACCOUNT.format(stored),
    ) as server:
        yield server


@contextmanager
def flood(server: ServerProcess, logins: int = LOGINS) -> Iterator[list[socket.socket]]:
    """So many clients of one address that send a wrong password all at once."""
    with ExitStack() as stack:
        clients = []
        for _ in range(logins):
            client = socket.create_connection((server.host, server.port), 15)
            clients.append(stack.enter_context(client))
        for client in clients:
            client.sendall(b"USER dear\r\nPASS wrong\r\n")
        yield clients


def refused(clients: list[socket.socket], seconds: float = 0) -> int:
    """Return how many of the clients have heard more than 220 and 331."""
    deadline = time.monotonic() + seconds
    heard = 0
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        while events := selector.select(max(0, deadline - time.monotonic())):
            for key, _ in events:
                text = key.fileobj.recv(4096)  # type: ignore[union-attr]
                heard += text.count(b"530 ") + text.count(b"421 ")
                if not text:
                    selector.unregister(key.fileobj)
    return heard


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_flood_of_logins_takes_bounded_memory_and_leaves_others_their_turn(tmp_path: Path) -> None:
    with server_with_dear_hashes(tmp_path) as server:
        before = server.peak_memory_kib
        with flood(server) as clients:
            began = time.monotonic()
            with RawClient(server.host, server.port, source="127.0.0.2") as client:
                client.expect("USER dear", 331)
                client.expect("PASS open", 230)
                took = time.monotonic() - began
            # The flood is far from its end: without a fair share this login would have come last.
            assert refused(clients) < LOGINS // 2
            # The account's second session is not computed again, and waits for nobody.
            began = time.monotonic()
            with RawClient(server.host, server.port) as client:
                client.expect("USER dear", 331)
                client.expect("PASS open", 230)
                again = time.monotonic() - began
            grown = server.peak_memory_kib - before
    assert took < 5
    assert again < 2
    assert grown > MEMORY_KIB  # at least one hash was computed
    assert grown < AT_ONCE * MEMORY_KIB + MARGIN_KIB


def test_sigterm_in_a_flood_of_logins_ends_the_server_soon_and_quietly(tmp_path: Path) -> None:
    with server_with_dear_hashes(tmp_path) as server:
        with flood(server, 100) as clients:
            until(lambda: server.peak_memory_kib > MEMORY_KIB)
            server.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert server.process.wait(15) == 0
            assert time.monotonic() - began < 8
            assert refused(clients, 1) == 100
        log = server.log.read_text()
    assert "Traceback" not in log
    assert " ERROR " not in log
