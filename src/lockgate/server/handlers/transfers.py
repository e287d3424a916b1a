"""RETR, STOR, APPE, STOU, ABOR (RFC 959 §4.1.3, RFC 4217 §12.4 to §12.7).

A handler opens the file and hands a job to the corridor; what the client would lose is never touched before
the job has received everything.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lockgate.protocol.ascii import FromNetwork, ToNetwork
from lockgate.protocol.paths import join, shown, split
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.jobs import Job
from lockgate.server.session import Direction
from lockgate.storage.base import OffsetBeyondEnd, WriteMode
from lockgate.transfer import pump
from lockgate.transfer.deflate import Inflater
from lockgate.transfer.outcome import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session
    from lockgate.storage.base import ReadHandle, Storage, WriteHandle
    from lockgate.transfer.streams import DataStream

__all__ = ["abor", "appe", "retr", "stor", "stou"]

_C = ReplyCode
# draft-bryan-ftp-range §4.3 would have STOR write into the middle of a visible file. Here a file changes as a
# whole, when all of it has come.
_RANGE_REFUSED = Reply.of(_C.PARAMETER_NOT_IMPLEMENTED, "RANG is for RETR and HASH only.")
# After these the client may want to go on where it stopped; after the others what came is not worth keeping.
_RESUMABLE = frozenset(
    (OutcomeStatus.TRUNCATED, OutcomeStatus.RESET, OutcomeStatus.STALLED, OutcomeStatus.ABORTED)
)


async def retr(session: Session, command: Command) -> Reply:
    """Send a file, from REST's offset on."""
    path = session.path(command)
    storage, state = session.storage, session.control.core.state
    offset, last = state.restart_offset, state.range_end
    is_ascii, compress = session.is_ascii, session.deflater()
    if last is None:
        reader = await session.in_worker(lambda: _open_reader(storage, path, 0 if is_ascii else offset))
    else:
        reader = await session.in_worker(lambda: _open_range(storage, path, offset))
    limit = None if last is None else last - offset + 1
    throttle = session.throttle(Direction.OUT)

    def move(stream: DataStream, count: Callable[[int], None]) -> Outcome:
        convert = _SkippingToNetwork(offset) if is_ascii else None
        outcome = pump.send(
            reader,
            stream,
            limit=limit,
            progress=count,
            convert=convert,
            compress=compress,
            throttle=throttle,
        )
        if convert is not None and convert.left and outcome.is_complete:
            # Only now is it known how long the file is on the wire.
            error = OffsetBeyondEnd(f"the offset lies {convert.left} bytes behind the end")
            return dataclasses.replace(outcome, status=OutcomeStatus.STORAGE_FAILED, error=error)
        return outcome

    def settle(outcome: Outcome) -> None:
        reader.close()

    left = max(reader.size - offset, 0)
    size = "" if is_ascii else f" ({left if limit is None else min(left, limit)} bytes)"
    session.job = Job(
        session,
        command,
        path=path,
        direction=Direction.OUT,
        move=move,
        settle=settle,
        throttle=throttle,
    )
    return Reply.of(_C.OPENING_DATA, f"Sending {shown(split(path)[1])}{size}.")


async def stor(session: Session, command: Command) -> Reply:
    """Receive a file; it shows under its name when all of it has come."""
    if session.control.core.state.range_end is not None:
        return _RANGE_REFUSED
    offset = session.control.core.state.restart_offset
    if offset and session.is_ascii:
        return Reply.of(_C.PARAMETER_NOT_IMPLEMENTED, "REST with STOR needs TYPE I.")
    path, storage = session.path(command), session.storage
    mode = WriteMode.RESUME if offset else WriteMode.REPLACE
    handle = await session.in_worker(lambda: storage.open_write(path, mode, offset=offset))
    return _receive(session, command, path=path, handle=handle)


