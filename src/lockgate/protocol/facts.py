"""Facts of MLST and MLSD, and the time format they share with MDTM and MFMT (RFC 3659).

Must not look at a clock or at files: times come in as seconds since 1970 UTC, facts as values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lockgate.errors import LocalProtocolError, RemoteProtocolError, shorten

from .paths import listed

__all__ = [
    "FACT_NAMES",
    "Facts",
    "format_facts",
    "format_mlsx_line",
    "format_time",
    "moment",
    "parse_mlsx_line",
    "parse_time",
]

FACT_NAMES = ("type", "size", "modify", "perm", "unique", "unix.mode", "unix.owner", "unix.group")
"""The facts the server can give, in the order of its FEAT line."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()
_LATEST = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds()
_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})(?:\.([0-9]{1,18}))?")
# RFC 3659 §2.2: SCHAR, the characters a fact's value may consist of.
_NOT_IN_VALUE = re.compile(r"[^A-Za-z0-9,.:!@#$%^&()\-_+?/\\'\"=]")
_LINE_END = re.compile(r"\r?\n\Z")
_FORBIDDEN = re.compile(r"[\0\r\n]")
_SLINK = "os.unix=slink"


@dataclass(frozen=True, slots=True)
class Facts:
    """What an MLST or MLSD line says of one name (RFC 3659 §7.5); None or "" is what it does not say.

    Attributes:
        type: "file", "dir", "cdir", "pdir", or a system's own, as "OS.unix=slink:/target".
        size: Length in octets.
        modify: Time of the last change, seconds since 1970 UTC.
        create: Time of creation, likewise.
        perm: Letters of what the user may do with it (RFC 3659 §7.5.5); None is unknown, "" is nothing.
        unique: Same for two names of one file.
        unix_mode: Permission bits.
        unix_owner: Owner, a name or a number.
        unix_group: Group, likewise.
    """

    type: str = ""
    size: int | None = None
    modify: float | None = None
    create: float | None = None
    perm: str | None = None
    unique: str = ""
    unix_mode: int | None = None
    unix_owner: str = ""
    unix_group: str = ""

    @property
    def kind(self) -> str:
        """What the name stands for: "file", "dir", "link" or "other"."""
        name = self.type.lower()
        if name in ("dir", "cdir", "pdir"):
            return "dir"
        if name == "file":
            return "file"
        return "link" if name.startswith((_SLINK, "os.unix=symlink")) else "other"

    @property
    def link_target(self) -> str | None:
        """Where a link points to, if the line says so."""
        return self.type.partition(":")[2] or None if self.kind == "link" else None

    def to_mapping(self) -> dict[str, str]:
        """Return the known facts by their lower-case names, in wire form, for `format_facts`."""
        numbers = {"size": self.size, "modify": self.modify, "create": self.create}
        texts = {
            "type": self.type or None,
            "size": None if self.size is None else str(self.size),
            **{
                name: None if (at := numbers[name]) is None else format_time(at)
                for name in ("modify", "create")
            },
            "perm": self.perm,
            "unique": self.unique or None,
            "unix.mode": None if self.unix_mode is None else f"0{self.unix_mode:03o}",
            "unix.owner": self.unix_owner or None,
            "unix.group": self.unix_group or None,
        }
        return {name: text for name, text in texts.items() if text is not None}

    @classmethod
    def from_mapping(cls, facts: Mapping[str, str]) -> Facts:
        """Read facts by their lower-case names, as `parse_mlsx_line` gives them; never raises.

        A value that cannot be read counts as not said: one odd fact must not hide a file.
        """
        return cls(
            type=facts.get("type", ""),
            size=_number(facts.get("size", ""), 10),
            modify=_time_or_none(facts.get("modify", "")),
            create=_time_or_none(facts.get("create", "")),
            perm=facts.get("perm"),
            unique=facts.get("unique", ""),
            unix_mode=_number(facts.get("unix.mode", ""), 8),
            unix_owner=facts.get("unix.owner", ""),
            unix_group=facts.get("unix.group", ""),
        )


def moment(timestamp: float) -> datetime:
    """Return the whole second in UTC that a time lies in.

    Args:
        timestamp: Seconds since 1970 UTC; what lies outside the years 1 to 9999 becomes the nearest second
            inside, for one odd file must not spoil a listing.

    Returns:
        A `datetime` in UTC without microseconds.

    Raises:
        LocalProtocolError: The time is not a number.
    """
    if math.isnan(timestamp):
        raise LocalProtocolError("a time is 'not a number'; pass seconds since 1970")
    return _EPOCH + timedelta(seconds=math.floor(min(max(timestamp, _EARLIEST), _LATEST)))


