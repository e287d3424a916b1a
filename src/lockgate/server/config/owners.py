"""Users and groups of this machine, by name or number, and whether files can be given to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError, shorten

if TYPE_CHECKING:
    from .files import FilesConfig

__all__ = ["group_number", "owner_problems", "user_number"]

# What chown takes; the highest number means "leave it".
_HIGHEST = 2**32 - 2


def user_number(name: str) -> int:
    """Return the number of a user. Blocks as long as the system takes to look it up.

    Raises:
        ConfigError: There is no such user here.
    """
    if name.isascii() and name.isdigit():
        return _checked("owner", name)
    try:
        import pwd

        return pwd.getpwnam(name).pw_uid
    except (ImportError, KeyError):
        raise ConfigError(
            f'owner: this machine has no user "{shorten(name)}"; '
            "write one that `getent passwd` shows, or a number"
        ) from None


def group_number(name: str) -> int:
    """Return the number of a group. Blocks as long as the system takes to look it up.

    Raises:
        ConfigError: There is no such group here.
    """
    if name.isascii() and name.isdigit():
        return _checked("group", name)
    try:
        import grp

        return grp.getgrnam(name).gr_gid
    except (ImportError, KeyError):
        raise ConfigError(
            f'group: this machine has no group "{shorten(name)}"; '
            "write one that `getent group` shows, or a number"
        ) from None


def owner_problems(files: FilesConfig) -> Iterator[tuple[str, str]]:
    """Yield the key and the message of each owner that this process could not give files to."""
    user, group = os.geteuid(), {os.getegid(), *os.getgroups()}
    try:
        if files.owner and user_number(files.owner) != user and user != 0:
            yield (
                "owner",
                (
                    f'owner: only root can give files to "{shorten(files.owner)}"; '
                    'run the server as root, or write owner = "" for the user that it runs as'
                ),
            )
    except ConfigError as error:
        yield "owner", str(error)
    try:
        if files.group and group_number(files.group) not in group and user != 0:
            yield (
                "group",
                (
                    f'group: the server\'s user is not in the group "{shorten(files.group)}"; '
                    'put it there, or write group = "" for its own'
                ),
            )
    except ConfigError as error:
        yield "group", str(error)


def _checked(key: str, digits: str) -> int:
    number = int(digits) if len(digits) < 11 else _HIGHEST + 1
    if number > _HIGHEST:
        raise ConfigError(
            f"{key}: {shorten(digits)} is no number of a user or group; the highest is {_HIGHEST}"
        )
    return number
