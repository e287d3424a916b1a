"""The arguments of commands that no RFC has: RANG, HASH, MFF, SITE UTIME and the options of MODE Z.

Their sources are Internet drafts: bryan-ftp-range-08, bryan-ftpext-hash-02, somers-ftp-mfxx-04 and
preston-ftpext-deflate-04. Must not know which of them a server offers, nor look at files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lockgate.errors import RemoteProtocolError, shorten

from .facts import format_time, parse_time

__all__ = [
    "DEFAULT_LEVEL",
    "ChangedFacts",
    "UnknownOption",
    "accepted_range",
    "format_hash_feature",
    "parse_mff",
    "parse_mode_z_options",
    "parse_rang",
    "parse_utime",
]

DEFAULT_LEVEL = 6
"""The compression level until OPTS MODE Z picks another: zlib's own."""

_RANGE = re.compile(r"([0-9]{1,19}) ([0-9]{1,19})")
_LARGEST = (1 << 63) - 1
_WHOLE = (1, 0)
_OCTAL = re.compile(r"[0-7]{3,5}")
_LEVEL = re.compile(r"[0-9]")
# SITE UTIME: the time in front of the path, to the minute or the second, or three of them and UTC behind it.
_UTIME_BEFORE = re.compile(r"([0-9]{12}(?:[0-9]{2})?) (.+)", re.DOTALL)
_UTIME_BEHIND = re.compile(
    r"(.+) [0-9]{12}(?:[0-9]{2})? ([0-9]{12}(?:[0-9]{2})?) [0-9]{12}(?:[0-9]{2})? UTC",
    re.DOTALL | re.IGNORECASE,
)
_MINUTES = 12


class UnknownOption(RemoteProtocolError):
    """The form is right, but it names a fact or an option that cannot be changed."""


def parse_rang(argument: str) -> tuple[int, int] | None:
    """Read the argument of RANG (draft-bryan-ftp-range §3).

    Args:
        argument: First and last octet, counted from 0, the last included.

    Returns:
        Both; None for "1 0", which stands for the whole file.

    Raises:
        RemoteProtocolError: It is no such pair, the first lies behind the last, or one is 2^63 or more.
    """
    found = _RANGE.fullmatch(argument.strip(" "))
    if not found:
        raise RemoteProtocolError(f"RANG '{shorten(argument)}' is not of the form <first> <last>")
    first, last = int(found[1]), int(found[2])
    if (first, last) == _WHOLE:
        return None
    if not first <= last <= _LARGEST:
        raise RemoteProtocolError(f"RANG '{shorten(argument)}' is no range of octets")
    return first, last


def accepted_range(argument: str) -> tuple[int, int | None]:
    """Return what a RANG that was answered 350 has set: first octet, and last octet or None; never raises."""
    try:
        return parse_rang(argument) or (0, None)
    except RemoteProtocolError:
        return 0, None  # what a server took that this module cannot read counts for nothing


def format_hash_feature(algorithms: Iterable[str], chosen: str) -> str:
    """Return HASH's line in FEAT: the names, the chosen one with "*" (draft-bryan-ftpext-hash §3.1)."""
    return "HASH " + ";".join(f"{name}{'*' if name == chosen else ''}" for name in algorithms)


@dataclass(frozen=True, slots=True)
class ChangedFacts:
    """What MFF shall change; None is what stays.

    Attributes:
        modify: Time of the last change, seconds since 1970 UTC.
        unix_mode: Permission bits as they were asked for: whether they may be set is not judged here.
    """

    modify: float | None = None
    unix_mode: int | None = None

    def __str__(self) -> str:
        modify = "" if self.modify is None else f"Modify={format_time(self.modify)};"
        return modify + ("" if self.unix_mode is None else f"UNIX.mode={self.unix_mode:04o};")


def parse_mff(argument: str) -> tuple[ChangedFacts, str]:
    """Read the argument of MFF: "modify=...;UNIX.mode=...; path" (draft-somers-ftp-mfxx §5).

    Args:
        argument: Facts, each with ";" behind it, one space, and the path as it is.

    Returns:
        What to change, at least one fact, and the path.

    Raises:
        UnknownOption: A fact is well written, and not one of these two.
        RemoteProtocolError: Any other fault: no path, a fact twice, a value that is none.
    """
    front, _, path = argument.partition(" ")
    if not path or not front.endswith(";"):
        raise RemoteProtocolError(f"MFF '{shorten(argument)}' is not of the form fact=value; path")
    values: dict[str, str] = {}
    for part in front.removesuffix(";").split(";"):
        name, equals, value = part.partition("=")
        name = name.lower()
        if not name or not equals or name in values:
            raise RemoteProtocolError(
                f"MFF fact '{shorten(part)}' is not of the form name=value, or there twice"
            )
        values[name] = value
    modify, mode = values.pop("modify", None), values.pop("unix.mode", None)
    if values:
        raise UnknownOption(f"MFF changes modify and UNIX.mode, not {shorten(next(iter(values)))}")
    if mode is not None and not _OCTAL.fullmatch(mode):
        raise RemoteProtocolError(f"UNIX.mode '{shorten(mode)}' is not octal")
    return (
        ChangedFacts(
            None if modify is None else parse_time(modify),
            None if mode is None else int(mode, 8),
        ),
        path,
    )


def parse_utime(argument: str) -> tuple[float, str]:
    """Read the argument of SITE UTIME, in either form that is in use; times are UTC.

    Args:
        argument: "YYYYMMDDhhmm[ss] path", or "path access-time change-time creation-time UTC".

    Returns:
        The time of the last change in seconds since 1970 UTC, and the path.

    Raises:
        RemoteProtocolError: It has neither form, or there is no such time.
    """
    if found := _UTIME_BEHIND.fullmatch(argument):
        path, when = found[1], found[2]
    elif found := _UTIME_BEFORE.fullmatch(argument):
        when, path = found[1], found[2]
    else:
        raise RemoteProtocolError(f"SITE UTIME '{shorten(argument)}' is not of the form YYYYMMDDhhmmss path")
    return parse_time(f"{when}00" if len(when) == _MINUTES else when), path


def parse_mode_z_options(argument: str) -> int:
    """Read what follows "OPTS MODE Z": pairs of a name and a value (draft-preston-ftpext-deflate §3.4).

    Args:
        argument: For example "LEVEL 9" or "ENGINE ZLIB METHOD 8"; empty for the defaults.

    Returns:
        The level to compress with, 0 to 9.

    Raises:
        UnknownOption: An option or an engine that is not served here.
        RemoteProtocolError: A name without a value, or a level that is none.
    """
    words = argument.upper().split()
    if len(words) % 2:
        raise RemoteProtocolError(f"OPTS MODE Z '{shorten(argument)}' is not made of names and values")
    level = DEFAULT_LEVEL
    for name, value in zip(words[::2], words[1::2], strict=True):
        if name == "LEVEL":
            if not _LEVEL.fullmatch(value):
                raise RemoteProtocolError(f"compression level '{shorten(value)}' is not one of 0 to 9")
            level = int(value)
        elif (name, value) not in _FIXED:
            raise UnknownOption(f"OPTS MODE Z {shorten(name)} {shorten(value)} is not served")
    return level


_FIXED = frozenset((("ENGINE", "ZLIB"), ("METHOD", "8")))
