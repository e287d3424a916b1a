"""Password hashes, turns and remembered successes."""

from __future__ import annotations

import threading

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import (
    DEFAULT_PARAMETERS,
    HashParameters,
    PasswordChecker,
    decoy_hash,
    hash_password,
    needs_rehash,
    parameters_of,
    verify_password,
)
from lockgate.errors import AccountError


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


def test_a_hash_of_other_parameters_needs_a_new_one() -> None:
    stored = hash_password("x", CHEAP)
    assert not needs_rehash(stored, CHEAP)
    assert needs_rehash(stored, DEFAULT_PARAMETERS)
    assert needs_rehash("nothing", CHEAP)


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


def test_what_is_remembered_can_be_forgotten() -> None:
    verifier = Verifier()
    checker = PasswordChecker(CHEAP, verify=verifier)
    assert checker.check("a", "right", "stored")
    checker.forget()
    assert checker.check("a", "right", "stored")
    assert len(verifier.calls) == 2


def test_a_check_that_gets_no_turn_in_time_fails_loudly() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(stored: str, password: str) -> bool:
        entered.set()
        assert leave.wait(30)
        return True

    checker = PasswordChecker(CHEAP, at_once=1, wait_seconds=0.01, verify=slow)
    first = threading.Thread(target=checker.check, args=("a", "right", "stored"))
    first.start()
    try:
        assert entered.wait(30)
        with pytest.raises(AccountError, match="too many logins"):
            checker.check("b", "right", "stored")
    finally:
        leave.set()
        first.join(30)
    assert checker.check("b", "right", "stored")


def test_a_turn_is_given_back_when_the_computation_fails() -> None:
    def broken(stored: str, password: str) -> bool:
        raise AccountError("no memory")

    checker = PasswordChecker(CHEAP, at_once=1, wait_seconds=0.01, verify=broken)
    for _ in range(3):
        with pytest.raises(AccountError, match="no memory"):
            checker.check("a", "x", "stored")
