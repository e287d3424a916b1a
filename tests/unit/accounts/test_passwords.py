"""Password hashes of all kinds, and remembered successes."""

from __future__ import annotations

import logging

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import (
    DEFAULT_PARAMETERS,
    HashParameters,
    PasswordChecker,
    decoy_hash,
    hash_password,
    hash_problem,
    memory_kib_of,
    parameters_of,
    verify_password,
    weakness,
)
from lockgate.errors import AccountError

BCRYPT = "$2b$04$z7ROG8bWb9HZ2IAplOqBSew5lCR5xtLzC19BEIY0ug84DVIXwSHeG"
SHA512 = "$6$Lockgate$aieoZwhuf3aETBoC6Zd2bUf9SSM9ZOKDTPvKk5C.bQ/zNd5J1D68iJSP3urlaRfx3UWE2vA4JZ8ffcrsDNBxr0"
SHA256 = "$5$Lockgate$TPlxfCSLTK8TenRCcNsmNj9SEKS7vIXrupoKCb0CDb/"
"""The hashes of "open" by other programs."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Verifier:
    """Counts what is really computed; the password "right" fits every hash but a decoy's."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __call__(self, stored: str, password: str) -> bool:
        self.calls.append((stored, password))
        return password == "right" and stored.startswith("stored")


def test_a_hash_fits_its_password_only() -> None:
    stored = hash_password("Geheim \U0001f511", CHEAP)
    assert stored.startswith("$argon2id$")
    assert verify_password(stored, "Geheim \U0001f511")
    assert not verify_password(stored, "geheim \U0001f511")


def test_the_same_password_never_has_the_same_hash() -> None:
    assert hash_password("x", CHEAP) != hash_password("x", CHEAP)


def test_octets_that_are_no_utf8_make_a_password_too() -> None:
    stored = hash_password("caf\udce9", CHEAP)
    assert verify_password(stored, "caf\udce9")
    assert not verify_password(stored, "caf\u00e9")


def test_a_stored_text_that_is_no_hash_is_an_account_error_without_that_text() -> None:
    with pytest.raises(AccountError, match="account hash") as caught:
        verify_password("plain secret", "plain secret")
    assert "plain secret" not in str(caught.value)


def test_the_parameters_stand_in_the_hash() -> None:
    assert parameters_of(hash_password("x", CHEAP)) == CHEAP
    with pytest.raises(AccountError):
        parameters_of("nothing")


def test_the_default_costs_tens_of_megabytes() -> None:
    assert DEFAULT_PARAMETERS.memory_kib >= 46 * 1024


@pytest.mark.parametrize(("memory", "passes", "lanes"), [(7, 1, 1), (8, 0, 1), (8, 1, 0), (15, 1, 2)])
def test_parameters_that_argon2_cannot_use_are_refused(memory: int, passes: int, lanes: int) -> None:
    with pytest.raises(AccountError, match="8 KiB"):
        HashParameters(memory, passes, lanes)


def test_a_decoy_is_a_hash_that_nothing_fits() -> None:
    decoy = decoy_hash(CHEAP)
    assert parameters_of(decoy) == CHEAP
    assert len(decoy) == len(hash_password("x", CHEAP))
    assert not verify_password(decoy, "")
    assert decoy_hash(CHEAP) != decoy


@pytest.mark.requirement("R2577-7-a")
def test_a_check_without_a_hash_computes_as_much_as_one_with_it() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    assert not checker.check("nobody", "right", None)
    assert not checker.check("alice", "wrong", hash_password("right", CHEAP))
    assert [parameters_of(stored) for stored, _password in verifier.calls] == [CHEAP, CHEAP]


def test_a_check_without_a_hash_imitates_the_one_it_is_given() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    assert not checker.check("nobody", "right", None, like="stored by another")
    assert verifier.calls == [("stored by another", "right")]


def test_a_check_without_a_hash_is_never_remembered() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    for _ in range(3):
        # Even when the password happens to fit the hash that is imitated.
        assert not checker.check("nobody", "right", None, like="stored")
    assert len(verifier.calls) == 3


