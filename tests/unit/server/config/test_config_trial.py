"""What is told of a configuration that is right in itself and cannot run on this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import hash_password
from lockgate.errors import ConfigError
from lockgate.server.config import AccountConfig, load_config
from lockgate.server.config.trial import _home_problem
from lockgate.tls.devcert import CertificateAuthority

HASH = hash_password("open", CHEAP)
CLEAR = '[[listener]]\ntls = "none"\ncontrol = "optional"\ndata = "optional"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = CertificateAuthority()
    authority.write(tmp_path)
    authority.issue_server().write(tmp_path, "server")
    authority.issue_server().write(tmp_path, "other")
    (tmp_path / "rubbish").write_text("rubbish")
    return tmp_path


def told(folder: Path, text: str) -> list[str]:
    """Return the lines that a trial says, without the folder's own path."""
    path = folder / "f.toml"
    path.write_text(text)
    load_config(path, {})  # what is said below is the trial's alone
    try:
        load_config(path, {}, trial=True)
    except ConfigError as error:
        return str(error).replace(f"{path}:", "").replace(str(folder), "DIR").splitlines()
    return []


def account(home: str) -> str:
    return f'{CLEAR}[[account]]\nname = "alice"\npassword_hash = "{HASH}"\nhome = "{home}"\n'


def test_what_can_run_is_tried_in_silence_and_nothing_is_made(folder: Path) -> None:
    before = sorted(folder.iterdir())
    assert (
        told(folder, f'[tls]\nclient_ca = "ca.pem"\n{account("new/and/deep")}[[listener]]\nport = 0\n') == []
    )
    (folder / "f.toml").unlink()
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("tls", "line", "words"),
    [
        ('key = "other.key"', 2, "DIR/other.key does not belong to DIR/server.pem"),
        ('\ncertificate = "server.key"', 3, "DIR/server.key holds PRIVATE KEY, no CERTIFICATE; what is"),
        ('\nkey = "server.pem"', 3, "key: DIR/server.pem holds CERTIFICATE, no PRIVATE KEY; what is"),
        (
            'key = "rubbish"',
            2,
            "key: DIR/rubbish is not PEM; what is wanted is the certificate's private key",
        ),
        (
            '\ncertificate = "rubbish"',
            3,
            "certificate: DIR/rubbish is not PEM; what is wanted is the certificate chain",
        ),
        ('client_ca = "rubbish"', 2, "DIR/rubbish holds no CA certificates in PEM"),
        ('ciphers = "NULL"', 2, "leaves no cipher suite"),
    ],
)
def test_tls_that_would_not_start_is_told_at_its_key(folder: Path, tls: str, line: int, words: str) -> None:
    (found,) = told(folder, f"[tls]\n{tls}\n")
    assert found.startswith(f"{line}: ")
    assert words in found


PEM = "certificate = '{0}.pem'\nkey = '{0}.key'\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[tls]\nclient_ca = 'ca.pem'\ncrl = 'rubbish'", 3, "DIR/rubbish holds no revocation list in PEM"),
        ("[tls]\nclient_ca = 'ca.pem'\ncrl = 'other.pem'", 3, "DIR/other.pem holds certificates"),
        ("[tls]\n\n[[certificate]]\ncertificate = 'server.pem'\nkey = 'other.key'", 5, "does not belong to"),
        ("[[certificate]]\ncertificate = 'other.pem'\nkey = 'rubbish'", 3, "key: DIR/rubbish is not PEM"),
        (
            "[[certificate]]\ncertificate = 'rubbish'\nkey = 'other.key'",
            2,
            "certificate: DIR/rubbish is not PEM",
        ),
        ("[[listener]]\nport = 0\n" + PEM.format("other") + "client_ca = 'rubbish'", 5, "no CA certificates"),
        ("[[listener]]\nport = 0\nciphers = 'RC4'", 3, "leaves no cipher suite"),
        ("[[listener]]\nport = 0\ncertificate = 'other.pem'\nkey = 'server.key'", 4, "does not belong to"),
        ("[tls]\nkey = 'open.key'", 2, "DIR/open.key has mode 0644: every user of this machine"),
        ("[[certificate]]\ncertificate = 'server.pem'\nkey = 'open.key'", 3, "chmod 600 DIR/open.key"),
    ],
)
def test_tls_of_any_table_that_would_not_start_is_told_at_its_key(
    folder: Path, text: str, line: int, words: str
) -> None:
    (folder / "open.key").write_bytes((folder / "server.key").read_bytes())
    (folder / "open.key").chmod(0o644)
    (found,) = told(folder, f"{text}\n")
    assert found.startswith(f"{line}: ")
    assert words in found


