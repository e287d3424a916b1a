"""`lockgate serve`: what it prepares, prints and refuses; the server itself is a stand-in here."""

from __future__ import annotations

import errno
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from lockgate.cli.firstrun import data_folder
from lockgate.cli.main import main
from lockgate.server.config import Config, ListenerTls, accounts
from lockgate.tls.devcert import ensure_certificate

Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Bound:
    address: str
    port: int
    tls: ListenerTls


@dataclass
class StandIn:
    """Stands where the server is: binds nothing, tells that it is ready, and ends."""

    code: int = 0
    failure: Exception | None = None
    configs: list[Config] = field(default_factory=list)

    def run(self, config: Config, *, on_ready: Callable[[Sequence[Bound]], None]) -> int:
        self.configs.append(config)
        if self.failure is not None:
            raise self.failure
        # Port 0 becomes a port of the system's choice.
        on_ready(
            [Bound(one.address, one.port or 40000 + i, one.tls) for i, one in enumerate(config.listeners)]
        )
        return self.code


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    stand_in = StandIn()
    module = ModuleType("lockgate.server.server")
    module.run = stand_in.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lockgate.server.server", module)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("LOCKGATE_DEMO_PASSWORD", raising=False)
    monkeypatch.chdir(tmp_path)
    return stand_in


def value(text: str, name: str) -> str:
    return next(one.split(None, 1)[1] for one in text.splitlines() if one.strip().startswith(name))


def commands(text: str, program: str) -> list[list[str]]:
    """Return the printed command lines of a program, split as a shell does."""
    found = [shlex.split(one) for one in text.splitlines() if f"{program} -" in one or f"{program} p" in one]
    return [one for one in found if program in one]


def test_without_a_configuration_everything_is_protected(server: StandIn, tmp_path: Path) -> None:
    assert main(["serve"]) == 0
    (config,) = server.configs
    assert [(one.address, one.port, one.tls) for one in config.listeners] == [
        ("127.0.0.1", 2121, ListenerTls.EXPLICIT),
        ("127.0.0.1", 2990, ListenerTls.IMPLICIT),
    ]
    assert config.policy.control == "required"
    assert config.policy.data == "required"
    assert [(one.name, one.home) for one in config.accounts] == [("demo", tmp_path / "lockgate-files")]
    assert (tmp_path / "lockgate-files").is_dir()
    assert config.tls.certificate.parent == tmp_path / "data" / "lockgate"


def test_the_printed_password_opens_the_account(server: StandIn, capsys: Capture) -> None:
    assert main(["serve"]) == 0
    password = value(capsys.readouterr().out, "Password")
    assert len(password) >= 16
    assert accounts(server.configs[0]).check_password("demo", password) is not None


def test_every_run_has_another_password_and_the_same_certificate(server: StandIn, capsys: Capture) -> None:
    runs = []
    for _ in range(2):
        assert main(["serve"]) == 0
        out = capsys.readouterr().out
        runs.append((value(out, "Password"), value(out, "SHA-256")))
    (first, print_one), (second, print_two) = runs
    assert first != second
    assert print_one == print_two


def test_the_password_may_come_from_the_environment(
    server: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKGATE_DEMO_PASSWORD", "it's $HOME")
    assert main(["serve"]) == 0
    out = capsys.readouterr().out
    assert accounts(server.configs[0]).check_password("demo", "it's $HOME") is not None
    assert "demo:it's $HOME" in commands(out, "curl")[0]
    assert commands(out, "lftp")[0][0] == "LFTP_PASSWORD=it's $HOME"


def test_a_password_that_no_line_can_carry_is_refused(
    server: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKGATE_DEMO_PASSWORD", "a\nb")
    assert main(["serve"]) == 2
    assert "LOCKGATE_DEMO_PASSWORD" in capsys.readouterr().err


def test_folder_host_and_ports_can_be_chosen(server: StandIn, tmp_path: Path, capsys: Capture) -> None:
    arguments = ["serve", "some/where", "--host", "::1", "--port", "0", "--implicit-port", "0"]
    assert main(arguments) == 0
    (config,) = server.configs
    assert [(one.address, one.port) for one in config.listeners] == [("::1", 0), ("::1", 0)]
    assert config.accounts[0].home == tmp_path / "some" / "where"
    # What is printed are the ports that were found, not those asked for.
    out = capsys.readouterr().out
    assert "ftpes://localhost:40000/" in out
    assert "ftps://localhost:40001/" in out
    assert ":0/" not in out


def test_the_lines_can_be_copied_whole_from_a_narrow_terminal(
    server: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["serve", "a folder"]) == 0
    out = capsys.readouterr().out
    password, fingerprint = value(out, "Password"), value(out, "SHA-256")
    certificate = str(tmp_path / "data" / "lockgate" / "lockgate.pem")
    ours = f"LOCKGATE_PASSWORD={password}"
    explicit, implicit = "localhost:2121/", "localhost:2990/"
    lines = [shlex.split(one) for one in out.splitlines() if not one.startswith(" ") and "'" not in one]
    put = ["lockgate", "put", "-r", "--ca", certificate, "FOLDER", f"ftpes://demo@{explicit}"]
    assert [ours, *put] in lines
    assert [ours, "lockgate", "get", "-r", "--ca", certificate, f"ftpes://demo@{explicit}", "COPY"] in lines
    assert [ours, "lockgate", "ls", "--pin", fingerprint, f"ftps://demo@{implicit}"] in lines
    curl = ["curl", "--ssl-reqd", "--cacert", certificate, "-u", f"demo:{password}"]
    assert [*curl, "-T", "FILE", f"ftp://{explicit}"] in lines
    assert ["curl", "--cacert", certificate, "-u", f"demo:{password}", f"ftps://{implicit}"] in lines
    scripts = [one[-1].split("; ") for one in commands(out, "lftp")]
    assert [one[-1] for one in scripts] == [
        f"open --env-password -u demo ftp://{explicit}",
        f"open --env-password -u demo ftps://{implicit}",
    ]
    assert all(one[0] == f'set ssl:ca-file "{certificate}"' for one in scripts)
    assert "\x1b" not in out


def test_another_address_is_in_the_certificate_and_in_the_lines(server: StandIn, capsys: Capture) -> None:
    assert main(["serve", "--host", "127.0.0.7"]) == 0
    assert "ftp://127.0.0.7:2121/" in capsys.readouterr().out
    assert main(["cert", "show"]) == 0
    assert "127.0.0.7" in capsys.readouterr().out


def test_another_address_leaves_the_certificate_of_this_machine_as_it_is(
    server: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["serve"]) == 0
    own = Path(value(capsys.readouterr().out, "Certificate"))
    before = own.read_bytes()
    assert main(["serve", "--host", "127.0.0.7"]) == 0
    assert value(capsys.readouterr().out, "Certificate") != str(own)
    assert own.read_bytes() == before


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 64])
def test_an_address_that_cannot_be_bound_makes_no_file(
    server: StandIn, tmp_path: Path, capsys: Capture, host: str
) -> None:
    assert main(["serve", "--host", host, "--port", "0", "--implicit-port", "0"]) == 1
    assert "choose another with --host" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert server.configs == []


