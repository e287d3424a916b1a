"""A flood of logins takes neither the server's memory nor everybody's turn."""

from __future__ import annotations

import signal
import socket
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
        # What bounds the flood from the outside is not what is asked for here.
        limits=f"sessions_per_address = {LOGINS + 50}\nconnections_per_minute = 0\n"
        "lockout_failures_per_address = 0\nlockout_failures_per_account = 0",
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
            client = socket.create_connection((server.host, server.port), 60)
            clients.append(stack.enter_context(client))
        for client in clients:
            client.sendall(b"USER dear\r\nPASS wrong\r\n")
        yield clients


def computed(server: ServerProcess) -> int:
    """Return how many of the flood's hashes have been computed; their answers are held back longer."""
    return server.log.read_text().count(" login-failed ")


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_flood_of_logins_takes_bounded_memory_and_leaves_others_their_turn(tmp_path: Path) -> None:
    with server_with_dear_hashes(tmp_path) as server:
        before = server.peak_memory_kib
        with RawClient(server.host, server.port, source="127.0.0.2") as client:
            client.sock.settimeout(90)
            client.expect("USER dear", 331)
            with flood(server):
                began = computed(server)
                client.expect("PASS open", 230)
                overtaken_by = computed(server) - began
                grown = server.peak_memory_kib - before
    # Without a fair share this login would have come after all 300.
    assert began + overtaken_by < LOGINS // 2
    assert overtaken_by < 30
    assert grown > MEMORY_KIB  # at least one hash was computed
    assert grown < AT_ONCE * MEMORY_KIB + MARGIN_KIB


def test_sigterm_in_a_flood_of_logins_ends_the_server_soon_and_quietly(tmp_path: Path) -> None:
    with server_with_dear_hashes(tmp_path) as server:
        with flood(server, 100) as clients:
            until(lambda: server.peak_memory_kib > MEMORY_KIB)
            before = computed(server)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0
            # What waited was not computed any more.
            assert computed(server) - before < 20
            for client in clients:
                text = b""
                while piece := client.recv(4096):
                    text += piece
                assert b"\r\n421 " in text or b"\r\n530 " in text
        log = server.log.read_text()
    assert "Traceback" not in log
    assert " ERROR " not in log
