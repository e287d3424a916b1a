"""tools/find-python: a Python is believed only when it has run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIND_PYTHON = Path(__file__).resolve().parents[3] / "tools" / "find-python"
WORKS = f'exec {sys.executable} "$@"'


@pytest.fixture
def machine(tmp_path):
    """A machine whose Pythons are shell scripts: `machine({"bin/python3.13": body}, "python3.13")`."""

    def run(commands: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "bin").mkdir()
        for name, body in commands.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/bin/sh\n{body}\n")
            path.chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
            "PYENV_ROOT": str(tmp_path / "pyenv"),
        }
        return subprocess.run(
            [FIND_PYTHON, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def test_a_python_that_runs_is_printed_with_its_path(machine):
    found = machine({"bin/python3.98": WORKS}, "python3.98")
    assert found.returncode == 0
    assert Path(found.stdout.strip()).samefile(sys.executable)


def test_its_minor_version_is_printed_when_asked_for(machine):
    found = machine({"bin/python3.98": WORKS}, "--minor", "python3.98")
    assert found.stdout.strip() == f"3.{sys.version_info.minor}"


def test_behind_a_shim_that_fails_the_newest_version_of_pyenv_is_found(machine):
    found = machine(
        {
            "bin/python3.98": "echo 'pyenv: python3.98: command not found' >&2; exit 127",
            "pyenv/versions/3.98.9/bin/python3": "exit 1",
            "pyenv/versions/3.98.10/bin/python3": WORKS,
        },
        "python3.98",
    )
    assert found.returncode == 0
    assert found.stdout.strip()
    assert found.stderr == ""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("exit 3", "is older than Python 3.11"),
        ("exit 127", "PYTHON=python3.98 does not run"),
        ("exit 4", "apt-get install python3-venv"),
    ],
)
def test_a_python_that_is_of_no_use_is_named_with_the_remedy(machine, body, message):
    found = machine({"bin/python3.98": body}, "python3.98")
    assert found.returncode == 1
    assert found.stdout == ""
    assert message in found.stderr
