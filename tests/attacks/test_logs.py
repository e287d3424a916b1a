"""What strangers can do to the log: forge lines in it, and fill the disk with it."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer
from raw_client import RawClient
from server_process import serving
from tls_bytes import eventually, forgiving

from lockgate.server.audit import record
from lockgate.server.logflood import LogFlood

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

CLEAR = 'control = "optional"\ndata = "optional"'


class Lines(logging.Handler):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, one: logging.LogRecord) -> None:
        self.lines.append(one.getMessage())


@pytest.mark.requirement("RSEC-line-b", side="S")
def test_names_forge_no_line_of_the_log(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = forgiving(start(policy=CLEAR, limits="login_attempts = 100"))
    forged = "2026-01-01 00:00:00 login peer=192.0.2.1 user=root by=password"
    client = connect(server)
    for name in (
        f"x\x1b[2J{forged}",
        f"x\u2028{forged}",
        f"x\x85{forged}",
        f'x" user=root by="{forged}',
        f"x\x0b{forged}\x0c",
        f"\udc80{forged}",
    ):
        client.expect(f"USER {name}", 331)
        client.expect("PASS x", 530)
    client.log_in(protect=False, tls=False)
    client.expect("MKD a\x1b]0;x\x07\u2028b", 257)
    client.upload("STOR c\x85\x1bd", b"", protect=False)
    told = [one.getMessage() for one in caplog.records if one.name.startswith("lockgate")]
    assert sum("login-failed" in one for one in told) == 6
    for one in told:
        assert len(one.splitlines()) == 1, repr(one)
        assert one.isprintable(), repr(one)
        assert not one.startswith("2026")


@pytest.fixture
def flooded() -> tuple[Lines, LogFlood, list[float]]:
    """A handler with the filter, on a clock of the test's own."""
    now = [0.0]
    lines, flood = Lines(), LogFlood(per_address=5, in_all=50, remembered=20, clock=lambda: now[0])
    lines.addFilter(flood)
    logger = logging.getLogger("lockgate.audit")
    before = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    yield lines, flood, now
    logger.removeHandler(lines)
    logger.setLevel(before)


def test_one_who_fails_for_ever_writes_some_lines_a_minute_and_is_counted(
    flooded: tuple[Lines, LogFlood, list[float]],
) -> None:
    lines, _flood, now = flooded
    for _ in range(1000):
        record("login-failed", peer="192.0.2.1", user="root")
    record("login-failed", peer="192.0.2.2", user="root")
    assert len(lines.lines) == 6
    now[0] = 61
    record("login", peer="192.0.2.3", user="alice")
    assert lines.lines[6:] == [
        "left-out event=login-failed peer=192.0.2.1 count=995",
        "login peer=192.0.2.3 user=alice",
    ]
    record("login-failed", peer="192.0.2.1", user="root")
    assert len(lines.lines) == 9


@pytest.mark.parametrize("event", ["transfer-refused", "file-refused", "auth-refused"])
def test_refusals_are_bounded_too(event: str, flooded: tuple[Lines, LogFlood, list[float]]) -> None:
    lines, _flood, now = flooded
    for _ in range(1000):
        record(event, peer="192.0.2.1", reply=550)
    assert len(lines.lines) == 5
    now[0] = 61
    record("stop")
    assert lines.lines[5:] == [f"left-out event={event} peer=192.0.2.1 count=995", "stop"]


def test_a_crowd_of_addresses_writes_no_more_and_takes_no_more_memory(
    flooded: tuple[Lines, LogFlood, list[float]],
) -> None:
    lines, flood, now = flooded
    for number in range(5000):
        record("tls-failed", peer=f"2001:db8:{number:x}::1", reason="x")
    assert len(lines.lines) <= 50
    assert len(flood._lines) + len(flood._left_out) <= 50
    now[0] = 61
    record("stop")
    assert len(lines.lines) <= 100


def test_what_accounts_did_is_always_written(flooded: tuple[Lines, LogFlood, list[float]]) -> None:
    lines, _flood, _now = flooded
    for _ in range(1000):
        record("transfer", peer="192.0.2.1", path="/x")
    assert len(lines.lines) == 1000


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_flood_of_failures_and_of_resets_leaves_a_short_log(tmp_path: Path) -> None:
    with serving(tmp_path, limits="sessions_per_address = 3\nconnections_per_minute = 0") as server:
        for _ in range(3):
            for _ in range(100):
                _commands_and_reset(server.host, server.port)
        for _ in range(100):
            with RawClient(server.host, server.port, source="127.0.0.2") as client:
                client.write(b"\x16\x03\x01\x00\x01\x00")  # each of them is a line, "tls-failed"
                assert client.read().code == 421
        with RawClient(server.host, server.port) as client:
            client.log_in()
        text = server.log.read_text()
    assert "Traceback" not in text
    assert "socket.send() raised" not in text
    assert text.count("\n") < 60, text[-3000:]
    assert "login peer=127.0.0.1" in text


def _commands_and_reset(host: str, port: int) -> None:
    """Many commands, then a RST: every reply meets a connection that is gone."""
    sock = socket.create_connection((host, port), 15)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.recv(4096)
    sock.sendall(b"USER x\r\n" + b"HELP\r\n" * 100)
    sock.close()


def test_a_session_reset_after_many_commands_logs_no_line_for_each(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = start(policy=CLEAR)
    for _ in range(20):
        _commands_and_reset(server.host, server.port)
    eventually(lambda: server.call(lambda: server.server.door.admission.count) == 0)
    assert not [one for one in caplog.records if one.name == "asyncio"]
    assert len(caplog.records) <= 20 * 3
