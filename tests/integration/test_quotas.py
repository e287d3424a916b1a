"""Quotas of a live server: what answers 552, what is published, and that no way leads round them."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

from live_server import PASSWORD, LiveServer, cheap_hash
from raw_client import RawClient, Reply, client_context
from waiting import until

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

KIB = 1024
BOB = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash(PASSWORD)}"\nhome = '


def held(root: Path) -> int:
    """Bytes in all files below a folder, hidden ones too."""
    total = 0
    for path in root.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_size if path.is_file() else 0
    return total


def visible(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if not path.name.startswith(".lockgate-"))


def pour(client: RawClient, command: str, content: bytes) -> Reply:
    """Upload, not minding that the server may end it early; return the final reply."""
    sock = client.passive()
    client.expect(command, 150)
    data = client.protect_data(sock)
    with contextlib.suppress(OSError):
        data.sendall(content)
        data.unwrap()
    data.close()
    return client.read()


def test_an_upload_over_the_quota_hears_552_and_is_not_published(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"')
    client = connect(server).log_in()
    assert client.upload("STOR one", bytes(60 * KIB)).code == 226
    assert pour(client, "STOR two", bytes(60 * KIB)).code == 552
    assert (visible(server.root), held(server.root)) == (["one"], 60 * KIB)
    assert client.upload("STOR two", bytes(40 * KIB)).code == 226
    assert client.command("AVBL") == "213 0"


def test_a_full_home_refuses_before_the_150(start: Start, connect: Connect) -> None:
    server = start(quota='quota_bytes = "10 KiB"')
    client = connect(server).log_in()
    assert client.upload("STOR full", bytes(10 * KIB)).code == 226
    client.passive()
    for command in ("STOR more", "APPE full", "STOU"):
        client.expect(command, 552)
    client.expect("REST 5", 350)
    client.expect("STOR full", 552)
    client.expect("DELE full", 250)
    assert client.upload("STOR more", bytes(10 * KIB)).code == 226


def test_append_resume_and_unique_uploads_count(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"')
    client = connect(server).log_in()
    assert client.upload("STOR file", bytes(40 * KIB)).code == 226
    # What is continued is copied: both lie on the disk until the end.
    assert client.upload("APPE file", bytes(10 * KIB)).code == 226
    assert pour(client, "APPE file", bytes(10 * KIB)).code == 552
    client.expect("REST 50", 350)
    assert pour(client, "STOR file", bytes(60 * KIB)).code == 552
    assert pour(client, "STOU", bytes(60 * KIB)).code == 552
    client.expect("REST 40960", 350)
    assert client.upload("STOR file", bytes(5 * KIB)).code == 226
    assert held(server.root) == 45 * KIB


def test_files_and_directories_are_counted(start: Start, connect: Connect) -> None:
    server = start(account="quota_files = 3")
    client = connect(server).log_in()
    client.expect("MKD folder", 257)
    client.expect("MKD folder/inner", 257)
    assert client.upload("STOR file", b"").code == 226
    client.expect("MKD bomb", 552)
    client.passive()
    client.expect("STOR more", 552)
    client.expect("RNFR file", 350)
    client.expect("RNTO folder/file", 250)
    client.expect("RMD folder/inner", 250)
    client.expect("MKD bomb", 257)


def test_renaming_over_a_file_gives_its_room_back(start: Start, connect: Connect) -> None:
    client = connect(start(account='quota_bytes = "100 KiB"')).log_in()
    for name in ("one", "two"):
        assert client.upload(f"STOR {name}", bytes(50 * KIB)).code == 226
    client.expect("RNFR one", 350)
    client.expect("RNTO two", 250)
    assert client.command("AVBL") == f"213 {50 * KIB}"


def test_allo_says_what_would_not_fit(start: Start, connect: Connect) -> None:
    client = connect(start(account='quota_bytes = "100 KiB"')).log_in()
    client.expect(f"ALLO {100 * KIB}", 202)
    client.expect(f"ALLO {100 * KIB + 1} R 10", 552)
    client.expect(f"ALLO {'9' * 20}", 552)


def test_what_was_there_before_counts(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"')
    (server.root / "a" / "b").mkdir(parents=True)
    (server.root / "a" / "b" / "old").write_bytes(bytes(95 * KIB))
    client = connect(server).log_in()
    assert pour(client, "STOR new", bytes(10 * KIB)).code == 552


def test_interrupted_uploads_do_not_get_round_it(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"')
    client = connect(server).log_in()
    codes = []
    for number in range(10):
        sock = client.passive()
        reply = client.command(f"STOR part-{number}")
        if reply.code == 150:
            data = client.protect_data(sock)
            data.sendall(bytes(30 * KIB))
            data.close()
            reply = client.read()
        codes.append(reply.code)
    # A cut is told as a cut; of what did not fit nothing is kept.
    assert set(codes) <= {426, 552}
    assert held(server.root) == 90 * KIB
    assert visible(server.root) == []


def test_twenty_uploads_at_once_do_not_get_round_it(start: Start, tls_version: str) -> None:
    server = start(account='quota_bytes = "1 MiB"')
    context = client_context(server.ca_file, version=tls_version)
    barrier = threading.Barrier(20)
    codes: list[int] = []
    most = 0

    def work(number: int) -> None:
        with RawClient(server.host, server.port, context=context) as client:
            client.log_in()
            sock = client.passive()
            client.expect(f"STOR file-{number}", 150)
            data = client.protect_data(sock)
            barrier.wait(30)
            with contextlib.suppress(OSError):
                for _ in range(10):
                    data.sendall(bytes(20 * KIB))
                data.unwrap()
            data.close()
            codes.append(client.read().code)

    crew = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in crew:
        thread.start()
    while any(thread.is_alive() for thread in crew):
        most = max(most, held(server.root) if len(codes) == 0 else 0)
        crew[0].join(0.02)
        for thread in crew:
            thread.join(0.01)
    assert len(codes) == 20
    assert set(codes) <= {226, 552}
    assert codes.count(226) <= 5
    assert held(server.root) == codes.count(226) * 200 * KIB
    assert most <= 1024 * KIB


def test_an_offset_beyond_the_end_makes_no_sparse_file(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"')
    client = connect(server).log_in()
    assert client.upload("STOR file", b"12345").code == 226
    for name in ("file", "new"):
        client.passive()
        client.expect("REST 1000000000", 350)
        client.expect(f"STOR {name}", 554)
    assert client.command("AVBL") == f"213 {100 * KIB - 5}"


def test_nothing_moves_between_homes(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"', more_accounts=f'{BOB}"bob"\nquota_bytes = "1 MiB"\n')
    bob = connect(server).log_in(user="bob")
    assert bob.upload("STOR big", bytes(500 * KIB)).code == 226
    alice = connect(server).log_in()
    for source in ("../bob/big", "/../bob/big", str(server.work / "bob" / "big")):
        assert alice.command(f"RNFR {source}").code in (501, 550, 553)
    bob.expect("RNFR big", 350)
    assert bob.command("RNTO ../root/big").code in (250, 550, 553)
    assert visible(server.root) == []


def test_accounts_with_one_home_are_judged_by_all_that_is_there(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"', more_accounts=f'{BOB}"root"\n')
    bob = connect(server).log_in(user="bob")  # without a quota, and before anybody counted
    assert bob.upload("STOR big", bytes(200 * KIB)).code == 226
    alice = connect(server).log_in()
    alice.passive()
    alice.expect("STOR more", 552)
    bob.expect("DELE big", 250)
    assert alice.upload("STOR more", bytes(100 * KIB)).code == 226
    assert bob.upload("STOR big", bytes(200 * KIB)).code == 226


def test_a_client_that_breaks_off_at_the_quota_leaves_nothing(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"')
    client = connect(server).log_in()
    for number in range(5):
        assert pour(client, f"STOR file-{number}", bytes(300 * KIB)).code == 552
    until(lambda: held(server.root) == 0)
    assert client.command("AVBL") == f"213 {100 * KIB}"


def test_the_quota_of_a_reload_holds_for_logins_to_come(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "10 KiB"')
    path = server.work / "lockgate.toml"
    path.write_text(path.read_text().replace('"10 KiB"', '"50 KiB"'))
    server.call(server.server.reload)
    client = connect(server).log_in()
    assert client.upload("STOR file", bytes(30 * KIB)).code == 226


def test_a_home_in_use_is_counted_again(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"')
    client = connect(server).log_in()
    assert client.upload("STOR file", bytes(10 * KIB)).code == 226
    (server.root / "operator").write_bytes(bytes(20 * KIB))
    assert client.command("AVBL") == f"213 {90 * KIB}"
    server.call(server.server.quotas.start)  # as the timer does
    until(lambda: client.command("AVBL") == f"213 {70 * KIB}")


def test_a_home_is_one_however_it_is_written(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "100 KiB"', more_accounts=f'{BOB}"link"\nquota_bytes = "1 MiB"\n')
    (server.work / "link").symlink_to(server.root)
    bob, alice = connect(server).log_in(user="bob"), connect(server).log_in()
    assert bob.upload("STOR big", bytes(100 * KIB)).code == 226
    assert alice.command("AVBL") == "213 0"


def test_a_bomb_of_compressed_zeros_stops_at_the_quota(start: Start, connect: Connect) -> None:
    server = start(account='quota_bytes = "1 MiB"')
    client = connect(server).log_in()
    client.expect("MODE Z", 200)
    assert pour(client, "STOR bomb", zlib.compress(bytes(50 << 20))).code == 552
    assert held(server.root) == 0
