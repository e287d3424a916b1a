"""Counting sessions, addresses and data endpoints."""

from __future__ import annotations

import pytest

from lockgate.server.limits import Admission, ConnectionRate, DataBudget, Repeats, Waiting


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
    budget: DataBudget[int] = DataBudget(2)
    first, second = budget.take("192.0.2.1", "alice"), budget.take("192.0.2.2", "bob")
    assert first is not None
    assert second is not None
    assert budget.take("192.0.2.3", "carol") is None
    assert budget.count == 2
    budget.give_back(first)
    assert budget.take("192.0.2.3", "carol") is not None


def test_giving_back_what_was_not_taken_is_a_mistake() -> None:
    budget: DataBudget[int] = DataBudget(1)
    slot = budget.take("192.0.2.1", "alice")
    assert slot is not None
    budget.give_back(slot)
    with pytest.raises(AssertionError):
        budget.give_back(slot)
    assert not budget._by_account


def test_an_address_and_an_account_get_nine_times_what_they_leave_free() -> None:
    budget: DataBudget[int] = DataBudget(100)
    slots = [budget.take("192.0.2.1", f"account-{number}") for number in range(95)]
    assert len([slot for slot in slots if slot is not None]) == 90
    others = [budget.take(f"192.0.2.{number + 2}", "alice") for number in range(12)]
    assert len([slot for slot in others if slot is not None]) == 9
    assert budget.take("192.0.2.99", "bob") is not None
    assert budget.take("192.0.2.98", "carol") is None  # all hundred
    for slot in slots[:50]:
        assert slot is not None
        budget.give_back(slot)
    assert budget.take("192.0.2.1", "account-1") is not None
    assert budget.take("192.0.2.2", "alice") is not None


def test_a_small_budget_goes_to_one_address_whole() -> None:
    budget: DataBudget[int] = DataBudget(9)
    assert all(budget.take("192.0.2.1", "alice") for _ in range(9))


def test_a_budget_that_is_resized_holds_for_those_to_come() -> None:
    budget: DataBudget[int] = DataBudget(1)
    assert budget.take("192.0.2.1", "alice")
    budget.resize(2)
    assert budget.waiting.limit == 2
    assert budget.take("192.0.2.1", "alice")
    budget.resize(1)
    assert budget.take("192.0.2.2", "bob") is None


def test_an_ipv6_network_counts_as_one_address() -> None:
    admission = Admission(sessions=9, per_address=1)
    assert admission.enter("2001:db8::1") == ""
    assert "your address" in admission.enter("2001:db8::2")
    assert admission.enter("2001:db8:0:1::1") == ""
    admission.leave("2001:db8::1")
    assert admission.enter("2001:db8::3") == ""


def test_sessions_are_counted_by_account() -> None:
    admission = Admission(sessions=9, per_address=9)
    assert admission.log_in("alice", 1)
    assert not admission.log_in("alice", 1)
    assert admission.log_in("bob", 1)
    assert admission.log_in("carol", 0)
    assert admission.log_in("carol", 0)
    admission.log_out("alice")
    assert admission.log_in("alice", 1)


def test_the_address_with_the_most_waiting_makes_room_by_its_oldest() -> None:
    waiting: Waiting[int] = Waiting(3)
    assert [waiting.add("192.0.2.1", number) for number in (1, 2, 3)] == [None, None, None]
    assert waiting.add("192.0.2.2", 4) == 1
    waiting.remove("192.0.2.1", 1)
    assert len(waiting) == 3
    waiting.remove("192.0.2.1", 1)  # it is out already
    assert len(waiting) == 3
    assert waiting.add("192.0.2.1", 5) == 2


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_connects_so_fast_and_no_faster() -> None:
    clock = Clock()
    rate = ConnectionRate(60, clock=clock)
    assert [rate.take("192.0.2.1") for _ in range(8)] == [True] * 6 + [False] * 2
    assert rate.take("192.0.2.2")
    clock.now += 2
    assert [rate.take("192.0.2.1") for _ in range(3)] == [True, True, False]


def test_a_rate_of_nothing_is_no_limit() -> None:
    rate = ConnectionRate(0, clock=Clock())
    assert all(rate.take("192.0.2.1") for _ in range(10_000))


def test_the_rates_of_many_addresses_are_forgotten() -> None:
    rate = ConnectionRate(60, clock=Clock())
    for number in range(20_000):
        rate.take(f"192.0.{number // 256}.{number % 256}")
    assert len(rate._buckets) == 10_000


def test_what_repeats_is_told_now_and_then_with_its_number() -> None:
    clock = Clock()
    repeats = Repeats(10, clock=clock)
    assert [repeats.count("a") for _ in range(4)] == [1, 0, 0, 0]
    assert repeats.count("b") == 1
    clock.now += 10
    assert repeats.count("a") == 4
    for number in range(3000):
        repeats.count(f"{number}")
    assert len(repeats._told) == 1000


def test_one_address_gets_half_of_the_passive_ports() -> None:
    budget: DataBudget[int] = DataBudget(99)
    assert [budget.listen("192.0.2.1", 5) for _ in range(3)] == [True, True, False]
    assert budget.listen("192.0.2.2", 5)
    budget.stop_listening("192.0.2.1")
    assert budget.listen("192.0.2.1", 5)
    assert budget.listen("192.0.2.3", 1)
    assert not budget.listen("192.0.2.3", 1)
    assert all(budget.listen("192.0.2.4", 0) for _ in range(50))
