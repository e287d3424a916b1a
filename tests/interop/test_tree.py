"""A tree of odd names there and back with `lockgate serve`, and the lines it prints, run as they stand."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from programs import Run, run

PROGRAM = [sys.executable, "-c", "from lockgate.cli.main import main; raise SystemExit(main())"]
SHELL = "/bin/bash"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Served:
    """A `lockgate serve` that is running, and what it printed."""

    root: Path
    lines: list[str]

    def shown(self, label: str) -> str:
        """Return what stands behind a label such as Password."""
        (found,) = (line.split(None, 1)[1] for line in self.lines if line.split()[:1] == [label])
        return found

    def port(self, scheme: str) -> int:
        (found,) = (
            match for line in self.lines if (match := re.match(rf"{scheme}://localhost:(\d+)/ ", line))
        )
        return int(found[1])

    def commands(self, program: str) -> list[str]:
        """Return the printed lines that run a program."""
        return [line for line in self.lines if re.match(rf"(\w+=\S+ )?(\S*/)?{program} ", line)]


def read_lines(process: subprocess.Popen[str], last: str) -> list[str]:
    """Return the lines of a program's output up to the one that begins with `last`, without empty ones."""
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True).start()
    deadline, found = time.monotonic() + 30, []
    while not found or not found[-1].startswith(last):
        line = lines.get(timeout=max(0.0, deadline - time.monotonic())).strip()
        found += [line] if line else []
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`lockgate serve` without a configuration, on ports of its own choice."""
    work = tmp_path_factory.mktemp("serve")
    root = work / "served files"
    environment = os.environ | {"XDG_DATA_HOME": str(work / "data"), "HOME": str(work)}
    command = [*PROGRAM, "serve", str(root), "--port", "0", "--implicit-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=work)
    try:
        yield Served(root, read_lines(process, "Ctrl-C"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            assert process.stdout is not None
            process.stdout.close()


NAMES = ("plain", "with space", "grüße", "日本語", "it's", 'a "quote"', "-hyphen", "[x]*?", "a&b;c", "tail ")


def make_tree(root: Path, *, count: int, largest: int) -> None:
    """Write files of many sizes, from none to `largest` bytes, under names that programs trip over."""
    chosen = random.Random(count)
    for number in range(count):
        folder = root / NAMES[number % 7] / f"{NAMES[number % 10]} {number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        size = (0, 1, largest)[number] if number < 3 else int(2 ** chosen.uniform(0, 17))
        (folder / f"{NAMES[(number + 3) % 10]}{number}").write_bytes(chosen.randbytes(size))


def checksums(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("parallel", [1, 4])
def test_three_hundred_files_go_there_and_back(served, tls_version, mode, parallel, tmp_path):
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    make_tree(tree, count=300, largest=4 * MIB)
    expected = checksums(tree)
    assert len(expected) == 300
    scheme = "ftpes" if mode == "explicit" else "ftps"
    name = f"tree-{mode}-{tls_version}-{parallel}"
    url = f"{scheme}://{served.shown('User')}@localhost:{served.port(scheme)}/{name}"
    options = ["-r", "--parallel", str(parallel), "--tls-version", tls_version]
    options += ["--ca", served.shown("Certificate")]
    variables = {"LOCKGATE_PASSWORD": served.shown("Password")}
    run([*PROGRAM, "put", *options, tree, url], home=tmp_path, environment=variables).ok()
    assert checksums(served.root / name) == expected
    run([*PROGRAM, "get", *options, url, copy], home=tmp_path, environment=variables).ok()
    assert checksums(copy) == expected


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Run]:
    """Run a line as somebody who copied it would, where FILE and FOLDER are."""
    (tmp_path / "FILE").write_bytes(b"the file\n" * 1000)
    make_tree(tmp_path / "FOLDER", count=20, largest=MIB)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def call(line: str, stdin: bytes = b"") -> Run:
        return run([SHELL, "-c", line], home=tmp_path, stdin=stdin, environment={"PATH": path})

    return call


def test_the_printed_lockgate_lines_work_as_they_stand(served, shell, tmp_path):
    put, get, listing = served.commands("lockgate")
    shell(put).ok()
    shell(get).ok()
    expected = checksums(tmp_path / "FOLDER")
    assert expected.items() <= checksums(tmp_path / "COPY").items()
    assert NAMES[0] in shell(listing).ok().text


def test_the_printed_curl_lines_work_as_they_stand(served, shell, client_program):
    client_program("curl")
    upload, explicit, implicit = served.commands("curl")
    shell(upload).ok()
    assert (served.root / "FILE").read_bytes() == b"the file\n" * 1000
    assert " FILE" in shell(explicit).ok().text
    assert " FILE" in shell(implicit).ok().text


def test_the_printed_lftp_lines_work_as_they_stand(served, shell, client_program, tmp_path):
    client_program("lftp")
    explicit, implicit = served.commands("lftp")
    shell(explicit, b"mirror -R FOLDER with-lftp\n").ok()
    shell(implicit, b"mirror with-lftp back\n").ok()
    assert checksums(served.root / "with-lftp") == checksums(tmp_path / "FOLDER")
    assert checksums(tmp_path / "back") == checksums(tmp_path / "FOLDER")
