"""Hashes of other servers, as `crypt(3)` and OpenSSL have made them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from lockgate.accounts import foreign
from lockgate.errors import AccountError

# Made by crypt(3) of libxcrypt.
BCRYPT = "$2a$05$z7ROG8bWb9HZ2IAplOqBSeU/zeX1YUNG2cE9rWICC2qnFbz9ZhwOm"
BCRYPT_OF_100_X = "$2y$04$z7ROG8bWb9HZ2IAplOqBSeMBrmt7FxHT4u9NX.lZuN97Cc9QEj9i2"
SHA512 = (
    "$6$rounds=10000$Lockgate.0123456$FmDng9f59/n5wmzU0WRnMtsri5RUvsIf/x7H2I4Rr8mfdeth9opXPwI7g0aqu50B"
    "/z9hAUJn2RnsmnlRZ.RzD0"
)
SHA256_OF_511_X = "$5$rounds=1000$s$3mnM5gxGQH.N9faCWfDWoyGkJJZ1QIkm9zXcl9nI5Z6"
PASSWORD = "p\u00e4ss".encode()


@pytest.mark.parametrize("stored", [BCRYPT, SHA512])
def test_a_hash_of_crypt_fits_its_password_only(stored: str) -> None:
    assert foreign.problem(stored) == ""
    assert foreign.check(stored, PASSWORD)
    for wrong in (b"pass", b"", PASSWORD + b" ", PASSWORD.upper(), b"\xff\xfe", b"p\xe4ss"):
        assert not foreign.check(stored, wrong)


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
def test_the_three_names_of_bcrypt_mean_the_same(version: str) -> None:
    stored = BCRYPT.replace("2a", version)
    assert foreign.problem(stored) == ""
    assert foreign.check(stored, PASSWORD)


def test_bcrypt_sees_72_octets_as_on_every_other_server() -> None:
    for length in (72, 73, 100, 5000):
        assert foreign.check(BCRYPT_OF_100_X, b"x" * length), length
    assert not foreign.check(BCRYPT_OF_100_X, b"x" * 71)
    assert not foreign.check(BCRYPT_OF_100_X, b"y" + b"x" * 100)


def test_sha_crypt_sees_all_of_a_password_up_to_what_crypt_takes() -> None:
    assert foreign.check(SHA256_OF_511_X, b"x" * 511)
    for length in (510, 512, 513, 100_000):
        assert not foreign.check(SHA256_OF_511_X, b"x" * length), length


def test_several_threads_may_check_at_once() -> None:
    asked = [(BCRYPT, PASSWORD), (SHA512, PASSWORD), (SHA512, b"wrong"), (BCRYPT, b"wrong")] * 6
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda pair: foreign.check(*pair), asked)) == [True, True, False, False] * 6


@pytest.mark.parametrize("stored", [BCRYPT, SHA512])
def test_a_nul_fits_nothing(stored: str) -> None:
    # bcrypt repeats the password with a NUL after each time: "p\0p" would be "p".
    for wrong in (PASSWORD + b"\0", PASSWORD + b"\0" + PASSWORD, b"\0" + PASSWORD, b"\0"):
        assert not foreign.check(stored, wrong)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (BCRYPT[:-1], "60 characters"),
        (BCRYPT + "x", "60 characters"),
        (BCRYPT.replace("$05$", "$\u0660\u0665$"), "60 characters"),
        (BCRYPT + "\n", "60 characters"),
        (BCRYPT.replace("$05$", "$16$"), "cost 16"),
        (BCRYPT.replace("$05$", "$31$"), "cost 31"),
        (BCRYPT.replace("$05$", "$03$"), "cost 3"),
        (BCRYPT.replace("BSeU", "BSdU"), "60 characters"),
        (BCRYPT.replace("$2a$", "$2x$"), "$2x$"),
        (BCRYPT.replace("$2a$", "$2$"), "$2$"),
        (SHA512.replace("10000", "1000001"), "1000001 rounds"),
        (SHA512.replace("10000", "999999999"), "999999999 rounds"),
        (SHA512.replace("10000", "999"), "999 rounds"),
        (SHA512.replace("10000", "010000"), "damaged"),
        (SHA512.replace("$6$", "$5$"), "damaged"),
        (SHA512 + ":19000:0:99999:7:::", "damaged"),
        (SHA512.replace("Lockgate.", "Lockgate.longer"), "damaged"),
        ("$1$Lockgate$0123456789012345678901", "md5-crypt"),
        ("$apr1$Lockgate$0123456789012345678901", "MD5"),
        ("{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", "{SHA}"),
        ("{SSHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", "{SSHA}"),
        ("{PLAIN}secret", "{PLAIN}"),
        ("{CRYPT}" + SHA512, "without the word in braces"),
        ("{BLF-CRYPT}" + BCRYPT, "without the word in braces"),
        ("ab1234567890/", "DES"),
        ("_J9..Lockgate1234567", "DES"),
        ("$y$j9T$abc$def", "yescrypt"),
        ("$7$abc", "scrypt"),
        ("$pbkdf2-sha256$29000$abc$def", "PBKDF2"),
        ("$P$Bxyz", "phpass"),
        ("!" + SHA512, "locked"),
        ("*", "locked"),
        ("correct horse battery staple", "never the password itself"),
        ("", "never the password itself"),
    ],
)
def test_what_is_refused_is_named_with_a_remedy_and_not_repeated(stored: str, words: str) -> None:
    told = foreign.problem(stored)
    assert words in told
    assert "account" in told or "copy" in told or "braces" in told
    assert len(stored) < 13 or stored not in told


def test_a_hash_that_no_library_takes_is_an_account_error() -> None:
    for stored in ("$2b$", "$6$", "$5$rounds=10$x$y", "plain", "$2b$99$" + "a" * 53):
        with pytest.raises(AccountError) as caught:
            foreign.check(stored, PASSWORD)
        assert stored not in str(caught.value)


def test_a_missing_library_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_is_installed", lambda module: False)
    for stored in (BCRYPT, SHA512, SHA256_OF_511_X):
        assert "pip install 'lockgate[migration]'" in foreign.problem(stored)
