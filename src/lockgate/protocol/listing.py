"""LIST: reading the lines that servers print, and writing our own (RFC 959 §4.1.3 leaves the form open).

Reads what `ls -l` prints (with its many variants) and what DOS and IIS print. Whatever cannot be read is
passed over: a listing is a best effort, MLSD is the real thing. Every pattern is bounded, so that no line of
a hostile server takes long. Must not look at a clock: the present is an argument. Times without a zone are
taken as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from .facts import moment
from .paths import listed

__all__ = ["EntryKindName", "ListEntry", "format_unix_line", "parse_list"]

EntryKindName = Literal["file", "dir", "link", "other"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_MAX_LINE_CHARACTERS = 32768  # longer than any path; what is longer is no listing
_DAY = timedelta(days=1)
_HALF_YEAR = timedelta(days=182)  # ls switches from time to year there

_UNIX = re.compile(
    r"""
    (?P<kind>[-a-zA-Z?])(?P<permissions>[-rwxsStTlL]{9})[+.@]?[ \t]{1,40}
    (?:.{0,255}?[ \t])?                                   # links, owner, group: some, in any form
    (?:(?P<size>[0-9]{1,19})|[0-9]{1,10},[ ]{0,10}[0-9]{1,10})[ \t]{1,40}   # or a device's numbers
    (?:
        (?:(?P<month>MONTHS)[ \t]{1,4}(?P<day>[0-9]{1,2})|(?P<day2>[0-9]{1,2})[ \t]{1,4}(?P<month2>MONTHS))
        [ \t]{1,4}(?:(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})|(?P<year>[0-9]{4}))
      |
        (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[ ](?P<time>[0-9]{2}:[0-9]{2})
        (?::(?P<second>[0-9]{2})(?:\.[0-9]{1,9})?)?
        (?:[ ](?P<sign>[-+])(?P<zone>[0-9]{4}))?
    )
    [ ](?P<name>.+)
    """.replace("MONTHS", "|".join(_MONTHS)),
    re.VERBOSE | re.IGNORECASE | re.DOTALL | re.ASCII,
)
_DOS = re.compile(
    r"""
    (?P<month>[0-9]{2})[-/](?P<day>[0-9]{2})[-/](?P<year>[0-9]{4}|[0-9]{2})[ \t]{1,40}
    (?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})[ ]?(?P<half>[AP]M)?[ \t]{1,40}
    (?:
        (?P<size>[0-9][0-9,.]{0,25})[ ]
      |
        <(?P<mark>DIR|JUNCTION|SYMLINKD?)>(?:[ ]{10}|[ \t]{1,40})   # ten spaces: the name's column
    )
    (?P<name>.+)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL | re.ASCII,
)
_BITS = (0o400, 0o200, 0o100, 0o040, 0o020, 0o010, 0o004, 0o002, 0o001)
_SPECIAL = {2: 0o4000, 5: 0o2000, 8: 0o1000}
_KINDS: dict[str, EntryKindName] = {"-": "file", "d": "dir", "l": "link"}
_LETTERS: dict[EntryKindName, str] = {"file": "-", "dir": "d", "link": "l", "other": "?"}
_NOT_IN_COLUMN = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class ListEntry:
    """What a LIST line says of one name; None is what it does not say.

    Attributes:
        name: The name as the server printed it: not to be trusted, it may hold "/" or control characters.
        kind: What the name stands for.
        size: Length in bytes, of files only.
        modified: Time of the last change, seconds since 1970, as if the server lived in UTC.
        target: Where a link points to.
        mode: Permission bits with set-uid, set-gid and sticky, from Unix listings.
    """

    name: str
    kind: EntryKindName
    size: int | None = None
    modified: float | None = None
    target: str | None = None
    mode: int | None = None


def parse_list(lines: Iterable[str], *, now: float) -> list[ListEntry]:
    """Read the lines of a LIST listing; never raises on what a server prints.

    Args:
        lines: Lines with or without their ends, Unix and DOS mixed as may be.
        now: The present, seconds since 1970 UTC; dates without a year are the last such day before tomorrow.

    Returns:
        The entries in their order. "total 12", "." and "..", and whatever cannot be read are left out.
    """
    present = moment(now)
    entries: list[ListEntry] = []
    for line in lines:
        text = line.rstrip("\r\n")
        if len(text) > _MAX_LINE_CHARACTERS:
            continue
        if unix := _UNIX.match(text):
            entry = _unix_entry(unix, present)
        elif dos := _DOS.match(text):
            entry = _dos_entry(dos)
        else:
            continue
        if entry.name not in ("", ".", ".."):
            entries.append(entry)
    return entries