def test_a_success_is_computed_once_and_remembered() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    assert all(checker.check("alice", "right", "stored") for _ in range(5))
    assert len(verifier.calls) == 1


def test_a_failure_is_computed_every_time() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    assert not any(checker.check("alice", "wrong", "stored") for _ in range(3))
    assert len(verifier.calls) == 3


def test_a_remembered_success_counts_for_that_name_password_and_hash_only() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    assert checker.check("alice", "right", "stored")
    assert not checker.check("alice", "wrong", "stored")
    assert not checker.check("alice", "right", "changed")
    assert checker.check("bob", "right", "stored")
    assert not checker.check("alicer", "ight", "stored")
    assert len(verifier.calls) == 5


def test_a_success_is_forgotten_after_its_time_however_often_it_was_used() -> None:
    clock, verifier = Clock(), Verifier()
    checker = PasswordChecker(CHEAP, remember_seconds=300, clock=clock, verify=verifier)
    for now in (100.0, 250.0, 399.0):
        clock.now = now
        assert checker.check("alice", "right", "stored")
    assert len(verifier.calls) == 1
    clock.now = 400.0
    assert checker.check("alice", "right", "stored")
    assert len(verifier.calls) == 2


def test_only_so_many_successes_are_remembered_and_the_oldest_goes_first() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, remembered=2, verify=verifier)
    for name in ("a", "b", "c"):
        assert checker.check(name, "right", "stored")
    assert checker.check("b", "right", "stored")
    assert checker.check("c", "right", "stored")
    assert len(verifier.calls) == 3
    assert checker.check("a", "right", "stored")
    assert len(verifier.calls) == 4


def test_remembering_can_be_off() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, remembered=0, verify=verifier)
    assert checker.check("a", "right", "stored")
    assert checker.check("a", "right", "stored")
    assert len(verifier.calls) == 2


def test_after_a_change_of_hashes_only_what_still_holds_is_remembered() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    for name in ("same", "changed", "gone", "locked"):
        assert checker.check(name, "right", "stored")
    checker.keep_only({"same": "stored", "changed": "stored-2", "locked": None, "new": "stored"})
    assert checker.recalls("same", "right", "stored")
    assert not any(checker.recalls(name, "right", "stored") for name in ("changed", "gone", "locked", "new"))
    assert len(checker._known) == 1
    assert len(verifier.calls) == 4


def test_a_shorter_time_counts_for_what_is_remembered_already() -> None:
    clock = Clock()
    checker = PasswordChecker(CHEAP, remember_seconds=300, clock=clock, verify=Verifier())
    assert checker.check("alice", "right", "stored")
    clock.now += 50
    checker.reconfigure(CHEAP, 60)
    assert checker.recalls("alice", "right", "stored")
    checker.reconfigure(CHEAP, 40)
    assert not checker.recalls("alice", "right", "stored")


def test_remembering_that_is_switched_off_forgets() -> None:
    checker = PasswordChecker(CHEAP, verify=Verifier())
    assert checker.check("alice", "right", "stored")
    checker.reconfigure(CHEAP, 0)
    assert not checker.recalls("alice", "right", "stored")
    assert checker.check("alice", "right", "stored")
    assert len(checker._known) == 0


def test_other_parameters_hold_for_unknown_names_from_then_on() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    dear = HashParameters(16, 2, 1)
    for parameters in (CHEAP, dear):
        checker.reconfigure(parameters, 300)
        assert not checker.check("nobody", "right", None)
    assert [parameters_of(stored) for stored, _ in verifier.calls] == [CHEAP, dear]


def test_nothing_that_is_remembered_holds_a_password() -> None:
    checker = PasswordChecker(CHEAP, verify=lambda stored, password: True)
    assert checker.check("alice", "Tr0ub4dor", "stored")
    assert "Tr0ub4dor" not in f"{checker._known}{checker._hinted}{vars(checker)}"


# Kinds


