"""Locking out addresses and names after failures, and nobody else."""

from __future__ import annotations

from lockgate.accounts.lockout import Lockout, LockoutLimits

LIMITS = LockoutLimits(per_address=4, per_name=2, seconds=60, remembered=100)
HERE, THERE, HOME = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lockout(clock: Clock | None = None, limits: LockoutLimits = LIMITS) -> Lockout:
    return Lockout(limits, clock=clock or Clock())


def test_an_address_is_locked_whatever_the_names() -> None:
    found = lockout()
    assert [found.failed(name, HERE) for name in "abcd"] == [False, False, False, True]
    assert found.locks_address(HERE)
    assert not found.locks_address(THERE)


def test_a_name_is_locked_wherever_the_guesses_come_from() -> None:
    found = lockout()
    assert not found.failed("alice", HERE)
    assert not found.locks_name("alice", THERE)
    assert found.failed("alice", THERE)
    assert found.locks_name("alice", HERE)
    assert found.locks_name("alice", "198.51.100.9")
    assert not found.locks_name("bob", HERE)


def test_an_address_that_has_logged_in_is_not_locked_out_by_others() -> None:
    found = lockout()
    found.succeeded("alice", HOME)
    for _ in range(9):
        found.failed("alice", HERE)
    assert found.locks_name("alice", HERE)
    assert not found.locks_name("alice", HOME)


def test_the_owners_own_mistakes_lock_the_name_for_nobody() -> None:
    found = lockout()
    found.succeeded("alice", HOME)
    for _ in range(3):
        found.failed("alice", HOME)
    assert not found.locks_name("alice", THERE)


def test_a_success_between_guesses_gives_no_new_ones() -> None:
    found = lockout()
    found.failed("alice", HERE)
    found.succeeded("alice", HOME)
    found.failed("alice", HERE)
    assert found.locks_name("alice", HERE)


def test_a_lock_ends_and_begins_anew() -> None:
    clock = Clock()
    found = lockout(clock)
    for _ in range(4):
        found.failed("alice", HERE)
    clock.now += 59
    assert found.locks_address(HERE)
    clock.now += 1
    assert not found.locks_address(HERE)
    assert not found.locks_name("alice", HERE)
    found.failed("alice", HERE)
    assert not found.locks_name("alice", HERE)


def test_zero_locks_nobody() -> None:
    found = lockout(limits=LockoutLimits(per_address=0, per_name=0))
    for _ in range(500):
        assert not found.failed("alice", HERE)
    assert not found.locks_address(HERE)
    assert not found.locks_name("alice", HERE)


def test_an_ipv6_network_is_one_address() -> None:
    found = lockout()
    for number in range(4):
        found.failed(f"{number}", f"2001:db8::{number}")
    assert found.locks_address("2001:db8::99")
    assert not found.locks_address("2001:db8:0:1::1")


def test_no_number_of_names_and_addresses_makes_it_grow() -> None:
    found = lockout()
    for number in range(1000):
        name = f"{number}" * 50
        found.failed(name, f"192.0.{number // 256}.{number % 256}")
        found.succeeded(name, f"192.0.{number // 256}.{number % 256}")
    assert len(found) == 300


def test_names_that_are_not_utf8_count_too() -> None:
    found = lockout()
    for _ in range(2):
        found.failed("\udcff", HERE)
    assert found.locks_name("\udcff", THERE)
