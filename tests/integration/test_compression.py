"""MODE Z on a live server: every transfer, every end, and what is made to do harm."""

from __future__ import annotations

import os
import random
import socket
import zlib
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient, Reply, read_all
from waiting import until

Start = Callable[..., LiveServer]
Connect = Callable[..., RawClient]

TEXT = "".join(f"line {number} of a text\n" for number in range(60_000)).encode()
NOISE = random.Random(959).randbytes(700_000)
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"


@pytest.fixture
def client(server: LiveServer, connect: Connect) -> RawClient:
    client = connect(server).log_in()
    client.expect("MODE Z", 200)
    return client


@pytest.fixture(params=[TEXT, NOISE, b"", b"1"], ids=["text", "noise", "empty", "one byte"])
def content(request: pytest.FixtureRequest) -> bytes:
    found: bytes = request.param
    return found


def files(server: LiveServer) -> set[str]:
    """What lies in the account's root, hidden or not."""
    return set(os.listdir(server.root))


def bomb(mebibytes: int) -> bytes:
    """A stream that stands for so many zeros, in a thousandth of their size."""
    engine = zlib.compressobj(9)
    begin = engine.compress(b"") + engine.flush(zlib.Z_FULL_FLUSH)
    block = engine.compress(bytes(1 << 20)) + engine.flush(zlib.Z_FULL_FLUSH)
    end = zlib.adler32(bytes(mebibytes << 20)).to_bytes(4, "big")
    return begin + block * mebibytes + b"\x03\x00" + end


def fin(data: socket.socket) -> None:
    """End in TCP without a word of TLS, and without the reset that a close with unread tickets makes."""
    socket.socket.shutdown(data, socket.SHUT_WR)


def send(client: RawClient, command: str, *pieces: bytes) -> Reply:
    """Upload as far as the server takes it, and return the final reply."""
    data = client.passive()
    client.expect(command, 150)
    data = client.protect_data(data)
    try:
        for piece in pieces:
            data.sendall(piece)
        data = data.unwrap()
    except OSError:
        pass  # it has had enough
    data.close()
    return client.read()


@pytest.mark.requirement("RX-MODEZ", side="S")
def test_files_come_and_go_compressed(server: LiveServer, client: RawClient, content: bytes) -> None:
    assert client.upload("STOR file", zlib.compress(content)).code == 226
    assert (server.root / "file").read_bytes() == content
    assert zlib.decompress(client.download("RETR file")) == content


@pytest.mark.requirement("RX-MODEZ", side="S")
def test_appending_and_unique_names_take_compressed_data_too(server: LiveServer, client: RawClient) -> None:
    (server.root / "grows").write_bytes(b"one,")
    assert client.upload("APPE grows", zlib.compress(b"two")).code == 226
    assert (server.root / "grows").read_bytes() == b"one,two"
    before = files(server)
    assert client.upload("STOU", zlib.compress(TEXT)).code == 226
    (new,) = files(server) - before
    assert (server.root / new).read_bytes() == TEXT


@pytest.mark.requirement("RX-MODEZ", side="S")
@pytest.mark.parametrize("command", ["LIST", "NLST", "MLSD"])
def test_listings_are_compressed(server: LiveServer, client: RawClient, command: str) -> None:
    (server.root / "a listed name").write_bytes(b"")
    assert b"a listed name" in zlib.decompress(client.download(command))
    (server.root / "void").mkdir(exist_ok=True)
    assert zlib.decompress(client.download(f"{command} void")) == b""


@pytest.mark.requirement("RX-MODEZ", side="S")
def test_line_ends_are_turned_before_compression_and_after_expansion(
    server: LiveServer, client: RawClient
) -> None:
    client.expect("TYPE A", 200)
    assert client.upload("STOR text", zlib.compress(TEXT.replace(b"\n", b"\r\n"))).code == 226
    assert (server.root / "text").read_bytes() == TEXT
    assert zlib.decompress(client.download("RETR text")) == TEXT.replace(b"\n", b"\r\n")


@pytest.mark.requirement("RX-MODEZ", side="S")
@pytest.mark.parametrize("offset", [1, 100_001, len(TEXT)])
def test_rest_counts_bytes_before_compression(server: LiveServer, client: RawClient, offset: int) -> None:
    (server.root / "text").write_bytes(TEXT)
    client.expect(f"REST {offset}", 350)
    assert zlib.decompress(client.download("RETR text")) == TEXT[offset:]
    (server.root / "part").write_bytes(TEXT[:offset])
    client.expect(f"REST {offset}", 350)
    assert client.upload("STOR part", zlib.compress(TEXT[offset:])).code == 226
    assert (server.root / "part").read_bytes() == TEXT


