"""What transfers take they give back: descriptors, threads, memory, hidden files, places in the budget."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from endings import cut, hidden_files, reset
from raw_client import RawClient, read_all
from server_process import ServerProcess, serving
from waiting import until

Connect = Callable[..., RawClient]
CONTENT = bytes(range(256)) * 200
ROUNDS = 125  # of four transfers each
ABORTS = 60
# Threads are made when none is idle just then, which depends on how busy the machine is: the helpers up to
# their bound, and a few for transfers. A thread that stays behind with each transfer would be many more.
POOLS_GROW = 16 + 8

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server in a process of its own, so that nothing but the server is counted."""
    with serving(tmp_path) as running:
        yield running


def four_transfers(client: RawClient) -> None:
    """An upload, a download, a listing, and an upload that fails."""
    assert client.upload("STOR one.bin", CONTENT).code == 226
    assert client.download("RETR one.bin") == CONTENT
    assert client.download("MLSD")
    data = client.passive()
    client.expect("STOR cut.bin", 150)
    protected = client.protect_data(data)
    protected.sendall(CONTENT)
    cut(protected)
    assert client.read().code == 426
    for sock in client._opened:
        sock.close()
    client._opened.clear()


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_500_transfers_on_one_session_leak_nothing(process: ServerProcess, connect: Connect) -> None:
    client = connect(process).log_in()
    for _ in range(25):  # caches, thread pools, the allocator's arenas
        four_transfers(client)
    descriptors, threads, memory = process.descriptors, process.threads, process.memory_kib
    for _ in range(ROUNDS):
        four_transfers(client)
    until(lambda: process.descriptors <= descriptors)
    assert process.threads <= threads + POOLS_GROW
    grown = process.memory_kib - memory
    assert grown < 1024, f"{grown} KiB in {4 * ROUNDS} transfers"


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_aborted_transfers_give_everything_back(process: ServerProcess, connect: Connect) -> None:
    (process.root / "big.bin").write_bytes(bytes(20_000_000))
    client = connect(process).log_in()
    four_transfers(client)
    before: tuple[int, int] | None = None
    for number in range(ABORTS):
        abort_in_many_ways(client, number)
        if number == 5:
            before = process.descriptors, process.threads
    assert before is not None
    until(lambda: process.descriptors <= before[0])
    assert process.threads <= before[1] + POOLS_GROW
    client.expect("DELE up.bin", 250, 550)
    client.expect("DELE cut.bin", 250, 550)


def abort_in_many_ways(client: RawClient, number: int) -> None:
    """Begin a transfer and end it by one of five ways."""
    data = client.passive()
    if number % 5 == 0:
        client.expect("RETR big.bin", 150)
        client.expect("ABOR", 426)  # before the handshake
        assert client.read().code == 226
        return
    client.expect("STOR up.bin" if number % 5 < 3 else "RETR big.bin", 150)
    protected = client.protect_data(data)
    if number % 5 == 1:
        protected.sendall(b"x")
        reset(protected)
    elif number % 5 == 2:
        protected.sendall(b"x")
        client.send("ABOR")
    elif number % 5 == 3:
        reset(protected)
    else:
        client.send("ABOR")
    assert client.read().code == 426
    if number % 5 in (2, 4):
        assert client.read().code == 226
    protected.close()


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_clients_that_vanish_give_everything_back(process: ServerProcess, connect: Connect) -> None:
    (process.root / "big.bin").write_bytes(bytes(20_000_000))
    with connect(process) as client:
        four_transfers(client.log_in())
    idle = descriptors_at_rest(process)
    for command in ("RETR big.bin", "STOR up.bin", "LIST", "") * 3:
        client = connect(process).log_in()
        data = client.passive()
        if command:
            client.expect(command, 150)
            if command != "LIST":
                client.protect_data(data)
        reset(client.sock)
        client.close()
    until(lambda: process.descriptors <= idle)


def descriptors_at_rest(process: ServerProcess) -> int:
    """Return how many descriptors there are once no connection is left but the listeners."""

    def sockets() -> int:
        found = 0
        for link in Path(f"/proc/{process.process.pid}/fd").iterdir():
            # One may be closed between the listing and the look.
            with contextlib.suppress(FileNotFoundError):
                found += str(link.readlink()).startswith("socket:")
        return found

    # Two listeners, and the pair by which the event loop is woken.
    until(lambda: sockets() == 4)
    return process.descriptors


def test_homes_that_a_reload_has_replaced_are_closed_with_their_sessions(
    tmp_path: Path, connect: Connect
) -> None:
    # Without Python's collector, which would come some time or never.
    with serving(tmp_path, prelude="import gc; gc.disable()") as process:

        def log_in_and_reload() -> None:
            with connect(process) as client:
                client.log_in()
                assert client.upload("STOR one.bin", CONTENT).code == 226
            told = process.log.read_text().count("reload")
            process.process.send_signal(signal.SIGHUP)
            until(lambda: process.log.read_text().count("reload") > told)

        log_in_and_reload()
        before = descriptors_at_rest(process)
        for _ in range(5):
            log_in_and_reload()
        until(lambda: descriptors_at_rest(process) <= before + 1)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_slow_clients_do_not_hold_up_others(process: ServerProcess, connect: Connect) -> None:
    silent = [socket.create_connection((process.host, process.port)) for _ in range(20)]
    slow = []
    for _ in range(20):
        client = connect(process).log_in()
        data = client.passive()
        client.expect("STOR slow.bin", 150)
        data.sendall(b"\x16")  # a hello that never comes to its end
        slow.append(client)
    client = connect(process).log_in()
    assert client.upload("STOR fast.bin", CONTENT).code == 226
    assert client.download("RETR fast.bin") == CONTENT
    for sock in silent:
        sock.close()


def test_a_full_disk_is_452_and_leaves_the_old_file(tmp_path: Path, connect: Connect) -> None:
    with serving(tmp_path, file_limit_bytes=100_000) as process:
        (process.root / "full.bin").write_bytes(b"old")
        client = connect(process).log_in()
        data = client.passive()
        client.expect("STOR full.bin", 150)
        protected = client.protect_data(data)
        with contextlib.suppress(OSError):  # the server may stop reading at any byte
            protected.sendall(bytes(2_000_000))
        assert client.read().code == 452
        protected.close()
        assert (process.root / "full.bin").read_bytes() == b"old"
        assert hidden_files(process.root) == []
        assert client.upload("STOR fits.bin", b"fits").code == 226
        assert read_all_of(client, "fits.bin") == b"fits"


def read_all_of(client: RawClient, name: str) -> bytes:
    """RETR, spelled out because the server's end is of interest too."""
    data = client.passive()
    client.expect(f"RETR {name}", 150)
    protected = client.protect_data(data)
    content = read_all(protected)
    protected.unwrap()
    assert client.read().code == 226
    return content