def format_time(timestamp: float, *, fraction: bool = False) -> str:
    """Return a time as YYYYMMDDHHMMSS in UTC (RFC 3659 §2.3).

    Args:
        timestamp: Seconds since 1970 UTC; clamped to the years 1 to 9999.
        fraction: Add milliseconds: ".sss".

    Returns:
        The second that the time lies in: parts of it are cut off, not rounded.

    Raises:
        LocalProtocolError: The time is not a number.
    """
    at = moment(timestamp)
    text = f"{at.year:04d}{at.month:02d}{at.day:02d}{at.hour:02d}{at.minute:02d}{at.second:02d}"
    if not fraction:
        return text
    clamped = min(max(timestamp, _EARLIEST), _LATEST)
    # Rounded, because a float holds 0.123 as a little less; but never into the next second.
    return f"{text}.{min(999, round((clamped - math.floor(clamped)) * 1000)):03d}"


def parse_time(text: str) -> float:
    """Read YYYYMMDDHHMMSS[.sss] in UTC (RFC 3659 §2.3); spaces around it are ignored.

    Args:
        text: What MDTM answers, MFMT sends, or a fact says. Second 60, a leap second, is taken as 59 and one
            more.

    Returns:
        Seconds since 1970 UTC.

    Raises:
        RemoteProtocolError: The form is another, or there is no such time.
    """
    found = _TIME.fullmatch(text.strip(" "))
    if not found:
        raise RemoteProtocolError(f"time '{shorten(text)}' is not of the form YYYYMMDDHHMMSS")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    leap = second == 60
    try:
        at = datetime(year, month, day, hour, minute, second - leap, tzinfo=UTC)
    except ValueError as error:
        raise RemoteProtocolError(f"time '{shorten(text)}' does not exist") from error
    return (at - _EPOCH).total_seconds() + leap + float(f"0.{found[7] or 0}")


def format_facts(entry_facts: Mapping[str, str], active: Collection[str]) -> str:
    """Return facts as a line carries them: "type=file;size=5;" (RFC 3659 §7.2).

    Args:
        entry_facts: Values by lower-case name.
        active: Lower-case names of the facts to show; those without a value are left out.

    Returns:
        The facts in the order of FEAT, others behind them; characters that no value may hold become "?".
    """
    names = [name for name in FACT_NAMES if name in active and name in entry_facts]
    names += [name for name in entry_facts if name in active and name not in FACT_NAMES]
    return "".join(f"{name}={_NOT_IN_VALUE.sub('?', entry_facts[name])};" for name in names)


def format_mlsx_line(entry_facts: Mapping[str, str], active: Collection[str], *, name: str) -> str:
    """Return a line of MLSD: facts, one space, the name as it is (RFC 3659 §7.2); no line end.

    For MLST the line in the reply starts with one space more.

    Args:
        entry_facts: Values by lower-case name.
        active: Names of the facts to show.
        name: Name or path; NUL, CR and LF, which no line can carry, become "?".

    Returns:
        The line.
    """
    return f"{format_facts(entry_facts, active)} {listed(name)}"


def parse_mlsx_line(line: str) -> tuple[dict[str, str], str]:
    """Read a line of MLSD (RFC 3659 §7.2).

    A line of MLST's reply has one space more in front: take it away first.

    Args:
        line: The line, with or without its line end.

    Returns:
        Facts with lower-case names, and the name as it stands behind the first space: never to be trusted.

    Raises:
        RemoteProtocolError: There is no name, a fact has no "=", or the name holds NUL, CR or LF.
    """
    text = _LINE_END.sub("", line)
    front, _, name = text.partition(" ")
    if not name or _FORBIDDEN.search(text):
        raise RemoteProtocolError(f"MLSx line '{shorten(line)}' is not of the form 'facts name'")
    facts: dict[str, str] = {}
    for part in front.removesuffix(";").split(";") if front else ():
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise RemoteProtocolError(f"MLSx fact '{shorten(part)}' is not of the form name=value")
        facts[key.lower()] = value
    return facts, name


def _number(text: str, base: int) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    try:
        return int(text, base)
    except ValueError:
        return None


def _time_or_none(text: str) -> float | None:
    try:
        return parse_time(text)
    except RemoteProtocolError:
        return None
