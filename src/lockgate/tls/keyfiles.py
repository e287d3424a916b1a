"""Who may read a private key: judged before it is used, as OpenSSH and PostgreSQL judge theirs.

A key that every user of the machine can read is no secret. Judged is the file that is opened in the end, not
a symbolic link to it. Blocks for one look at the file.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["key_problem", "key_remark"]

_ROOT = 0


def key_problem(key: Path) -> str:
    """Return why a key must not be used with the permissions it has, with the remedy, or "".

    A group may read it where root owns the file, as distributions have it for groups such as ssl-cert; it may
    never write it, and others may neither read nor write.
    """
    found = _look(key)
    if found is None:
        return ""
    mode, owner = found
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        return _told(key, mode, "every user of this machine can get at it")
    if mode & stat.S_IWGRP:
        return _told(key, mode, "its group can change it")
    if mode & stat.S_IRGRP and owner != _ROOT:
        return _told(key, mode, "its group can read it, which is for files that root owns")
    return ""


def key_remark(key: Path) -> str:
    """Return what is allowed about a key's permissions and still worth a look, or ""."""
    found = _look(key)
    if found is None or key_problem(key) or not found[0] & stat.S_IRGRP:
        return ""
    return f"the key {key} can be read by its group (mode {found[0]:04o}): is everybody in it to be trusted?"


def _look(key: Path) -> tuple[int, int] | None:
    """Return mode and owner; None where files have neither, or where reading will tell what is wrong."""
    if os.name != "posix":
        return None
    try:
        found = key.stat()
    except OSError:
        return None
    return stat.S_IMODE(found.st_mode), found.st_uid


def _told(key: Path, mode: int, why: str) -> str:
    return (
        f"the key {key} has mode {mode:04o}: {why}; run chmod 600 {key}, "
        "or write check_key_permissions = false in [tls]"
    )
