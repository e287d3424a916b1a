"""What an account may say of its files: how uploads are written, whose they are, what is hidden.

Words only: nothing here touches a disk. Names of users and groups are looked up by whoever opens the home.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["FileRules", "LinkRule", "UploadStyle"]


class UploadStyle(StrEnum):
    """When an upload shows under its name."""

    ATOMIC = "atomic"
    """When all of it has come, in one step."""
    IN_PLACE = "in-place"
    """At once: it is written under its name as it comes."""


class LinkRule(StrEnum):
    """What becomes of a path that goes through a symbolic link."""

    INSIDE = "inside"
    """The link is followed while it stays inside the home."""
    REFUSE = "refuse"
    """It is not opened, wherever the link leads."""


@dataclass(frozen=True, slots=True)
class FileRules:
    """An account's own words on its files; None: as the server's `[files]` says.

    Attributes:
        uploads: When an upload shows.
        fsync: Synchronise file and directory before an upload is acknowledged.
        umask: Permission bits that new files and directories do not get, as octal text.
        owner: Who new files and directories belong to, a name or a number; "": the server's own user.
        group: The same for the group.
        hidden: Patterns of names that are not there for the account.
        symlinks: What becomes of symbolic links.
    """

    uploads: UploadStyle | None = None
    fsync: bool | None = None
    umask: str | None = None
    owner: str | None = None
    group: str | None = None
    hidden: tuple[str, ...] | None = None
    symlinks: LinkRule | None = None
