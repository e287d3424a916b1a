"""Texts that are no TOML, and values in a wrong form: the line, and what to write instead."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import hash_password
from lockgate.errors import ConfigError
from lockgate.server.config import load_config

HASH = hash_password("open", CHEAP)
CLEAR = '[[listener]]\ntls = "none"\ncontrol = "optional"\ndata = "optional"\n'


def told(folder: Path, text: str) -> str:
    path = folder / "f.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_config(path, {})
    return str(raised.value).replace(str(path), "F")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[files]\numask = 007\n", 'F:2: umask = 007: text stands in quotes: umask = "007"'),
        (
            "[policy]\ndata = optional # so\n",
            'F:2: data = optional: text stands in quotes: data = "optional"',
        ),
        ("[files]\nfsync = True\n", "F:2: fsync = True: write fsync = true, or"),
        ("[[account]]\npassword_hash = $argon2id$secret\n", "F:2: password_hash: text stands in quotes"),
        ("[listener]\nport = 1\n[listener]\n", "F:3: [listener] stands more than once: write [[listener]]"),
        ("[account]\n[[account]]\n", "F:2: [account] stands more than once: write [[account]]"),
        ("[[rule]]\n[rule]\n", "F:2: [rule] stands more than once: write [[rule]] with two brackets"),
        (
            "\n[tls]\n[policy]\n[tls]\n",
            "F:4: [tls] stands twice; put all its keys under the first one (line 2)",
        ),
        ("[tls]\nkey = 'a'\nkey = 'b'\n", "F:3: key stands twice in this table; keep one"),
        ('[tls]\nkey = "a\n', "is a closing quote missing?"),
        ('[tls]\nkey = "C:\\key"\n', "in single quotes"),
        ("[tls]\nkey\n", "F:2: not valid TOML: Expected '=' after"),
        ("[tls]\nx = [1,\n", "F:2: not valid TOML: "),
    ],
)
def test_what_is_no_toml_is_told_with_line_and_hint(tmp_path: Path, text: str, message: str) -> None:
    found = told(tmp_path, text)
    assert message in found
    assert found.startswith("F:")
    assert "secret" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('permissions = ["read", "write"]', 'permissions = "read write"'),
        ("permissions = 5", 'permissions = "read list"'),
        ("acceptable_tls_version = 1.3", 'expected text in quotes: acceptable_tls_version = "1.3"'),
        ('certificate_subject = "bank"', "`openssl x509 -noout -subject -nameopt RFC2253` prints it so"),
    ],
)
def test_a_value_in_a_wrong_form_is_told_with_the_right_one(tmp_path: Path, text: str, message: str) -> None:
    found = told(tmp_path, f'{CLEAR}[[account]]\nname = "a"\nhome = "."\npassword_hash = "{HASH}"\n{text}\n')
    assert found.startswith("F:9: ")
    assert message in found


def test_a_name_without_brackets_is_told_with_them(tmp_path: Path) -> None:
    found = told(tmp_path, f"{CLEAR}[[certificate]]\nnames = 'x.org'\ncertificate = 'a'\nkey = 'b'\n")
    assert (
        'F:6: names = "x.org" in [[certificate]] number 1: expected a list in brackets: names = ["x.org"]'
        in found
    )


def test_an_account_without_any_way_in_is_told_of_all(tmp_path: Path) -> None:
    found = told(tmp_path, f'{CLEAR}[[account]]\nname = "a"\nhome = "."\n')
    for key in ("password_hash", "certificate_subject", "certificate_email", "certificate_uri"):
        assert key in found
    assert "certificate_fingerprint" in found


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(Is a directory\); that is a directory: write the path"):
        load_config(tmp_path, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become somebody else")
def test_what_may_not_be_read_is_told_with_owner_and_mode() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("f.toml", "server.pem", "server.key"):
            (folder / file).touch()
        (folder / "server.key").chmod(0o600)
        os.seteuid(65534)
        try:
            found = told_as_it_is(folder)
        finally:
            os.seteuid(0)
        assert "key: cannot read" in found
        assert "let nobody, whom this runs as, read it (owner root, mode 0600): `chown nobody" in found
        assert 'write key = "..." in [tls]' in found
        (folder / "f.toml").chmod(0o600)
        os.seteuid(65534)
        try:
            found = told_as_it_is(folder)
        finally:
            os.seteuid(0)
        assert "cannot read the configuration (Permission denied); let nobody, whom" in found


def told_as_it_is(folder: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load_config(folder / "f.toml", {})
    return str(raised.value)
