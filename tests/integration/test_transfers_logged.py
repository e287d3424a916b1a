"""What the line of a transfer says of where it went and how it ended."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from endings import cut, reset
from live_server import LiveServer
from log_lines import Told, the_one
from raw_client import RawClient

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

NOT_ALL = "the data connection ended without close_notify: what came may not be all"


@pytest.mark.parametrize("style", ["atomic", "in-place"])
@pytest.mark.parametrize("quota", ["", "quota_bytes = 1000000"])
@pytest.mark.parametrize("verb", ["STOR", "APPE"])
def test_an_upload_stored_beside_a_taken_name_says_where(
    style: str, quota: str, verb: str, start: Start, connect: Connect, told: Told
) -> None:
    server = start(account=f'permissions = "write"\nuploads = "{style}"', quota=quota)
    (server.root / "x.bin").write_bytes(b"another's")
    client = connect(server).log_in()
    assert client.upload(f"{verb} x.bin", b"mine").code == 226
    line = the_one(told("transfer"), path="/x.bin", outcome="complete")
    assert line["stored"].startswith("/x.bin.")
    assert (server.root / line["stored"].removeprefix("/")).read_bytes() == b"mine"


def test_an_upload_under_its_own_name_says_no_more(start: Start, connect: Connect, told: Told) -> None:
    server = start()
    client = connect(server).log_in()
    assert client.upload("STOR x.bin", b"1").code == 226
    assert client.upload("STOU", b"2").code == 226
    named, unique = told("transfer")
    assert (named["path"], named["verified"]) == ("/x.bin", "yes")
    assert (server.root / unique["path"].removeprefix("/")).read_bytes() == b"2"
    assert "stored" not in named | unique
    assert "mode" not in named | unique


def test_compressed_transfers_say_so_and_downloads_nothing_of_their_end(
    start: Start, connect: Connect, told: Told
) -> None:
    client = connect(start()).log_in()
    client.expect("MODE Z", 200)
    content = zlib.compress(b"x" * 10_000)
    assert client.upload("STOR x.bin", content).code == 226
    client.download("RETR x.bin")
    client.download("LIST")
    upload, *downloads = told("transfer")
    assert (upload["mode"], upload["bytes"], upload["verified"]) == ("Z", str(len(content)), "yes")
    assert all(one["mode"] == "Z" and "verified" not in one for one in downloads)


@pytest.mark.parametrize(
    ("end", "outcome", "words"),
    [(cut, "truncated", f"{NOT_ALL}; a device that never sends"), (reset, "reset", NOT_ALL)],
)
def test_cut_uploads_are_told_in_one_clear_text(
    end: Callable[..., None], outcome: str, words: str, start: Start, connect: Connect, told: Told
) -> None:
    client = connect(start()).log_in()
    data = client.passive()
    client.expect("STOR x.bin", 150)
    protected = client.protect_data(data)
    protected.sendall(b"half")
    end(protected)
    assert client.read().code == 426
    line = the_one(told("transfer"), outcome=outcome, verified="no", reply="426")
    assert line["detail"].startswith(words)
    assert "_ssl.c" not in line["detail"]