def test_size_tells_the_bytes_of_the_file(server: LiveServer, client: RawClient) -> None:
    (server.root / "text").write_bytes(TEXT)
    assert client.expect("SIZE text", 213) == f"213 {len(TEXT)}"


def test_the_mode_is_seen_kept_and_left(server: LiveServer, client: RawClient) -> None:
    (server.root / "text").write_bytes(TEXT)
    assert "mode Z" in client.expect("STAT", 211)
    client.expect("MODE X", 501)
    client.expect("MODE B", 504)
    assert "mode Z" in client.expect("STAT", 211)
    client.expect("MODE S", 200)
    assert "mode S" in client.expect("STAT", 211)
    assert client.download("RETR text") == TEXT
    client.expect("MODE z", 200)
    client.expect("REIN", 220)
    client.stop_tls()
    client.log_in()
    assert "mode S" in client.expect("STAT", 211)


def test_the_level_can_be_chosen(server: LiveServer, client: RawClient) -> None:
    (server.root / "text").write_bytes(TEXT)
    sizes = []
    for level in (0, 1, 9):
        assert f"LEVEL {level} " in client.expect(f"OPTS MODE Z LEVEL {level}", 200)
        sizes.append(len(client.download("RETR text")))
    assert sizes[0] > len(TEXT) > sizes[1] > sizes[2]


def test_mode_z_works_in_clear(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"')
    client = connect(server).log_in()
    client.expect("PROT C", 200)
    client.expect("MODE Z", 200)
    assert client.upload("STOR text", zlib.compress(TEXT), protect=False).code == 226
    assert zlib.decompress(client.download("RETR text", protect=False)) == TEXT


def test_mode_z_can_be_switched_off(start: Start, connect: Connect) -> None:
    client = connect(start(features="compression = false")).log_in()
    assert "MODE" not in client.expect("FEAT", 211)
    client.expect("MODE Z", 504)
    client.expect("OPTS MODE Z LEVEL 9", 501)


# Ends


@pytest.mark.requirement("RX-MODEZ", side="S")
@pytest.mark.parametrize("cut", [0, 1, 1000, -5, -1])
def test_a_stream_without_its_end_publishes_nothing(server: LiveServer, client: RawClient, cut: int) -> None:
    before = files(server)
    reply = client.upload("STOR cut", zlib.compress(NOISE)[:cut])
    assert reply.code == 451
    assert "end mark" in reply
    assert files(server) == before
    client.expect("NOOP", 200)


def test_a_target_stays_when_a_stream_is_cut(server: LiveServer, client: RawClient) -> None:
    (server.root / "kept").write_bytes(b"old")
    for command in ("STOR kept", "APPE kept"):
        assert client.upload(command, zlib.compress(NOISE)[:-3]).code == 451
        assert (server.root / "kept").read_bytes() == b"old"


@pytest.mark.requirement("RX-MODEZ", side="S")
def test_a_whole_stream_without_close_notify_is_not_complete(server: LiveServer, client: RawClient) -> None:
    before = files(server)
    data = client.passive()
    client.expect("STOR cut", 150)
    data = client.protect_data(data)
    data.sendall(zlib.compress(b"whole"))
    fin(data)
    assert client.read().code == 426
    assert "cut" not in files(server) - before


def test_an_interrupted_upload_goes_on_where_it_was_cut(server: LiveServer, client: RawClient) -> None:
    (server.root / "again").unlink(missing_ok=True)
    data = client.passive()
    client.expect("STOR again", 150)
    data = client.protect_data(data)
    data.sendall(zlib.compress(NOISE)[:500_000])
    fin(data)
    assert client.read().code == 426
    have = int(client.expect("SIZE again", 213)[4:])
    assert 0 < have < len(NOISE)
    client.expect(f"REST {have}", 350)
    assert client.upload("STOR again", zlib.compress(NOISE[have:])).code == 226
    assert (server.root / "again").read_bytes() == NOISE


def test_lax_ends_still_want_the_end_of_the_stream(start: Start, connect: Connect) -> None:
    server = start(policy="require_close_notify = false")
    client = connect(server).log_in()
    client.expect("MODE Z", 200)
    stream = zlib.compress(TEXT)
    for sent, code in ((stream, 226), (stream[:-1], 451), (stream + b"x", 451)):
        data = client.passive()
        client.expect("STOR lax", 150)
        data = client.protect_data(data)
        data.sendall(sent)
        fin(data)
        assert client.read().code == code, len(sent)


def test_a_download_ends_with_close_notify(server: LiveServer, client: RawClient) -> None:
    (server.root / "text").write_bytes(TEXT)
    data = client.passive()
    client.expect("RETR text", 150)
    protected = client.protect_data(data)
    assert zlib.decompress(read_all(protected)) == TEXT  # an end without close_notify would raise
    assert isinstance(protected.unwrap(), socket.socket)
    assert client.read().code == 226


# Harm


@pytest.mark.requirement("RX-MODEZ", side="S")
@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"this is no zlib stream", "damaged"),
        (NOISE, "damaged"),
        (zlib.compress(TEXT)[:-4] + b"xxxx", "damaged"),
        (zlib.compress(TEXT) + b"x", "follows"),
        (zlib.compress(TEXT) * 2, "follows"),
        (b"\x78\xbb\x00\x01\x02\x03" + bytes(50), "damaged"),
        (b"\x78\x9c" + EMPTY_BLOCK * 2_000_000, "longer than what it holds"),
    ],
    ids=["text", "noise", "checksum", "a byte more", "two streams", "dictionary", "empty blocks"],
)
def test_what_is_no_stream_is_refused(server: LiveServer, client: RawClient, sent: bytes, told: str) -> None:
    before = files(server)
    reply = send(client, "STOR bad", sent)
    assert reply.code == 451
    assert told in reply
    assert files(server) == before
    client.expect("NOOP", 200)