async def appe(session: Session, command: Command) -> Reply:
    """Receive more of a file; what is there stays untouched until all has come."""
    if session.control.core.state.range_end is not None:
        return _RANGE_REFUSED
    path, storage = session.path(command), session.storage
    handle = await session.in_worker(lambda: storage.open_write(path, WriteMode.APPEND))
    return _receive(session, command, path=path, handle=handle)


async def stou(session: Session, command: Command) -> Reply:
    """Receive a file under a new name, which the 150 says (RFC 1123 §4.1.2.9)."""
    if session.control.core.state.range_end is not None:
        return _RANGE_REFUSED
    storage = session.storage
    if command.text:
        directory, prefix = split(session.path(command))
    else:
        directory, prefix = session.parameters.cwd, ""
    name, handle = await session.in_worker(lambda: storage.create_unique(directory, prefix))
    reply = _receive(session, command, path=join(directory, name), handle=handle)
    return Reply.of(reply.code, f"FILE: {shown(name)}")


async def abor(session: Session, command: Command) -> Reply:
    """End the running transfer: its 426 goes out first, then this 226 (RFC 959 §4.1.3)."""
    job = session.job
    if job is not None:
        job.abort()
        await job.finished.wait()
        return Reply.of(_C.TRANSFER_COMPLETE, "The transfer was ended.")
    session.drop_endpoint()
    return Reply.of(_C.TRANSFER_COMPLETE, "No transfer was running.")


def _open_reader(storage: Storage, path: str, offset: int) -> ReadHandle:
    reader = storage.open_read(path)
    try:
        if offset:
            reader.seek(offset)
    except BaseException:
        reader.close()
        raise
    return reader


def _open_range(storage: Storage, path: str, first: int) -> ReadHandle:
    """Open a file at the first byte of a range, or at its end: then nothing is sent."""
    reader = storage.open_read(path)
    try:
        # draft-bryan-ftp-range §4.3: a range behind the end is no error, it has no bytes.
        reader.seek(min(first, reader.size))
    except BaseException:
        reader.close()
        raise
    return reader


def _receive(session: Session, command: Command, *, path: str, handle: WriteHandle) -> Reply:
    require_close_notify = session.policy.require_close_notify
    turnstile = session.server.turnstile
    is_ascii = session.is_ascii
    ratio_limit = session.server.config.features.compression_ratio_limit
    expand = Inflater(ratio_limit) if session.parameters.is_compressed else None
    throttle = session.throttle(Direction.IN)

    def move(stream: DataStream, count: Callable[[int], None]) -> Outcome:
        return pump.receive(
            stream,
            handle,
            progress=count,
            convert=FromNetwork() if is_ascii else None,
            expand=expand,
            require_close_notify=require_close_notify,
            throttle=throttle,
            turnstile=turnstile,
        )

    def settle(outcome: Outcome) -> None:
        try:
            if outcome.is_complete:
                handle.commit()
            else:
                # In ASCII the bytes kept are not those that the client counts.
                keep = outcome.status in _RESUMABLE and outcome.bytes_moved > 0 and not is_ascii
                handle.discard(keep=keep)
        finally:
            handle.close()

    session.job = Job(
        session,
        command,
        path=path,
        direction=Direction.IN,
        move=move,
        settle=settle,
        interrupt=handle.cancel,
        stored_path=lambda: join(split(path)[0], handle.stored_name),
        throttle=throttle,
    )
    return Reply.of(_C.OPENING_DATA, f"Receiving {shown(split(path)[1])}.")


class _SkippingToNetwork:
    """TYPE A with a REST offset, which counts octets as they pass on the wire (RFC 3659 §5.3)."""

    __slots__ = ("_convert", "left")

    def __init__(self, skip: int) -> None:
        self._convert = ToNetwork()
        self.left = skip

    def feed(self, data: bytes) -> bytes:
        return self._cut(self._convert.feed(data))

    def finish(self) -> bytes:
        return self._cut(self._convert.finish())

    def _cut(self, converted: bytes) -> bytes:
        if not self.left:
            return converted
        cut = min(self.left, len(converted))
        self.left -= cut
        return converted[cut:]
