"""Half uploads that nobody comes back for vanish; those that may still be resumed stay."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from endings import cut, hidden_files
from live_server import LiveServer, configuration, running
from raw_client import RawClient, client_context
from waiting import until

Connect = Callable[..., RawClient]


def leave_partial(server: LiveServer, name: str) -> Path:
    """Have an upload cut, and return the hidden file that keeps what came."""
    before = set(hidden_files(server.root))
    with RawClient(server.host, server.port, context=client_context()) as client:
        client.log_in()
        data = client.passive()
        client.expect(f"STOR {name}", 150)
        protected = client.protect_data(data)
        protected.sendall(b"half")
        cut(protected)
        assert client.read().code == 426
    (made,) = set(hidden_files(server.root)) - before
    return server.root / made


def grow_old(path: Path, *, days: float) -> None:
    """Let a file look as if nobody had written to it for so long."""
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def test_a_server_that_starts_removes_half_uploads_older_than_a_day(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with running(config, tmp_path) as server:
        old, young = leave_partial(server, "old.bin"), leave_partial(server, "young.bin")
        (server.root / "whole.bin").write_bytes(b"whole")
    # As a server that was killed leaves it: still under its working name.
    killed = old.with_name(old.name[: -len(".part") - 32] + "0123456789abcdef.tmp")
    killed.write_bytes(b"half")
    for path in (old, killed, tmp_path / "root" / "whole.bin"):
        grow_old(path, days=1.1)
    grow_old(young, days=0.9)
    with running(config, tmp_path) as server:
        until(lambda: not old.exists() and not killed.exists())
        assert hidden_files(server.root) == [young.name]
        assert (server.root / "whole.bin").read_bytes() == b"whole"
        with RawClient(server.host, server.port, context=client_context()) as client:
            client.log_in().expect("SIZE young.bin", 213)


def test_a_home_that_cannot_be_walked_does_not_keep_the_server_from_starting(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    (tmp_path / "root").rmdir()
    with running(config, tmp_path) as server:
        with RawClient(server.host, server.port, context=client_context()) as client:
            client.log_in().expect("PWD", 257)
        assert server.root.is_dir()


@pytest.mark.parametrize("days", [0.5, 1.5])
def test_only_old_half_uploads_go_when_the_hours_have_passed(server: LiveServer, days: float) -> None:
    left = leave_partial(server, f"{days}.bin")
    grow_old(left, days=days)
    server.call(server.server.cleaner.start)
    probe = leave_partial(server, "probe.bin")
    grow_old(probe, days=2)
    server.call(server.server.cleaner.start)
    # The second round comes after the first one: when its file is gone, the first one's verdict is in.
    until(lambda: not probe.exists())
    assert left.exists() is (days < 1)
