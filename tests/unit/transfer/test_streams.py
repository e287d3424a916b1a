"""Streams: ends, cuts, stalls and interruptions."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from typing import Any

import pytest

from lockgate.errors import (
    ConnectionLost,
    TlsError,
    TransferAborted,
    TransferTimeout,
    TruncatedStream,
)
from lockgate.transfer import ending, kernel


def buffer(size: int = 65536) -> memoryview:
    return memoryview(bytearray(size))


def until_readable(sock: socket.socket) -> None:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    assert poller.poll(20000)


def send_until_aborted(stream: Any) -> None:
    while True:
        stream.send(bytes(262144))


def test_bytes_arrive_in_both_directions(pairs: Any, contexts: Any) -> None:
    stream, peer = pairs.tls(contexts)
    assert stream.send(b"down") == 4
    assert peer.recv(10) == b"down"
    peer.send(b"up")
    view = buffer()
    assert bytes(view[: stream.recv_into(view)]) == b"up"


@pytest.mark.requirement("R4217-12.6-a")
def test_the_sender_says_close_notify_before_it_closes(pairs: Any, contexts: Any, in_thread: Any) -> None:
    stream, peer = pairs.tls(contexts)
    finishing = in_thread(lambda: stream.send(b"all") and stream.finish())
    assert peer.recv(10) == b"all"
    assert peer.recv(10) == b""  # a FIN alone would raise SSLEOFError
    peer.unwrap()
    assert finishing.result() is True


def test_a_sender_does_not_depend_on_the_answer(pairs: Any, contexts: Any, in_thread: Any) -> None:
    stream, peer = pairs.tls(contexts)
    finishing = in_thread(lambda: stream.send(b"all") and stream.finish())
    assert peer.recv(10) == b"all"
    assert finishing.result() is False


def test_a_sender_that_need_not_wait_does_not(pairs: Any, contexts: Any) -> None:
    stream, _ = pairs.tls(contexts)
    stream.send(b"all")
    began = time.monotonic()
    assert stream.finish(await_peer=False) is False
    assert time.monotonic() - began < ending.ANSWER_SECONDS / 2


def test_a_peer_that_answers_with_fin_alone_does_not_verify(
    pairs: Any, contexts: Any, in_thread: Any
) -> None:
    stream, peer = pairs.tls(contexts)
    finishing = in_thread(lambda: stream.send(b"all") and stream.finish())
    assert (peer.recv(10), peer.recv(10)) == (b"all", b"")
    peer.close()
    assert finishing.result() is False


@pytest.mark.parametrize("says_so", [True, False])
def test_a_peer_that_closes_with_everything_but_our_end_has_it_all(
    pairs: Any, contexts: Any, says_so: bool
) -> None:
    stream, peer = pairs.tls(contexts)
    stream.send(b"all")
    assert peer.recv(10) == b"all"
    if says_so:
        peer.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.unwrap()
    peer.close()  # our close_notify will be answered with RST
    until_readable(stream.raw_socket)
    assert stream.finish() is says_so


def test_data_instead_of_close_notify_is_thrown_away(pairs: Any, contexts: Any, in_thread: Any) -> None:
    stream, peer = pairs.tls(contexts)
    stream.send(b"all")
    for _ in range(100):
        peer.send(b"unwanted" * 100)
    finishing = in_thread(stream.finish)
    assert (peer.recv(10), peer.recv(10)) == (b"all", b"")
    peer.close()
    assert finishing.result() is False


@pytest.mark.parametrize("tls", [True, False])
def test_a_reset_after_everything_was_sent_is_a_loss(pairs: Any, contexts: Any, kit: Any, tls: bool) -> None:
    stream, peer = pairs.tls(contexts) if tls else pairs.plain()
    stream.send(b"all")
    until_readable(peer)
    kit.reset(peer)
    until_readable(stream.raw_socket)
    with pytest.raises(ConnectionLost, match="reset"):
        stream.finish()


def test_a_reset_while_the_end_is_awaited_is_a_loss(
    pairs: Any, contexts: Any, kit: Any, in_thread: Any
) -> None:
    stream, peer = pairs.tls(contexts)
    finishing = in_thread(lambda: stream.send(b"all") and stream.finish()).until_blocked()
    until_readable(peer)
    kit.reset(peer)
    with pytest.raises(ConnectionLost):
        finishing.result()


@pytest.mark.parametrize("tls", [True, False])
def test_the_tail_must_arrive_before_the_end_counts(
    pairs: Any, contexts: Any, in_thread: Any, tls: bool
) -> None:
    options = {"buffer_bytes": 32768}
    stream, peer = pairs.tls(contexts, **options) if tls else pairs.plain(**options)
    assert stream.send(bytes(20000)) == 20000
    assert kernel.unacknowledged_bytes(stream.raw_socket) > stream.ending_bytes
    finishing = in_thread(stream.finish).until_blocked()
    socket.socket.shutdown(peer, socket.SHUT_WR)  # a half-closed peer may still want all of it
    assert not finishing.future.done()
    received = 0
    with contextlib.suppress(ssl.SSLEOFError):
        while piece := peer.recv(65536):
            received += len(piece)
    assert finishing.result() is False
    assert received == 20000


@pytest.mark.parametrize("tls", [True, False])
def test_a_peer_that_closes_before_the_tail_has_not_got_it(
    pairs: Any, contexts: Any, in_thread: Any, tls: bool
) -> None:
    options = {"buffer_bytes": 32768}
    stream, peer = pairs.tls(contexts, **options) if tls else pairs.plain(**options)
    sending = in_thread(lambda: stream.send(bytes(20000)) and stream.finish())
    until_readable(peer)
    peer.close()  # with unread bytes: RST
    with pytest.raises(ConnectionLost):
        sending.result()


def test_a_tail_that_nobody_takes_is_a_stall(pairs: Any) -> None:
    stream, _ = pairs.plain(buffer_bytes=32768, stall_seconds=0.2)
    stream.send(bytes(20000))
    with pytest.raises(TransferTimeout):
        stream.finish()


@pytest.mark.requirement("RTLS-h")
def test_a_fin_without_close_notify_is_truncation(pairs: Any, contexts: Any, kit: Any) -> None:
    stream, peer = pairs.tls(contexts)
    peer.send(b"half")
    kit.send_fin(peer)
    view = buffer()
    assert stream.recv_into(view) == 4
    with pytest.raises(TruncatedStream, match="close_notify"):
        stream.recv_into(view)


def test_close_notify_is_the_end_and_is_answered(pairs: Any, contexts: Any, in_thread: Any) -> None:
    stream, peer = pairs.tls(contexts)
    unwrapping = in_thread(lambda: peer.send(b"all") and peer.unwrap())
    view = buffer()
    assert stream.recv_into(view) == 3
    assert stream.recv_into(view) == 0
    assert stream.finish() is True
    stream.close()
    unwrapping.result()  # it has our close_notify
    assert socket.socket.recv(peer, 10) == b""  # and FIN, no reset


def test_what_follows_close_notify_provokes_no_reset(pairs: Any, contexts: Any) -> None:
    stream, peer = pairs.tls(contexts)
    peer.setblocking(False)
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.unwrap()
    socket.socket.send(peer, b"unwanted" * 1000)
    until_readable(stream.raw_socket)
    assert stream.recv_into(buffer()) == 0
    assert stream.finish() is True
    stream.close()
    peer.setblocking(True)
    while socket.socket.recv(peer, 65536):  # a reset would raise
        pass


@pytest.mark.parametrize("tls", [True, False])
def test_a_reset_is_no_end(pairs: Any, contexts: Any, kit: Any, tls: bool) -> None:
    stream, peer = pairs.tls(contexts) if tls else pairs.plain()
    peer.send(b"half")
    view = buffer()
    assert stream.recv_into(view) == 4
    kit.reset(peer)
    with pytest.raises(ConnectionLost):
        stream.recv_into(view)


def test_a_damaged_record_is_an_error_of_tls(pairs: Any, contexts: Any) -> None:
    stream, peer = pairs.tls(contexts)
    socket.socket.send(peer, b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(TlsError) as raised:
        stream.recv_into(buffer())
    assert not isinstance(raised.value, TruncatedStream)


def test_a_fin_in_clear_is_the_end_and_verifies_nothing(pairs: Any, kit: Any) -> None:
    stream, peer = pairs.plain()
    kit.send_fin(peer)
    assert stream.recv_into(buffer()) == 0
    assert stream.finish() is False


@pytest.mark.parametrize("tls", [True, False])
def test_a_silent_sender_stalls(pairs: Any, contexts: Any, tls: bool) -> None:
    stream, _ = pairs.tls(contexts, stall_seconds=0.2) if tls else pairs.plain(stall_seconds=0.2)
    began = time.monotonic()
    with pytest.raises(TransferTimeout, match=r"0\.2 s"):
        stream.recv_into(buffer())
    assert 0.2 <= time.monotonic() - began < 2


@pytest.mark.parametrize("tls", [True, False])
def test_a_peer_that_reads_nothing_stalls(pairs: Any, contexts: Any, tls: bool) -> None:
    options = {"stall_seconds": 0.2, "buffer_bytes": 32768}
    stream, _ = pairs.tls(contexts, **options) if tls else pairs.plain(**options)
    began = time.monotonic()
    with pytest.raises(TransferTimeout):
        send_until_aborted(stream)
    assert 0.2 <= time.monotonic() - began < 2


def test_close_notify_that_finds_no_room_stalls(pairs: Any, contexts: Any) -> None:
    stream, _ = pairs.tls(contexts, stall_seconds=0.2, buffer_bytes=16384)
    with pytest.raises(TransferTimeout):
        send_until_aborted(stream)
    with pytest.raises(TransferTimeout):
        stream.finish()


@pytest.mark.parametrize("tls", [True, False])
def test_a_slow_reader_is_not_a_stalled_one(pairs: Any, contexts: Any, in_thread: Any, tls: bool) -> None:
    options = {"stall_seconds": 0.2, "buffer_bytes": 16384}
    stream, peer = pairs.tls(contexts, **options) if tls else pairs.plain(**options)
    total = 4_000_000
    pace = threading.Event()

    def send_all() -> int:
        rest = memoryview(bytes(total))
        while rest:
            rest = rest[stream.send(rest) :]
        stream.finish(await_peer=False)
        return total

    began = time.monotonic()
    sending = in_thread(send_all)
    received = 0
    while received < total and (piece := peer.recv(16384)):
        received += len(piece)
        if time.monotonic() - began < 0.6:
            pace.wait(0.01)
    assert sending.result() == received == total


def interrupted_receive(stream: Any, _: Any) -> None:
    stream.recv_into(buffer())


def interrupted_send(stream: Any, _: Any) -> None:
    send_until_aborted(stream)


def interrupted_finish(stream: Any, _: Any) -> None:
    stream.send(bytes(20000))
    stream.finish()


@pytest.mark.parametrize("phase", [interrupted_receive, interrupted_send, interrupted_finish])
@pytest.mark.parametrize("tls", [True, False])
def test_every_blocked_phase_is_interrupted(
    pairs: Any, contexts: Any, in_thread: Any, phase: Any, tls: bool
) -> None:
    options = {"buffer_bytes": 32768}
    stream, peer = pairs.tls(contexts, **options) if tls else pairs.plain(**options)
    blocked = in_thread(lambda: phase(stream, peer)).until_blocked()
    stream.interrupt()
    with pytest.raises(TransferAborted):
        blocked.result()


@pytest.mark.parametrize("phase", [interrupted_receive, interrupted_send, interrupted_finish])
def test_an_interruption_that_comes_first_counts(pairs: Any, contexts: Any, phase: Any) -> None:
    stream, peer = pairs.tls(contexts)
    stream.interrupt()
    with pytest.raises(TransferAborted):
        phase(stream, peer)


def test_an_interrupted_tls_stream_never_takes_ciphertext_for_data(pairs: Any, contexts: Any) -> None:
    stream, peer = pairs.tls(contexts)
    peer.send(b"plaintext")
    until_readable(stream.raw_socket)
    stream.interrupt()
    view = buffer()
    # As a worker does that has looked at the flag just before.
    assert bytes(view[: stream.raw_socket.recv_into(view)]) == b"plaintext"


def test_an_interruption_looks_like_no_proper_end_to_the_peer(pairs: Any, contexts: Any) -> None:
    stream, peer = pairs.tls(contexts)
    stream.send(b"half")
    stream.interrupt()
    stream.close()
    assert peer.recv(10) == b"half"
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        peer.recv(10)


def test_interrupting_a_closed_stream_does_no_harm(pairs: Any, contexts: Any) -> None:
    stream, _ = pairs.tls(contexts)
    stream.close()
    stream.close()
    with socket.socket() as other:  # takes the number of the closed socket
        stream.interrupt()
        other.bind(("127.0.0.1", 0))
    assert stream.fileno() == -1


def test_a_session_once_asked_for_outlives_the_end(pairs: Any, contexts: Any, in_thread: Any) -> None:
    server, client = pairs.streams(contexts)
    sending = in_thread(lambda: server.send(b"x") and server.finish())
    view = buffer()
    assert client.recv_into(view) == 1
    session = client.session
    assert client.recv_into(view) == 0
    assert client.finish()
    client.close()
    sending.result()
    assert isinstance(session, ssl.SSLSession)
    assert client.session is not None


def test_a_stream_in_clear_says_so(pairs: Any) -> None:
    stream, _ = pairs.plain()
    assert not stream.is_tls
    assert (stream.version, stream.cipher, stream.peer_certificate, stream.session) == (None,) * 4


def test_the_kernel_counts_what_the_peer_acknowledged(pairs: Any) -> None:
    stream, peer = pairs.plain()
    before = kernel.bytes_moved(stream.raw_socket)
    stream.send(bytes(1000))
    received = 0
    while received < 1000:
        received += len(peer.recv(1000))
    peer.send(b"x")
    until_readable(stream.raw_socket)  # carries the acknowledgement
    assert kernel.bytes_moved(stream.raw_socket) - before == 1001
    assert kernel.unacknowledged_bytes(stream.raw_socket) == 0
    assert not kernel.is_gone(stream.raw_socket)


def test_the_kernel_knows_nothing_of_a_closed_socket(pairs: Any) -> None:
    ours, _ = pairs.sockets()
    ours.close()
    assert kernel.bytes_moved(ours) == 0
    assert kernel.unacknowledged_bytes(ours) is None
    assert kernel.is_gone(ours)
