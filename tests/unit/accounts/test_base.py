"""Accounts and permissions."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.accounts.base import Account, Permission, name_problem
from lockgate.errors import AccountError


def test_permissions_are_read_in_any_case_and_order() -> None:
    assert Permission.parse("List, READ  list") == Permission.READ | Permission.LIST


def test_no_words_are_no_permission() -> None:
    assert Permission.parse("  ") == Permission.nothing()


def test_all_words_are_every_permission() -> None:
    assert Permission.parse("read write delete list mkdir rename") == Permission.everything()
    assert Permission.words() == ("read", "write", "delete", "list", "mkdir", "rename")


def test_permissions_print_as_they_are_read() -> None:
    for text in ("read write", "", "read write delete list mkdir rename", "rename"):
        assert str(Permission.parse(text)) == text


@pytest.mark.parametrize("word", ["fly", "read-write", "everything", "1", "__class__"])
def test_a_word_that_is_no_permission_is_refused_with_those_that_are(word: str) -> None:
    with pytest.raises(AccountError, match=r"read write delete list mkdir rename") as caught:
        Permission.parse(f"read {word}")
    assert word in str(caught.value)


def test_an_account_may_what_it_has_all_permissions_for() -> None:
    account = Account(name="a", home=Path("/a"), permissions=Permission.READ | Permission.LIST)
    assert account.may(Permission.READ)
    assert account.may(Permission.READ | Permission.LIST)
    assert not account.may(Permission.WRITE)
    assert not account.may(Permission.READ | Permission.WRITE)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\0", "a\x7f", "x" * 256, "\udcff"])
def test_a_name_that_no_user_line_carries_safely_is_refused(name: str) -> None:
    assert name_problem(name)
    with pytest.raises(AccountError):
        Account(name=name, home=Path("/a"))


@pytest.mark.parametrize("name", ["a", "o'neill", "a b", "x" * 255, "j\u00fcrgen", "a@example.com"])
def test_an_ordinary_name_is_taken(name: str) -> None:
    assert Account(name=name, home=Path("/a")).name == name


def test_the_hash_does_not_show_in_the_repr() -> None:
    assert "argon2" not in repr(Account(name="a", home=Path("/a"), password_hash="$argon2id$x"))
