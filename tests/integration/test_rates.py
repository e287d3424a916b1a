"""Bandwidth limits of a live server: how long transfers take, who shares what, what ends them."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
import time
from collections.abc import Callable

import pytest
from live_server import PASSWORD, LiveServer, cheap_hash
from raw_client import RawClient, client_context
from waiting import until

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

KIB = 1024
MIB = 1 << 20
OPTIONAL = 'data = "optional"'
BOB = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash(PASSWORD)}"\nhome = "bob"\n'


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def together(*works: Callable[[], object]) -> float:
    """Seconds that several things take at once; what they raise comes out."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    def run() -> None:
        crew = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join(60)

    seconds = timed(run)
    assert errors == []
    return seconds


def stored(server: LiveServer, size: int) -> None:
    """Put a file where RETR finds it."""
    (server.root / "file").write_bytes(bytes(size))


@pytest.mark.parametrize("protect", [True, False])
@pytest.mark.parametrize(
    "where", [{"limits": 'download_rate = "512 KiB"'}, {"account": 'session_download_rate = "512 KiB"'}]
)
def test_a_download_takes_as_long_as_its_rate_says(
    start: Start, connect: Connect, where: dict[str, str], protect: bool
) -> None:
    server = start(policy=OPTIONAL, **where)
    stored(server, MIB)
    client = connect(server).log_in(protect=protect)
    assert 1.2 < timed(lambda: client.download("RETR file", protect=protect)) < 6


@pytest.mark.parametrize("protect", [True, False])
@pytest.mark.parametrize(
    "where", [{"limits": 'session_upload_rate = "512 KiB"'}, {"account": 'upload_rate = "512 KiB"'}]
)
def test_an_upload_takes_as_long_as_its_rate_says(
    start: Start, connect: Connect, where: dict[str, str], protect: bool
) -> None:
    server = start(policy=OPTIONAL, **where)
    client = connect(server).log_in(protect=protect)
    assert 1.2 < timed(lambda: client.upload("STOR file", bytes(MIB), protect=protect)) < 6
    assert (server.root / "file").stat().st_size == MIB


def test_each_way_has_its_own_rate(start: Start, connect: Connect) -> None:
    server = start(limits='upload_rate = "20 KiB"\nsession_upload_rate = "20 KiB"')
    stored(server, 4 * MIB)
    client = connect(server).log_in()
    assert timed(lambda: client.download("RETR file")) < 5


def test_an_account_may_go_faster_than_the_sessions_default(start: Start, connect: Connect) -> None:
    server = start(limits='session_download_rate = "20 KiB"', account="session_download_rate = 0")
    stored(server, 2 * MIB)
    client = connect(server).log_in()
    assert timed(lambda: client.download("RETR file")) < 5


