"""A reload while the server runs: what it takes, and what it says it leaves."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from endings import cut
from live_server import PASSWORD, LiveServer
from raw_client import RawClient

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


def edit(server: LiveServer, old: str, new: str) -> None:
    """Change the configuration file of a server, and reload."""
    source = server.server.config.source
    assert source is not None
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    server.call(server.server.reload)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was warned of, but for the cheap hashes that the tests' accounts have."""
    told = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    return [one for one in told if "is weaker than [passwords]" not in one]


def test_limits_change_for_sessions_to_come_without_a_warning(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    edit(server, "[limits]", "[limits]\nsessions_per_address = 1")
    with connect(server), RawClient(server.host, server.port) as second:
        assert second.greeting.code == 421
    assert warnings(caplog) == []


def test_a_changed_listener_is_said_to_need_a_restart(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    edit(server, 'port = 0\ntls = "implicit"', 'port = 40990\ntls = "implicit"')
    added, gone = warnings(caplog)
    assert "needs a restart: 127.0.0.1 port 40990, tls implicit" in added
    assert "stays open until a restart: 127.0.0.1 port 0, tls implicit" in gone
    assert connect(server, implicit=True).greeting.code == 220


def test_a_reload_that_opens_passwords_and_data_in_clear_says_so_with_the_lines(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    edit(server, "[policy]", '[policy]\ncontrol = "optional"\ndata = "optional"')
    control, data = warnings(caplog)
    assert re.search(r'lockgate\.toml:\d+: control = "optional" in \[policy\]: passwords may go out', control)
    assert re.search(r'lockgate\.toml:\d+: data = "optional" in \[policy\]: files and listings may', data)


def test_a_configuration_that_is_wrong_changes_nothing(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    edit(server, "[limits]", "[limits]\nsessions_per_address = 0")
    (told,) = warnings(caplog)
    assert "nothing was changed" in told
    assert connect(server).greeting.code == 220


def test_a_home_that_cannot_be_made_is_451_and_one_line_in_the_log(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    server = start()
    (tmp_path / "file").touch()
    edit(server, 'home = "root"', f'home = "{tmp_path}/file/home"')
    caplog.clear()
    client = connect(server)
    client.auth()
    client.expect("USER alice", 331)
    reply = client.expect(f"PASS {PASSWORD}", 451)
    assert str(tmp_path) not in reply
    (told,) = (one for one in caplog.records if one.levelno >= logging.WARNING)
    assert told.exc_info is None
    assert f"{tmp_path}/file/home" in told.getMessage()
    client.expect("PWD", 530)
    client.expect("NOOP", 200)


def test_the_end_that_an_upload_needs_changes_for_sessions_that_run(start: Start, connect: Connect) -> None:
    server = start()
    client = connect(server).log_in()

    def cut_upload() -> int:
        sock = client.passive()
        client.expect("STOR cut.bin", 150)
        data = client.protect_data(sock)
        data.sendall(b"content")
        cut(data)
        return client.read().code

    assert cut_upload() == 426
    edit(server, "[policy]", "[policy]\nrequire_close_notify = false")
    assert cut_upload() == 226


def test_what_commands_are_allowed_stays_for_sessions_that_run(start: Start, connect: Connect) -> None:
    server = start()
    before = connect(server).log_in()
    edit(server, "[policy]", '[policy]\nclear_command_channel = "after-login"')
    before.expect("CCC", 500)
    connect(server).log_in().expect("CCC", 200)


def test_passive_ports_and_features_change_for_sessions_that_run(start: Start, connect: Connect) -> None:
    server = start()
    client = connect(server).log_in()
    client.expect("MODE Z", 200)
    edit(server, "[features]", "[features]\ncompression = false")
    client.expect("MODE Z", 504)
    edit(server, "[passive]", '[passive]\naddress = "192.0.2.7"')
    assert "192,0,2,7" in client.expect("PASV", 227)


@pytest.mark.requirement("R4217-10.1-a", side="S")
@pytest.mark.parametrize(("inside", "control"), [(False, "required"), (True, "forbidden")])
def test_protection_that_a_reload_demands_between_user_and_pass_is_demanded(
    start: Start, connect: Connect, inside: bool, control: str
) -> None:
    server = start(policy='control = "optional"\ndata = "optional"', account='control = "optional"')
    client = connect(server)
    if inside:
        client.auth()
    client.expect("USER alice", 331)
    edit(server, 'home = "root"\ncontrol = "optional"', f'home = "root"\ncontrol = "{control}"')
    client.expect(f"PASS {PASSWORD}", 530)
