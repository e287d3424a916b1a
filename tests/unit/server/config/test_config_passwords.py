"""`[passwords]`, and the hashes of accounts as a configuration has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockgate.accounts.argon2id import MINIMUM
from lockgate.accounts.passwords import HashParameters, decoy_hash
from lockgate.errors import ConfigError
from lockgate.server.config import Config, load_config, load_passwords, remarks

CLEAR = '[[listener]]\nport = 0\ntls = "none"\ncontrol = "optional"\ndata = "optional"\n'
BCRYPT = "$2b$04$z7ROG8bWb9HZ2IAplOqBSew5lCR5xtLzC19BEIY0ug84DVIXwSHeG"
SHA512 = "$6$rounds=1000001$Lockgate$" + "a" * 86


def account(stored: str, name: str = "alice") -> str:
    return f"[[account]]\nname = '{name}'\nhome = 'a'\npassword_hash = '{stored}'\n"


def load(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "lockgate.toml"
    path.write_text(CLEAR + text)
    return load_config(path, environ)


def test_the_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    assert config.passwords.model_dump() == {
        "memory_kib": 47104,
        "iterations": 1,
        "parallelism": 1,
        "hashes_at_once": 0,
        "remember_seconds": 300,
    }
    assert config.passwords.parameters() == HashParameters()


@pytest.mark.parametrize(("memory", "passes"), MINIMUM)
def test_what_owasp_calls_enough_is_enough_and_a_little_less_is_not(
    tmp_path: Path, memory: int, passes: int
) -> None:
    config = load(tmp_path, f"[passwords]\nmemory_kib = {memory}\niterations = {passes}")
    assert config.passwords.parameters() == HashParameters(memory, passes, 1)
    with pytest.raises(ConfigError, match=r"toml:8: memory_kib = .* cheaply guessed; .* 47104 with"):
        load(tmp_path, f"[passwords]\niterations = {passes}\nmemory_kib = {memory - 1}")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("memory_kib = 1048577", "1048576 at most"),
        ("memory_kib = 0", "1 or more"),
        ("memory_kib = 8\nparallelism = 16", "cheaply guessed"),
        ("iterations = 0", "1 or more"),
        ("iterations = 65", "64 at most"),
        ("memory_kib = 1048576\niterations = 5", "4194304 is the most"),
        ("parallelism = 17", "16 at most"),
        ("hashes_at_once = -1", "0 or more"),
        ("hashes_at_once = 257", "256 at most"),
        ("hashes_at_once = 'all'", "a whole number"),
        ("remember_seconds = -1", "0 or more"),
        ("remember_seconds = 86401", "86400 at most"),
        ("remember_seconds = nan", "0 or more"),
        ("memory = 5", 'did you mean "memory_kib"'),
    ],
)
def test_values_out_of_range_are_told_with_line_and_remedy(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[passwords]\n{line}")
    assert words in str(caught.value)
    assert re.search(r"lockgate\.toml:[78]: ", str(caught.value))


def test_values_may_come_from_the_environment(tmp_path: Path) -> None:
    config = load(tmp_path, "[passwords]\nhashes_at_once = '${HASHES}'\nremember_seconds = 0", HASHES="3")
    assert config.passwords.hashes_at_once == 3
    assert config.hashes_at_once() == 3


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$" + "A" * 43, "m=4194304 KiB"),
        ("$argon2id$v=19$m=47104,t=4000000000,p=1$c29tZXNhbHQ$" + "A" * 43, "t=4000000000"),
        (BCRYPT.replace("$04$", "$31$"), "cost 31"),
        (SHA512, "1000001 rounds"),
        ("$1$Lockgate$0123456789012345678901", "md5-crypt"),
        ("{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", "{SHA}"),
        ("hunter2", "never the password itself"),
    ],
)
def test_a_hash_that_would_take_the_server_or_protects_nothing_is_refused(
    tmp_path: Path, stored: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, account(stored))
    assert "lockgate.toml:9: password_hash: " in str(caught.value)
    assert words in str(caught.value)
    assert stored not in str(caught.value)


def test_weaker_hashes_are_remarked_on_and_counted(tmp_path: Path) -> None:
    good, weak = decoy_hash(), decoy_hash(HashParameters(19456, 2, 1))
    text = account(good, "good") + account(BCRYPT, "moved")
    text += "".join(account(weak, f"weak{number}") for number in range(5))
    _clear, moved, told = (one.message for one in remarks(load(tmp_path, text)))
    assert '"moved" is weaker' in moved
    assert "bcrypt" in moved
    assert '"weak0", "weak1", "weak2" and 2 more' in told
    assert "19456 KiB" in told
    assert "lockgate account hash" in told
    assert "good" not in moved + told
    # What [passwords] asks for is what they are measured by.
    assert len(remarks(load(tmp_path, "[passwords]\nmemory_kib = 19456\niterations = 2\n" + text))) == 2


def test_more_hashes_at_once_than_the_memory_holds_are_remarked_on(tmp_path: Path) -> None:
    dear = account(decoy_hash(HashParameters(1024 * 1024, 1, 1)))
    _clear, told = remarks(load(tmp_path, "[passwords]\nhashes_at_once = 256\n" + dear))
    assert told.line == 7
    assert "262144 MiB" in told.message
    assert "hashes_at_once" in told.message


def test_the_dearest_hash_says_how_many_are_computed_at_once(tmp_path: Path) -> None:
    config = load(tmp_path, account(decoy_hash(HashParameters(1024 * 1024, 1, 1))))
    assert config.dearest_hash_kib() == 1024 * 1024
    assert load(tmp_path, account(BCRYPT)).dearest_hash_kib() == 47104
    assert 1 <= config.hashes_at_once() <= load(tmp_path, "").hashes_at_once() <= 8


def test_the_table_alone_can_be_read_while_accounts_lack_their_hashes(tmp_path: Path) -> None:
    path = tmp_path / "lockgate.toml"
    path.write_text("[passwords]\niterations = 3\n[[account]]\nname = 'a'\nhome = '${UNSET}'\n")
    assert load_passwords(path, {}).iterations == 3
    for wrong in ("iterations = 0", "memory_kib = 100", "word = 1"):
        path.write_text(f"[passwords]\n{wrong}\n")
        with pytest.raises(ConfigError, match=r"lockgate\.toml:2: "):
            load_passwords(path, {})
