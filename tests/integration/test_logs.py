"""What `lockgate serve` writes to standard error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from live_server import PASSWORD
from raw_client import RawClient
from server_process import serving
from waiting import until

Connect = Callable[..., RawClient]


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
    assert [one.split()[0] for one in told] == ["login-failed", "login", "transfer", "stop"]
    assert told[0].endswith(' reason="wrong password"')
    assert "user=alice" in told[1]
    assert "path=/one.bin" in told[2]
    assert not any("wr0ng" in one or PASSWORD in one or "lockgate.audit" in one for one in lines)
