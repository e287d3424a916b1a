"""A `lockgate serve --config` in a process of its own: for signals, kills, and what a process holds."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from live_server import configuration
from raw_client import RawClient

__all__ = ["ServerProcess", "serving"]

_MAIN = "import sys; from lockgate.cli.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass
class ServerProcess:
    """A `lockgate serve --config` of the test's own."""

    process: subprocess.Popen[bytes]
    host: str
    port: int
    implicit_port: int
    root: Path
    ca_file: Path
    log: Path

    @property
    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def threads(self) -> int:
        """Threads."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    @property
    def memory_kib(self) -> int:
        """Memory that is really there (RSS)."""
        return self._memory("VmRSS")

    @property
    def peak_memory_kib(self) -> int:
        """The most memory that has really been there (RSS)."""
        return self._memory("VmHWM")

    def _memory(self, what: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        assert found
        return int(found[1])

    def refuses(self) -> bool:
        """True when no new connection is taken."""
        try:
            RawClient(self.host, self.port, greet=False).close()
        except ConnectionError:
            return True
        return False


@contextmanager
def serving(
    work: Path, *, file_limit_bytes: int | None = None, prelude: str = "", **changes: str
) -> Iterator[ServerProcess]:
    """Run the command; it is killed at the end if it still runs.

    Args:
        work: Where configuration, certificates and files are.
        file_limit_bytes: RLIMIT_FSIZE of the process: writing beyond it fails.
        prelude: Python that runs in the process first, to have it die at a moment of the test's own.
        **changes: As for `live_server.configuration`.
    """
    configuration(work, **changes)
    log = work / "log"
    with log.open("wb") as stderr:  # a pipe that nobody reads would fill and hold the server up
        process = subprocess.Popen(
            [sys.executable, "-c", f"{prelude}\n{_MAIN}", "serve", "--config", str(work / "lockgate.toml")],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "TERM": "dumb", "NO_COLOR": "1"},
        )
    assert process.stdout is not None
    if file_limit_bytes is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_limit_bytes, file_limit_bytes))
    try:
        ports: dict[str, int] = {}
        while len(ports) < 2:
            line = process.stdout.readline().decode()
            assert line, log.read_text()
            if found := re.search(r"(explicit|implicit) TLS.* port (\d+)", line):
                ports[found[1]] = int(found[2])
        yield ServerProcess(
            process, "127.0.0.1", ports["explicit"], ports["implicit"], work / "root", work / "ca.pem", log
        )
    finally:
        process.kill()
        process.communicate()
