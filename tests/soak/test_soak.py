"""The soak for some seconds: that it runs, that its verdicts hold, and that they can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")
SECONDS = 100

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SOAK), "--clients", "6", "--idle", "10", "--noop-limit", "5", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.requirement("RSEC-dos-a", side="S")
def test_a_short_soak_leaves_nothing_behind() -> None:
    ended = soak("--seconds", "10", "--seed", "3", "--settle-seconds", "25")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "FAIL" not in ended.stdout


def test_a_server_that_publishes_halves_is_found_out(tmp_path: Path) -> None:
    prelude = tmp_path / "fault.py"
    prelude.write_text(
        "from lockgate.transfer.outcome import Outcome\n"
        "Outcome.is_complete = property(lambda self: self.bytes_moved > 0)\n"
    )
    ended = soak("--seconds", "3", "--settle-seconds", "0", "--prelude", str(prelude))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "FAIL no partial file" in ended.stdout
