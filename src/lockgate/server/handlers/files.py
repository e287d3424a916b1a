"""CWD, CDUP, PWD, MKD, RMD, DELE, RNFR, RNTO, SIZE, MDTM (RFC 959 §4.1, RFC 3659)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockgate.accounts.base import Permission
from lockgate.errors import IsADirectory, NotADirectory, NotFound, PermissionDenied
from lockgate.protocol.facts import format_time
from lockgate.protocol.paths import quote_257, resolve, shown
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record
from lockgate.storage.base import EntryKind

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session
    from lockgate.storage.base import Storage

__all__ = ["cdup", "cwd", "dele", "mdtm", "mkd", "pwd", "rmd", "rnfr", "rnto", "size"]

_C = ReplyCode


async def cwd(session: Session, command: Command) -> Reply:
    """Change the working directory."""
    return await _change_directory(session, session.path(command))


async def cdup(session: Session, command: Command) -> Reply:
    """Change to the parent; "/" is its own."""
    return await _change_directory(session, resolve(session.parameters.cwd, ".."))


async def _change_directory(session: Session, path: str) -> Reply:
    storage = session.storage
    entry = await session.in_worker(lambda: storage.stat(path))
    if entry.kind is not EntryKind.DIRECTORY:
        raise NotADirectory(path)
    session.parameters.cwd = path
    return Reply.of(_C.FILE_OK, f"Now in {shown(path)}.")


async def pwd(session: Session, command: Command) -> Reply:
    """Say the working directory, quoted (RFC 959 Appendix II)."""
    return Reply.of(_C.PATHNAME, f"{quote_257(session.parameters.cwd)} is the working directory.")


async def mkd(session: Session, command: Command) -> Reply:
    """Make a directory."""
    path, storage = session.path(command), session.storage
    await session.in_worker(lambda: storage.make_directory(path))
    _record(session, command, path)
    return Reply.of(_C.PATHNAME, f"{quote_257(path)} was made.")


async def rmd(session: Session, command: Command) -> Reply:
    """Remove an empty directory."""
    path, storage = session.path(command), session.storage
    if path == "/":
        return Reply.of(_C.FILE_UNAVAILABLE, "The root cannot be removed.")
    await session.in_worker(lambda: storage.remove_directory(path))
    _record(session, command, path)
    return Reply.of(_C.FILE_OK, "The directory was removed.")


async def dele(session: Session, command: Command) -> Reply:
    """Remove a file."""
    path, storage = session.path(command), session.storage
    await session.in_worker(lambda: storage.remove(path))
    _record(session, command, path)
    return Reply.of(_C.FILE_OK, "The file was removed.")


async def rnfr(session: Session, command: Command) -> Reply:
    """Name what RNTO will rename; the state keeps the argument."""
    path, storage = session.path(command), session.storage
    if path == "/":
        return Reply.of(_C.FILE_UNAVAILABLE, "The root cannot be renamed.")
    await session.in_worker(lambda: storage.stat(path))
    return Reply.of(_C.PENDING, "RNTO comes next.")


async def rnto(session: Session, command: Command) -> Reply:
    """Rename."""
    rename_from = session.control.core.state.rename_from
    assert rename_from is not None
    source = resolve(session.parameters.cwd, rename_from)
    target, storage = session.path(command), session.storage
    account = session.account
    # A drop box puts files beside those that are there.
    may_replace = account.may(Permission.DELETE) or (account.may(Permission.WRITE) and not account.is_blind)

    def rename() -> None:
        if not may_replace and source != target and _exists(storage, target):
            # Renaming over a file destroys it: that takes more than the permission to rename.
            lacking = f'the account lacks the permission "{Permission.DELETE}"'
            raise PermissionDenied(f"the name is taken, and {lacking}")
        storage.rename(source, target)

    await session.in_worker(rename)
    _record(session, command, target, source=source)
    return Reply.of(_C.FILE_OK, "Renamed.")


def _exists(storage: Storage, path: str) -> bool:
    try:
        storage.stat(path)
    except NotFound:
        return False
    return True


async def size(session: Session, command: Command) -> Reply:
    """Say how many bytes RETR would send; of an interrupted upload, how many are there (RFC 3659 §4)."""
    if session.is_ascii:
        # The whole file would have to be read to tell (RFC 3659 §4).
        return Reply.of(_C.FILE_UNAVAILABLE, "SIZE needs TYPE I.")
    path, storage = session.path(command), session.storage

    def look() -> int:
        try:
            # Who may neither read nor list sees the part of his own interrupted upload and nothing else.
            entry = None if session.is_blind else storage.stat(path)
        except NotFound:
            entry = None
        if entry is None:
            partial = storage.resumable_size(path)
            if partial is None:
                raise NotFound(path)
            return partial
        if entry.kind is EntryKind.DIRECTORY:
            raise IsADirectory(path)
        return entry.size

    return Reply.of(_C.FILE_STATUS, str(await session.in_worker(look)))


async def mdtm(session: Session, command: Command) -> Reply:
    """Say when a file changed last, in UTC (RFC 3659 §3)."""
    path, storage = session.path(command), session.storage
    if session.is_blind:
        raise PermissionDenied(path)
    entry = await session.in_worker(lambda: storage.stat(path))
    return Reply.of(_C.FILE_STATUS, format_time(entry.modified))


def _record(session: Session, command: Command, path: str, **more: object) -> None:
    record(
        "file",
        peer=session.control.peer_address,
        user=session.user_name,
        verb=command.word,
        path=path,
        **more,
    )
