"""Token buckets: how much passes when, who gets it, and that waiting ends on request."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lockgate.errors import TransferAborted
from lockgate.transfer import pump
from lockgate.transfer.outcome import OutcomeStatus
from lockgate.transfer.rates import BURST_SECONDS, Throttle, TokenBucket
from lockgate.transfer.stop import Stop

KIB = 1024


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("rate", [1000, 64 * KIB, 1 << 20, 10 << 30])
def test_a_bucket_hands_out_its_rate_and_a_short_burst(rate: int) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, clock=clock)
    given, last = 0, 0.0
    while last < clock.now + 10:
        count, last = bucket.take_turn()
        given += count
    assert given == pytest.approx((10 + BURST_SECONDS) * rate, rel=0.02)


def test_what_was_not_used_for_long_is_gone() -> None:
    clock = Clock()
    bucket = TokenBucket(1000, clock=clock)
    clock.now += 3600
    given = 0
    while True:
        count, at = bucket.take_turn()
        if at > clock.now:
            break
        given += count
    assert given <= 1000 * BURST_SECONDS


def test_turns_are_small_at_low_rates_and_bounded_at_high_ones() -> None:
    assert TokenBucket(KIB).take_turn()[0] <= KIB // 8
    assert TokenBucket(1 << 40).take_turn()[0] <= 1 << 20
    assert TokenBucket(None).take_turn()[1] == 0.0


def test_what_is_given_back_is_there_for_others() -> None:
    clock = Clock()
    bucket = TokenBucket(100 * KIB, clock=clock)
    for _ in range(1000):
        throttle = Throttle([bucket], clock=lambda: clock.now + 3600)
        throttle.allow(1, Stop())
        throttle.close()
        throttle.close()
    _, at = bucket.take_turn()
    assert at <= clock.now


def test_a_new_rate_holds_at_once_and_what_is_owed_is_remembered() -> None:
    clock = Clock()
    bucket = TokenBucket(1000, clock=clock)
    while bucket.take_turn()[1] < clock.now + 10:
        pass
    bucket.set_rate(10_000)
    assert bucket.rate == 10_000
    assert bucket.take_turn()[1] == pytest.approx(clock.now + 1, abs=0.2)
    bucket.set_rate(None)
    assert bucket.take_turn()[1] <= clock.now
    bucket.set_rate(1000)
    assert bucket.take_turn()[1] <= clock.now + 0.2


def test_the_slowest_bucket_decides_and_the_others_lose_nothing() -> None:
    fast, slow = TokenBucket(1 << 20), TokenBucket(20 * KIB)
    throttle = Throttle([fast, slow])
    moved, began = 0, time.monotonic()
    while moved < 20 * KIB:
        allowed = throttle.allow(64 * KIB, Stop())
        assert 1 <= allowed <= 20 * KIB
        throttle.spend(allowed)
        moved += allowed
    seconds = time.monotonic() - began
    throttle.close()
    assert 0.5 < seconds < 3.0
    assert fast.take_turn()[1] <= time.monotonic()


def test_eight_that_share_a_bucket_get_the_same(in_thread: Any) -> None:
    shared = TokenBucket(800 * KIB)
    while shared.take_turn()[1] <= time.monotonic():
        pass  # the burst goes to whoever comes first
    seconds = 2.0
    barrier = threading.Barrier(8)

    def work(number: int) -> int:
        # Half of them have a limit of their own beside it, above their share.
        throttle = Throttle([shared] if number % 2 else [shared, TokenBucket(200 * KIB)])
        moved = 0
        barrier.wait(10)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            count = throttle.allow(64 * KIB, Stop())
            throttle.spend(count)
            moved += count
        throttle.close()
        return moved

    crew = [in_thread(lambda number=number: work(number)) for number in range(8)]
    moved = [one.result() for one in crew]
    assert max(moved) < 1.5 * min(moved)
    assert 0.6 * seconds * 800 * KIB < sum(moved) < 1.6 * seconds * 800 * KIB


def test_waiting_ends_on_request(in_thread: Any) -> None:
    bucket, stop = TokenBucket(1000), Stop()
    while bucket.take_turn()[1] < time.monotonic() + 300:
        pass
    waiting = in_thread(lambda: Throttle([bucket]).allow(10, stop))
    threading.Timer(0.05, stop.interrupt).start()
    began = time.monotonic()
    with pytest.raises(TransferAborted):
        waiting.result()
    assert time.monotonic() - began < 5


class FileSource:
    """A reader with a descriptor."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb", buffering=0)
        self.was_read = False

    def fileno(self) -> int:
        return self.file.fileno()

    def readinto(self, buffer: memoryview) -> int:
        self.was_read = True
        return self.file.readinto(buffer) or 0


