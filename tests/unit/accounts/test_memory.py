"""The store of accounts in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lockgate.accounts.base import Account, AccountStore
from lockgate.accounts.conformance import CHEAP, AccountStoreSuite
from lockgate.accounts.memory import MemoryAccounts
from lockgate.accounts.passwords import HashParameters, PasswordChecker, hash_password, parameters_of
from lockgate.errors import AccountError


class TestMemoryAccounts(AccountStoreSuite):
    def make_store(self, accounts: Sequence[Account]) -> AccountStore:
        return MemoryAccounts(accounts, PasswordChecker(CHEAP))


def test_two_accounts_of_one_name_are_refused() -> None:
    one = Account(name="alice", home=Path("/a"))
    with pytest.raises(AccountError, match='"alice"'):
        MemoryAccounts([one, one])


def test_it_can_be_counted_and_gone_through() -> None:
    accounts = [Account(name=name, home=Path("/a")) for name in "abc"]
    store = MemoryAccounts(accounts)
    assert len(store) == 3
    assert list(store) == accounts


def test_a_checker_that_is_handed_on_still_remembers() -> None:
    calls: list[str] = []

    def verify(stored: str, password: str) -> bool:
        calls.append(password)
        return True

    account = Account(name="alice", home=Path("/a"), password_hash="stored")
    old = MemoryAccounts([account], PasswordChecker(CHEAP, verify=verify))
    assert old.check_password("alice", "x") is account
    assert MemoryAccounts([account], old.checker).check_password("alice", "x") is account
    assert len(calls) == 1


@pytest.mark.requirement("R2577-7-a")
def test_unknown_names_cost_what_some_account_costs_and_always_the_same() -> None:
    dear = HashParameters(memory_kib=16, passes=2, lanes=1)
    verified: list[HashParameters] = []

    def verify(stored: str, password: str) -> bool:
        verified.append(parameters_of(stored))
        return False

    store = MemoryAccounts(
        [
            Account(name="old", home=Path("/o"), password_hash=hash_password("x", CHEAP)),
            Account(name="new", home=Path("/n"), password_hash=hash_password("x", dear)),
            Account(name="device", home=Path("/d"), certificate_subject="CN=device"),
        ],
        PasswordChecker(verify=verify),
    )
    names = ["device", *(f"nobody{number}" for number in range(64))]
    for name in names * 2:
        assert store.check_password(name, "x") is None
    assert set(verified) == {CHEAP, dear}
    assert verified[: len(names)] == verified[len(names) :]


def test_a_store_without_any_hash_still_computes() -> None:
    verified: list[str] = []

    def verify(stored: str, password: str) -> bool:
        verified.append(stored)
        return False

    store = MemoryAccounts([], PasswordChecker(CHEAP, verify=verify))
    assert store.check_password("nobody", "x") is None
    assert [parameters_of(stored) for stored in verified] == [CHEAP]
