"""Users and groups of this machine, by name or number, and whether files can be given to them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError, shorten

if TYPE_CHECKING:
    from .files import FilesConfig

__all__ = ["group_number", "owner_problems", "this_user", "unreadable_remedy", "user_number", "whose"]

# What chown takes; the highest number means "leave it".
_HIGHEST = 2**32 - 2
# capabilities(7): bit 0 of the set.
_CAP_CHOWN = 1


def user_number(name: str) -> int:
    """Return the number of a user. Blocks as long as the system takes to look it up.

    Raises:
        ConfigError: There is no such user here.
    """

    def look_up() -> int:
        import pwd

        return pwd.getpwnam(name).pw_uid

    return _number("owner", name, look_up, noun="user", database="passwd")


def group_number(name: str) -> int:
    """Return the number of a group. Blocks as long as the system takes to look it up.

    Raises:
        ConfigError: There is no such group here.
    """

    def look_up() -> int:
        import grp

        return grp.getgrnam(name).gr_gid

    return _number("group", name, look_up, noun="group", database="group")


def _number(key: str, name: str, look_up: Callable[[], int], *, noun: str, database: str) -> int:
    if name.isascii() and name.isdigit():
        return _checked(key, name)
    try:
        return look_up()
    except (ImportError, KeyError):
        raise ConfigError(
            f'{key}: this machine has no {noun} "{shorten(name)}"; '
            f"write one that `getent {database}` shows, or a number"
        ) from None


def this_user() -> str:
    """Return the name of the user whom this process runs as, or its number."""
    return _user_name(os.geteuid())


def whose(path: Path) -> str:
    """Return owner and mode of a file that is there, in words; "" if it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"owner {_user_name(found.st_uid)}, mode {stat.S_IMODE(found.st_mode):04o}"


def unreadable_remedy(path: Path, error: OSError) -> str:
    """Return what to do about a file that is there and cannot be read, or ""."""
    if isinstance(error, IsADirectoryError):
        return "that is a directory: write the path of the file in it"
    if not isinstance(error, PermissionError):
        return ""
    facts = whose(path)
    if not facts:
        return f"let {this_user()}, whom this runs as, enter the folders above it"
    return f"let {this_user()}, whom this runs as, read it ({facts}): `chown {this_user()} {path}`"


def _user_name(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return str(number)


def owner_problems(files: FilesConfig) -> Iterator[tuple[str, str]]:
    """Yield the key and the message of each owner that this process could not give files to."""
    user, group = os.geteuid(), {os.getegid(), *os.getgroups()}
    may_chown = _may_chown()
    try:
        if files.owner and user_number(files.owner) != user and not may_chown:
            yield (
                "owner",
                (
                    f"owner: only root, or a process with CAP_CHOWN, can give files to "
                    f'"{shorten(files.owner)}"; give the server that capability (docs/operations.md), or '
                    'write owner = "" for the user that it runs as'
                ),
            )
    except ConfigError as error:
        yield "owner", str(error)
    try:
        if files.group and group_number(files.group) not in group and not may_chown:
            yield (
                "group",
                (
                    f'group: the server\'s user is not in the group "{shorten(files.group)}"; '
                    "put it there, give the server CAP_CHOWN (docs/operations.md), or write "
                    'group = "" for its own'
                ),
            )
    except ConfigError as error:
        yield "group", str(error)


def _may_chown() -> bool:
    """Return whether this process may give files to anybody: by its capabilities, else by being root."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        status = ""
    found = re.search(r"^CapEff:\s*([0-9a-fA-F]+)$", status, re.MULTILINE)
    return bool(int(found[1], 16) & _CAP_CHOWN) if found else os.geteuid() == 0


def _checked(key: str, digits: str) -> int:
    number = int(digits) if len(digits) < 11 else _HIGHEST + 1
    if number > _HIGHEST:
        raise ConfigError(
            f"{key}: {shorten(digits)} is no number of a user or group; the highest is {_HIGHEST}"
        )
    return number
