"""What the measuring programs of this folder share: this project's server as a process, and what it holds."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "interop"))

import peers

from lockgate.accounts.passwords import HashParameters, hash_password

__all__ = ["Lockgate", "machine", "memory_kib", "open_descriptors", "peers", "threads"]

CONFIGURATION = """\
[[listener]]
address = "{host}"
port = {explicit_port}
tls = "explicit"

[[listener]]
address = "{host}"
port = {implicit_port}
tls = "implicit"

[tls]
certificate = "{certificate}"
key = "{key}"

[limits]
{limits}

[[account]]
name = "{user}"
password_hash = "{password_hash}"
home = "{root}"
"""


class Lockgate(peers.ServerProcess):
    """This project's server, started as an operator would.

    Args:
        certificates: What it shows.
        limits: TOML text for `[limits]`.
    """

    def __init__(self, certificates: peers.Certificates, *, limits: str = "") -> None:
        super().__init__("lockgate", certificates)
        self.certificates = certificates
        self._limits = limits

    def commands(self) -> list[list[str]]:
        # The measurements are not about hashes: one that costs little.
        cheap = hash_password(self.password, HashParameters(memory_kib=8, passes=1, lanes=1))
        text = CONFIGURATION.format(
            host=self.host,
            explicit_port=self.explicit_port,
            implicit_port=self.implicit_port,
            certificate=self.certificates.certificate,
            key=self.certificates.key,
            limits=self._limits,
            user=self.user,
            password_hash=cheap,
            root=self.root,
        )
        config = str(self.write("lockgate.toml", text))
        return [[sys.executable, "-m", "lockgate.cli.main", "serve", "--config", config]]


def memory_kib(server: peers.ServerProcess) -> int:
    """Return what the server's processes hold together, shared pages shared out (PSS), in KiB."""
    return sum(_pss_kib(pid) for pid in server.pids)


def _pss_kib(pid: int) -> int:
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def threads(server: peers.ServerProcess) -> int:
    """Return how many threads the server's processes have."""
    return sum(_entries(pid, "task") for pid in server.pids)


def open_descriptors(server: peers.ServerProcess) -> int:
    """Return how many descriptors the server's processes have open."""
    return sum(_entries(pid, "fd") for pid in server.pids)


def _entries(pid: int, name: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/{name}"))
    except OSError:
        return 0


def machine() -> str:
    """Return one line on where this was measured."""
    import ssl

    system = os.uname()
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    processor = found[1].strip() if found else system.machine
    return (
        f"{os.cpu_count()} cores ({processor}), Linux {system.release}, "
        f"Python {sys.version.split()[0]}, {ssl.OPENSSL_VERSION.rsplit(' ', 3)[0]}"
    )
