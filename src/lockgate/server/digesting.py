"""Hashes files for all sessions: a few at once, in turns that go round by account and address.

A file may take minutes, so whoever hashes while others wait goes to the back of the queue after a moment and
goes on from there later: a short file never waits for a long one. Must not know replies.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import TYPE_CHECKING, TypeVar

from lockgate.errors import TransferAborted, TransferTimeout
from lockgate.transfer.workers import Workers, WorkersBusy

from .turns import Turns

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lockgate.transfer.digests import Digest, FileDigest

    from .session import Session

__all__ = ["Digesters"]

_T = TypeVar("_T")

# Each that has begun holds an open file while it waits.
_WAITING_LIMIT = 100
# How long one hashes before the others have a turn.
_SLICE_SECONDS = 0.25
# How often a client is looked for whose bytes nobody reads just now: too many commands of it wait.
_LOOK_SECONDS = 1.0


class Digesters:
    """Threads that hash files, and the turns at them. Event loop only.

    Args:
        jobs: How many files are hashed at the same time.

    Attributes:
        turns: Who hashes next.
    """

    def __init__(self, jobs: int) -> None:
        self.turns = Turns(jobs, refused=WorkersBusy, waiting_limit=_WAITING_LIMIT)
        # The turns bound the work; the queue is for the moment until a thread that is done says so.
        self._threads = Workers(jobs, queue_limit=jobs, name="lockgate-digest")

    def resize(self, jobs: int) -> None:
        """Change how many files are hashed at the same time."""
        self._threads.resize(jobs, queue_limit=jobs)
        self.turns.resize(jobs)

    async def run(self, session: Session, work: FileDigest) -> Digest:
        """Hash a file for a session; ended by `work.stop`, by its deadline, or when the client leaves.

        Raises:
            TransferAborted: It was ended on request, or the client has left.
            TransferTimeout: The deadline has passed, in a file system that hangs too.
            WorkersBusy: Too many wait.
            StorageError: The file cannot be opened or read.
        """
        address, owner = session.control.peer_address, session.account.name
        step: Future[Digest | None] | None = None
        result: asyncio.Future[Digest | None] | None = None
        try:
            while True:
                turn = self.turns.ask(address, owner)
                try:
                    await _patiently(session, work, turn)
                except BaseException:
                    self.turns.drop(turn)
                    raise
                step = self._submit(work)
                result = asyncio.wrap_future(step)
                found = await _patiently(session, work, result)
                if found is not None:
                    return found
        finally:
            work.stop.interrupt()
            if step is None or result is None:
                work.close()
            else:
                # Takes work back that still waits for a thread; what has one ends soon, if its disk lets it.
                result.cancel()
                step.add_done_callback(lambda _: work.close())

    def _submit(self, work: FileDigest) -> Future[Digest | None]:
        """Hash until it is others' turn. The turn comes back when the thread does, which may hang."""
        loop = asyncio.get_running_loop()

        def done(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self.turns.give_back)

        try:
            step = self._threads.submit(functools.partial(self._slice, work))
        except BaseException:
            self.turns.give_back()
            raise
        step.add_done_callback(done)
        return step

    def _slice(self, work: FileDigest) -> Digest | None:
        ends = time.monotonic() + _SLICE_SECONDS
        return work.go_on(lambda: self.turns.waiting > 0 and time.monotonic() >= ends)

    def refuse_all(self) -> None:
        """Refuse those that wait."""
        self.turns.refuse_all()

    def close(self, *, seconds: float) -> None:
        """End the threads; blocks until they have ended, or for so long."""
        self._threads.close(seconds=seconds)


async def _patiently(session: Session, work: FileDigest, result: asyncio.Future[_T]) -> _T:
    """Await a result no longer than anybody wants it; it may come from a thread that hangs."""
    while not result.done():
        left = work.deadline - time.monotonic()
        if left <= 0:
            raise TransferTimeout("the file could not be read and hashed in time")
        await asyncio.wait((result,), timeout=min(left, _LOOK_SECONDS))
        if session.control.has_lost_peer:
            raise TransferAborted("the client has left")
        if not result.done():
            work.stop.check()
    return result.result()
