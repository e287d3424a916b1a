"""What one client does in masses must not be felt by the others (RSEC-dos-a)."""

from __future__ import annotations

import re
import resource
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer
from raw_client import RawClient
from server_process import serving
from waiting import until

from lockgate.server.listening import sessions_that_fit

Start = Callable[..., LiveServer]
Connect = Callable[..., RawClient]

FLOOD = b"NOOP\r\n" * 20_000


def flood(server: LiveServer, stop: threading.Event) -> None:
    """Send commands in masses and read what comes back, again and again."""
    while not stop.is_set():
        with socket.create_connection((server.host, server.port)) as sock:
            sock.settimeout(5)
            try:
                sock.sendall(FLOOD)
                while not stop.is_set() and sock.recv(1 << 16):
                    pass
            except OSError:
                continue


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_flood_of_commands_before_the_login_ends_with_421(server: LiveServer) -> None:
    with RawClient(server.host, server.port) as client:
        client.write(FLOOD[: 6 * 600])
        replies = [client.read().code for _ in range(501)]
        assert replies == [200] * 500 + [421]
        assert client.at_end()


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_flood_of_commands_leaves_the_others_their_turns(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    stop = threading.Event()
    attackers = [threading.Thread(target=flood, args=(server, stop)) for _ in range(4)]
    for attacker in attackers:
        attacker.start()
    try:
        waits = []
        for _ in range(30):
            began = time.monotonic()
            client.expect("NOOP", 200)
            waits.append(time.monotonic() - began)
    finally:
        stop.set()
        for attacker in attackers:
            attacker.join(20)
    # Without turns it is seconds; the bound leaves room for a machine that does much else.
    assert sorted(waits)[len(waits) // 2] < 0.5


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_flood_by_one_who_is_logged_in_leaves_the_others_their_turns(
    server: LiveServer, connect: Connect
) -> None:
    client, other = connect(server).log_in(), connect(server).log_in()

    def masses() -> None:
        for _ in range(10):
            other.write(FLOOD[: 6 * 2000])
            for _ in range(2000):
                other.read()

    attacker = threading.Thread(target=masses)
    attacker.start()
    waits = [0.0]
    while attacker.is_alive() and len(waits) < 100:
        began = time.monotonic()
        client.expect("NOOP", 200)
        waits.append(time.monotonic() - began)
    attacker.join(60)
    assert not attacker.is_alive()
    assert max(waits) < 0.5


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_logins_that_wait_for_hashes_hold_up_no_file_command(start: Start, connect: Connect) -> None:
    server = start(limits="login_attempts = 100")
    client = connect(server).log_in()
    release, waiting = threading.Event(), threading.Semaphore(0)

    def slow_check(name: str, password: str) -> None:
        waiting.release()
        release.wait(20)

    server.call(lambda: setattr(server.server.accounts, "check_password", slow_check))
    others = [connect(server) for _ in range(24)]
    try:
        for other in others:
            other.auth()
            other.expect("USER alice", 331)
            other.send("PASS wrong")
        assert waiting.acquire(timeout=10)
        client.expect("MLST /", 250)
        client.expect("MKD made-meanwhile", 257)
    finally:
        release.set()


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_full_descriptor_table_is_said_once_and_recovered_from(tmp_path: Path) -> None:
    with serving(tmp_path, limits="sessions_per_address = 1000") as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        idle = [socket.create_connection((server.host, server.port)) for _ in range(120)]
        try:
            until(lambda: "have to wait" in server.log.read_text())
            # A busy loop would write thousands of lines in this time.
            idle[-1].settimeout(0.5)
            with pytest.raises(TimeoutError):
                idle[-1].recv(1)
            assert len(re.findall("have to wait", server.log.read_text())) == 1
            assert "Traceback" not in server.log.read_text()
        finally:
            for sock in idle:
                sock.close()
        with RawClient(server.host, server.port) as client:
            assert client.greeting.code == 220


def test_the_sessions_are_no_more_than_the_descriptors_have_room_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (432, hard))
    try:
        assert sessions_that_fit(10_000) == 300
        assert "leave room for 300 sessions" in caplog.text
        assert sessions_that_fit(200) == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
