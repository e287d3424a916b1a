"""How many password hashes a machine can compute at once, by its processors and its memory.

Must not compute any.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["default_at_once", "memory_kib", "processors"]

_MOST_AT_ONCE = 8
_MEMORY_SHARE = 4
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) or 1


def memory_kib(limits: Iterable[Path] = _CGROUP_LIMITS) -> int:
    """Return how much memory there is for this process: the machine's, or a container's limit below it.

    Args:
        limits: Files that may hold such a limit, in bytes.
    """
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    for path in limits:
        try:
            limit = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if limit.isdigit():
            found = min(found, int(limit) // 1024)
    return max(found, 1)


def default_at_once(hash_kib: int, *, cpus: int, available_kib: int) -> int:
    """Return how many hashes may be computed at once: one a processor, 8 at most, in a quarter of the memory.

    Args:
        hash_kib: Memory that the dearest hash takes, in KiB.
        cpus: Processors.
        available_kib: Memory of the machine, in KiB.
    """
    fitting = available_kib // _MEMORY_SHARE // max(hash_kib, 1)
    return max(1, min(cpus, _MOST_AT_ONCE, fitting))
