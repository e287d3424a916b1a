"""HASH: a checksum of a file as it is stored (draft-bryan-ftpext-hash).

Reading and hashing a large file takes long, so it is done by threads of its own, a few at a time: neither
the helpers, which answer everybody's short commands, nor the transfers wait for it. ABOR, the end of the
session and a time limit end it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from lockgate.errors import IsADirectory, TransferAborted, TransferTimeout
from lockgate.protocol.paths import shown
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record
from lockgate.transfer.digests import Digest, digest
from lockgate.transfer.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session
    from lockgate.storage.base import Storage

__all__ = ["hash_"]

_C = ReplyCode
# How often a client is looked for whose bytes nobody reads just now: too many commands of it wait.
_LOOK_SECONDS = 1.0


async def hash_(session: Session, command: Command) -> Reply:
    """Say the checksum of a file, or of RANG's part of it; TYPE and MODE do not matter."""
    algorithm = session.hash_algorithm
    if algorithm is None:
        return Reply.of(_C.NOT_IMPLEMENTED, "HASH is off here.")
    if session.control.core.is_abort_waiting:
        return _ABORTED
    path, storage = session.path(command), session.storage
    state, stop = session.control.core.state, Stop()
    last = state.range_end
    first = 0 if last is None else state.restart_offset
    deadline = time.monotonic() + session.server.config.features.hash_seconds

    def work() -> Digest:
        return _digest(storage, path, algorithm, first=first, last=last, stop=stop, deadline=deadline)

    try:
        found = await _await(session, work, stop=stop, deadline=deadline)
    except IsADirectory:
        return Reply.of(_C.NAME_NOT_ALLOWED, "A directory has no hash.")
    except TransferAborted:
        return _ABORTED
    except (TransferTimeout, TimeoutError):
        return Reply.of(_C.LOCAL_ERROR, "Hashing took too long; try a part of the file, with RANG.")
    record(
        "file", peer=session.control.peer_address, user=session.user_name, verb=command.word, path=path
    )  # fmt: skip
    text = f"{algorithm} {found.first}-{found.last} {found.value} {shown(command.text)}"
    return Reply.of(_C.FILE_STATUS, text)


_ABORTED = Reply.of(_C.TRANSFER_CUT, "Hashing was aborted.")


async def _await(session: Session, work: Callable[[], Digest], *, stop: Stop, deadline: float) -> Digest:
    """Have the work done; raises TimeoutError rather than wait for a thread that hangs in a file system."""
    result = asyncio.wrap_future(session.server.digesters.submit(work))
    session.long_work = stop
    try:
        while not result.done():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            await asyncio.wait((result,), timeout=min(left, _LOOK_SECONDS))
            if session.control.has_lost_peer:
                raise TransferAborted("the client has left")
        return result.result()
    finally:
        session.long_work = None
        stop.interrupt()
        # Takes work back that still waits for a thread.
        result.cancel()


def _digest(
    storage: Storage, path: str, algorithm: str, *, first: int, last: int | None, stop: Stop, deadline: float
) -> Digest:
    reader = storage.open_read(path)
    try:
        return digest(reader, algorithm, first=first, last=last, stop=stop, deadline=deadline)
    finally:
        reader.close()
