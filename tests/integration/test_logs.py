"""What `lockgate serve` writes to standard error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from live_server import PASSWORD, LiveServer
from log_lines import Told, read_line, the_one
from raw_client import RawClient
from server_process import serving
from waiting import until

from lockgate._version import __version__

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


def test_logins_failures_and_transfers_are_logged_by_default_one_line_each(
    tmp_path: Path, connect: Connect
) -> None:
    with serving(tmp_path) as server:
        client = connect(server)
        client.auth()
        client.expect("USER alice", 331)
        client.expect("PASS wr0ng", 530)
        client.log_in()
        assert client.upload("STOR one.bin", b"content").code == 226
        client.expect("QUIT", 221)
        until(lambda: "transfer " in server.log.read_text())
        server.process.terminate()
        server.process.wait(15)
        remark, *lines = server.log.read_text().splitlines()
    assert "warning: the password hash" in remark
    told = [line.split(" ", 2)[2] for line in lines]  # after date and time
    events = [read_line(one)[0] for one in told]
    assert events == ["started", "login-failed", "login", "transfer", "stop", "stopped"]
    version, listeners = read_line(told[0])[1].values()
    assert version == __version__
    assert f"{server.host} port {server.port} (explicit)" in listeners
    assert told[1].endswith(' reason="wrong password"')
    assert "user=alice" in told[2]
    assert "path=/one.bin" in told[3]
    assert not any("wr0ng" in one or PASSWORD in one or "lockgate.audit" in one for one in lines)


def test_the_last_line_says_what_the_end_has_ended(start: Start, connect: Connect, told: Told) -> None:
    server = start()
    connect(server)
    client = connect(server).log_in()
    client.passive()
    client.expect("STOR cut.bin", 150)
    server.drain(0.1)
    line = the_one(told("stopped"), sessions="2", interrupted="1")
    assert 0.1 <= float(line["seconds"]) < 10
