"""HASH and RANG on a live server: what they say, what ends them, and that a flood of them disturbs nobody."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer
from raw_client import RawClient
from waiting import until

Start = Callable[..., LiveServer]
Connect = Callable[..., RawClient]

CONTENT = bytes(range(256)) * 1200 + b"the end\r\nof it\n"
# Holes are read as fast as memory, and this is longer than any test lasts.
HUGE_BYTES = 1 << 42


@pytest.fixture
def content(server: LiveServer) -> bytes:
    (server.root / "data.bin").write_bytes(CONTENT)
    return CONTENT


def huge(root: Path, name: str = "huge") -> str:
    """Make a file that takes long to read and no room on the disk, and return its name."""
    with (root / name).open("wb") as file:
        os.ftruncate(file.fileno(), HUGE_BYTES)
    return name


def sums(algorithm: str, data: bytes) -> str:
    if algorithm == "CRC32":
        return f"{zlib.crc32(data):08x}"
    return hashlib.new(algorithm.replace("-", "").lower(), data).hexdigest()


def working(server: LiveServer) -> int:
    """How many threads hash just now."""
    return server.call(lambda: server.server.digesters.turns.out)


@pytest.mark.requirement("RX-HASH", side="S")
@pytest.mark.parametrize("algorithm", ["SHA-256", "SHA-512", "CRC32"])
def test_a_hash_is_that_of_the_stored_bytes(
    server: LiveServer, connect: Connect, content: bytes, algorithm: str
) -> None:
    client = connect(server).log_in()
    client.expect(f"OPTS HASH {algorithm}", 200)
    expected = f"213 {algorithm} 0-{len(content) - 1} {sums(algorithm, content)} data.bin"
    for form in ("TYPE I", "TYPE A", "MODE Z"):
        client.expect(form, 200)
        assert client.expect("HASH data.bin", 213) == expected


@pytest.mark.requirement("RX-HASH", side="S")
def test_opts_tells_and_changes_the_algorithm_and_feat_marks_it(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    assert client.expect("OPTS HASH", 200) == "200 SHA-256"
    assert "\n HASH SHA-256*;SHA-512;CRC32\n" in client.expect("FEAT", 211)
    assert client.expect("OPTS HASH crc32", 200) == "200 CRC32"
    client.expect("OPTS HASH SHA-1", 504)
    client.expect("OPTS HASH MD5", 504)
    assert "\n HASH SHA-256;SHA-512;CRC32*\n" in client.expect("FEAT", 211)
    client.expect("REIN", 220)
    assert client.stop_tls() is None
    client.log_in()
    assert client.expect("OPTS HASH", 200) == "200 SHA-256"


@pytest.mark.requirement("RX-HASH", side="S")
@pytest.mark.parametrize(
    ("asked", "covered"),
    [("0 49", (0, 49)), ("7 7", (7, 7)), ("1000 9223372036854775807", (1000, len(CONTENT) - 1))],
)
def test_rang_bounds_one_hash(
    server: LiveServer, connect: Connect, content: bytes, asked: str, covered: tuple[int, int]
) -> None:
    client = connect(server).log_in()
    client.expect(f"RANG {asked}", 350)
    first, last = covered
    part = sums("SHA-256", content[first : last + 1])
    assert client.expect("HASH data.bin", 213) == f"213 SHA-256 {first}-{last} {part} data.bin"
    # Once only.
    assert f" 0-{len(content) - 1} " in client.expect("HASH data.bin", 213)
    client.expect(f"RANG {asked}", 350)
    client.expect("RANG 1 0", 350)
    assert f" 0-{len(content) - 1} " in client.expect("HASH data.bin", 213)


def test_rest_does_not_bound_a_hash(server: LiveServer, connect: Connect, content: bytes) -> None:
    client = connect(server).log_in()
    client.expect("REST 100", 350)
    assert f" 0-{len(content) - 1} " in client.expect("HASH data.bin", 213)


@pytest.mark.requirement("RX-HASH", side="S")
def test_the_hash_of_nothing_and_of_what_is_not_there(server: LiveServer, connect: Connect) -> None:
    (server.root / "empty").write_bytes(b"")
    (server.root / "folder").mkdir(exist_ok=True)
    (server.root / ".lockgate-x.part").write_bytes(b"hidden")
    os.mkfifo(server.root / "fifo") if not (server.root / "fifo").exists() else None
    client = connect(server).log_in()
    assert client.expect("HASH empty", 213) == f"213 SHA-256 0-0 {sums('SHA-256', b'')} empty"
    client.expect("HASH folder", 553)
    client.expect("HASH /", 553)
    client.expect("HASH missing", 550)
    client.expect("HASH .lockgate-x.part", 550)
    client.expect("HASH fifo", 550)
    client.expect("HASH ../../../etc/passwd", 550)
    client.expect("HASH", 501)
    client.expect("RANG 0 5", 350)
    client.expect("HASH empty", 554)
    client.expect("NOOP", 200)


def test_hashing_takes_the_permission_to_read(start: Start, connect: Connect) -> None:
    server = start(account='permissions = "list write"')
    (server.root / "a").write_bytes(b"secret")
    connect(server).log_in().expect("HASH a", 550)


def test_hashing_takes_a_login(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.auth()
    client.expect("HASH a", 530)
    client.expect("RANG 0 5", 530)


def test_the_configuration_picks_the_algorithms(start: Start, connect: Connect) -> None:
    server = start(features='hash_algorithms = ["md5", "CRC32"]')
    (server.root / "a").write_bytes(b"abc")
    client = connect(server).log_in()
    assert "\n HASH MD5*;CRC32\n" in client.expect("FEAT", 211)
    assert sums("MD5", b"abc") in client.expect("HASH a", 213)
    client.expect("OPTS HASH SHA-256", 504)


def test_hash_can_be_switched_off(start: Start, connect: Connect) -> None:
    server = start(features="hash_algorithms = []")
    (server.root / "a").write_bytes(b"abc")
    client = connect(server).log_in()
    assert "HASH" not in client.expect("FEAT", 211)
    assert "HASH" not in client.expect("HELP", 214)
    client.expect("HASH a", 502)
    client.expect("OPTS HASH", 501)
    client.expect("RANG 0 1", 350)
    assert client.download("RETR a") == b"ab"


def test_names_are_told_without_control_characters(server: LiveServer, connect: Connect) -> None:
    (server.root / "a\x1b[31mb").write_bytes(b"")
    assert connect(server).log_in().expect("HASH a\x1b[31mb", 213).endswith(" a?[31mb")


# RANG with transfers


@pytest.mark.requirement("RX-HASH", side="S")
@pytest.mark.parametrize(
    ("asked", "part"),
    [("0 0", slice(0, 1)), ("100 199", slice(100, 200)), ("5 9223372036854775807", slice(5, None)),
     ("99999999 99999999", slice(0, 0)), (f"{len(CONTENT)} {len(CONTENT)}", slice(0, 0))],
)  # fmt: skip
def test_rang_bounds_one_download(
    server: LiveServer, connect: Connect, content: bytes, asked: str, part: slice
) -> None:
    client = connect(server).log_in()
    client.expect(f"RANG {asked}", 350)
    assert client.download("RETR data.bin") == content[part]
    assert client.download("RETR data.bin") == content


def test_rang_bounds_a_download_in_clear(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"')
    (server.root / "a").write_bytes(CONTENT)
    client = connect(server).log_in()
    client.expect("PROT C", 200)
    client.expect("RANG 10 19", 350)
    assert client.download("RETR a", protect=False) == CONTENT[10:20]


@pytest.mark.parametrize("command", ["STOR data.bin", "APPE data.bin", "STOU"])
def test_rang_is_not_for_uploads(server: LiveServer, connect: Connect, content: bytes, command: str) -> None:
    client = connect(server).log_in()
    client.expect("RANG 0 5", 350)
    client.passive().close()
    client.expect(command, 504)
    assert (server.root / "data.bin").read_bytes() == content
    # It counted for that command only.
    assert client.download("RETR data.bin") == content


@pytest.mark.parametrize("form", ["TYPE A", "MODE Z"])
def test_rang_needs_image_and_stream(server: LiveServer, connect: Connect, content: bytes, form: str) -> None:
    client = connect(server).log_in()
    client.expect("RANG 0 5", 350)
    client.expect(form, 200)
    client.expect("RANG 0 5", 551)
    client.expect("RANG 1 0", 350)
    assert f" 0-{len(content) - 1} " in client.expect("HASH data.bin", 213)


@pytest.mark.parametrize(
    "argument",
    [
        "5",
        "9 3",
        "-1 5",
        "0 9223372036854775808",
        "0 " + "9" * 4000,
        "a b",
        "0 1 2",
        "0x0 0x5",
        "\u0661 \u0662",
    ],
)
def test_odd_numbers_are_refused_and_reset_the_range(
    server: LiveServer, connect: Connect, content: bytes, argument: str
) -> None:
    client = connect(server).log_in()
    client.expect("RANG 0 5", 350)
    client.expect(f"RANG {argument}", 501)
    assert f" 0-{len(content) - 1} " in client.expect("HASH data.bin", 213)


# What ends a hash that takes long


def test_abor_ends_a_hash_and_those_that_wait_behind_it(server: LiveServer, connect: Connect) -> None:
    huge(server.root)
    client = connect(server).log_in()
    client.write(b"HASH huge\r\n")
    until(lambda: working(server))
    began = time.monotonic()
    client.write(b"HASH huge\r\nHASH huge\r\nNOOP\r\nABOR\r\nPWD\r\n")
    assert [client.read().code for _ in range(6)] == [426, 426, 426, 200, 226, 257]
    assert time.monotonic() - began < 5


def test_a_hash_that_takes_too_long_ends(start: Start, connect: Connect) -> None:
    server = start(features="hash_seconds = 0.3")
    huge(server.root)
    client = connect(server).log_in()
    client.expect("HASH huge", 451)
    client.expect("NOOP", 200)
    until(lambda: working(server) == 0)


class Hanging:
    """A storage, and a file in it, on a disk that does not answer."""

    size = 1

    def __init__(self) -> None:
        self.answers = threading.Event()

    def open_read(self, path: str) -> Hanging:
        return self

    def seek(self, offset: int) -> None:
        pass

    def readinto(self, buffer: memoryview) -> int:
        self.answers.wait(30)
        return 0

    def close(self) -> None:
        pass


def test_a_disk_that_does_not_answer_keeps_nobody_waiting(start: Start, connect: Connect) -> None:
    server = start(features="hash_seconds = 0.3")
    client = connect(server).log_in()
    disk = Hanging()
    (control,) = server.server._controls

    def replace() -> None:
        control.session.login.storage = disk  # type: ignore[assignment]

    server.call(replace)
    client.expect("HASH a", 451)
    client.expect("NOOP", 200)
    disk.answers.set()
    until(lambda: working(server) == 0)


@pytest.mark.parametrize("waiting", [0, 200], ids=["alone", "with more commands than are read"])
def test_a_client_that_leaves_takes_its_hash_with_it(start: Start, connect: Connect, waiting: int) -> None:
    server = start(features="hash_jobs = 1")
    huge(server.root)
    (server.root / "small").write_bytes(b"1")
    client, other = connect(server).log_in(), connect(server).log_in()
    client.write(b"HASH huge\r\n" + b"NOOP\r\n" * waiting)
    until(lambda: working(server))
    client.close()
    other.expect("HASH small", 213)


def test_a_drain_ends_a_hash(start: Start, connect: Connect) -> None:
    server = start()
    huge(server.root)
    client = connect(server).log_in()
    client.write(b"HASH huge\r\n")
    until(lambda: working(server))
    began = time.monotonic()
    server.drain()
    assert time.monotonic() - began < 4
    assert client.read().code == 421


def test_more_hashes_than_may_wait_are_refused_for_now(start: Start, connect: Connect) -> None:
    server = start(features="hash_jobs = 1")
    huge(server.root)
    (server.root / "small").write_bytes(b"1")
    server.server.digesters.turns._waiting_limit = 1
    busy, more, other = (connect(server).log_in() for _ in range(3))
    busy.write(b"HASH huge\r\n")
    until(lambda: working(server))
    more.write(b"HASH huge\r\n")
    until(lambda: server.call(lambda: server.server.digesters.turns.waiting))
    other.expect("HASH small", 450)
    busy.write(b"ABOR\r\n")
    more.write(b"ABOR\r\n")
    for client in (busy, more):
        assert [client.read().code, client.read().code] == [426, 226]
    until(lambda: other.command("HASH small").code == 213)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_flood_of_hashes_is_not_felt_by_those_who_do_other_things(start: Start, connect: Connect) -> None:
    server = start()
    huge(server.root)
    (server.root / "small").write_bytes(b"12345")
    attackers = [connect(server).log_in() for _ in range(20)]
    for attacker in attackers:
        attacker.write(b"HASH huge\r\n" * 50)
    until(lambda: working(server) == 2)
    client = connect(server).log_in()
    waits = []
    for _ in range(20):
        began = time.monotonic()
        client.expect("NOOP", 200)
        # This one goes through the helper threads.
        client.expect("SIZE small", 213)
        waits.append(time.monotonic() - began)
    assert client.download("RETR small") == b"12345"
    assert sorted(waits)[len(waits) // 2] < 0.25
    assert working(server) == 2
    for attacker in attackers:
        attacker.close()
    until(lambda: working(server) == 0)
    assert re.match(r"213 SHA-256 0-4 ", client.expect("HASH small", 213))


def test_a_reload_changes_algorithms_and_jobs(start: Start, connect: Connect) -> None:
    server = start()
    (server.root / "a").write_bytes(b"abc")
    client = connect(server).log_in()
    client.expect("OPTS HASH SHA-512", 200)
    path = server.work / "lockgate.toml"
    path.write_text(
        path.read_text().replace("[features]", '[features]\nhash_algorithms = ["CRC32"]\nhash_jobs = 5')
    )
    server.call(server.server.reload)
    assert client.expect("HASH a", 213).startswith("213 CRC32 ")
    assert server.server.digesters.turns.at_once == 5
