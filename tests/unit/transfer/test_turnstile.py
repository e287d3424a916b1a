"""Slow senders' data gathers; no byte and no kind of end is lost or late by it."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lockgate.errors import ConnectionLost, TransferAborted, TransferTimeout, TruncatedStream
from lockgate.transfer import pump, turnstile
from lockgate.transfer.outcome import OutcomeStatus
from lockgate.transfer.turnstile import Turnstile

pytestmark = pytest.mark.skipif(not Turnstile().is_usable, reason="the system has no epoll")


@pytest.fixture
def gate() -> Iterator[Turnstile]:
    made = Turnstile()
    yield made
    made.close()


@pytest.fixture(params=["tls", "clear"])
def slow(request: Any, pairs: Any, contexts: Any, gate: Turnstile) -> Any:
    """Return (our stream, whose data gathers, and the peer's socket)."""
    made = (
        pairs.tls(contexts, stall_seconds=2.0) if request.param == "tls" else pairs.plain(stall_seconds=2.0)
    )
    stream, peer = made
    stream.gather(gate)
    return stream, peer


def received(stream: Any, size: int = 1 << 18) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: stream.recv_into(memoryview(buffer))])


def pieces(peer: Any, count: int) -> None:
    for number in range(count):
        peer.send(bytes([number]) * 100)


def test_many_records_are_one_reception(slow: Any) -> None:
    stream, peer = slow
    pieces(peer, 20)
    assert received(stream) == b"".join(bytes([number]) * 100 for number in range(20))


def test_more_than_the_buffer_takes_comes_next_time(slow: Any) -> None:
    stream, peer = slow
    pieces(peer, 20)
    got = b""
    while len(got) < 2000:
        got += received(stream, 150)
    assert got == b"".join(bytes([number]) * 100 for number in range(20))


def test_a_reset_behind_gathered_data_is_told_after_it(slow: Any, kit: Any) -> None:
    stream, peer = slow
    pieces(peer, 3)
    with contextlib.suppress(ConnectionLost):
        # The kernel may throw away what it had when the reset comes.
        first = received(stream)
        kit.reset(peer)
        assert len(first) == 300
    with pytest.raises(ConnectionLost):
        received(stream)


def test_a_truncation_behind_gathered_data_is_told_after_it(
    pairs: Any, contexts: Any, gate: Turnstile, kit: Any
) -> None:
    stream, peer = pairs.tls(contexts)
    stream.gather(gate)
    pieces(peer, 3)
    kit.send_fin(peer)
    assert len(received(stream)) == 300
    with pytest.raises(TruncatedStream):
        received(stream)


def test_an_end_of_tls_behind_gathered_data_is_an_end(pairs: Any, contexts: Any, gate: Turnstile) -> None:
    stream, peer = pairs.tls(contexts)
    stream.gather(gate)
    pieces(peer, 3)
    peer.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        peer.unwrap()
    assert len(received(stream)) == 300
    assert received(stream) == b""


def test_an_interruption_ends_the_wait(slow: Any, in_thread: Any) -> None:
    stream, _ = slow
    waiting = in_thread(lambda: received(stream))
    stream.interrupt()
    with pytest.raises(TransferAborted):
        waiting.result()


def test_silence_is_a_stall_here_too(slow: Any) -> None:
    stream, _ = slow
    with pytest.raises(TransferTimeout):
        received(stream)


def test_everything_is_given_back(slow: Any, gate: Turnstile) -> None:
    stream, peer = slow
    pieces(peer, 1)
    received(stream)
    stream.close()
    assert (gate._members, gate._passing, gate._waiting, list(gate._ready)) == (0, set(), {}, [])


def test_one_who_keeps_his_place_does_not_shut_the_others_out(
    pairs: Any, gate: Turnstile, monkeypatch: pytest.MonkeyPatch, in_thread: Any
) -> None:
    monkeypatch.setattr(turnstile, "_PATIENCE_SECONDS", 60.0)
    links = [pairs.plain() for _ in range(turnstile._PASSING + 2)]
    for stream, peer in links[:-1]:
        stream.gather(gate)
        peer.send(b"x")
    for stream, _ in links[: turnstile._PASSING]:
        gathering = stream._gathering
        gathering.wait()  # let through, and never comes back
    last, _ = links[-2]
    assert in_thread(lambda: received(last)).result() == b"x"


def test_a_slow_upload_gathers_and_is_whole(pairs: Any, contexts: Any, gate: Turnstile, kit: Any) -> None:
    stream, peer = pairs.tls(contexts)
    content = bytes(range(256)) * 40
    entered = threading.Event()
    enter = gate.enter

    def noted(*arguments: Any) -> Any:
        entered.set()
        return enter(*arguments)

    gate.enter = noted  # type: ignore[method-assign]

    def send() -> None:
        began = time.monotonic()
        for start in range(0, len(content), 128):
            peer.send(content[start : start + 128])
            while time.monotonic() - began < 0.01 * start / 128:
                threading.Event().wait(0.005)
        peer.unwrap()

    sender = threading.Thread(target=send)
    sender.start()
    sink = kit.sink()
    outcome = pump.receive(stream, sink, turnstile=gate)
    sender.join()
    assert outcome.status is OutcomeStatus.COMPLETE
    assert outcome.verified_end
    assert bytes(sink.content) == content
    assert entered.is_set()
    assert gate._members == 0
