"""Facts of files beside their content: MFMT, MFF, AVBL, SITE (draft-somers-ftp-mfxx, practice).

A command that changes two facts changes both or none.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from lockgate.accounts.base import Permission
from lockgate.errors import PermissionDenied, RemoteProtocolError, StorageError
from lockgate.protocol.extensions import ChangedFacts, UnknownOption, parse_mff, parse_utime
from lockgate.protocol.facts import format_time, parse_time
from lockgate.protocol.paths import resolve, shown
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session
    from lockgate.storage.base import Storage

__all__ = ["avbl", "mff", "mfmt", "site"]

_C = ReplyCode
_MODE = re.compile(r"[0-7]{3,4}", re.ASCII)
# File systems keep times more or less finely, FAT to two seconds.
_COARSEST_SECONDS = 2.0


class TimeNotKept(RemoteProtocolError):
    """The file system has no such time, which makes it a bad argument; nothing was changed."""


async def mfmt(session: Session, command: Command) -> Reply:
    """Set when a file changed last."""
    when, _, name = command.text.partition(" ")
    timestamp = parse_time(when)
    if not name:
        return Reply.of(_C.BAD_ARGUMENT, "MFMT takes a time and a path.")
    path = await _change(session, command, name, ChangedFacts(modify=timestamp))
    return Reply.of(_C.FILE_STATUS, f"Modify={format_time(timestamp)}; {shown(path)}")


async def mff(session: Session, command: Command) -> Reply:
    """Set the time of the last change, the permission bits, or both."""
    try:
        facts, name = parse_mff(command.text)
    except UnknownOption:
        return Reply.of(
            _C.PARAMETER_NOT_IMPLEMENTED, "MFF changes modify and UNIX.mode; nothing was changed."
        )
    path = await _change(session, command, name, facts)
    return Reply.of(_C.FILE_STATUS, f"{facts} {shown(path)}")


async def avbl(session: Session, command: Command) -> Reply:
    """Say how many bytes the account may still store in a directory."""
    path, storage = session.path(command), session.storage
    if session.is_blind and path != session.parameters.cwd:
        raise PermissionDenied(path)  # whether it is there is not told
    free = await session.in_worker(lambda: storage.free_bytes(path))
    if free is None:
        return Reply.of(_C.FILE_UNAVAILABLE, "The free space is not known.")
    return Reply.of(_C.FILE_STATUS, str(free))


async def site(session: Session, command: Command) -> Reply:
    """SITE HELP, CHMOD and UTIME."""
    word, _, rest = command.text.lstrip(" ").partition(" ")
    match word.upper():
        case "HELP":
            return Reply.of(_C.HELP, "SITE commands:", *_SITE_HELP, "End")
        case "CHMOD":
            return await _chmod(session, command, rest.lstrip(" "))
        case "UTIME":
            return await _utime(session, command, rest)
        case "SYMLINK":
            return Reply.of(_C.PARAMETER_NOT_IMPLEMENTED, "Links are not made here.")
        case _:
            return Reply.of(_C.PARAMETER_NOT_IMPLEMENTED, "SITE HELP lists what is implemented.")


_SITE_HELP = (
    " HELP",
    " CHMOD <mode> <path>",
    " UTIME <YYYYMMDDhhmm[ss]> <path>",
    " UTIME <path> <access time> <change time> <creation time> UTC",
)


async def _chmod(session: Session, command: Command, rest: str) -> Reply:
    mode, _, name = rest.partition(" ")
    if not _MODE.fullmatch(mode) or not name:
        return Reply.of(_C.BAD_ARGUMENT, "SITE CHMOD takes an octal mode and a path.")
    await _change(session, command, name, ChangedFacts(unix_mode=int(mode, 8)))
    return Reply.of(_C.OK, "The mode was set.")


async def _utime(session: Session, command: Command, rest: str) -> Reply:
    try:
        timestamp, name = parse_utime(rest)
    except RemoteProtocolError:
        return Reply.of(_C.BAD_ARGUMENT, "SITE UTIME takes a time and a path; see SITE HELP.")
    await _change(session, command, name, ChangedFacts(modify=timestamp))
    return Reply.of(_C.OK, "The time was set.")


async def _change(session: Session, command: Command, name: str, facts: ChangedFacts) -> str:
    """Change all of the facts or none, note it in the log, and return the path.

    Raises:
        StorageError: Nothing was changed.
        TimeNotKept: Nothing was changed.
    """
    if not session.account.may(Permission.WRITE):
        raise PermissionDenied(f'the account lacks the permission "{Permission.WRITE}"')
    if session.is_blind:
        raise PermissionDenied("the account may neither read nor list, so it changes nothing that is there")
    path, storage = resolve(session.parameters.cwd, name), session.storage
    await session.in_worker(lambda: _apply(storage, path, facts))
    record(
        "file",
        peer=session.control.peer_address,
        user=session.user_name,
        verb=command.word,
        path=path,
        mode=None if facts.unix_mode is None else f"{facts.unix_mode:03o}",
    )
    return path


def _apply(storage: Storage, path: str, facts: ChangedFacts) -> None:
    """Change the mode, which a storage judges before it changes anything, then the time, or undo. Blocks."""
    before = storage.stat(path)
    if facts.unix_mode is not None:
        storage.set_mode(path, facts.unix_mode)
    if facts.modify is None:
        return
    try:
        _set_modified(storage, path, facts.modify, before=before.modified)
    except (StorageError, TimeNotKept):
        if facts.unix_mode is not None:
            with contextlib.suppress(StorageError):
                storage.set_mode(path, before.mode)
        raise


def _set_modified(storage: Storage, path: str, timestamp: float, *, before: float) -> None:
    storage.set_modified(path, timestamp)
    # A file system that cannot keep a time takes the nearest that it can, without a word.
    if abs(storage.stat(path).modified - timestamp) > _COARSEST_SECONDS:
        storage.set_modified(path, before)
        raise TimeNotKept("the file system cannot keep this time; send another")
