"""tnftp (the BSD client, which has no TLS) against a server that is configured to speak clear FTP."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from live_server import PASSWORD, USER, LiveServer
from programs import Run, run

LISTENER = '[[listener]]\naddress = "127.0.0.1"\nport = 0\ntls = "none"'
CLEAR = 'control = "optional"\ndata = "optional"'


@pytest.fixture
def clear(start: Callable[..., LiveServer]) -> LiveServer:
    """A server whose configuration says in words that clear FTP is wanted."""
    return start(listeners=LISTENER, policy=CLEAR)


@pytest.fixture
def tnftp(client_program: Callable[[str], str], tmp_path) -> Callable[..., Run]:
    """Run commands in one session of tnftp."""
    program = client_program("tnftp")

    def call(server: LiveServer, *commands: str) -> Run:
        login = f'user {USER} "{PASSWORD}"'
        script = "\n".join([login, "prompt off", "binary", *commands, "quit"]) + "\n"
        words = [program, "-n", "-v", "127.0.0.1", str(server.clear_port)]
        return run(words, home=tmp_path, stdin=script.encode())

    return call


@pytest.mark.parametrize("mode", ["passive", "active"])
@pytest.mark.parametrize("extended", ["on", "off"], ids=["EPSV", "PASV"])
def test_files_go_both_ways_in_clear_where_that_was_configured(tnftp, clear, mode, extended, tmp_path):
    data = random.Random(1).randbytes(400_000)
    (tmp_path / "file").write_bytes(data)
    done = tnftp(
        clear,
        f"passive {'on' if mode == 'passive' else 'off'}",
        f"epsv4 {extended}",
        "put file there",
        "get there back",
        "ls",
    ).ok()
    assert (clear.root / "there").read_bytes() == data
    assert (tmp_path / "back").read_bytes() == data
    assert " there" in done.text


def test_names_are_made_changed_and_removed(tnftp, clear):
    (clear.root / "old").write_bytes(b"1")
    (clear.root / "rubbish").write_bytes(b"2")
    tnftp(clear, "mkdir made", "rename old made/new", "delete rubbish", "mkdir gone", "rmdir gone").ok()
    assert sorted(path.name for path in clear.root.rglob("*")) == ["made", "new"]


def test_a_cut_download_is_resumed(tnftp, clear, tmp_path):
    data = random.Random(2).randbytes(300_000)
    (clear.root / "some").write_bytes(data)
    (tmp_path / "some").write_bytes(data[:100_001])
    tnftp(clear, "reget some").ok()
    assert (tmp_path / "some").read_bytes() == data


def test_a_url_is_fetched_in_clear(client_program, clear, tmp_path):
    (clear.root / "some").write_bytes(b"in clear")
    url = f"ftp://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{clear.clear_port}/some"
    run([client_program("tnftp"), "-o", tmp_path / "some", url], home=tmp_path).ok()
    assert (tmp_path / "some").read_bytes() == b"in clear"


@pytest.mark.requirement("R4217-3-b", "R4217-4.2-a")
def test_without_that_the_password_is_refused_in_clear(client_program, server, tmp_path):
    script = f'user {USER} "{PASSWORD}"\nls\nquit\n'.encode()
    words = [client_program("tnftp"), "-n", "-v", "-d", "127.0.0.1", str(server.port)]
    refused = run(words, home=tmp_path, stdin=script)
    assert "\n530 " in refused.text
    assert "PASS" not in refused.text
