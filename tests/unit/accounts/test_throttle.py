"""Delays after failed logins."""

from __future__ import annotations

import pytest

from lockgate.accounts.throttle import LoginThrottle, ThrottleLimits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, addresses: int = 100) -> LoginThrottle:
    limits = ThrottleLimits(
        first_seconds=1, longest_seconds=10, free_failures=3, forgive_seconds=60, addresses=addresses
    )
    return LoginThrottle(limits, clock=clock)


def test_each_failure_is_answered_later_up_to_a_limit(clock: Clock) -> None:
    throttle = make(clock)
    assert [throttle.failed("192.0.2.1") for _ in range(6)] == [1, 2, 4, 8, 10, 10]


def test_a_thousand_failures_do_not_overflow(clock: Clock) -> None:
    throttle = make(clock)
    assert [throttle.failed("192.0.2.1") for _ in range(5000)][-1] == 10


def test_an_address_without_failures_is_not_delayed(clock: Clock) -> None:
    assert make(clock).delay("192.0.2.1") == 0


def test_the_next_attempt_is_delayed_once_the_free_failures_are_used_up(clock: Clock) -> None:
    throttle = make(clock)
    throttle.failed("192.0.2.1")
    throttle.failed("192.0.2.1")
    assert throttle.delay("192.0.2.1") == 0
    throttle.failed("192.0.2.1")
    assert throttle.delay("192.0.2.1") == 4


def test_one_address_does_not_delay_another(clock: Clock) -> None:
    throttle = make(clock)
    for _ in range(5):
        throttle.failed("192.0.2.1")
    assert throttle.delay("192.0.2.2") == 0
    assert throttle.failed("192.0.2.2") == 1


def test_time_forgives_one_failure_after_the_other(clock: Clock) -> None:
    throttle = make(clock)
    for _ in range(4):
        throttle.failed("192.0.2.1")
    assert throttle.delay("192.0.2.1") == 8
    clock.now += 60
    assert throttle.delay("192.0.2.1") == 4
    clock.now += 60
    assert throttle.delay("192.0.2.1") == 0
    assert throttle.failed("192.0.2.1") == 4
    clock.now += 10_000
    assert throttle.failed("192.0.2.1") == 1


def test_an_address_that_is_forgiven_is_forgotten(clock: Clock) -> None:
    throttle = make(clock)
    throttle.failed("192.0.2.1")
    assert len(throttle) == 1
    clock.now += 61
    assert throttle.delay("192.0.2.1") == 0
    assert len(throttle) == 0


def test_addresses_in_one_ipv6_network_count_as_one(clock: Clock) -> None:
    throttle = make(clock)
    throttle.failed("2001:db8:0:1::1")
    assert throttle.failed("2001:db8:0:1:ffff::2") == 2
    assert throttle.failed("2001:db8:0:2::1") == 1


def test_a_mapped_address_is_the_ipv4_address(clock: Clock) -> None:
    throttle = make(clock)
    throttle.failed("192.0.2.1")
    assert throttle.failed("::ffff:192.0.2.1") == 2


def test_a_zone_does_not_make_another_address(clock: Clock) -> None:
    throttle = make(clock)
    throttle.failed("fe80::1%eth0")
    assert throttle.failed("fe80::1%eth1") == 2


def test_what_is_no_ip_address_counts_by_its_text(clock: Clock) -> None:
    throttle = make(clock)
    throttle.failed("peer")
    assert throttle.failed("peer") == 2


def test_memory_is_bounded_and_the_longest_quiet_goes_first(clock: Clock) -> None:
    throttle = make(clock, addresses=3)
    for last in (1, 2, 3, 1, 4):
        throttle.failed(f"192.0.2.{last}")
    assert len(throttle) == 3
    assert throttle.failed("192.0.2.1") == 4
    assert throttle.failed("192.0.2.2") == 1
