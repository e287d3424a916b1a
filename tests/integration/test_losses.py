"""A full disk and a killed server, for both ways of writing: what is lost, what stays, what comes next."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from endings import hidden_files
from raw_client import RawClient, client_context
from server_process import ServerProcess, serving
from waiting import until

Connect = Callable[..., RawClient]
PIECE = bytes(range(256)) * 1024
OLD = b"old content"


def log_in(process: ServerProcess) -> RawClient:
    return RawClient(process.host, process.port, context=client_context(process.ca_file)).log_in()


@pytest.mark.parametrize(
    ("lines", "start"),
    [(["STOR full.bin"], b""), (["APPE full.bin"], OLD), (["REST 3", "STOR full.bin"], OLD[:3])],
)
@pytest.mark.parametrize("style", ["atomic", "in-place"])
def test_a_full_disk_is_452_whatever_is_gone_on_with(
    tmp_path: Path, lines: list[str], start: bytes, style: str
) -> None:
    with serving(tmp_path, file_limit_bytes=100_000, files=f'uploads = "{style}"') as process:
        path = process.root / "full.bin"
        path.write_bytes(OLD)
        with log_in(process) as client:
            data = client.passive()
            for line in lines:
                client.expect(line, 150, 350)
            protected = client.protect_data(data)
            with contextlib.suppress(OSError):  # the server may stop reading at any byte
                protected.sendall(PIECE * 4)
            assert client.read().code == 452
            protected.close()
            left = OLD if style == "atomic" else (start + PIECE)[:100_000]
            assert path.read_bytes() == left
            assert hidden_files(process.root) == []
            # The session goes on, and so does the file where there is room.
            assert client.upload("STOR full.bin", b"fits").code == 226
        assert path.read_bytes() == b"fits"


@pytest.mark.parametrize(("line", "start"), [("STOR", b""), ("APPE", OLD)])
@pytest.mark.parametrize("fsync", ["true", "false"])
def test_what_a_killed_server_wrote_in_place_is_gone_on_with_at_once(
    tmp_path: Path, line: str, start: bytes, fsync: str
) -> None:
    files = f'uploads = "in-place"\nfsync = {fsync}'
    with serving(tmp_path, files=files) as process:
        path = process.root / "long.bin"
        path.write_bytes(OLD)
        with log_in(process) as client:
            data = client.passive()
            client.expect(f"{line} long.bin", 150)
            protected = client.protect_data(data)
            protected.sendall(PIECE)
            until(lambda: path.read_bytes() == start + PIECE)
            process.process.kill()
            process.process.wait(15)
    # The lock died with the process; nothing hidden is left.
    assert (path.read_bytes(), hidden_files(path.parent)) == (start + PIECE, [])
    with serving(tmp_path, files=files) as process, log_in(process) as client:
        size = len(start + PIECE)
        assert client.expect("SIZE long.bin", 213) == f"213 {size}"
        client.expect(f"REST {size}", 350)
        assert client.upload("STOR long.bin", b"+rest").code == 226
    assert path.read_bytes() == start + PIECE + b"+rest"


@pytest.mark.parametrize("line", ["APPE long.bin", "STOR long.bin"])
def test_a_killed_server_leaves_the_old_content_where_uploads_are_atomic(tmp_path: Path, line: str) -> None:
    with serving(tmp_path, files="fsync = true") as process:
        path = process.root / "long.bin"
        path.write_bytes(OLD)
        with log_in(process) as client:
            data = client.passive()
            client.expect(line, 150)
            protected = client.protect_data(data)
            protected.sendall(PIECE)
            until(lambda: any((path.parent / name).stat().st_size for name in hidden_files(path.parent)))
            process.process.kill()
            process.process.wait(15)
    assert path.read_bytes() == OLD
    assert len(hidden_files(path.parent)) == 1
    with serving(tmp_path) as process, log_in(process) as client:
        assert client.upload("APPE long.bin", b"+new").code == 226
    assert path.read_bytes() == OLD + b"+new"