def test_every_kind_is_checked_and_remembered_alike() -> None:
    calls: list[str] = []

    def verify(stored: str, password: str) -> bool:
        calls.append(stored)
        return verify_password(stored, password)

    checker = PasswordChecker(CHEAP, verify=verify)
    stored = [hash_password("open", CHEAP), BCRYPT, SHA512, SHA256]
    for one in stored:
        assert hash_problem(one) == ""
        assert not checker.check("alice", "shut", one)
        assert checker.check("alice", "open", one)
        assert checker.check("alice", "open", one)
        assert not checker.check("alice", "shut", one)
    assert calls == [one for one in stored for _ in range(3)]


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("hunter2", "never the password itself"),
        ("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ", "damaged"),
        ("$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$" + "A" * 43, "1048576"),
        ("$argon2id$v=19$m=47104,t=1000000000,p=1$c29tZXNhbHQ$" + "A" * 43, "t=64"),
        ("$argon2id$v=19$m=1048576,t=64,p=1$c29tZXNhbHQ$" + "A" * 43, "m times t"),
        ("$argon2id$v=19$m=47104,t=1,p=2000$c29tZXNhbHQ$" + "A" * 43, "p=16"),
        ("$argon2id$v=19$m=9999999999,t=1,p=1$c29tZXNhbHQ$" + "A" * 43, "9999999999"),
        ("$argon2id$v=19$m=47104,t=0,p=1$c29tZXNhbHQ$" + "A" * 43, "1 or more"),
        ("$argon2id$v=19$m=47104,t=1,p=1$c29tZXNhbHR$" + "A" * 43, "damaged"),
        ("$argon2id$v=19$m=47104,t=1,p=1$c29tZXNhbHQ$" + "A" * 100_000, "damaged"),
        ("$argon2i$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + "A" * 43, "only argon2id"),
    ],
)
def test_what_cannot_be_a_hash_is_told_with_its_remedy_and_not_repeated(stored: str, words: str) -> None:
    told = hash_problem(stored)
    assert words in told
    assert "lockgate account hash" in told
    assert stored not in told


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$m=1048577,t=1,p=1$c29tZXNhbHQ$" + "A" * 43,
        BCRYPT.replace("$04$", "$16$"),
        SHA512.replace("$6$", "$6$rounds=1000001$"),
    ],
)
def test_a_hash_that_would_take_the_server_is_not_computed_wherever_it_comes_from(stored: str) -> None:
    with pytest.raises(AccountError, match="cannot be checked") as caught:
        verify_password(stored, "open")
    assert stored not in str(caught.value)


def test_weakness_is_measured_by_memory_and_by_work() -> None:
    wanted = HashParameters(64, 2, 1)
    for memory, passes, is_weak in ((64, 2, False), (128, 1, False), (64, 1, True), (32, 64, True)):
        stored = decoy_hash(HashParameters(memory, passes, 1))
        assert bool(weakness(stored, wanted)) is is_weak, (memory, passes)
    assert "bcrypt" in weakness(BCRYPT, CHEAP)
    assert "SHA-crypt" in weakness(SHA512, CHEAP)


def test_only_argon2id_takes_memory() -> None:
    assert [memory_kib_of(one) for one in (decoy_hash(HashParameters(64)), BCRYPT, SHA256)] == [64, 0, 0]


def test_a_weak_hash_is_hinted_at_once_for_each_account(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    checker = PasswordChecker(HashParameters(16, 2, 1), remember_seconds=10, clock=clock)
    good = hash_password("open", HashParameters(16, 2, 1))
    for _ in range(3):
        clock.now += 20
        assert not checker.check("eve", "shut", SHA256)
        for name, stored in (("al\nice", BCRYPT), ("bob", SHA512), ("carol", good)):
            assert checker.check(name, "open", stored)
    hints = [one.getMessage() for one in caplog.records]
    assert len(hints) == 2
    assert "al\\nice" in hints[0]
    assert "bcrypt" in hints[0]
    assert "bob" in hints[1]
    assert not any("open" in one or SHA512 in one for one in hints)
