"""Handshakes that could only come to what is not acceptable, and ports that two things want."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import hash_password
from lockgate.errors import ConfigError
from lockgate.server.config import load_config
from lockgate.tls.devcert import CertificateAuthority

HASH = hash_password("open", CHEAP)
ACCOUNT = f'[[account]]\nname = "alice"\npassword_hash = "{HASH}"\nhome = "."\n'
OLD = '[tls]\nmaximum_version = "1.2"\n'
NEW = 'acceptable_tls_version = "1.3"\n'
LISTENER = "[[listener]]\nport = 0\n"
CLEAR = 'tls = "none"\ncontrol = "optional"\ndata = "optional"\n'
TLS13, TLS12 = "TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CertificateAuthority().issue_server().write(tmp_path, "server")
    return tmp_path


def told(folder: Path, text: str) -> list[str]:
    path = folder / "f.toml"
    path.write_text(text)
    try:
        load_config(path, {})
    except ConfigError as error:
        return str(error).replace(f"{path}:", "").splitlines()
    return []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{OLD}[policy]\n{NEW}", 4),
        (f"{OLD}{LISTENER}{NEW}", 5),
        (f'[policy]\n{NEW}{LISTENER}maximum_version = "1.2"\n', 5),
        (f"{OLD}{ACCOUNT}{NEW}", 7),
        (
            f'{OLD}{ACCOUNT}{NEW}{LISTENER}tls = "none"\ncontrol = "optional"\ndata = "optional"\n{LISTENER}',
            7,
        ),
    ],
)
def test_a_version_that_cannot_be_had_is_told_with_its_remedy(folder: Path, text: str, line: int) -> None:
    (found,) = told(folder, text)
    assert found.startswith(f"{line}: ")
    assert "nobody could log in" in found
    assert 'maximum_version = "" or acceptable_tls_version = "1.2"' in found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'{OLD}[policy]\nacceptable_ciphers = ["{TLS13}"]\n', 4),
        (f'[tls]\nminimum_version = "1.3"\n[policy]\nacceptable_ciphers = ["{TLS12}"]\n', 4),
        (f'[policy]\n{NEW}acceptable_ciphers = ["{TLS12}"]\n', 3),
        (f'{OLD}ciphers = "ECDHE+CHACHA20"\n[policy]\nacceptable_ciphers = ["{TLS12}"]\n', 5),
        (f'{OLD}{ACCOUNT}acceptable_ciphers = ["{TLS13}"]\n', 7),
    ],
)
def test_suites_that_cannot_be_had_are_told_with_those_that_can(folder: Path, text: str, line: int) -> None:
    (found,) = told(folder, text)
    assert found.startswith(f"{line}: ")
    assert "acceptable_ciphers has none of the suites" in found
    assert "acceptable_ciphers = []" in found


@pytest.mark.parametrize(
    "text",
    [
        f"[policy]\n{NEW}",
        f'[policy]\nacceptable_ciphers = ["{TLS12}"]\n',
        f'{OLD}[policy]\nacceptable_ciphers = ["{TLS12}", "{TLS13}"]\n',
        f'{OLD}{LISTENER}maximum_version = ""\n{LISTENER}{ACCOUNT}{NEW}',
        f'{OLD}{LISTENER}control = "forbidden"\ndata = "optional"\n{NEW}',
    ],
)
def test_what_can_be_had_somewhere_is_let_be(folder: Path, text: str) -> None:
    assert told(folder, text) == []


def test_a_passive_range_keeps_clear_of_the_listeners(folder: Path) -> None:
    text = '[passive]\nports = "2000-3000"\n[[listener]]\nport = 2121\n[[listener]]\nport = 990\n'
    (found,) = told(folder, text)
    assert found.startswith('2: ports = "2000-3000" has port 2121 in it')
    assert told(folder, text.replace("2000-3000", "2122-3000")) == []


@pytest.mark.parametrize("umask", ["777", "700", "177", "0400"])
def test_a_umask_leaves_the_owner_his_rights(folder: Path, umask: str) -> None:
    (found,) = told(folder, f'[files]\numask = "{umask}"\n')
    assert found.startswith(f'2: umask: "{umask}" takes the rights of the owner too')
