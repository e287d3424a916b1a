"""How a storage keeps files: what an operator decides, in a form that can be compared and used as a key."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["FileSettings"]


@dataclass(frozen=True, slots=True)
class FileSettings:
    """The choices of one `LocalStorage`.

    Attributes:
        in_place: Uploads are written under their own name as they come; False: they show when they are whole.
        fsync: Synchronise each upload, file and directory, to the disk before it is acknowledged.
        umask: Permission bits that new files and directories do not get, 0 to 0o777.
        owner: The number of the user that new files and directories get; None: the process's own.
        group: The number of the group that they get; None: as the system has it.
        hidden: Patterns (`fnmatch`, case-sensitive) of names that are not there, as any part of a path.
        drop_box: What is there does not count for uploads, and is never replaced: one to a taken name is
            stored beside it, under a name of its own. Only kept parts of its own are gone on with.
        follow_links: Symbolic links are followed while they stay inside; False: none is.
    """

    in_place: bool = False
    fsync: bool = False
    umask: int = 0o027
    owner: int | None = None
    group: int | None = None
    hidden: tuple[str, ...] = ()
    drop_box: bool = False
    follow_links: bool = True

    @property
    def file_mode(self) -> int:
        """Permission bits of a new file."""
        return 0o666 & ~self.umask

    @property
    def folder_mode(self) -> int:
        """Permission bits of a new directory."""
        return 0o777 & ~self.umask

    def hand_over(self, descriptor: int) -> None:
        """Give an open file or directory the owner and the group.

        Raises:
            OSError: The process may not: only root gives files away, anybody to groups of his own.
        """
        if self.owner is not None or self.group is not None:
            os.fchown(
                descriptor,
                -1 if self.owner is None else self.owner,
                -1 if self.group is None else self.group,
            )
