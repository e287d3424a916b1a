"""`lockgate put` against a live server."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from live_server import PASSWORD, USER, live_server

from lockgate.cli.main import main


@pytest.fixture
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def put(server, monkeypatch, tmp_path):
    monkeypatch.setenv("LOCKGATE_PASSWORD", PASSWORD)
    monkeypatch.chdir(tmp_path)

    def run(local: str, path: str, *options: str) -> int:
        url = f"ftpes://{USER}@localhost:{server.port}{path}"
        return main(["put", local, url, "--ca", str(server.ca_file), *options])

    return run


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a" * 1000)
    (tmp_path / "photos" / "sub" / "b.jpg").write_bytes(b"b")
    return tmp_path / "photos"


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_lands_at_the_path_or_in_the_directory(put, server, tmp_path, capsys):
    (tmp_path / "a").write_bytes(b"12345")
    (server.root / "in").mkdir()
    assert put("a", "/b") == 0
    assert put("a", "/in/") == 0
    assert put("a", "") == 0
    assert files_in(server.root) == ["a", "b", "in/a"]
    assert "verified" in capsys.readouterr().out


@pytest.mark.parametrize("options", [[], ["--parallel", "3"]])
def test_a_tree_lands_at_the_path_given(put, server, tree, options, capsys):
    assert put("photos", "/in", "-r", *options) == 0
    assert put("photos", "/in", "-r", *options) == 0
    assert files_in(server.root) == ["in/a.jpg", "in/sub/b.jpg"]
    assert "2 files" in capsys.readouterr().out


def test_a_tree_can_become_the_root(put, server, tree):
    assert put("photos", "/", "-r") == 0
    assert files_in(server.root) == ["a.jpg", "sub/b.jpg"]


def test_what_is_not_there_or_is_a_folder_is_an_error(put, server, tree, capsys):
    assert put("nope", "/b") == 1
    assert "no local file nope" in capsys.readouterr().err
    assert put("photos", "/b") == 1
    assert "add -r" in capsys.readouterr().err
    assert put("nope", "/b", "-r") == 1
    assert files_in(server.root) == []


def test_a_file_with_r_is_told_to_be_one(put, server, tree, capsys):
    assert put("photos/a.jpg", "/b", "-r") == 1
    assert capsys.readouterr().err == "lockgate: photos/a.jpg is a file: leave -r out\n"
    assert files_in(server.root) == []


def test_what_is_skipped_is_told_and_counted(put, server, tree, capsys):
    (tree / "folder").symlink_to(".")
    (tree / "round").symlink_to("round")
    os.mkfifo(tree / "pipe")
    assert put("photos", "/in", "-r") == 0
    shown = capsys.readouterr()
    for name in ("folder", "round", "pipe"):
        assert f"lockgate: photos/{name}: skipped" in shown.err
    assert "2 files, 3 skipped: " in shown.out
    assert files_in(server.root) == ["in/a.jpg", "in/sub/b.jpg"]


def test_what_is_skipped_is_told_beside_failures(put, server, tree, capsys):
    (tree / "round").symlink_to("round")
    (server.root / "in" / "a.jpg").mkdir(parents=True)
    assert put("photos", "/in", "-r") == 1
    shown = capsys.readouterr().err
    assert "photos/round: skipped" in shown
    assert "1 failed, 1 copied, 1 skipped" in shown
    assert all(line.startswith("lockgate: ") for line in shown.splitlines())


def test_one_file_is_one_file(put, server, tmp_path, capsys):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "empty").touch()
    assert put("one", "/in", "-r") == 0
    shown = capsys.readouterr().out
    assert "1 file: 0 B in " in shown
    assert "/s" not in shown


def test_standard_input_becomes_the_file_that_is_named(put, server, tmp_path, capsys):
    url = f"ftpes://{USER}@localhost:{server.port}/b"
    command = [sys.executable, "-m", "lockgate.cli.main", "put", "-", url, "--ca", str(server.ca_file)]
    subprocess.run(command, input=b"12345" * 100_000, check=True, timeout=60, capture_output=True)
    assert (server.root / "b").read_bytes() == b"12345" * 100_000
    assert put("-", "/") == 2
    assert "name the file" in capsys.readouterr().err
    assert put("-", "/b", "--resume") == 2
    assert put("-", "/b", "-r") == 2


def test_an_interrupted_upload_goes_on_with_resume(put, server, tmp_path, capsys):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    (server.root / "a").write_bytes(bytes(range(40)))
    assert put("a", "/", "--resume") == 0
    assert "60 B in " in capsys.readouterr().out
    assert (server.root / "a").read_bytes() == bytes(range(100))


def test_on_a_terminal_the_password_is_asked_for_and_a_bar_is_drawn(server, tmp_path):
    (tmp_path / "big").write_bytes(bytes(30_000_000))
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "LOCKGATE_PASSWORD"}
    url = f"ftpes://{USER}@localhost:{server.port}/big"
    command = [sys.executable, "-m", "lockgate.cli.main", "put", str(tmp_path / "big"), url]
    with subprocess.Popen(
        [*command, "--ca", str(server.ca_file)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm", "COLUMNS": "100"},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            if b"Password" not in shown and b"Password" in shown + piece:
                os.write(ours, f"{PASSWORD}\n".encode())
            shown += piece
        assert process.wait(30) == 0
    os.close(ours)
    text = shown.decode()
    assert "iB/s, verified" in text
    assert "/?" not in text
    assert PASSWORD not in text
    assert (server.root / "big").stat().st_size == 30_000_000


def test_a_port_without_tls_is_told_in_words_of_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LOCKGATE_PASSWORD", PASSWORD)
    (tmp_path / "a").write_bytes(b"1")
    clear = '[[listener]]\nport = 0\ntls = "none"\ncontrol = "optional"\ndata = "optional"\n'
    with live_server(tmp_path, listeners=clear) as server:
        assert main(["put", str(tmp_path / "a"), f"ftpes://{USER}@localhost:{server.clear_port}/a"]) == 1
    err = capsys.readouterr().err
    assert "the server refuses TLS" in err
    assert "try ftps://" in err
    assert "sends no password and no file in clear" in err
    assert "tls=" not in err
