"""What the server's process holds during a soak, what lies in its files, and the verdicts on both."""

from __future__ import annotations

import os
import re
import statistics
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clients import State
from content import HEADER_BYTES, fault

__all__ = ["Sample", "Verdict", "file_faults", "flatness", "log_faults", "sample", "state_faults"]

_OWN_PREFIX = ".lockgate-"


@dataclass(frozen=True)
class Sample:
    """What a process held at one moment."""

    at_seconds: float
    rss_kib: int
    pss_kib: int
    descriptors: int
    sockets: int
    threads: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """One thing that has to be so."""

    name: str
    holds: bool
    shown: str


def sample(pid: int, began: float) -> Sample:
    """Look at a process."""
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except OSError:
            continue  # closed just now
    return Sample(
        at_seconds=time.monotonic() - began,
        rss_kib=_number(f"/proc/{pid}/status", "VmRSS"),
        pss_kib=_number(f"/proc/{pid}/smaps_rollup", "Pss"),
        descriptors=len(links),
        sockets=sum(link.startswith("socket:") for link in links),
        threads=len(os.listdir(f"/proc/{pid}/task")),
        files=tuple(sorted(link for link in links if not link.startswith("socket:"))),
    )


def _number(path: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(path).read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def flatness(
    samples: list[Sample], settled: Sample, start: Sample, *, homes: int, short: bool
) -> list[Verdict]:
    """Compare the medians of the second and the last quarter, and the end with the start.

    Bounds: what the load itself varies by, and what the pools and the allocator keep on purpose. Memory may
    grow by 5 % and 8 MiB between the quarters (a short run, whose pools still fill: by 32 MiB), and after
    the load it may not lie 8 MiB above the most that the second half was seen to hold. Threads that stay:
    16 helpers, 8 hashers, and 2. Descriptors that stay: two for each home, and 6.
    """
    quarter = max(len(samples) // 4, 1)
    second, last = samples[quarter : 2 * quarter] or samples, samples[-quarter:]

    def medians(name: str) -> tuple[float, float]:
        return tuple(statistics.median(getattr(one, name) for one in part) for part in (second, last))  # type: ignore[return-value]

    verdicts = []
    before, after = medians("pss_kib")
    bound = before * 1.05 + (32 if short else 8) * 1024
    verdicts.append(
        Verdict("memory flat", after <= bound, f"{before / 1024:.1f} -> {after / 1024:.1f} MiB (PSS)")
    )
    for name, allowed in (("descriptors", 40), ("threads", 30)):
        before, after = medians(name)
        verdicts.append(
            Verdict(f"{name} flat", after <= before * 1.25 + allowed, f"{before:.0f} -> {after:.0f}")
        )
    most = max(one.pss_kib for one in samples[len(samples) // 2 :])
    shown = f"{start.pss_kib / 1024:.1f} MiB at the start, at most {most / 1024:.1f}, "
    verdicts.append(
        Verdict(
            "memory afterwards",
            settled.pss_kib <= most + 8 * 1024,
            f"{shown}{settled.pss_kib / 1024:.1f} afterwards",
        )
    )
    for name, allowed in (("descriptors", 2 * homes + 6), ("sockets", 0), ("threads", 16 + 8 + 2)):
        first, end = getattr(start, name), getattr(settled, name)
        shown = f"{first} -> {end}"
        if name == "descriptors" and end > first + allowed:
            shown = "\n".join([shown, *(link for link in settled.files if link not in start.files)])
        verdicts.append(Verdict(f"{name} afterwards", end <= first + allowed, shown))
    return verdicts


def file_faults(roots: Mapping[str, Path]) -> list[str]:
    """Return what is wrong with the visible files; at any time there may be nothing."""
    faults = []
    for user, root in roots.items():
        # Directories that go while they are walked are passed over.
        for path in (Path(folder, name) for folder, _, names in os.walk(root) for name in names):
            if path.name.startswith(_OWN_PREFIX) or not path.is_file():
                continue
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue  # renamed or deleted just now
            if wrong := fault(data):
                faults.append(f"{user}: {path.name}: {wrong}")
    return faults


def state_faults(roots: Mapping[str, Path], possible: Mapping[tuple[str, str], set[State]]) -> list[str]:
    """Return the names whose content is none of those that the clients know to be possible."""
    faults = []
    for (user, name), states in possible.items():
        path = roots[user] / name
        actual: State = None
        if path.is_file():
            data = path.read_bytes()[:HEADER_BYTES]
            actual = struct.unpack(">8sQQ", data)[1:] if len(data) == HEADER_BYTES else (0, 0)
        if actual not in states:
            faults.append(f"{user}: {name}: is {actual}, must be one of {sorted(map(str, states))}")
    return faults


def log_faults(log: Path) -> list[str]:
    """Return the lines of the server's log that may not be there."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if "Traceback" in line or re.search(r"\b(ERROR|CRITICAL)\b", line)]
