"""`[files]` and its keys in an account: what is read, what is refused, what is tried on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.files import LinkRule
from lockgate.accounts.passwords import hash_password
from lockgate.errors import ConfigError
from lockgate.server.config import Config, FilesConfig, accounts, files_for, load_config
from lockgate.server.config.files import FILE_KEYS
from lockgate.server.config.owners import group_number, owner_problems, user_number
from lockgate.server.homes import file_settings
from lockgate.storage.settings import FileSettings

HASH = hash_password("open", CHEAP)
CLEAR = '[[listener]]\ntls = "none"\ncontrol = "optional"\ndata = "optional"\n'
ACCOUNT = f'[[account]]\nname = "alice"\nhome = "a"\npassword_hash = "{HASH}"\n'
NOBODY = 65534


def load(folder: Path, text: str, *, trial: bool = False, **environ: str) -> Config:
    path = folder / "f.toml"
    path.write_text(CLEAR + text)
    return load_config(path, environ, trial=trial)


def told(folder: Path, text: str, *, trial: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(folder, text, trial=trial)
    return str(raised.value).replace(f"{folder / 'f.toml'}:", "").splitlines()


def test_the_defaults_are_those_of_the_storage(tmp_path: Path) -> None:
    assert file_settings(load(tmp_path, "").files) == FileSettings()


def test_the_page_for_operators_shows_every_key_with_its_default(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "files.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    shown = tomllib.loads(example)
    assert tuple(shown["files"]) == FILE_KEYS
    for pattern, real in ((r"\$argon2id[^\"]*", HASH), ('"archive"', '"0"')):
        example = re.sub(pattern, lambda _found, real=real: real, example)
    config = load(tmp_path, example)
    assert config.files == FilesConfig()
    assert files_for(config.files, config.accounts[0]).umask == "007"


def test_the_account_goes_before_the_table_key_by_key(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[files]\nfsync = true\numask = "077"\nowner = "0"\ngroup = 0\nhidden = ["*.tmp"]\n'
        'symlinks = "refuse"\n' + ACCOUNT + 'fsync = false\nowner = ""\nhidden = []\n',
    )
    account = accounts(config).find("alice")
    assert account is not None
    for rules in (account.files, config.accounts[0]):
        assert files_for(config.files, rules) == FilesConfig(
            fsync=False, umask="077", owner="", group="0", hidden=(), symlinks=LinkRule.REFUSE
        )
    assert file_settings(config.files) == FileSettings(
        fsync=True, umask=0o077, owner=0, group=0, hidden=("*.tmp",), follow_links=False
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('umask = "999"', "octal, in quotes"),
        ("umask = 27", "octal, in quotes"),
        ('umask = "1777"', "octal, in quotes"),
        ('hidden = ["a/b"]', "is no pattern of names"),
        ('hidden = [""]', "is no pattern of names"),
        ("hidden = [3]", "is no pattern of names"),
        ('hidden = ["**"]', "would hide everything"),
        ('hidden = "*.tmp"', "expected a list of patterns"),
        ('symlinks = "outside"', '"inside"'),
        ("owner = true", "a name in quotes, or a number"),
        ("group = -1", "a name in quotes, or a number"),
        ('fsync = "yes"', "true or false"),
        ('symlink = "inside"', 'did you mean "symlinks"?'),
    ],
)
@pytest.mark.parametrize("table", ["[files]\n", ACCOUNT])
def test_a_wrong_value_is_told_at_its_line(tmp_path: Path, table: str, line: str, words: str) -> None:
    (found,) = told(tmp_path, f"{table}{line}\n")
    assert found.startswith(f"{(CLEAR + table).count(chr(10)) + 1}: ")
    assert words in found


def test_patterns_may_come_from_the_environment(tmp_path: Path) -> None:
    assert load(tmp_path, '[files]\nhidden = "${HIDE}"\n', HIDE="*.tmp .git").files.hidden == (
        "*.tmp",
        ".git",
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('owner = "no-such-user"', 'this machine has no user "no-such-user"; write one that'),
        ('group = "no-such-group"', 'this machine has no group "no-such-group"; write one that'),
        ("owner = 4294967295", "no number of a user"),
        ('group = "99999999999999999999"', "no number of a user"),
    ],
)
def test_an_owner_that_this_machine_lacks_is_told_in_the_trial(tmp_path: Path, line: str, words: str) -> None:
    load(tmp_path, f"[files]\n{line}\n{ACCOUNT}")
    (found,) = told(tmp_path, f"[files]\n{line}\n{ACCOUNT}", trial=True)
    assert found.startswith("6: ")
    assert words in found
    (found,) = told(tmp_path, f"{ACCOUNT}{line}\n", trial=True)
    assert found.startswith('9: account "alice": ')
    with pytest.raises(ConfigError, match=r"this machine|no number"):
        file_settings(load(tmp_path, f"[files]\n{line}\n").files)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become somebody else")
def test_only_root_gives_files_to_others() -> None:
    files = FilesConfig(owner="root", group="0")
    assert list(owner_problems(files)) == []
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        found = dict(owner_problems(files))
        own = list(owner_problems(FilesConfig(owner=str(NOBODY), group=str(NOBODY))))
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
    assert "only root, or a process with CAP_CHOWN, can give files" in found["owner"]
    assert "is not in the group" in found["group"]
    assert own == []


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs to become somebody else")
@pytest.mark.parametrize(("capabilities", "problems"), [("+chown", "[]"), ("-all", "['owner', 'group']")])
def test_what_counts_is_the_capability_and_not_being_root(capabilities: str, problems: str) -> None:
    code = (
        "import os\n"
        "from lockgate.server.config import FilesConfig\n"
        "from lockgate.server.config.owners import owner_problems\n"
        "print([key for key, _told in owner_problems(FilesConfig(owner='7', group='7'))])\n"
    )
    sets = [f"--inh-caps={capabilities}"] + [f"--ambient-caps={capabilities}"] * (capabilities == "+chown")
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *sets]
    done = subprocess.run([*command, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (problems, "")


def test_names_of_users_and_groups_are_looked_up() -> None:
    assert (user_number("root"), group_number("root"), user_number("42"), group_number("42")) == (
        0,
        0,
        42,
        42,
    )
