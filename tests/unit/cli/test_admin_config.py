"""`lockgate config`, `lockgate account` and `lockgate cert`."""

from __future__ import annotations

import io
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from revocation import holder, revocation_list

from lockgate.accounts.passwords import verify_password
from lockgate.cli.main import main
from lockgate.server.config.example import EXAMPLE
from lockgate.tls.devcert import CertificateAuthority, ensure_certificate

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data directory of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "lockgate"


# config


def test_the_example_is_printed_as_it_is(capsys: Capture) -> None:
    assert main(["config", "example"]) == 0
    assert capsys.readouterr().out == EXAMPLE


def test_a_good_configuration_is_said_to_be_good(tmp_path: Path, capsys: Capture) -> None:
    CertificateAuthority().issue_server().write(tmp_path, "server")
    file = tmp_path / "lockgate.toml"
    file.write_text(EXAMPLE)
    assert main(["config", "check", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{file}: good (2 listeners, 1 account)\n"
    assert err == ""


def test_what_is_wrong_goes_to_standard_error_with_its_line(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "lockgate.toml"
    file.write_text("[policy]\ncontroll = 'x'\n[limits]\nsessions = 0\n[[listener]]\ntls = 'none'\n")
    assert main(["config", "check", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [one.removeprefix(f"lockgate: {file}:").partition(":")[0] for one in err.splitlines()] == [
        "2",
        "4",
    ]


def test_what_is_dangerous_is_a_warning(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "lockgate.toml"
    file.write_text("[[listener]]\ntls = 'none'\ncontrol = 'optional'\ndata = 'optional'\n")
    assert main(["config", "check", str(file)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        (
            f'lockgate: {file}:2: warning: tls = "none" in [[listener]] number 1: passwords, '
            "files and listings may go out in clear on 127.0.0.1 port 2121"
        ),
        f"lockgate: {file}: warning: there is no [[account]]: nobody can log in",
    ]


def test_what_cannot_run_here_is_told_by_check_and_by_serve_alike(tmp_path: Path, capsys: Capture) -> None:
    authority = CertificateAuthority()
    authority.issue_server().write(tmp_path, "server")
    authority.issue_server().write(tmp_path, "other")
    file = tmp_path / "lockgate.toml"
    file.write_text('[tls]\nkey = "other.key"\n[[listener]]\naddress = "192.0.2.1"\nport = 0\n')
    assert main(["config", "check", str(file)]) == 2
    checked = capsys.readouterr()
    assert main(["serve", "--config", str(file)]) == 2
    assert capsys.readouterr() == checked
    first, second = checked.err.splitlines()
    assert first.startswith(f"lockgate: {file}:2: the key {tmp_path}/other.key does not belong to")
    assert second.startswith(f"lockgate: {file}:4: address: 192.0.2.1 is no address of this machine")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    assert main(["config", "check", str(tmp_path / "nope")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# account


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line\n"])
def test_a_password_from_standard_input_is_its_first_line(
    end: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f" open sesame {end}", newline=""))
    assert main(["account", "hash", "--stdin"]) == 0
    stored = capsys.readouterr().out
    assert stored.count("\n") == 1
    assert verify_password(stored.strip(), " open sesame ")


@pytest.mark.parametrize(
    ("text", "words"), [("", "empty"), ("\n", "empty"), ("a\0b\n", "NUL"), ("x" * 1025, "longer")]
)
def test_a_password_that_cannot_be_one_is_refused(
    text: str, words: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["account", "hash", "--stdin"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_without_a_terminal_the_way_out_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x\n"))
    assert main(["account", "hash"]) == 2
    assert "--stdin" in capsys.readouterr().err


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown() -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "lockgate.cli.main", "account", "hash"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        deadline = time.monotonic() + 60
        try:
            for prompts in (1, 2):
                while shown.count(b": ") < prompts:
                    assert select.select([ours], [], [], max(0, deadline - time.monotonic()))[0]
                    shown += os.read(ours, 1024)
                os.write(ours, b"open sesame\n")
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(ours)
    assert process.returncode == 0
    assert b"open" not in shown
    assert verify_password(out.decode().strip(), "open sesame")


def hashed(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO("open sesame\n"))
    return main(["account", "hash", "--stdin", *options])


def test_the_parameters_come_from_options_over_the_file_over_the_defaults(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lockgate.toml"
    # An account that still waits for its hash does not stand in the way of making it.
    file.write_text("[passwords]\nmemory_kib = 7168\niterations = 5\n[[account]]\nname = 'alice'\n")
    for options, parameters in (
        ((), "m=47104,t=1,p=1"),
        (("--config", str(file)), "m=7168,t=5,p=1"),
        (("--config", str(file), "--iterations", "6", "--parallelism", "2"), "m=7168,t=6,p=2"),
        (("--memory-kib", "19456", "--iterations", "2"), "m=19456,t=2,p=1"),
    ):
        assert hashed(monkeypatch, *options) == 0
        stored = capsys.readouterr().out.strip()
        assert f"${parameters}$" in stored
        assert verify_password(stored, "open sesame")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--memory-kib", "47103"),
            "too cheaply guessed; give one of these or more: 47104 with --iterations 1",
        ),
        (("--memory-kib", "0"), "cannot work"),
        (("--iterations", "0"), "cannot work"),
        (("--memory-kib", "2097152"), "docs/passwords.md"),
        (("--iterations", "65"), "docs/passwords.md"),
        (("--memory-kib", "1048576", "--iterations", "5"), "docs/passwords.md"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_parameters_that_no_server_takes_are_refused_before_the_password_is_read(
    options: tuple[str, ...], words: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = io.StringIO("open sesame\n")
    monkeypatch.setattr("sys.stdin", source)
    assert main(["account", "hash", "--stdin", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert source.tell() == 0


def test_a_mistake_in_the_table_is_told_with_its_line(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lockgate.toml"
    file.write_text("[passwords]\niterations = 0\n")
    assert hashed(monkeypatch, "--config", str(file)) == 2
    assert f"{file}:2: iterations = 0" in capsys.readouterr().err


def test_a_terminal_is_told_where_the_hash_goes() -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "lockgate.cli.main", "account", "hash", "--stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            process.communicate(b"open sesame\n", timeout=60)
            while select.select([ours], [], [], 0)[0]:
                shown += os.read(ours, 4096)
        except OSError:
            pass  # the terminal's other end is closed: all has been read
        finally:
            process.kill()
            os.close(ours)
    assert process.returncode == 0
    found = re.search(rb'password_hash = "(\$argon2id[^"]+)"\r\n', shown)
    assert found
    assert verify_password(found[1].decode(), "open sesame")
    assert b"[[account]]" in shown
    assert b"46 MiB" in shown
    assert b"open sesame" not in shown


# cert


def values(text: str) -> dict[str, str]:
    return {one[:11].strip(): one[13:] for one in text.splitlines()}


def test_the_first_run_certificate_is_shown(home: Path, capsys: Capture) -> None:
    files = ensure_certificate(home, ["files.example.com"])
    assert main(["cert", "show"]) == 0
    shown = values(capsys.readouterr().out)
    assert shown["File"] == str(files.certificate)
    assert shown["SHA-256"] == files.fingerprint
    assert set(shown["Names"].split(", ")) == {"localhost", "127.0.0.1", "::1", "files.example.com"}
    assert "days left" in shown["Valid until"]


def test_showing_makes_no_certificate(home: Path, capsys: Capture) -> None:
    assert main(["cert", "show"]) == 2
    assert "lockgate serve" in capsys.readouterr().err
    assert not home.exists()


def test_the_certificate_of_a_configuration_is_shown(tmp_path: Path, home: Path, capsys: Capture) -> None:
    authority = CertificateAuthority()
    expired = authority.issue_server(["ftp.example.com"], days=-3).write(tmp_path, "server")
    file = tmp_path / "lockgate.toml"
    file.write_text("")
    assert main(["cert", "show", "--config", str(file)]) == 0
    shown = values(capsys.readouterr().out)
    assert shown["SHA-256"] == expired.fingerprint
    assert shown["Names"] == "ftp.example.com"
    assert shown["Valid until"].endswith("(EXPIRED)")


def test_a_file_that_is_no_certificate_is_said_to_be_none(tmp_path: Path, capsys: Capture) -> None:
    for name in ("server.pem", "server.key", "lockgate.toml"):
        (tmp_path / name).touch()
    assert main(["cert", "show", "--config", str(tmp_path / "lockgate.toml")]) == 2
    assert "BEGIN CERTIFICATE" in capsys.readouterr().err


def test_every_certificate_ca_and_list_of_a_configuration_is_shown(tmp_path: Path, capsys: Capture) -> None:
    authority, clients = CertificateAuthority(), holder("clients", ca=True)
    stems = ("server", "one", "own")
    shown = [authority.issue_server([f"{stem}.example"]).write(tmp_path, stem) for stem in stems]
    (tmp_path / "ca.pem").write_bytes(clients.pem)
    (tmp_path / "crl.pem").write_bytes(revocation_list(clients, days=-1))
    file = tmp_path / "lockgate.toml"
    file.write_text(
        "[tls]\nclient_ca = 'ca.pem'\ncrl = 'crl.pem'\n"
        "[[certificate]]\ncertificate = 'one.pem'\nkey = 'one.key'\n"
        "[[listener]]\nport = 0\n[[listener]]\nport = 0\ncertificate = 'own.pem'\nkey = 'own.key'\n"
    )
    assert main(["cert", "show", "--config", str(file)]) == 0
    captured = capsys.readouterr()
    assert all(one.fingerprint in captured.out for one in shown)
    assert "Client CA    CN=clients" in captured.out
    assert "Revoked by   CN=clients" in captured.out
    assert captured.out.count("(EXPIRED)") == 1
    assert "the revocation list of CN=clients" in captured.err


def test_a_certificate_that_ends_soon_is_a_warning_of_the_check(tmp_path: Path, capsys: Capture) -> None:
    CertificateAuthority().issue_server(days=12).write(tmp_path, "server")
    file = tmp_path / "lockgate.toml"
    file.write_text("[[listener]]\nport = 0\n")
    assert main(["config", "check", str(file)]) == 0
    assert "expires in 11 days" in capsys.readouterr().err
    file.write_text("[tls]\nexpiry_warning_days = 5\n[[listener]]\nport = 0\n")
    assert main(["config", "check", str(file)]) == 0
    assert "expires" not in capsys.readouterr().err


def test_a_key_that_everybody_can_read_fails_the_check(tmp_path: Path, capsys: Capture) -> None:
    CertificateAuthority().issue_server().write(tmp_path, "server").key.chmod(0o644)
    file = tmp_path / "lockgate.toml"
    file.write_text("[tls]\nkey = 'server.key'\n[[listener]]\nport = 0\n")
    assert main(["config", "check", str(file)]) == 2
    told = capsys.readouterr().err
    assert f"{file}:2: " in told
    assert "chmod 600" in told


def test_a_configuration_that_cannot_be_read_is_told_in_our_own_words(
    tmp_path: Path, capsys: Capture
) -> None:
    assert main(["config", "check", str(tmp_path)]) == 2
    assert main(["config", "check", str(tmp_path / "none.toml")]) == 2
    folder, missing = capsys.readouterr().err.splitlines()
    assert folder.startswith(f"lockgate: {tmp_path}: cannot read the configuration (Is a directory)")
    assert missing.startswith(f"lockgate: {tmp_path}/none.toml: cannot read the configuration (No such file")