@pytest.mark.requirement("RX-MODEZ", "RSEC-dos-a", side="S")
def test_a_bomb_does_not_go_off(server: LiveServer, client: RawClient) -> None:
    before = files(server)
    # 1 GiB of zeros in 1 MiB.
    reply = send(client, "STOR bomb", bomb(1024))
    assert reply.code == 451
    assert "more than 200 times" in reply
    assert files(server) == before


def test_an_endless_upload_of_empty_blocks_ends(server: LiveServer, client: RawClient) -> None:
    data = client.passive()
    client.expect("STOR idle", 150)
    data = client.protect_data(data)
    data.sendall(b"\x78\x9c")
    for _ in range(1000):
        try:
            data.sendall(EMPTY_BLOCK * 10_000)
        except OSError:
            break
    else:
        pytest.fail("50 MB of nothing were taken")
    data.close()
    assert client.read().code == 451


def test_abor_ends_an_expansion(start: Start, connect: Connect) -> None:
    server = start(features="compression_ratio_limit = 0")
    client = connect(server).log_in()
    client.expect("MODE Z", 200)
    data = client.passive()
    client.expect("STOR bomb", 150)
    data = client.protect_data(data)
    data.sendall(bomb(256)[:-100])
    client.send("ABOR")
    assert [client.read().code, client.read().code] == [426, 226]
    data.close()
    until(lambda: not any(name.endswith(".tmp") for name in files(server)))


def test_the_ratio_limit_can_be_lifted(start: Start, connect: Connect) -> None:
    server = start(features="compression_ratio_limit = 0")
    client = connect(server).log_in()
    client.expect("MODE Z", 200)
    assert send(client, "STOR zeros", bomb(80)).code == 226
    assert (server.root / "zeros").stat().st_size == 80 << 20


def test_downloads_of_what_compresses_well_can_be_ended(server: LiveServer, client: RawClient) -> None:
    with (server.root / "holes").open("wb") as file:
        os.ftruncate(file.fileno(), 1 << 42)
    data = client.passive()
    client.expect("RETR holes", 150)
    data = client.protect_data(data)
    assert data.recv(1000)
    client.send("ABOR")
    assert [client.read().code, client.read().code] == [426, 226]
    (server.root / "holes").unlink()


def test_what_expands_beyond_the_quota_is_refused(start: Start, connect: Connect) -> None:
    server = start(account="quota_bytes = 1_000_000")
    client = connect(server).log_in()
    client.expect("MODE Z", 200)
    assert send(client, "STOR zeros", bomb(8)).code in (452, 552)
    assert files(server) == set()
    assert client.upload("STOR text", zlib.compress(TEXT[:900_000])).code == 226
