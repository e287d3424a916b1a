"""`[features]`: HASH's algorithms, and what HASH and MODE Z may cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.errors import ConfigError
from lockgate.server.config import Config, load_config

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    for name in ("server.pem", "server.key"):
        (tmp_path / name).touch()

    def load_one(text: str, **environ: str) -> Config:
        path = tmp_path / "lockgate.toml"
        path.write_text(f"[features]\n{text}\n")
        return load_config(path, environ)

    return load_one


def test_the_defaults(load: Load) -> None:
    assert load("").features.model_dump() == {
        "hash_algorithms": ("SHA-256", "SHA-512", "CRC32"),
        "hash_jobs": 2,
        "hash_seconds": 300,
        "compression": True,
        "compression_ratio_limit": 200,
    }


@pytest.mark.parametrize(
    ("text", "names"),
    [('["md5", "Sha-256"]', ("MD5", "SHA-256")), ("[]", ()), ('"${NAMES}"', ("CRC32", "MD5"))],
)
def test_algorithms_are_read_in_any_case(load: Load, text: str, names: tuple[str, ...]) -> None:
    assert load(f"hash_algorithms = {text}", NAMES="crc32 MD5").features.hash_algorithms == names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('hash_algorithms = ["SHA-1"]', '"SHA-1" is no algorithm of HASH; write some of: SHA-256'),
        ('hash_algorithms = ["MD5", "md5"]', '"MD5" stands there twice'),
        ('hash_algorithms = "SHA-256"', "expected a list of algorithms"),
        ("hash_algorithms = [1]", '"1" is no algorithm'),
        ("hash_jobs = 0", "1 or more"),
        ("hash_seconds = 0", "a number above 0"),
        ("compression_ratio_limit = -1", "0 or more"),
        ('compression = "yes"', "true or false"),
        ("compresion = true", 'did you mean "compression"?'),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_remedy(load: Load, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert ":2: " in str(caught.value)
    assert told in str(caught.value)
