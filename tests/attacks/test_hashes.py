"""Crowds that hash files without end: others get their checksums all the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer, cheap_hash
from raw_client import RawClient
from tls_bytes import eventually

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

BOB = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("secret")}"\nhome = "bob"'
OTHER = "127.0.0.2"
# Holes are read as fast as memory, and this is longer than any test lasts.
HUGE_BYTES = 1 << 42


def prepare(server: LiveServer) -> None:
    """Make a file that takes long to hash, and one that does not."""
    for root in (server.root, server.work / "bob"):
        root.mkdir(exist_ok=True)
        with (root / "huge").open("wb") as file:
            os.ftruncate(file.fileno(), HUGE_BYTES)
        (root / "small").write_bytes(b"abc")


def taken(server: LiveServer) -> tuple[int, int]:
    """How many files are being hashed, and how many wait."""
    turns = server.server.digesters.turns
    return server.call(lambda: (turns.out, turns.waiting))


@pytest.mark.requirement("RSEC-dos-a", side="S")
@pytest.mark.parametrize("crowd", ["one address", "ten addresses", "the account of the one who waits"])
def test_a_short_hash_does_not_wait_for_a_crowd_of_long_ones(
    start: Start, connect: Connect, crowd: str
) -> None:
    server = start(more_accounts=BOB)
    prepare(server)
    for number in range(60):
        source = f"127.0.1.{number % 10}" if crowd == "ten addresses" else OTHER
        connect(server, source=source).log_in().send("HASH huge")
    eventually(lambda: taken(server) == (2, 58))
    if crowd == "the account of the one who waits":
        victim = connect(server).log_in()
    else:
        victim = connect(server).log_in("bob", "secret")
    began = time.monotonic()
    for _ in range(3):
        victim.expect("HASH small", 213)
    assert time.monotonic() - began < 6


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_full_queue_of_hashes_refuses_those_who_filled_it(start: Start, connect: Connect) -> None:
    server = start(more_accounts=BOB, limits="sessions_per_address = 1000")
    prepare(server)
    crowd = [connect(server, source=OTHER).log_in() for _ in range(110)]
    for attacker in crowd:
        attacker.send("HASH huge")
    eventually(lambda: taken(server) == (2, 100))
    victim = connect(server).log_in("bob", "secret")
    began = time.monotonic()
    victim.expect("HASH small", 213)
    assert time.monotonic() - began < 3


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_those_that_wait_end_and_keep_no_file_open(start: Start, connect: Connect) -> None:
    server = start(features="hash_jobs = 1")
    prepare(server)
    clients = [connect(server).log_in() for _ in range(6)]
    for client in clients:
        client.send("HASH huge")
    # All have had a turn.
    eventually(lambda: _open_files(server.root / "huge") == 6)
    clients[0].send("ABOR")
    assert [clients[0].read().code for _ in range(2)] == [426, 226]
    for client in clients[1:]:
        client.close()
    eventually(lambda: taken(server) == (0, 0))
    eventually(lambda: _open_files(server.root / "huge") == 0)
    clients[0].expect("HASH small", 213)


def _open_files(path: Path) -> int:
    """How many descriptors of this process, which the server runs in, a file has."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += entry.readlink() == path
        except OSError:  # closed meanwhile
            continue
    return found
