"""The thread pool."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import pytest

from lockgate.transfer.workers import Workers, WorkersBusy

WAIT = 20.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds work up until it is set; set at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


def hold(workers: Workers, gate: threading.Event) -> Future[bool]:
    """Keep one thread busy; return once it is."""
    running = threading.Event()
    future = workers.submit(lambda: running.set() or gate.wait(WAIT))  # type: ignore[func-returns-value]
    assert running.wait(WAIT)
    return future


def until_idle(workers: Workers, count: int) -> None:
    """Wait until `count` threads have put themselves on the list of idle ones."""
    ticker = threading.Event()
    for _ in range(2000):
        with workers._lock:
            if len(workers._idle) == count:
                return
        ticker.wait(0.001)
    raise AssertionError("the threads did not fall idle")


def test_the_result_arrives_in_the_future() -> None:
    with Workers(2) as workers:
        assert workers.submit(lambda: 6 * 7).result(WAIT) == 42


def test_an_exception_arrives_in_the_future_and_the_thread_lives_on() -> None:
    with Workers(1, queue_limit=1) as workers:
        with pytest.raises(ZeroDivisionError):
            workers.submit(lambda: 1 // 0).result(WAIT)
        assert workers.submit(lambda: 1).result(WAIT) == 1


def test_an_idle_thread_is_used_again() -> None:
    with Workers(8) as workers:
        seen = set()
        for _ in range(20):
            seen.add(workers.submit(threading.get_ident).result(WAIT))
            until_idle(workers, 1)
        assert len(seen) == 1
        assert workers.thread_count == 1


def test_the_thread_that_fell_idle_last_is_used_first(gate: threading.Event) -> None:
    with Workers(2) as workers:
        first_gate = threading.Event()
        first = workers.submit(lambda: first_gate.wait(WAIT) and threading.get_ident())
        second = workers.submit(lambda: gate.wait(WAIT) and threading.get_ident())
        first_gate.set()
        first.result(WAIT)
        until_idle(workers, 1)
        gate.set()
        last = second.result(WAIT)
        until_idle(workers, 2)
        assert workers.submit(threading.get_ident).result(WAIT) == last


def test_more_than_threads_and_queue_is_refused(gate: threading.Event) -> None:
    with Workers(1, queue_limit=1) as workers:
        held = hold(workers, gate)
        queued = workers.submit(lambda: "later")
        with pytest.raises(WorkersBusy, match="1 transfer threads"):
            workers.submit(lambda: "too much")
        assert not queued.done()
        gate.set()
        assert held.result(WAIT)
        assert queued.result(WAIT) == "later"
        until_idle(workers, 1)
        assert workers.submit(lambda: "again").result(WAIT) == "again"


def test_an_idle_thread_ends_and_a_new_one_is_made_when_needed() -> None:
    with Workers(1, idle_seconds=0.01) as workers:
        old = workers.submit(threading.current_thread).result(WAIT)
        old.join(WAIT)
        assert not old.is_alive()
        assert workers.thread_count == 0
        assert workers.submit(threading.current_thread).result(WAIT) is not old


def test_work_handed_to_a_thread_that_is_just_ending_is_done() -> None:
    with Workers(4, queue_limit=4, idle_seconds=0.0) as workers:
        for number in range(500):
            assert workers.submit(lambda number=number: number).result(WAIT) == number  # type: ignore[misc]


def test_closing_cancels_what_waits_and_joins_what_runs(gate: threading.Event) -> None:
    workers = Workers(1, queue_limit=1, name="closing-test")
    held = hold(workers, gate)
    queued = workers.submit(lambda: "never")
    assert workers.close(wait=False) is False
    with pytest.raises(CancelledError):
        queued.result(WAIT)
    assert workers.close(seconds=0.0) is False
    gate.set()
    assert workers.close(seconds=WAIT) is True
    assert held.result(WAIT)
    assert workers.thread_count == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("closing-test")]


def test_closed_workers_take_nothing() -> None:
    workers = Workers(1)
    workers.close()
    with pytest.raises(RuntimeError, match="closed"):
        workers.submit(lambda: 1)


def test_cancelled_work_is_not_done(gate: threading.Event) -> None:
    done = []
    with Workers(1, queue_limit=1) as workers:
        hold(workers, gate)
        queued = workers.submit(lambda: done.append(1))
        assert queued.cancel()
        gate.set()
    assert done == []


def test_threads_are_named_daemons() -> None:
    with Workers(1, name="data") as workers:
        thread = workers.submit(threading.current_thread).result(WAIT)
        assert thread.daemon
        assert thread.name == "data-1"


def test_an_idle_thread_keeps_neither_result_nor_exception_alive() -> None:
    class Big:
        pass

    def fail(big: Big) -> None:
        raise ValueError(big)

    gc.disable()
    try:
        with Workers(1) as workers:
            result = Big()
            seen = weakref.ref(result)
            workers.submit(lambda result=result: result).result(WAIT)  # type: ignore[misc]
            until_idle(workers, 1)
            del result
            assert seen() is None
            raised = Big()
            seen = weakref.ref(raised)
            future = workers.submit(lambda raised=raised: fail(raised))  # type: ignore[misc]
            with contextlib.suppress(ValueError):
                future.result(WAIT)
            until_idle(workers, 1)
            del future, raised
            assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("threads", "queue"), [(0, 0), (1, -1)])
def test_limits_that_make_no_sense_are_refused(threads: int, queue: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        Workers(threads, queue_limit=queue)


def test_a_pool_that_grows_takes_more_work_at_once() -> None:
    free = threading.Event()
    with Workers(1) as workers:
        first = workers.submit(free.wait)
        with pytest.raises(WorkersBusy):
            workers.submit(free.wait)
        workers.resize(2, queue_limit=1)
        second, waiting = workers.submit(free.wait), workers.submit(free.wait)
        with pytest.raises(WorkersBusy):
            workers.submit(free.wait)
        free.set()
        assert all(future.result(10) for future in (first, second, waiting))
        with pytest.raises(ValueError, match="max_threads"):
            workers.resize(0, queue_limit=0)


def test_what_is_offered_is_done_or_left() -> None:
    done, gate = threading.Event(), threading.Event()
    with Workers(1, queue_limit=0) as workers:
        assert workers.offer(gate.wait)
        assert not workers.offer(done.set)  # busy
        gate.set()
    assert not workers.offer(done.set)  # closed
    assert not done.is_set()