def test_the_sessions_of_a_server_share_its_rate(start: Start, connect: Connect) -> None:
    server = start(limits='download_rate = "512 KiB"', more_accounts=BOB)
    stored(server, MIB // 2)
    connect(server).log_in(user="bob")
    (server.work / "bob" / "file").write_bytes(bytes(MIB // 2))
    alice, bob = connect(server).log_in(), connect(server).log_in(user="bob")
    assert 1.2 < together(lambda: alice.download("RETR file"), lambda: bob.download("RETR file")) < 6


def test_the_sessions_of_an_account_share_its_rate_and_others_do_not(start: Start, connect: Connect) -> None:
    server = start(account='upload_rate = "512 KiB"', more_accounts=BOB)
    one, two, bob = connect(server).log_in(), connect(server).log_in(), connect(server).log_in(user="bob")
    half = bytes(MIB // 2)
    seconds = together(lambda: one.upload("STOR one", half), lambda: two.upload("STOR two", half))
    assert 1.2 < seconds < 6
    busy = threading.Thread(target=lambda: one.upload("STOR one", bytes(MIB)))
    busy.start()
    assert timed(lambda: bob.upload("STOR file", bytes(2 * MIB))) < 1.2
    busy.join(30)


def test_eight_uploads_that_share_a_rate_all_get_on(start: Start, tls_version: str) -> None:
    server = start(account='upload_rate = "1 MiB"')
    context = client_context(server.ca_file, version=tls_version)
    finished: list[float] = []
    began = time.monotonic()

    def work(number: int) -> None:
        with RawClient(server.host, server.port, context=context) as client:
            client.log_in()
            assert client.upload(f"STOR file-{number}", bytes(256 * KIB)).code == 226
            finished.append(time.monotonic() - began)

    together(*[lambda number=number: work(number) for number in range(8)])
    assert 1.2 < max(finished) < 8
    # Nobody waited for the others to be done; the first may have had the burst for himself.
    assert sorted(finished)[1] > 0.5 * max(finished)


def test_small_files_are_limited_too(start: Start, connect: Connect) -> None:
    client = connect(start(account='upload_rate = "100 KiB"')).log_in()

    def flood() -> None:
        for number in range(20):
            client.upload(f"STOR {number}", bytes(8 * KIB))

    assert timed(flood) > 1.0


def test_a_listing_is_a_download(start: Start, connect: Connect) -> None:
    server = start(limits='download_rate = "20 KiB"')
    for number in range(300):
        (server.root / f"{number:0100d}").touch()
    client = connect(server).log_in()
    listing: list[bytes] = []
    seconds = timed(lambda: listing.append(client.download("NLST")))
    assert len(listing[0]) == 300 * 102
    assert 1.0 < seconds < 6


def test_at_a_very_low_rate_stat_shows_progress_and_abor_is_quick(start: Start, connect: Connect) -> None:
    server = start(account='session_download_rate = "1 KiB"\nsession_upload_rate = "1 KiB"')
    stored(server, MIB)
    client = connect(server).log_in()
    for command in ("RETR file", "STOR other"):
        sock = client.passive()
        client.expect(command, 150)
        data = client.protect_data(sock)
        if command == "STOR other":
            data.sendall(bytes(64 * KIB))
        first = moved(client)
        until(lambda before=first: moved(client) > before)
        before_last = moved(client)
        until(lambda before=before_last: moved(client) > before, 1.0)
        seconds = timed(lambda: client.expect("ABOR", 426))
        assert client.read().code == 226
        assert seconds < 1
        data.close()


def moved(client: RawClient) -> int:
    """How many bytes STAT says the running transfer has moved."""
    found = re.search(r"is running: (\d+) bytes", client.command("STAT"))
    assert found
    return int(found[1])


def test_a_sender_has_to_wait(start: Start, connect: Connect) -> None:
    client = connect(start(account='upload_rate = "20 KiB"')).log_in()
    sock = client.passive()
    client.expect("STOR file", 150)
    data = client.protect_data(sock)
    data.settimeout(1.0)
    sent = 0
    with contextlib.suppress(TimeoutError, ssl.SSLWantWriteError):
        while sent < 64 * MIB:
            sent += data.send(bytes(64 * KIB))
    assert sent < 32 * MIB  # what the kernel's buffers take
    client.expect("ABOR", 426)


def test_waiting_for_a_turn_is_no_stall(start: Start, connect: Connect) -> None:
    server = start(limits='stall_seconds = 1\ndownload_rate = "1 KiB"')
    stored(server, 1200)
    crowd = [connect(server).log_in() for _ in range(8)]
    # Of eight at one KiB a second each waits longer for its turn than a peer may stand still.
    assert together(*[lambda one=one: one.download("RETR file") for one in crowd]) > 6


def test_a_drain_ends_waiting_transfers(start: Start, connect: Connect) -> None:
    server = start(limits='download_rate = "1 KiB"')
    stored(server, MIB)
    client = connect(server).log_in()
    sock = client.passive()
    client.expect("RETR file", 150)
    client.protect_data(sock)
    assert timed(lambda: server.drain(0.2)) < 5
    assert client.read().code == 426


def test_a_reload_changes_the_rate_of_a_running_transfer(start: Start, connect: Connect) -> None:
    server = start(limits='download_rate = "20 KiB"', account='session_download_rate = "20 KiB"')
    stored(server, MIB)  # 50 seconds
    client = connect(server).log_in()
    path = server.work / "lockgate.toml"
    path.write_text(path.read_text().replace('"20 KiB"', '"2 MiB"'))
    threading.Timer(0.5, lambda: server.call(server.server.reload)).start()
    assert timed(lambda: client.download("RETR file")) < 10


def test_without_a_rate_nothing_waits(start: Start, connect: Connect) -> None:
    server = start()
    client = connect(server).log_in()
    stored(server, 8 * MIB)
    assert timed(lambda: client.download("RETR file")) < 5