def test_the_servers_exit_code_is_the_commands(server: StandIn) -> None:
    server.code = 7
    assert main(["serve"]) == 7


def test_a_folder_that_is_a_file_is_one_clear_line(server: StandIn, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "x").touch()
    assert main(["serve", "x"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "lockgate serve DIR" in err
    assert server.configs == []


@pytest.mark.parametrize(
    ("option", "number"), [("--port", 0), ("--implicit-port", 1)], ids=["explicit", "implicit"]
)
def test_a_port_in_use_is_named_with_the_option_to_choose_another(
    server: StandIn, tmp_path: Path, capsys: Capture, option: str, number: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = ["0", "0"]
        ports[number] = port
        assert main(["serve", "--port", ports[0], "--implicit-port", ports[1]]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"lockgate: cannot listen on 127.0.0.1 port {port}: the port is in use; "
        f"stop the program that has it, or choose another with {option}\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_free_again_says_so(server: StandIn, capsys: Capture) -> None:
    server.failure = OSError(errno.EADDRINUSE, "Address already in use")
    assert main(["serve", "--port", "0", "--implicit-port", "0"]) == 1
    assert "Try again" in capsys.readouterr().err


def test_another_failure_of_the_system_is_passed_on(server: StandIn, capsys: Capture) -> None:
    server.failure = OSError(errno.EMFILE, "Too many open files")
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == "lockgate: Too many open files\n"


# With a configuration


def test_a_configuration_is_run_and_its_listeners_are_printed(
    server: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    files = ensure_certificate(tmp_path / "c")
    file = tmp_path / "x.toml"
    file.write_text(
        '[tls]\ncertificate = "c/lockgate.pem"\nkey = "c/lockgate.key"\n[[listener]]\nport = 0\n'
        '[[listener]]\nport = 5\ntls = "none"\ncontrol = "optional"\ndata = "optional"\n'
    )
    assert main(["serve", "--config", str(file)]) == 0
    out, err = capsys.readouterr()
    assert server.configs[0].source == file
    assert "ftpes://localhost:40000/" in out
    assert "no TLS" in out
    assert value(out, "SHA-256") == files.fingerprint
    assert err.count("warning") == 2


def test_a_port_in_use_under_a_configuration_names_the_key(
    server: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    server.failure = OSError(errno.EADDRINUSE, "Address already in use")
    file = tmp_path / "x.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file.write_text(
            f"[[listener]]\nport = {taken.getsockname()[1]}\ntls = 'none'\n"
            "control = 'optional'\ndata = 'optional'\n"
        )
        assert main(["serve", "--config", str(file)]) == 1
    assert "port in its [[listener]]" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["x"], ["--port", "1"], ["--host", "::1"], ["--implicit-port", "0"]])
def test_what_belongs_into_the_configuration_is_refused_beside_it(
    server: StandIn, more: list[str], capsys: Capture
) -> None:
    assert main(["serve", "--config", "x.toml", *more]) == 2
    assert "--config" in capsys.readouterr().err
    assert server.configs == []


def test_a_wrong_configuration_is_told_and_nothing_runs(
    server: StandIn, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "x.toml").write_text("[policy]\ncontroll = 1\n")
    assert main(["serve", "--config", "x.toml"]) == 2
    assert capsys.readouterr().err.startswith("lockgate: x.toml:2: ")
    assert server.configs == []


# Folders


def test_the_data_folder_follows_the_xdg_rules() -> None:
    assert data_folder({"XDG_DATA_HOME": "/x"}) == Path("/x/lockgate")
    default = Path.home() / ".local" / "share" / "lockgate"
    assert data_folder({}) == default
    assert data_folder({"XDG_DATA_HOME": ""}) == default
    assert data_folder({"XDG_DATA_HOME": "relative"}) == default


def test_the_lines_name_the_program_as_this_shell_finds_it(
    server: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "lockgate"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", ["bin/lockgate", "serve"])
    monkeypatch.setenv("PATH", str(folder))
    assert main(["serve"]) == 0
    assert commands(capsys.readouterr().out, "lockgate")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["serve"]) == 0
    assert commands(capsys.readouterr().out, "bin/lockgate")