def format_unix_line(
    *,
    name: str,
    kind: EntryKindName,
    size: int,
    modified: float,
    mode: int,
    now: float,
    owner: str = "ftp",
    group: str = "ftp",
    links: int = 1,
    target: str | None = None,
) -> str:
    """Return a line of LIST as `ls -l` prints it, without a line end; times are in UTC.

    Args:
        name: The name; NUL, CR and LF, which no line can carry, become "?".
        kind: What the name stands for.
        size: Length in bytes.
        modified: Time of the last change, seconds since 1970 UTC; clamped to the years 1 to 9999.
        mode: Permission bits; set-uid, set-gid and sticky are shown.
        now: The present: a time of the last half year is shown with its hour, others with their year.
        owner: Name or number of the owner; spaces and control characters in it become "_".
        group: Name or number of the group, likewise.
        links: Number of names the file has.
        target: Where a link points to.

    Returns:
        The line.
    """
    at, present = moment(modified), moment(now)
    # Compared as differences: the sums could leave the years that a datetime can hold.
    is_recent = at - present <= _DAY and present - at < _HALF_YEAR
    when = f"{at.hour:02d}:{at.minute:02d}" if is_recent else f" {at.year:04d}"
    arrow = f" -> {listed(target)}" if kind == "link" and target else ""
    return (
        f"{_LETTERS[kind]}{_permissions(mode)} {links:3d} {_column(owner):<8} {_column(group):<8} "
        f"{size:>12d} {_MONTHS[at.month - 1]} {at.day:2d} {when} {listed(name)}{arrow}"
    )


def _unix_entry(found: re.Match[str], present: datetime) -> ListEntry:
    kind = _KINDS.get(found["kind"], "other")
    name, target = found["name"], None
    if kind == "link":
        name, _, after = name.partition(" -> ")
        target = after or None
    size = int(found["size"]) if kind == "file" and found["size"] else None
    return ListEntry(name, kind, size, _unix_time(found, present), target, _mode(found["permissions"]))


def _dos_entry(found: re.Match[str]) -> ListEntry:
    mark = (found["mark"] or "").upper()
    name, target = found["name"], None
    if mark not in ("", "DIR"):
        name, _, after = name.partition(" [")
        target = after.removesuffix("]") or None
    kind: EntryKindName = "file" if not mark else "dir" if mark == "DIR" else "link"
    size = None if mark else int(re.sub(r"[,.]", "", found["size"]))
    return ListEntry(name, kind, size, _dos_time(found), target)


def _unix_time(found: re.Match[str], present: datetime) -> float | None:
    if found["date"]:
        return _iso_time(found)
    month = _MONTH_NUMBERS[(found["month"] or found["month2"]).lower()]
    day = int(found["day"] or found["day2"])
    if found["year"]:
        return _timestamp(int(found["year"]), month, day)
    # The last such day that is not after tomorrow, for the server's clock may be ahead of UTC; 29 February
    # may be eight years back (1896 to 1904).
    for year in range(present.year + 1, present.year - 9, -1):
        guess = _timestamp(year, month, day, hour=int(found["hour"]), minute=int(found["minute"]))
        if guess is not None and guess <= present.timestamp() + _DAY.total_seconds():
            return guess
    return None


def _iso_time(found: re.Match[str]) -> float | None:
    year, month, day = map(int, found["date"].split("-"))
    hour, minute = map(int, found["time"].split(":"))
    at = _timestamp(year, month, day, hour=hour, minute=minute)
    if at is None:
        return None
    zone = found["zone"] or "0000"
    east = (int(zone[:2]) * 60 + int(zone[2:])) * 60
    return at + int(found["second"] or 0) - (-east if found["sign"] == "-" else east)


def _dos_time(found: re.Match[str]) -> float | None:
    year, hour = int(found["year"]), int(found["hour"])
    if len(found["year"]) == 2:
        year += 2000 if year < 70 else 1900
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"].upper() == "PM" else 0)
    return _timestamp(year, int(found["month"]), int(found["day"]), hour=hour, minute=int(found["minute"]))


def _timestamp(year: int, month: int, day: int, *, hour: int = 0, minute: int = 0) -> float | None:
    try:
        return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _mode(permissions: str) -> int:
    mode = 0
    for index, (letter, bit) in enumerate(zip(permissions, _BITS, strict=True)):
        if letter in "rwxst":
            mode |= bit
        if letter in "sStTlL":
            mode |= _SPECIAL.get(index, 0)
    return mode


def _permissions(mode: int) -> str:
    letters = [letter if mode & bit else "-" for letter, bit in zip("rwxrwxrwx", _BITS, strict=True)]
    for index, bit in _SPECIAL.items():
        if mode & bit:
            letter = "t" if index == 8 else "s"
            letters[index] = letter if letters[index] == "x" else letter.upper()
    return "".join(letters)


def _column(text: str) -> str:
    return _NOT_IN_COLUMN.sub("_", text) or "-"
