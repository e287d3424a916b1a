"""The pump: whole files, cut files, failing storages."""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.errors import NoSpace, NotFound, TransferAborted
from lockgate.protocol.ascii import FromNetwork, ToNetwork
from lockgate.transfer import pump
from lockgate.transfer.deflate import Deflater, Inflater
from lockgate.transfer.outcome import OutcomeStatus
from lockgate.transfer.workers import Workers

BIG_BYTES = 64 * 1024 * 1024


class FileSource:
    """A reader of a real file, that says whether it was asked to read."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb", buffering=0)
        self.was_read = False

    def fileno(self) -> int | None:
        return self.file.fileno()

    def readinto(self, buffer: memoryview) -> int:
        self.was_read = True
        return self.file.readinto(buffer) or 0


class Digest:
    """A writer that only remembers the hash."""

    def __init__(self) -> None:
        self.hash = hashlib.blake2b()

    def write(self, data: memoryview | bytes) -> int:
        self.hash.update(data)
        return len(data)


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, bytes]]:
    path = tmp_path_factory.mktemp("big") / "big.bin"
    content = os.urandom(BIG_BYTES)
    path.write_bytes(content)
    yield path, hashlib.blake2b(content).digest()
    path.unlink()


def peer_reads(peer: Any) -> bytes:
    received = bytearray()
    while piece := peer.recv(65536):
        received += piece
    return bytes(received)


@pytest.fixture(params=["tls", "clear"])
def link(request: pytest.FixtureRequest, pairs: Any, contexts: Any) -> Any:
    """Two streams, (server, client)."""
    return pairs.streams(contexts if request.param == "tls" else None)


def test_a_big_file_arrives_unharmed(link: Any, big_file: tuple[Path, bytes], in_thread: Any) -> None:
    server, client = link
    path, digest = big_file
    sink = Digest()
    receiving = in_thread(lambda: pump.receive(client, sink))
    source = FileSource(path)
    with source.file:
        sent = pump.send(source, server)
    received = receiving.result()
    assert sink.hash.digest() == digest
    assert (sent.status, sent.bytes_moved, sent.verified_end) == (
        OutcomeStatus.COMPLETE,
        BIG_BYTES,
        server.is_tls,
    )
    assert (received.status, received.bytes_moved, received.verified_end) == (
        OutcomeStatus.COMPLETE,
        BIG_BYTES,
        server.is_tls,
    )
    assert sent.seconds > 0
    assert source.was_read is server.is_tls  # in clear the kernel does it


def test_an_empty_file_is_complete(link: Any, in_thread: Any, kit: Any) -> None:
    server, client = link
    sink = kit.sink()
    receiving = in_thread(lambda: pump.receive(client, sink))
    assert pump.send(kit.source(b""), server).is_complete
    assert receiving.result().is_complete
    assert sink.content == b""


@pytest.mark.parametrize("limit", [0, 1, 5, 100])
def test_a_limit_ends_the_sending(link: Any, in_thread: Any, kit: Any, limit: int, tmp_path: Path) -> None:
    server, client = link
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    sink = kit.sink()
    receiving = in_thread(lambda: pump.receive(client, sink))
    source = FileSource(path)
    with source.file:
        outcome = pump.send(source, server, limit=limit, buffer_bytes=3)
    receiving.result()
    assert sink.content == b"0123456789"[:limit]
    assert outcome.bytes_moved == len(sink.content)


def test_a_file_is_sent_from_where_its_reader_stands(
    link: Any, in_thread: Any, kit: Any, tmp_path: Path
) -> None:
    server, client = link
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    sink = kit.sink()
    receiving = in_thread(lambda: pump.receive(client, sink))
    source = FileSource(path)
    with source.file:
        source.file.seek(7)
        assert pump.send(source, server).bytes_moved == 3
    receiving.result()
    assert sink.content == b"789"


def test_what_sendfile_cannot_send_is_read(pairs: Any, in_thread: Any, kit: Any) -> None:
    class Unsendable(kit.source):  # type: ignore[misc, name-defined]
        def fileno(self) -> int | None:
            return directory

    directory = os.open("/", os.O_RDONLY)
    try:
        stream, peer = pairs.plain()
        reading = in_thread(lambda: peer_reads(peer))
        assert pump.send(Unsendable(b"read"), stream).is_complete
        stream.close()
        assert reading.result() == b"read"
    finally:
        os.close(directory)


@pytest.mark.parametrize("tls", [True, False])
def test_text_is_converted_on_the_way(
    pairs: Any, contexts: Any, in_thread: Any, kit: Any, tls: bool, tmp_path: Path
) -> None:
    server, client = pairs.streams(contexts if tls else None)
    path = tmp_path / "text"
    path.write_bytes(b"one\ntwo\nlast\r")
    sink = kit.sink()
    receiving = in_thread(lambda: pump.receive(client, sink, convert=FromNetwork()))
    source = FileSource(path)
    with source.file:
        sent = pump.send(source, server, convert=ToNetwork(), buffer_bytes=4)
    received = receiving.result()
    assert sink.content == b"one\ntwo\nlast\r"
    assert sent.bytes_moved == received.bytes_moved == len(b"one\r\ntwo\r\nlast\r")


def test_progress_adds_up(link: Any, in_thread: Any, kit: Any) -> None:
    server, client = link
    content = bytes(600_000)
    sent: list[int] = []
    received: list[int] = []
    receiving = in_thread(lambda: pump.receive(client, kit.sink(), progress=received.append))
    pump.send(kit.source(content), server, progress=sent.append)
    receiving.result()
    assert sum(sent) == sum(received) == len(content)
    assert len(sent) == 3


def test_progress_can_abort(pairs: Any, contexts: Any, kit: Any) -> None:
    def enough(_: int) -> None:
        raise TransferAborted("enough")

    stream, _ = pairs.tls(contexts)
    assert pump.send(kit.source(b"abc"), stream, progress=enough).status is OutcomeStatus.ABORTED


def test_a_bug_in_progress_comes_out(pairs: Any, contexts: Any, kit: Any) -> None:
    stream, _ = pairs.tls(contexts)
    with pytest.raises(ZeroDivisionError):
        pump.send(kit.source(b"abc"), stream, progress=lambda count: count // 0)


@pytest.mark.parametrize("error", [NotFound("gone"), OSError(5, "bad disk")])
def test_a_failing_reader_shows_the_peer_no_proper_end(
    pairs: Any, contexts: Any, kit: Any, error: Exception
) -> None:
    class Failing(kit.source):  # type: ignore[misc, name-defined]
        def readinto(self, buffer: memoryview) -> int:
            if count := super().readinto(buffer):
                return int(count)
            raise error

    stream, peer = pairs.tls(contexts)
    outcome = pump.send(Failing(b"half"), stream)
    stream.close()
    assert (outcome.status, outcome.error, outcome.bytes_moved) == (OutcomeStatus.STORAGE_FAILED, error, 4)
    assert peer.recv(10) == b"half"
    with pytest.raises(ssl.SSLEOFError):
        peer.recv(10)


@pytest.mark.parametrize("error", [NoSpace("full"), OSError(28, "full")])
def test_a_failing_writer_is_the_storages_failure(pairs: Any, contexts: Any, error: Exception) -> None:
    class Failing:
        def write(self, data: memoryview | bytes) -> int:
            raise error

    stream, peer = pairs.tls(contexts)
    peer.send(b"data")
    peer.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        peer.unwrap()
    outcome = pump.receive(stream, Failing())
    assert (outcome.status, outcome.error) == (OutcomeStatus.STORAGE_FAILED, error)


def test_an_upload_beyond_the_limit_is_cut(pairs: Any, contexts: Any, kit: Any, in_thread: Any) -> None:
    server, client = pairs.streams(contexts)
    sink = kit.sink()
    in_thread(lambda: pump.send(kit.source(bytes(1000)), client))
    outcome = pump.receive(server, sink, limit=999)
    server.close()
    assert outcome.status is OutcomeStatus.STORAGE_FAILED
    assert isinstance(outcome.error, NoSpace)
    assert sink.content == b""


def test_an_upload_of_exactly_the_limit_is_whole(pairs: Any, contexts: Any, kit: Any, in_thread: Any) -> None:
    server, client = pairs.streams(contexts)
    in_thread(lambda: pump.send(kit.source(bytes(1000)), client))
    assert pump.receive(server, kit.sink(), limit=1000).is_complete


@pytest.mark.requirement("RTLS-h", "RTLS-m")
def test_a_truncated_file_is_not_complete_and_what_came_is_kept(pairs: Any, contexts: Any, kit: Any) -> None:
    stream, peer = pairs.tls(contexts)
    peer.send(b"half")
    kit.send_fin(peer)
    sink = kit.sink()
    outcome = pump.receive(stream, sink)
    assert (outcome.status, outcome.bytes_moved) == (OutcomeStatus.TRUNCATED, 4)
    assert sink.content == b"half"
    assert "close_notify" in outcome.detail


def test_a_device_without_close_notify_can_be_allowed(pairs: Any, contexts: Any, kit: Any) -> None:
    stream, peer = pairs.tls(contexts)
    peer.send(b"all")
    kit.send_fin(peer)
    sink = kit.sink()
    outcome = pump.receive(stream, sink, require_close_notify=False)
    assert (outcome.status, outcome.verified_end) == (OutcomeStatus.COMPLETE, False)
    assert sink.content == b"all"


@pytest.mark.parametrize("require_close_notify", [True, False])
def test_a_reset_upload_is_never_complete(
    pairs: Any, contexts: Any, kit: Any, in_thread: Any, require_close_notify: bool
) -> None:
    stream, peer = pairs.tls(contexts)
    peer.send(b"half")
    sink = kit.sink()
    arrived = threading.Event()
    receiving = in_thread(
        lambda: pump.receive(
            stream,
            sink,
            require_close_notify=require_close_notify,
            buffer_bytes=4,
            progress=lambda _: arrived.set(),
        )
    )
    assert arrived.wait(20)
    kit.reset(peer)
    outcome = receiving.result()
    assert (outcome.status, outcome.bytes_moved) == (OutcomeStatus.RESET, 4)
    assert sink.content == b"half"


def test_a_silent_upload_stalls(pairs: Any, contexts: Any, kit: Any) -> None:
    stream, peer = pairs.tls(contexts, stall_seconds=0.1)
    peer.send(b"half")
    sink = kit.sink()
    outcome = pump.receive(stream, sink)
    assert outcome.status is OutcomeStatus.STALLED
    assert sink.content == b"half"


def test_a_slow_upload_shows_before_its_end(pairs: Any, contexts: Any, kit: Any, in_thread: Any) -> None:
    stream, peer = pairs.tls(contexts)
    sink = kit.sink()
    receiving = in_thread(lambda: pump.receive(stream, sink))
    deadline = kit.soon()
    while not sink.began.wait(0.01):
        assert time.monotonic() < deadline
        peer.send(b"x")
    peer.close()
    receiving.result()


def test_small_records_are_written_together(pairs: Any, contexts: Any, kit: Any) -> None:
    stream, peer = pairs.tls(contexts)
    for _ in range(50):
        peer.send(bytes(100))
    peer.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        peer.unwrap()
    sink = kit.sink()
    assert pump.receive(stream, sink).is_complete
    assert sink.writes[0] == 5000


@pytest.mark.parametrize("direction", ["send", "receive"])
def test_an_interrupted_transfer_is_aborted(link: Any, in_thread: Any, kit: Any, direction: str) -> None:
    class Endless(kit.source):  # type: ignore[misc, name-defined]
        def readinto(self, buffer: memoryview) -> int:
            return len(buffer)

    server, _ = link
    moving = in_thread(
        lambda: pump.send(Endless(b""), server) if direction == "send" else pump.receive(server, kit.sink())
    ).until_blocked()
    server.interrupt()
    outcome = moving.result()
    assert outcome.status is OutcomeStatus.ABORTED
    assert isinstance(outcome.error, TransferAborted)


def test_a_listing_goes_out_in_joined_pieces(pairs: Any, contexts: Any, in_thread: Any) -> None:
    stream, peer = pairs.tls(contexts)
    line = b"type=file; name\r\n"
    sending = in_thread(lambda: pump.send_chunks((line for _ in range(100)), stream))
    assert peer.recv(65536) == line * 100
    assert peer.recv(10) == b""
    peer.unwrap()
    outcome = sending.result()
    assert (outcome.status, outcome.bytes_moved) == (OutcomeStatus.COMPLETE, len(line) * 100)
    assert outcome.verified_end


def test_a_long_listing_is_not_held_back_whole(pairs: Any, contexts: Any, in_thread: Any) -> None:
    arrived = threading.Event()

    def lines() -> Iterator[bytes]:
        yield bytes(40000)
        yield bytes(40000)
        assert arrived.wait(20)
        yield b"last"

    stream, peer = pairs.tls(contexts)
    sending = in_thread(lambda: pump.send_chunks(lines(), stream, await_peer=False))
    received = len(peer.recv(65536))
    arrived.set()
    received += len(peer_reads(peer))
    assert received == 80004
    assert sending.result().is_complete


def test_a_listing_that_fails_ends_without_close_notify(pairs: Any, contexts: Any) -> None:
    def lines() -> Iterator[bytes]:
        yield bytes(70000)
        raise NotFound("the directory is gone")

    stream, peer = pairs.tls(contexts)
    outcome = pump.send_chunks(lines(), stream)
    stream.close()
    assert outcome.status is OutcomeStatus.STORAGE_FAILED
    with pytest.raises(ssl.SSLEOFError):
        peer_reads(peer)


def test_an_empty_listing_is_complete(pairs: Any, contexts: Any, in_thread: Any) -> None:
    stream, peer = pairs.tls(contexts)
    sending = in_thread(lambda: pump.send_chunks([], stream))
    assert peer.recv(10) == b""
    peer.unwrap()
    assert sending.result().is_complete


def test_a_peer_that_leaves_a_download_is_a_reset(
    pairs: Any, contexts: Any, kit: Any, in_thread: Any
) -> None:
    stream, peer = pairs.tls(contexts, buffer_bytes=16384)
    sending = in_thread(lambda: pump.send(kit.source(bytes(5_000_000)), stream)).until_blocked()
    kit.reset(peer)
    assert sending.result().status is OutcomeStatus.RESET


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_two_hundred_transfers_leave_nothing_behind(pairs: Any, contexts: Any, kit: Any) -> None:
    def transfer(number: int) -> None:
        server, client = pairs.streams(contexts if number % 2 else None)
        with server, client:
            receiving = workers.submit(lambda: pump.receive(client, kit.sink()))
            if number % 5 == 0:
                server.interrupt()
            if number % 7 == 0:
                client.interrupt()
            pump.send(kit.source(bytes(1000)), server)
            server.close()
            receiving.result(20)

    with Workers(4) as workers:
        transfer(1)
        descriptors, threads = open_descriptors(), threading.active_count()
        for number in range(200):
            transfer(number)
        assert (open_descriptors(), threading.active_count()) == (descriptors, threads)


# --- MODE Z ---


def test_compressed_data_goes_both_ways(pairs, contexts, in_thread, kit):
    content = os.urandom(300_000) + bytes(3_000_000)
    ours, theirs = pairs.streams(contexts)
    sink = kit.sink()
    receiving = in_thread(lambda: pump.receive(theirs, sink, expand=Inflater()))
    sent = pump.send(kit.source(content), ours, compress=Deflater(6))
    received = receiving.result()
    assert sink.content == content
    assert sent.status is received.status is OutcomeStatus.COMPLETE
    assert 300_000 < sent.bytes_moved == received.bytes_moved < 400_000


def test_a_limit_counts_bytes_before_compression_and_after_expansion(pairs, contexts, in_thread, kit):
    ours, theirs = pairs.streams(contexts)
    sink = kit.sink()
    receiving = in_thread(lambda: pump.receive(theirs, sink, expand=Inflater(), limit=1000))
    assert pump.send(kit.source(bytes(5000)), ours, compress=Deflater(6), limit=1001).is_complete
    outcome = receiving.result()
    assert outcome.status is OutcomeStatus.STORAGE_FAILED
    assert isinstance(outcome.error, NoSpace)


def test_an_expansion_is_interrupted_between_two_pieces(pairs, contexts, in_thread):
    ours, theirs = pairs.streams(contexts)

    class Interrupting:
        written = 0

        def write(self, data: memoryview | bytes) -> int:
            self.written += len(data)
            ours.interrupt()
            return len(data)

    writer = Interrupting()
    receiving = in_thread(lambda: pump.receive(ours, writer, expand=Inflater()))
    pump.send_chunks([zlib.compress(bytes(100_000_000))], theirs)
    assert receiving.result().status is OutcomeStatus.ABORTED
    assert writer.written <= 256 * 1024


def test_a_sender_of_bad_data_gets_its_end_answered(pairs, contexts, in_thread, kit):
    ours, theirs = pairs.streams(contexts)
    receiving = in_thread(lambda: pump.receive(ours, kit.sink(), expand=Inflater()))
    sent = pump.send_chunks([zlib.compress(b"abc")[:-1]], theirs)
    outcome = receiving.result()
    assert (sent.status, sent.verified_end) == (OutcomeStatus.COMPLETE, True)
    assert outcome.status is OutcomeStatus.BAD_COMPRESSION
    assert "end mark" in outcome.detail
