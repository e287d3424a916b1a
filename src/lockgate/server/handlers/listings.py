"""LIST, NLST, MLSD on the data connection; MLST and STAT on the control connection (RFC 959, RFC 3659 §7)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from lockgate.accounts.base import Permission
from lockgate.errors import NotADirectory, NotFound
from lockgate.protocol.commands import encode
from lockgate.protocol.facts import Facts, format_mlsx_line
from lockgate.protocol.listing import EntryKindName, format_unix_line
from lockgate.protocol.paths import is_plain_name, listing_paths, shown
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.jobs import Job
from lockgate.server.session import Direction
from lockgate.storage.base import EntryKind
from lockgate.transfer import pump

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session
    from lockgate.storage.base import Entry, EntryScan, Storage
    from lockgate.transfer.outcome import Outcome
    from lockgate.transfer.streams import DataStream

__all__ = ["list_", "mlsd", "mlst", "nlst", "stat"]

_C = ReplyCode
# STAT answers on the control connection, where a listing without end would block everything else.
_MAX_STAT_LINES = 1000
_KINDS: dict[EntryKind, EntryKindName] = {
    EntryKind.FILE: "file",
    EntryKind.DIRECTORY: "dir",
    EntryKind.LINK: "link",
    EntryKind.OTHER: "other",
}
_FACT_TYPES = {EntryKind.FILE: "file", EntryKind.DIRECTORY: "dir", EntryKind.OTHER: "OS.unix=other"}

_Line = Callable[["Entry"], "str | None"]


async def list_(session: Session, command: Command) -> Reply:
    """Send a listing for people; options of `ls` in front are passed over."""
    now = time.time()
    return await _listing(session, command, lambda entry: _unix_line(entry, now))


async def nlst(session: Session, command: Command) -> Reply:
    """Send bare names (RFC 1123 §4.1.2.7)."""
    # A name that no line can carry is left out: a program would ask for a file that does not exist.
    return await _listing(session, command, lambda entry: entry.name if is_plain_name(entry.name) else None)


async def mlsd(session: Session, command: Command) -> Reply:
    """Send facts for programs; of a directory only (RFC 3659 §7)."""
    path = session.path(command)
    storage = session.storage
    try:
        scan = await session.in_worker(lambda: storage.scan(path))
    except NotADirectory:
        # RFC 3659 §7.2.1: 501 for what is no directory; NotFound stays 550.
        return Reply.of(_C.BAD_ARGUMENT, "MLSD lists directories; use MLST.")
    active = session.parameters.mlst_facts
    permissions = session.account.permissions

    def line(entry: Entry) -> str | None:
        if not is_plain_name(entry.name):
            return None
        return format_mlsx_line(_facts(entry, permissions).to_mapping(), active, name=entry.name)

    return _send(session, command, path=path, entries=scan, line=line, close=scan.close)


async def mlst(session: Session, command: Command) -> Reply:
    """Say the facts of one name."""
    path = session.path(command)
    storage = session.storage
    entry = await session.in_worker(lambda: storage.stat(path))
    facts = _facts(entry, session.account.permissions).to_mapping()
    line = format_mlsx_line(facts, session.parameters.mlst_facts, name=path)
    return Reply.of(_C.FILE_OK, f"Facts of {shown(path)}:", f" {line}", "End")


async def stat(session: Session, command: Command) -> Reply:
    """Say how the session or its transfer stands; with a path, list it here (RFC 959 §4.1.3)."""
    if not command.text:
        return Reply.of(_C.SYSTEM_STATUS, "Lockgate status:", *_status_lines(session), "End")
    if not session.account.may(Permission.LIST):
        return Reply.of(_C.FILE_UNAVAILABLE, "Permission denied.")
    now = time.time()
    storage, cwd, argument = session.storage, session.parameters.cwd, command.text
    code, lines = await session.in_worker(lambda: _stat_lines(storage, cwd, argument, now=now))
    return Reply.of(code, "Status:", *(f" {shown(line)}" for line in lines), "End")


def _status_lines(session: Session) -> list[str]:
    state = session.control.core.state
    job, parameters = session.job, session.parameters
    mode = "Z" if parameters.is_compressed else "S"
    lines = [
        f" User {shown(session.account.name)}",
        f" Control connection {'in TLS' if state.is_protected else 'in clear'}",
        f" Data connections {'Private' if state.data.is_private else 'Clear'}",
        f" Type {parameters.representation.value}, structure F, mode {mode}",
    ]
    if job is not None:
        way = "sent" if job.direction is Direction.OUT else "received"
        lines.append(f" {job.command.word} is running: {job.moved_bytes} bytes {way}")
    else:
        lines.append(" No transfer is running")
    return lines


def _stat_lines(storage: Storage, cwd: str, argument: str, *, now: float) -> tuple[int, list[str]]:
    """List a path for STAT; blocks."""
    _, entries, close = _open_listing(storage, cwd, argument)
    lines: list[str] = []
    try:
        for entry in entries:
            if len(lines) == _MAX_STAT_LINES:
                lines.append("(more: use LIST)")
                break
            lines.append(_unix_line(entry, now))
    finally:
        close()
    is_directory = not isinstance(entries, tuple)
    return (_C.DIRECTORY_STATUS if is_directory else _C.FILE_STATUS), lines


async def _listing(session: Session, command: Command, line: _Line) -> Reply:
    storage, cwd, argument = session.storage, session.parameters.cwd, command.text
    path, entries, close = await session.in_worker(lambda: _open_listing(storage, cwd, argument))
    return _send(session, command, path=path, entries=entries, line=line, close=close)


def _open_listing(
    storage: Storage, cwd: str, argument: str
) -> tuple[str, Iterable[Entry], Callable[[], None]]:
    """Return path, entries and what closes them: of a directory, or of one file. Blocks.

    A file of the name as it stands is preferred to the meaning without `ls` options. The gates have judged
    both.
    """
    literal, *others = listing_paths(cwd, argument)
    try:
        return (literal, *_entries(storage, literal))
    except NotFound:
        if not others:
            raise
    return (others[0], *_entries(storage, others[0]))


def _entries(storage: Storage, path: str) -> tuple[Iterable[Entry], Callable[[], None]]:
    try:
        scan: EntryScan = storage.scan(path)
    except NotADirectory:
        return (storage.stat(path),), _nothing
    return scan, scan.close


def _nothing() -> None:
    """Close what needs no closing."""


def _send(
    session: Session,
    command: Command,
    *,
    path: str,
    entries: Iterable[Entry],
    line: _Line,
    close: Callable[[], None],
) -> Reply:
    compress = session.deflater()
    throttle = session.throttle(Direction.OUT)

    def chunks() -> Iterator[bytes]:
        for entry in entries:
            text = line(entry)
            if text is not None:
                yield encode(f"{text}\r\n")

    def move(stream: DataStream, count: Callable[[int], None]) -> Outcome:
        return pump.send_chunks(chunks(), stream, progress=count, compress=compress, throttle=throttle)

    def settle(outcome: Outcome) -> None:
        close()

    session.job = Job(
        session,
        command,
        path=path,
        direction=Direction.OUT,
        move=move,
        settle=settle,
        throttle=throttle,
    )
    return Reply.of(_C.OPENING_DATA, f"Listing {shown(path)}.")


def _unix_line(entry: Entry, now: float) -> str:
    return format_unix_line(
        name=entry.name,
        kind=_KINDS[entry.kind],
        size=entry.size,
        modified=entry.modified,
        mode=entry.mode,
        now=now,
        owner=entry.owner,
        group=entry.group,
        target=entry.link_target,
    )


def _facts(entry: Entry, permissions: Permission) -> Facts:
    is_directory = entry.kind is EntryKind.DIRECTORY
    kind = (
        f"OS.unix=slink:{entry.link_target or ''}"
        if entry.kind is EntryKind.LINK
        else _FACT_TYPES[entry.kind]
    )
    return Facts(
        type=kind,
        size=None if is_directory else entry.size,
        modify=entry.modified,
        perm=_perm(permissions, is_directory=is_directory),
        unique=entry.unique,
        unix_mode=entry.mode,
        unix_owner=entry.owner,
        unix_group=entry.group,
    )


# RFC 3659 §7.5.5: letter, the permission that grants it.
_FILE_PERM = (
    ("a", Permission.WRITE),
    ("d", Permission.DELETE),
    ("f", Permission.RENAME),
    ("r", Permission.READ),
    ("w", Permission.WRITE),
)
_DIRECTORY_PERM = (
    ("c", Permission.WRITE),
    ("d", Permission.DELETE),
    ("e", Permission.nothing()),
    ("f", Permission.RENAME),
    ("l", Permission.LIST),
    ("m", Permission.MKDIR),
    ("p", Permission.DELETE),
)


def _perm(permissions: Permission, *, is_directory: bool) -> str:
    rows = _DIRECTORY_PERM if is_directory else _FILE_PERM
    return "".join(letter for letter, needed in rows if needed in permissions)
