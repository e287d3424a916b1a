"""One running transfer: open the data connection, move the data in a worker thread, settle, and answer.

Runs beside the control connection, which goes on taking ABOR and STAT (RFC 4217 §14). Must not send replies
itself, and must not know how bytes are moved.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from lockgate.errors import LockgateError, StorageError, TlsError, TransferError
from lockgate.storage.base import WriteCancelled
from lockgate.transfer.outcome import Outcome, OutcomeStatus, failure
from lockgate.transfer.workers import WorkersBusy

from .audit import record
from .refusallog import errno_name
from .refusals import outcome_reply
from .session import Direction

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.protocol.replies import Reply
    from lockgate.transfer.rates import Throttle
    from lockgate.transfer.streams import DataStream

    from .endpoint import Endpoint, Opener
    from .session import Session

__all__ = ["Job", "Move", "Settle"]

_logger = logging.getLogger(__name__)

Move = Callable[["DataStream", Callable[[int], None]], Outcome]
"""Moves the data, reporting bytes as they pass. Blocks; runs in a worker thread."""

Settle = Callable[[Outcome], None]
"""Commits or discards, closes files; raises StorageError when a commit fails. Blocks; called exactly once."""


class Job:
    """A transfer between its 150 and its final reply.

    Args:
        session: Whose transfer it is; its endpoint is taken over.
        command: The transfer command.
        path: The virtual path, for the log.
        direction: Which way data goes, seen from the server.
        move: See `Move`.
        settle: See `Settle`.
        interrupt: Ends what `move` and `settle` do with files and no data connection can end; called on the
            event loop, does not block.
        stored_path: Where an upload is stored, asked once it is complete: a drop box may have found its name
            taken.
        throttle: What `move` waits for besides the peer.

    Attributes:
        command: The transfer command.
        finished: Set when the final reply is out.
        moved_bytes: Payload so far, for STAT; approximate while the transfer runs.
    """

    __slots__ = (
        "_endpoint",
        "_interrupt",
        "_is_moving",
        "_is_too_slow",
        "_move",
        "_path",
        "_session",
        "_settle",
        "_stored_path",
        "_throttle",
        "_watcher",
        "command",
        "direction",
        "finished",
        "is_started",
        "moved_bytes",
    )

    def __init__(
        self,
        session: Session,
        command: Command,
        *,
        path: str,
        direction: Direction,
        move: Move,
        settle: Settle,
        interrupt: Callable[[], None] | None = None,
        stored_path: Callable[[], str] | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self._session = session
        self._endpoint: Endpoint | None = session.take_endpoint()
        self._path = path
        self._move = move
        self._settle = settle
        self._interrupt = interrupt
        self._stored_path = stored_path
        self._throttle = throttle
        self._is_moving = False
        self._is_too_slow = False
        self._watcher: asyncio.TimerHandle | None = None
        self.command = command
        self.direction = direction
        self.finished = asyncio.Event()
        self.is_started = False
        self.moved_bytes = 0

    async def prepare(self) -> None:
        """What comes before the 150; returns soon."""
        if self._endpoint is not None and self.direction is Direction.IN:
            await self._endpoint.let_ticket_go()

    def start(self) -> None:
        """The 150 is out: `run` follows."""
        self.is_started = True

    def abort(self) -> None:
        """End the transfer wherever it is; `run` returns soon. Event loop only; may be called again."""
        if self._endpoint is not None:
            self._endpoint.abort()
        if self._interrupt is not None:
            self._interrupt()

    async def run(self) -> Reply:
        """Carry the transfer out and return its final reply; never raises what a transfer can meet."""
        session, endpoint = self._session, self._endpoint
        if endpoint is None:
            outcome = await self._submit_settle(
                Outcome(OutcomeStatus.ABORTED, detail="the client left before the transfer began")
            )
        else:
            try:
                outcome = await self._run(endpoint)
            finally:
                endpoint.close()
        session.tls.last_direction = self.direction
        reply = outcome_reply(outcome, is_blind=session.is_blind)
        self._record(outcome, reply)
        return reply

    def _record(self, outcome: Outcome, reply: Reply) -> None:
        session, is_upload = self._session, self.direction is Direction.IN
        stored = self._stored_path() if self._stored_path is not None and outcome.is_complete else self._path
        record(
            "transfer",
            peer=session.control.peer_address,
            user=session.user_name,
            verb=self.command.word,
            path=self._path,
            stored=stored if stored != self._path else None,
            outcome=outcome.status.value,
            mode="Z" if session.parameters.is_compressed else None,
            bytes=outcome.bytes_moved,
            seconds=outcome.seconds,
            # Of what the server sends there is nothing to verify here: the client is the judge of its end.
            verified=outcome.verified_end if is_upload else None,
            reply=reply.code,
            errno=errno_name(outcome.error),
            detail=_detail(outcome, is_upload=is_upload) or None,
        )

    async def _run(self, endpoint: Endpoint) -> Outcome:
        try:
            opener = await endpoint.open(self.direction)
            work = self._session.server.workers.submit(functools.partial(self._work, opener))
        except WorkersBusy as error:
            return await self._submit_settle(
                Outcome(OutcomeStatus.NOT_OPENED, error=error, detail=f"{error}")
            )
        except (TransferError, TlsError) as error:
            # Before any worker had it: the rest is settled now.
            return await self._submit_settle(failure(error))
        self._watch()
        try:
            return await asyncio.wrap_future(work)
        except Exception as error:
            # A mistake of ours, settled by the worker: the session must still get its final reply.
            _logger.exception("%s ! %s", self._session, self.command)
            return Outcome(
                OutcomeStatus.STORAGE_FAILED, self.moved_bytes, error=error, detail="internal error"
            )
        finally:
            if self._watcher is not None:
                self._watcher.cancel()

    def _watch(self) -> None:
        seconds = self._session.server.config.limits.stall_seconds
        self._watcher = self._session.server.loop.call_later(
            seconds, self._watch_from, self.moved_bytes, self._waited_seconds(), seconds
        )

    def _waited_seconds(self) -> float:
        return 0.0 if self._throttle is None else self._throttle.waited()

    def _watch_from(self, moved: int, waited: float, seconds: float) -> None:
        """End a transfer that crawls: a byte now and then would hold its thread and its place for ever."""
        # Who waits for our own limit has used up a turn each time: it is not the peer that is slow.
        is_held_here = self._waited_seconds() - waited >= seconds / 2
        is_slow = self.moved_bytes - moved < self._session.server.config.limits.stall_bytes
        if self._is_moving and is_slow and not is_held_here:
            self._is_too_slow = True
            self.abort()
            return
        self._watch()

    async def _submit_settle(self, outcome: Outcome) -> Outcome:
        server = self._session.server
        try:
            return await asyncio.wrap_future(server.helpers.submit(lambda: self._settled(outcome)))
        except WorkersBusy:
            # Settling closes files: rather a moment on the loop than a leak.
            return self._settled(outcome)

    def _work(self, opener: Opener) -> Outcome:
        """Open, move and settle, in one worker thread."""
        try:
            stream = opener()
        except LockgateError as error:
            return self._settled(failure(error))
        except BaseException:
            self._settled(Outcome(OutcomeStatus.RESET, detail="internal error"))
            raise
        try:
            self._is_moving = True
            outcome = _judged(self._move(stream, self._count))
            self._is_moving = False
            if self._is_too_slow and outcome.status is OutcomeStatus.ABORTED:
                outcome = dataclasses.replace(outcome, status=OutcomeStatus.STALLED)
        except BaseException:
            self._settled(Outcome(OutcomeStatus.RESET, detail="internal error"))
            raise
        finally:
            stream.close()
        return self._settled(outcome)

    def _settled(self, outcome: Outcome) -> Outcome:
        try:
            self._settle(outcome)
        except StorageError as error:
            return _judged(failure(error, bytes_moved=outcome.bytes_moved, seconds=outcome.seconds))
        return outcome

    def _count(self, count: int) -> None:
        self.moved_bytes += count


def _detail(outcome: Outcome, *, is_upload: bool) -> str:
    if is_upload and outcome.status is OutcomeStatus.TRUNCATED:
        return f"{outcome.detail}; a device that never sends one needs require_close_notify = false"
    return outcome.detail


def _judged(outcome: Outcome) -> Outcome:
    """Call an end on request what it is, whether it met the data connection or the files."""
    if isinstance(outcome.error, WriteCancelled):
        return dataclasses.replace(outcome, status=OutcomeStatus.ABORTED)
    return outcome
