"""The suite that every account store passes; a test subclasses it and says how a store is made.

Plain classes with `test_` methods, so that no test library is imported here. It must not look inside a store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from .base import Account, AccountStore, Permission, Protection
from .passwords import HashParameters, hash_password

__all__ = ["CHEAP", "AccountStoreSuite"]

CHEAP = HashParameters(memory_kib=8, passes=1, lanes=1)
"""Parameters for tests only: a hash costs microseconds and protects nothing."""


@cache
def _hash(password: str) -> str:
    return hash_password(password, CHEAP)


class AccountStoreSuite(ABC):
    """What the server counts on in every `AccountStore`."""

    @abstractmethod
    def make_store(self, accounts: Sequence[Account]) -> AccountStore:
        """Return a store that holds exactly these accounts."""

    def _store(self) -> AccountStore:
        return self.make_store(
            [
                Account(name="alice", home=Path("/srv/alice"), password_hash=_hash("Opening")),
                Account(
                    name="bob",
                    home=Path("/srv/bob"),
                    permissions=Permission.READ | Permission.LIST,
                    password_hash=_hash("b\u00f6b \U0001f6a2"),
                    data=Protection.OPTIONAL,
                    require_close_notify=False,
                ),
                Account(name="device", home=Path("/srv/device"), certificate_subject="CN=device"),
            ]
        )

    def test_it_is_an_account_store(self) -> None:
        """The store has the methods of the protocol."""
        assert isinstance(self._store(), AccountStore)

    def test_an_account_is_found_as_it_was_given(self) -> None:
        """Every field comes back, overrides and permissions too."""
        found = self._store().find("bob")
        assert found is not None
        assert (found.name, found.home) == ("bob", Path("/srv/bob"))
        assert found.permissions == Permission.READ | Permission.LIST
        assert (found.data, found.require_close_notify) == (Protection.OPTIONAL, False)
        assert found.control is None

    def test_an_unknown_name_is_not_found(self) -> None:
        """No name, no account."""
        assert self._store().find("carol") is None

    def test_names_are_compared_exactly(self) -> None:
        """Neither case nor spaces nor a shared beginning make two names one."""
        store = self._store()
        for name in ("Alice", "ALICE", "alice ", " alice", "alic", "alicee", "", "alice\0"):
            assert store.find(name) is None
            assert store.check_password(name, "Opening") is None

    def test_the_right_password_opens_its_account(self) -> None:
        """And gives that very account."""
        account = self._store().check_password("alice", "Opening")
        assert account is not None
        assert account.name == "alice"

    def test_a_wrong_password_opens_nothing(self) -> None:
        """Nor does one that is nearly right, or empty, or another account's."""
        store = self._store()
        for password in ("opening", "Openin", "Opening ", "", "b\u00f6b \U0001f6a2", "Opening\0"):
            assert store.check_password("alice", password) is None

    def test_a_wrong_password_stays_wrong_after_a_right_one(self) -> None:
        """What is remembered of a success opens nothing else."""
        store = self._store()
        assert store.check_password("alice", "Opening") is not None
        assert store.check_password("alice", "opening") is None
        assert store.check_password("bob", "Opening") is None
        assert store.check_password("alice", "Opening") is not None

    def test_only_a_password_that_was_right_is_ever_recalled(self) -> None:
        """A store may recall nothing at all, but nothing that it has not found right."""
        store = self._store()
        assert store.recall_password("alice", "Opening") is None
        assert store.check_password("alice", "opening") is None
        assert store.check_password("alice", "Opening") is not None
        recalled = store.recall_password("alice", "Opening")
        assert recalled is None or recalled.name == "alice"
        for name, password in (("alice", "opening"), ("bob", "Opening"), ("device", "Opening"), ("eve", "")):
            assert store.recall_password(name, password) is None

    def test_a_password_may_hold_any_character(self) -> None:
        """UTF-8 beyond the basic plane included."""
        assert self._store().check_password("bob", "b\u00f6b \U0001f6a2") is not None

    def test_octets_that_are_no_text_do_no_harm(self) -> None:
        """Names and passwords that came as invalid UTF-8 are plain failures."""
        store = self._store()
        assert store.find("al\udcffice") is None
        assert store.check_password("al\udcffice", "Opening") is None
        assert store.check_password("alice", "Open\udcffing") is None
        assert store.check_password("alice", "\ud800") is None

    def test_an_unknown_name_is_refused_like_a_wrong_password(self) -> None:
        """None, and no exception that could tell (RFC 2577 section 7)."""
        assert self._store().check_password("carol", "Opening") is None

    def test_an_account_without_password_opens_with_none(self) -> None:
        """Also not with an empty one."""
        store = self._store()
        for password in ("", "None", "Opening"):
            assert store.check_password("device", password) is None
        assert store.find("device") is not None

    def test_several_threads_may_ask_at_once(self) -> None:
        """Answers do not mix."""
        store = self._store()
        asked = [("alice", "Opening"), ("alice", "wrong"), ("bob", "b\u00f6b \U0001f6a2"), ("carol", "x")] * 8
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda pair: store.check_password(*pair), asked))
        assert [one.name if one else None for one in found] == ["alice", None, "bob", None] * 8