@pytest.fixture(params=["tls", "clear"])
def link(request: pytest.FixtureRequest, pairs: Any, contexts: Any) -> Any:
    """Two streams, (server, client)."""
    return pairs.streams(contexts if request.param == "tls" else None, stall_seconds=0.2)


def test_a_paced_download_takes_its_time_and_loses_nothing(
    link: Any, in_thread: Any, kit: Any, tmp_path: Path
) -> None:
    server, client = link
    content = bytes(range(256)) * 400
    (tmp_path / "file").write_bytes(content)
    source, sink = FileSource(tmp_path / "file"), kit.sink()
    receiving = in_thread(lambda: pump.receive(client, sink))
    began = time.monotonic()
    with source.file:
        outcome = pump.send(source, server, throttle=Throttle([TokenBucket(100_000)]))
    seconds = time.monotonic() - began
    receiving.result()
    assert outcome.is_complete
    assert bytes(sink.content) == content
    assert 0.5 < seconds < 4
    assert source.was_read is server.is_tls  # paced or not, in clear the kernel does it


def test_a_paced_upload_takes_its_time_and_loses_nothing(link: Any, in_thread: Any, kit: Any) -> None:
    server, client = link
    content = bytes(range(256)) * 400
    sink = kit.sink()
    sending = in_thread(lambda: pump.send(kit.source(content), client, await_peer=False))
    began = time.monotonic()
    outcome = pump.receive(server, sink, throttle=Throttle([TokenBucket(100_000)]))
    seconds = time.monotonic() - began
    sending.result()
    assert outcome.is_complete
    assert bytes(sink.content) == content
    assert 0.5 < seconds < 4


def test_a_paced_listing_takes_its_time(link: Any, in_thread: Any, kit: Any) -> None:
    server, client = link
    sink = kit.sink()
    receiving = in_thread(lambda: pump.receive(client, sink))
    began = time.monotonic()
    lines = (b"x" * 998 + b"\r\n" for _ in range(100))
    outcome = pump.send_chunks(lines, server, throttle=Throttle([TokenBucket(100_000)]))
    seconds = time.monotonic() - began
    receiving.result()
    assert (outcome.is_complete, len(sink.content)) == (True, 100_000)
    assert 0.5 < seconds < 4


def test_a_pause_of_ours_is_no_stall_of_the_peers(link: Any, in_thread: Any, kit: Any) -> None:
    server, client = link  # with a stall limit of 0.2 s
    bucket = TokenBucket(1000)
    while bucket.take_turn()[1] < time.monotonic() + 0.6:
        pass
    sink = kit.sink()
    sending = in_thread(lambda: pump.send(kit.source(b"0123456789"), client, await_peer=False))
    assert pump.receive(server, sink, throttle=Throttle([bucket])).is_complete
    sending.result()


def test_a_silent_peer_stalls_a_paced_upload_too(link: Any, kit: Any) -> None:
    server, _client = link
    outcome = pump.receive(server, kit.sink(), throttle=Throttle([TokenBucket(100_000)]))
    assert outcome.status is OutcomeStatus.STALLED


def test_an_interruption_ends_a_paced_transfer_and_keeps_what_came(
    link: Any, in_thread: Any, kit: Any
) -> None:
    server, client = link
    sink = kit.sink()
    sending = in_thread(lambda: pump.send(kit.source(bytes(100_000)), client, await_peer=False))
    receiving = in_thread(lambda: pump.receive(server, sink, throttle=Throttle([TokenBucket(2000)])))
    sink.began.wait(10)
    began = time.monotonic()
    server.interrupt()
    outcome = receiving.result()
    sending.result()
    assert time.monotonic() - began < 2
    assert outcome.status is OutcomeStatus.ABORTED
    assert 0 < outcome.bytes_moved == len(sink.content) < 100_000


def test_a_throttle_tells_how_long_it_held_its_transfer_up(in_thread: Any) -> None:
    bucket, stop = TokenBucket(1000), Stop()
    while bucket.take_turn()[1] < time.monotonic() + 300:
        pass
    throttle = Throttle([bucket])
    assert throttle.waited() == 0.0
    waiting = in_thread(lambda: throttle.allow(10, stop))
    deadline = time.monotonic() + 10
    while throttle.waited() < 0.1 and time.monotonic() < deadline:
        stop.wait(0.01)
    stop.interrupt()
    with pytest.raises(TransferAborted):
        waiting.result()
    assert 0.1 <= throttle.waited() < 20
