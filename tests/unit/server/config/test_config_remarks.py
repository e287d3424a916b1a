"""What is warned of in a configuration that is allowed: defaults that are off, and what does nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import hash_password
from lockgate.server.config import EXAMPLE, load_config, remarks, shown_remarks
from lockgate.tls.devcert import CertificateAuthority

HASH = hash_password("open", CHEAP)
LISTENER = "[[listener]]\nport = 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CertificateAuthority().issue_server().write(tmp_path, "server")
    return tmp_path


def account(text: str = "", name: str = "alice") -> str:
    return f'[[account]]\n{text}\nname = "{name}"\npassword_hash = "{HASH}"\nhome = "."\n'


def told(folder: Path, text: str) -> list[str]:
    """Return `LINE: message` for what is remarked on, but for the cheap hash of the test's account."""
    path = folder / "f.toml"
    path.write_text(text)
    found = remarks(load_config(path, {}))
    return [f"{one.line}: {one.message}" for one in found if "password hash" not in one.message]


def test_the_example_is_safe(folder: Path) -> None:
    assert told(folder, EXAMPLE) == []


@pytest.mark.parametrize(
    ("setting", "meaning"),
    [
        ('control = "optional"', "passwords may go out in clear"),
        ('data = "optional"', "files and listings may go out in clear"),
        ('data = "forbidden"', "files and listings go out in clear only"),
        ('session_reuse = "off"', "another program"),
        ("require_close_notify = false", "may count as complete"),
        ('clear_command_channel = "after-login"', "after CCC commands"),
    ],
)
def test_a_default_that_is_off_is_told_wherever_it_is_written(
    folder: Path, setting: str, meaning: str
) -> None:
    policy, listener, alice = (
        told(folder, f"[policy]\n{setting}\n{account()}"),
        told(folder, f"[[listener]]\n{setting}\nport = 0\n{account()}"),
        told(folder, LISTENER + account(setting)),
    )
    for found, line, table in (
        (policy, 2, "[policy]"),
        (listener, 2, "[[listener]] number 1"),
        (alice, 4, '[[account]] "alice"'),
    ):
        (remark,) = found
        assert remark.startswith(f"{line}: {setting} in {table}: ")
        assert meaning in remark


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (
            '[[rule]]\npath = "/pub"\ndata = "optional"\n',
            '3: data = "optional" in [[rule]] number 1: what is',
        ),
        ('[[rule]]\npath = "/pub"\ndata = "forbidden"\n', '"/pub" go out in clear only'),
        ("[tls]\ncheck_key_permissions = false\n", "2: check_key_permissions = false in [tls]: a private"),
        ("[limits]\nlockout_failures_per_address = 0\n", "2: lockout_failures_per_address = 0 in [limits]"),
        ("[limits]\nlockout_failures_per_account = 0\n", "2: lockout_failures_per_account = 0 in [limits]"),
        ("[limits]\nsessions = 5\nsessions_per_address = 6\n", "3: sessions_per_address = 6 is more than"),
        ('[[listener]]\ntls = "implicit"\ncontrol = "optional"\n', '3: control = "optional" in [[listener]]'),
        ('[files]\numask = "000"\n', '2: umask = "000" in [files] lets every user'),
        (account('umask = "020"', "bob"), '2: umask = "020" in [[account]] "bob" lets every user'),
        (account('permissions = ""', "bob"), '2: permissions = "" in [[account]] "bob": it may log in'),
    ],
)
def test_what_is_open_or_idle_is_told_with_its_line(folder: Path, text: str, remark: str) -> None:
    (found,) = told(folder, text + account())
    assert remark in found


def test_accounts_that_say_the_same_are_told_together(folder: Path) -> None:
    many = "".join(account('data = "optional"', f"a{number}") for number in range(50))
    (found,) = told(folder, many)
    assert found.startswith('2: data = "optional" in [[account]] "a0", "a1", "a2" and 47 more: ')


def test_a_listener_without_tls_is_told_of_once(folder: Path) -> None:
    text = '[[listener]]\ntls = "none"\ncontrol = "optional"\ndata = "optional"\nsession_reuse = "off"\n'
    (found,) = told(folder, text + account())
    assert found.startswith('2: tls = "none" in [[listener]] number 1')


def test_all_remarks_are_shown_with_file_and_line(folder: Path) -> None:
    path = folder / "f.toml"
    key = "certificate = 'server.pem'\nkey = 'server.key'\n"
    path.write_text(f'[[certificate]]\nnames = ["other.example"]\n{key}{account()}')
    names, weak = shown_remarks(load_config(path, {}), "F")
    assert names.startswith("F:2: warning: the certificate in ")
    assert weak.startswith('F:8: warning: the password hash of "alice" is weaker')