def test_a_key_that_everybody_can_read_is_used_where_the_configuration_says_so(folder: Path) -> None:
    (folder / "server.key").chmod(0o644)
    assert told(folder, "[tls]\ncheck_key_permissions = false\n[[listener]]\nport = 0\n") == []


def test_a_link_to_a_key_is_judged_by_the_key(folder: Path) -> None:
    (folder / "live").mkdir()
    (folder / "live" / "server.key").symlink_to(folder / "server.key")
    text = "[tls]\nkey = 'live/server.key'\n[[listener]]\nport = 0\n"
    assert told(folder, text) == []
    (folder / "server.key").chmod(0o604)
    assert "mode 0604" in told(folder, text)[0]


def test_tls_files_and_ciphers_are_told_together(folder: Path) -> None:
    found = told(folder, '[tls]\nciphers = "NULL"\nkey = "other.key"\n')
    assert [one[:2] for one in found] == ["2:", "3:"]


def test_tls_files_do_not_matter_where_there_is_no_tls(folder: Path) -> None:
    assert told(folder, f'[tls]\nkey = "other.key"\n{CLEAR}') == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("192.0.2.1", "192.0.2.1 is no address of this machine"),
        ("2001:db8::1", "2001:db8::1 is no address of this machine"),
        ("x" * 64, "neither an IP address nor a host name that can be resolved"),
    ],
)
def test_an_address_that_this_machine_lacks_is_told(folder: Path, address: str, words: str) -> None:
    (found,) = told(folder, f'[[listener]]\nport = 0\naddress = "{address}"\n')
    assert found.startswith("3: ")
    assert words in found


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_an_address_and_a_host_name_of_this_machine_will_do(folder: Path, address: str) -> None:
    assert told(folder, f'[[listener]]\nport = 0\naddress = "{address}"\n') == []


@pytest.mark.parametrize(
    ("home", "words"),
    [("rubbish", "is not a directory"), ("rubbish/home", "cannot be made, because DIR/rubbish is not a")],
)
def test_a_home_that_cannot_be_made_is_told(folder: Path, home: str, words: str) -> None:
    (found,) = told(folder, account(home))
    assert found.startswith("8: ")
    assert 'account "alice"' in found
    assert words in found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become somebody else")
@pytest.mark.parametrize(
    ("mode", "permissions", "words"),
    [
        (0o755, "read write list", "cannot be written by nobody, whom this runs as (owner root, mode 0755)"),
        (0o755, "read list", ""),
        (
            0o700,
            "read list",
            "entered by nobody, whom this runs as (owner root, mode 0700)",
        ),
        (0o777, "read write list", ""),
    ],
)
def test_a_home_is_judged_by_the_rights_of_the_servers_user(mode: int, permissions: str, words: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "home").mkdir()
        (folder / "home").chmod(mode)
        os.seteuid(65534)
        try:
            problem = _home_problem(AccountConfig(name="a", home=folder / "home", permissions=permissions))
        finally:
            os.seteuid(0)
    assert words in problem
    assert bool(words) == bool(problem)
    if words:
        assert f"chown nobody {folder}/home" in problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_below_a_folder_that_cannot_be_written_is_told(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)
    (found,) = told(folder, account("closed/home"))
    assert "cannot be written by this user" in found
