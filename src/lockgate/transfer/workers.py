"""Runs blocking work in a bounded number of threads; must not know what the work is.

Unlike `concurrent.futures.ThreadPoolExecutor` it gives the thread back that fell idle last (its caches are
warm, and the others may end), lets idle threads end, refuses work that it could only pile up, and its daemon
threads do not keep a process alive that wants to exit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from lockgate.errors import TransferError

__all__ = ["Workers", "WorkersBusy"]

Result = TypeVar("Result")
_Job = tuple["Future[Any]", Callable[[], Any]]


class WorkersBusy(TransferError):
    """All threads work and the queue is full: try again later."""


class _Worker:
    """One thread and its mailbox; None in it means: end."""

    __slots__ = ("mailbox", "thread")

    def __init__(self, serve: Callable[[_Worker], None], name: str) -> None:
        self.mailbox: SimpleQueue[_Job | None] = SimpleQueue()
        self.thread = threading.Thread(target=serve, args=(self,), name=name, daemon=True)


class Workers:
    """Threads made on demand and used again; thread-safe.

    Args:
        max_threads: How many pieces of work may run at once.
        queue_limit: How many more may wait for a thread; 0 refuses at once.
        idle_seconds: An idle thread ends after this time.
        name: Threads are called `name-1`, `name-2` and so on.
    """

    def __init__(
        self,
        max_threads: int,
        *,
        queue_limit: int = 0,
        idle_seconds: float = 10.0,
        name: str = "lockgate-transfer",
    ) -> None:
        if max_threads < 1 or queue_limit < 0:
            raise ValueError("max_threads must be at least 1 and queue_limit at least 0")
        self._max_threads = max_threads
        self._queue_limit = queue_limit
        self._idle_seconds = idle_seconds
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._threads: set[threading.Thread] = set()
        self._waiting: deque[_Job] = deque()
        self._started = 0
        self._closed = False

    @property
    def thread_count(self) -> int:
        """How many threads there are, idle ones included."""
        return len(self._threads)

    def resize(self, max_threads: int, *, queue_limit: int) -> None:
        """Change the limits for work to come; threads beyond them end when they fall idle."""
        if max_threads < 1 or queue_limit < 0:
            raise ValueError("max_threads must be at least 1 and queue_limit at least 0")
        with self._lock:
            self._max_threads, self._queue_limit = max_threads, queue_limit

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Have `work` called in a thread; its result or exception arrives in the future. Does not block.

        Raises:
            WorkersBusy: Threads and queue are full, or the system gives no more threads.
            RuntimeError: The workers are closed.
        """
        future: Future[Result] = Future()
        job: _Job = (future, work)
        with self._lock:
            if self._closed:
                raise RuntimeError("these workers are closed")
            if self._idle:
                self._idle.pop().mailbox.put(job)
                return future
            if len(self._threads) >= self._max_threads:
                if len(self._waiting) >= self._queue_limit:
                    raise WorkersBusy(
                        f"all {self._max_threads} transfer threads are at work, {self._queue_limit} more wait"
                    )
                self._waiting.append(job)
                return future
            self._start_worker(job)
        return future

    def offer(self, work: Callable[[], object]) -> bool:
        """Have `work` called if that can be; False when all are busy, or closed. Does not block.

        For what can as well be left to the next time.
        """
        try:
            self.submit(work)
        except (WorkersBusy, RuntimeError):
            return False
        return True

    def close(self, *, wait: bool = True, seconds: float | None = None) -> bool:
        """Take no more work, cancel what waits for a thread, and end the threads as they finish.

        Interrupts nothing: whoever wants running transfers to end interrupts them. Must not be called with
        `wait` by one of the threads. May be called again, to wait longer.

        Args:
            wait: Block until the threads have ended.
            seconds: The longest wait for each thread; None is for ever.

        Returns:
            Whether all threads have ended.
        """
        with self._lock:
            self._closed = True
            dropped = list(self._waiting)
            self._waiting.clear()
            for worker in self._idle:
                worker.mailbox.put(None)
            self._idle.clear()
            threads = list(self._threads)
        for future, _ in dropped:
            future.cancel()
        if wait:
            for thread in threads:
                thread.join(seconds)
        return not any(thread.is_alive() for thread in threads)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_worker(self, job: _Job) -> None:
        """Start a thread for `job`; under the lock, so that `close` only ever joins threads that run."""
        self._started += 1
        worker = _Worker(self._serve, f"{self._name}-{self._started}")
        worker.mailbox.put(job)
        try:
            worker.thread.start()
        except RuntimeError as error:
            raise WorkersBusy("the system gives no more threads") from error
        self._threads.add(worker.thread)

    def _serve(self, worker: _Worker) -> None:
        job = worker.mailbox.get()
        while job is not None:
            _run(job)
            job = None  # neither the work nor its result outlives it here
            job = self._next_job(worker)

    def _next_job(self, worker: _Worker) -> _Job | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                self._threads.discard(worker.thread)
                return None
            self._idle.append(worker)
        try:
            job = worker.mailbox.get(timeout=self._idle_seconds)
        except Empty:
            with self._lock:
                if worker in self._idle:
                    self._idle.remove(worker)
                    self._threads.discard(worker.thread)
                    return None
            # Somebody took this worker from the list just now: the job is in the mailbox or about to be.
            job = worker.mailbox.get()
        if job is None:
            with self._lock:
                self._threads.discard(worker.thread)
        return job


def _run(job: _Job) -> None:
    future, work = job
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - the future carries it to the caller
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        # The exception's traceback holds this frame, and the future holds the exception: no cycle, please.
        del future, work, job
