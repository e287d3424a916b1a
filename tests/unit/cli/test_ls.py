"""`lockgate ls` against a live server."""

from __future__ import annotations

import json

import pytest
from live_server import PASSWORD, USER, live_server

from lockgate.cli.main import main


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("server")) as running:
        (running.root / "in" / "sub").mkdir(parents=True)
        (running.root / "in" / "a b").write_bytes(b"12345")
        (running.root / "in" / "evil\x1b[2J").touch()
        yield running


@pytest.fixture
def ls(server, monkeypatch):
    monkeypatch.setenv("LOCKGATE_PASSWORD", PASSWORD)

    def run(path: str, *options: str) -> int:
        url = f"ftpes://{USER}@localhost:{server.port}{path}"
        return main(["ls", url, "--ca", str(server.ca_file), *options])

    return run


def test_a_directory_is_listed_by_name_with_kind_and_size(ls, capsys):
    assert ls("/in") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["a b", "evil?[2J", "sub/"]
    assert lines[0].startswith("-  5  20")
    assert lines[2].startswith("d  ")


def test_one_file_can_be_listed(ls, capsys):
    assert ls("/in/a%20b") == 0
    assert capsys.readouterr().out.endswith("  a b\n")


def test_json_is_for_programs(ls, capsys):
    assert ls("/in", "--json") == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries["a b"]["size"] == 5
    assert entries["a b"]["path"] == "/in/a b"
    assert entries["a b"]["modified"].endswith("Z")
    assert entries["sub"]["kind"] == "dir"
    assert "evil\x1b[2J" in entries


def test_what_is_not_there_is_one_line_on_stderr(ls, capsys):
    assert ls("/nope") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("lockgate: /nope: ")


@pytest.mark.requirement("R003-4-a", "R4217-10.3-c")
def test_an_unknown_certificate_stops_and_says_what_to_do(server, monkeypatch, capsys):
    monkeypatch.setenv("LOCKGATE_PASSWORD", PASSWORD)
    assert main(["ls", f"ftpes://{USER}@localhost:{server.port}/"]) == 1
    shown = capsys.readouterr().err
    assert "--ca" in shown
    assert "--pin" in shown


def test_insecure_is_said_in_words(server, monkeypatch, capsys):
    monkeypatch.setenv("LOCKGATE_PASSWORD", PASSWORD)
    assert main(["ls", f"ftpes://{USER}@localhost:{server.port}/", "--insecure"]) == 0


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_implicit_tls_and_each_version(server, monkeypatch, capsys, version):
    monkeypatch.setenv("LOCKGATE_PASSWORD", PASSWORD)
    url = f"ftps://{USER}@localhost:{server.implicit_port}/"
    assert main(["ls", url, "--ca", str(server.ca_file), "--tls-version", version]) == 0


@pytest.mark.requirement("R4217-10.3-b", "R1579-a")
def test_the_options_of_the_conversation_are_taken(ls, capsys):
    assert ls("/in", "--active", "--before-auth", "NOOP", "--timeout", "20", "-v") == 0
    shown = capsys.readouterr().err
    assert shown.index("NOOP") < shown.index("AUTH TLS")
    assert "PORT " in shown or "EPRT " in shown
    assert PASSWORD not in shown


def test_without_a_password_and_a_terminal_it_says_how_to_give_one(server, monkeypatch, capsys):
    monkeypatch.delenv("LOCKGATE_PASSWORD", raising=False)
    url = f"ftpes://{USER}@localhost:{server.port}/"
    assert main(["ls", url, "--ca", str(server.ca_file)]) == 2
    assert "LOCKGATE_PASSWORD" in capsys.readouterr().err


def test_a_wrong_password_is_not_shown(server, monkeypatch, capsys):
    monkeypatch.setenv("LOCKGATE_PASSWORD", "wrong-horse")
    url = f"ftpes://{USER}@localhost:{server.port}/"
    assert main(["ls", url, "--ca", str(server.ca_file)]) == 1
    assert "wrong-horse" not in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://host/", "host/path", "ftpes://", "ftpes://host:0/"])
def test_what_is_no_url_is_a_usage_error(url, capsys):
    assert main(["ls", url]) == 2
    assert capsys.readouterr().err.startswith("lockgate: ")


@pytest.mark.parametrize("options", [["--tls-version", "1.1"], ["--pin", "12"], ["--insecure", "--ca", "x"]])
def test_options_that_cannot_be_are_usage_errors(options, capsys):
    assert main(["ls", "ftpes://localhost:1/", *options]) == 2
