"""What a listing says of one name, the same whichever command it came from.

Must not trust a name: one that is more than a plain name stops the listing (RSEC-C-path).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lockgate.errors import NameRejected, RemoteProtocolError, shorten
from lockgate.protocol.commands import decode
from lockgate.protocol.facts import Facts, parse_mlsx_line
from lockgate.protocol.listing import EntryKindName, ListEntry, parse_list
from lockgate.protocol.paths import is_plain_name

__all__ = ["RemoteEntry", "entries_from_list", "entries_from_mlsd", "entry_from_facts", "joined"]


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """One name on the server; None is what the server does not say.

    Attributes:
        name: The plain name.
        path: The name behind the path that was listed.
        kind: "file", "dir", "link" or "other".
        size: Length in bytes, of files.
        modified: Time of the last change, seconds since 1970 UTC.
        is_modified_exact: False for LIST, which knows no zone and often no seconds.
        mode: Permission bits.
        target: Where a link points to, if the server says so.
        unique: The same for two names of one file.
    """

    name: str
    path: str
    kind: EntryKindName
    size: int | None = None
    modified: float | None = None
    is_modified_exact: bool = True
    mode: int | None = None
    target: str | None = None
    unique: str = ""

    @property
    def is_dir(self) -> bool:
        """True for a directory; False for a link to one."""
        return self.kind == "dir"

    @property
    def is_file(self) -> bool:
        """True for a plain file."""
        return self.kind == "file"


def joined(directory: str, name: str) -> str:
    """Return the path of a name in a directory; relative to the working directory where that one is."""
    if not directory:
        return name
    return f"{directory}{name}" if directory.endswith("/") else f"{directory}/{name}"


def entries_from_mlsd(data: bytes, directory: str) -> list[RemoteEntry]:
    """Read an MLSD listing (RFC 3659 §7); the directory itself and its parent are left out.

    Raises:
        RemoteProtocolError: A line is none of MLSD.
        NameRejected: A name is more than a plain name.
    """
    entries: list[RemoteEntry] = []
    for line in _lines(data):
        facts, name = parse_mlsx_line(line)
        if facts.get("type", "").lower() in ("cdir", "pdir") or name in (".", ".."):
            continue
        entries.append(entry_from_facts(Facts.from_mapping(facts), _checked(name), joined(directory, name)))
    return entries


def entry_from_facts(facts: Facts, name: str, path: str) -> RemoteEntry:
    """Return the entry that MLSx facts describe."""
    kind = facts.kind
    return RemoteEntry(
        name=name,
        path=path,
        kind="file" if kind == "file" else "dir" if kind == "dir" else "link" if kind == "link" else "other",
        size=facts.size,
        modified=facts.modify,
        mode=facts.unix_mode,
        target=facts.link_target,
        unique=facts.unique,
    )


def entries_from_list(data: bytes, directory: str, *, now: float) -> list[RemoteEntry]:
    """Read a LIST listing in one of its dialects.

    Raises:
        NameRejected: A name is more than a plain name.
        RemoteProtocolError: There are lines, and none of them can be read.
    """
    lines = [line for line in _lines(data) if line.strip() and not line.startswith("total ")]
    found = parse_list(lines, now=now)
    if lines and not found and not all(line.endswith((" .", " ..")) for line in lines):
        raise RemoteProtocolError(f"LIST speaks a dialect that is not known: '{shorten(lines[0])}'")
    return [_from_list(entry, directory) for entry in found]


def _from_list(entry: ListEntry, directory: str) -> RemoteEntry:
    return RemoteEntry(
        name=_checked(entry.name),
        path=joined(directory, entry.name),
        kind=entry.kind,
        size=entry.size,
        modified=entry.modified,
        is_modified_exact=False,
        mode=entry.mode,
        target=entry.target,
    )


def _checked(name: str) -> str:
    if not is_plain_name(name):
        raise NameRejected(
            f"the server lists '{shorten(name)}', which is no plain name: it might lead out of the folder"
        )
    return name


def _lines(data: bytes) -> Iterable[str]:
    for line in data.split(b"\n"):
        if text := decode(line.removesuffix(b"\r")):
            yield text
