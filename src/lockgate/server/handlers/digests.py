"""HASH: a checksum of a file as it is stored (draft-bryan-ftpext-hash).

Reading and hashing a large file takes long, so it is done by threads of its own, in turns: neither the
helpers, which answer everybody's short commands, nor the transfers wait for it. ABOR, the end of the session
and a time limit end it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lockgate.errors import IsADirectory, TransferAborted, TransferTimeout
from lockgate.protocol.paths import shown
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record
from lockgate.transfer.digests import FileDigest
from lockgate.transfer.stop import Stop

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session

__all__ = ["hash_"]

_C = ReplyCode


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

    work = FileDigest(
        lambda: storage.open_read(path), algorithm, first=first, last=last, stop=stop, deadline=deadline
    )
    session.long_work = stop
    try:
        found = await session.server.digesters.run(session, work)
    except IsADirectory:
        return Reply.of(_C.NAME_NOT_ALLOWED, "A directory has no hash.")
    except TransferAborted:
        return _ABORTED
    except TransferTimeout:
        return Reply.of(_C.LOCAL_ERROR, "Hashing took too long; try a part of the file, with RANG.")
    finally:
        session.long_work = None
    record(
        "file", peer=session.control.peer_address, user=session.user_name, verb=command.word, path=path
    )  # fmt: skip
    text = f"{algorithm} {found.first}-{found.last} {found.value} {shown(command.text)}"
    return Reply.of(_C.FILE_STATUS, text)


_ABORTED = Reply.of(_C.TRANSFER_CUT, "Hashing was aborted.")
