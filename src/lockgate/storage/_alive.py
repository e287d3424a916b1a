"""Marks the hidden files that uploads are writing to, so that those of a killed server are told from them.

The mark is a lock that belongs to the open file: the kernel takes it away with the process, however that
ends. Must not remove anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from typing import Final

from ._tree import Descriptor

__all__ = ["is_abandoned", "mark_alive"]

_OPEN: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# struct flock (fcntl(2)): exclusive, from the start, to the end. Not flock(2): appends use that on the file
# once it is published.
_WHOLE_FILE: Final = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def mark_alive(opened: int) -> None:
    """Mark a file that has just been opened for writing; does nothing where there are no such locks."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(opened, fcntl.F_OFD_SETLK, _WHOLE_FILE)


def is_abandoned(name: str, folder: int) -> bool:
    """Return whether no living process has a marked file open; False where that cannot be told."""
    try:
        with Descriptor(os.open(name, _OPEN, dir_fd=folder)) as opened:
            fcntl.fcntl(opened, fcntl.F_OFD_SETLK, _WHOLE_FILE)
    except OSError:  # it is locked, gone, or locks are not to be had
        return False
    return True
