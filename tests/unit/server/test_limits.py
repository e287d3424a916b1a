"""Counting sessions, addresses and data endpoints."""

from __future__ import annotations

import pytest

from lockgate.server.limits import Admission, DataBudget


def test_sessions_are_counted_in_all() -> None:
    admission = Admission(sessions=2, per_address=9)
    assert admission.enter("192.0.2.1") == ""
    assert admission.enter("192.0.2.2") == ""
    assert "Too many sessions" in admission.enter("192.0.2.3")
    assert admission.count == 2  # who is refused does not count
    admission.leave("192.0.2.1")
    assert admission.enter("192.0.2.3") == ""


def test_sessions_are_counted_by_address() -> None:
    admission = Admission(sessions=9, per_address=1)
    assert admission.enter("192.0.2.1") == ""
    assert "your address" in admission.enter("192.0.2.1")
    assert admission.enter("192.0.2.2") == ""
    admission.leave("192.0.2.1")
    assert admission.enter("192.0.2.1") == ""


def test_addresses_that_left_are_forgotten() -> None:
    admission = Admission(sessions=9, per_address=9)
    for number in range(100):
        admission.enter(f"192.0.2.{number}")
        admission.leave(f"192.0.2.{number}")
    assert admission.count == 0
    assert not admission._by_address


def test_the_data_budget_ends_and_comes_back() -> None:
    budget = DataBudget(2)
    assert budget.take()
    assert budget.take()
    assert not budget.take()
    assert budget.count == 2
    budget.give_back()
    assert budget.take()


def test_giving_back_what_was_not_taken_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        DataBudget(1).give_back()
