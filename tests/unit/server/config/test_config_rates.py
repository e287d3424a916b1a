"""Quotas and rates in a configuration: units, defaults, an account's own words, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.accounts.allowance import Allowance
from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import hash_password
from lockgate.errors import ConfigError
from lockgate.server.config import Config, accounts, load_config

HASH = hash_password("open", CHEAP)
CLEAR = '[[listener]]\ntls = "none"\ncontrol = "optional"\ndata = "optional"\n'
ACCOUNT = f'[[account]]\nname = "alice"\nhome = "a"\npassword_hash = "{HASH}"\n'


def load(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "f.toml"
    path.write_text(CLEAR + text)
    return load_config(path, environ)


def test_nothing_is_limited_by_default(tmp_path: Path) -> None:
    config = load(tmp_path, ACCOUNT)
    assert config.quota.model_dump() == {"quota_bytes": 0, "quota_files": 0}
    account = accounts(config).find("alice")
    assert account is not None
    assert account.allowance == Allowance()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("5000000", 5_000_000),
        ("0", 0),
        ('""', 0),
        ('"0"', 0),
        ('"123"', 123),
        ('"500 B"', 500),
        ('"10 kB"', 10_000),
        ('"10KiB"', 10_240),
        ('"1.5 MiB"', 1_572_864),
        ('"2 MB"', 2_000_000),
        ('"10 GiB"', 10 << 30),
        ('"0.5 TiB"', 1 << 39),
        ('"1 TB"', 10**12),
        ('"${SIZE}"', 20 << 20),
    ],
)
def test_sizes_have_units(tmp_path: Path, written: str, meant: int) -> None:
    text = f"[quota]\nquota_bytes = {written}\nquota_files = 7\n{ACCOUNT}quota_bytes = {written}\n"
    config = load(tmp_path, text, SIZE="20 MiB")
    assert (config.quota.quota_bytes, config.quota.quota_files) == (meant, 7)
    assert config.accounts[0].quota_bytes == meant


@pytest.mark.parametrize(
    ("written", "meant"), [('"1 MiB"', 1 << 20), ('"1 MiB/s"', 1 << 20), ("1000", 1000), ('""', 0), ("0", 0)]
)
@pytest.mark.parametrize(
    "key", ["upload_rate", "download_rate", "session_upload_rate", "session_download_rate"]
)
def test_rates_are_the_servers_the_sessions_and_the_accounts(
    tmp_path: Path, key: str, written: str, meant: int
) -> None:
    config = load(tmp_path, f"[limits]\n{key} = {written}\n{ACCOUNT}{key} = {written}\n")
    account = accounts(config).find("alice")
    assert account is not None
    assert (getattr(config.limits, key), getattr(account.allowance, key)) == (meant, meant)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('quota_bytes = "ten"', '"ten": expected a number of bytes'),
        ('quota_bytes = "10 XB"', 'unknown unit "XB"; write B, kB, MB'),
        ('quota_bytes = "-1"', "expected a number of bytes"),
        ("quota_bytes = -1", "expected a number of bytes"),
        ("quota_bytes = 1.5", "expected a number of bytes"),
        ("quota_bytes = true", "expected a number of bytes"),
        ('quota_bytes = "99999999 TiB"', "expected a number of bytes"),
        ('quota_bytes = "2 Mb"', 'did you mean "2 MB", in bytes, or "0.25 MB" for that many bits?'),
        ('quota_bytes = "10 Gbit"', 'did you mean "10 GB", in bytes, or "1.25 GB" for'),
        ('quota_bytes = "8 Kbps"', 'did you mean "8 kB", in bytes, or "1 kB" for'),
        ('quota_bytes = "1 gb"', 'did you mean "1 GB"?'),
        ('quota_bytes = "1 KB"', 'did you mean "1 kB"?'),
        ('quota_bytes = "1 mib"', 'did you mean "1 MiB"?'),
        ('quota_bytes = "5 M"', 'did you mean "5 MB"?'),
        ("quota_files = -1", "0 or more"),
        ('quota_files = "many"', "a whole number"),
        ('quota_byte = "1 GiB"', 'did you mean "quota_bytes"?'),
    ],
)
@pytest.mark.parametrize("table", ["[quota]\n", ACCOUNT])
def test_a_wrong_quota_is_told_at_its_line(tmp_path: Path, table: str, line: str, words: str) -> None:
    check_told_at_its_line(tmp_path, table, line, words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("upload_rate = 999", '999 bytes a second is too little; write "1 kB" or more'),
        ('session_download_rate = "fast"', "expected a number of bytes"),
        ('download_rate = "1 MiB/h"', "expected a number of bytes"),
    ],
)
@pytest.mark.parametrize("table", ["[limits]\n", ACCOUNT])
def test_a_wrong_rate_is_told_at_its_line(tmp_path: Path, table: str, line: str, words: str) -> None:
    check_told_at_its_line(tmp_path, table, line, words)


def check_told_at_its_line(tmp_path: Path, table: str, line: str, words: str) -> None:
    """Fail unless a line that is wrong is refused, with its number and the right words."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, f"{table}{line}\n")
    number = (CLEAR + table).count("\n") + 1
    assert str(raised.value).startswith(f"{tmp_path / 'f.toml'}:{number}: ")
    assert words in str(raised.value)
