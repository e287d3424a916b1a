"""Whose buckets a transfer waits for, what a reload changes, and that nothing is kept of those who left."""

from __future__ import annotations

import gc
from pathlib import Path

from lockgate.accounts.allowance import Allowance
from lockgate.accounts.base import Account
from lockgate.server.config import LimitsConfig
from lockgate.server.rates import Rates
from lockgate.server.session import Direction
from lockgate.transfer.stop import Stop

KIB = 1024


def account(name: str = "alice", **allowance: int) -> Account:
    return Account(name=name, home=Path("/home"), allowance=Allowance(**allowance))


def allowed(rates: Rates, who: Account, direction: Direction) -> int | None:
    """How much may move at once: a fiftieth of a second's worth of the slowest bucket; None: no throttle."""
    throttle = rates.for_session(who).throttle(direction)
    return None if throttle is None else throttle.allow(1 << 30, Stop())


def test_where_nothing_limits_there_is_no_throttle() -> None:
    rates = Rates(LimitsConfig())
    assert [allowed(rates, account(), way) for way in (Direction.IN, Direction.OUT)] == [None, None]
    assert allowed(rates, account(upload_rate=1 << 20), Direction.OUT) is None


def test_the_slowest_of_session_account_and_server_holds() -> None:
    rates = Rates(LimitsConfig(upload_rate=500 * KIB, session_upload_rate=100 * KIB))
    for who, rate in (
        (account(), 100),
        (account("b", session_upload_rate=0), 500),
        (account("c", session_upload_rate=300 * KIB), 300),
        (account("d", session_upload_rate=0, upload_rate=50 * KIB), 50),
    ):
        assert allowed(rates, who, Direction.IN) == rate * KIB // 50


def test_a_reload_reaches_sessions_that_are_there() -> None:
    rates = Rates(LimitsConfig(session_download_rate=100 * KIB))
    known, unknown = rates.for_session(account()), rates.for_session(account("stranger"))
    rates.replace(LimitsConfig(session_download_rate=50 * KIB), [account(session_download_rate=200 * KIB)])
    found = []
    for session in (known, unknown):
        throttle = session.throttle(Direction.OUT)
        assert throttle is not None
        found.append(throttle.allow(1 << 30, Stop()))
    assert found == [200 * KIB // 50, 50 * KIB // 50]


def test_the_sessions_of_an_account_share_a_bucket_and_leave_nothing_behind() -> None:
    rates = Rates(LimitsConfig())
    sessions = [rates.for_session(account(upload_rate=KIB)) for _ in range(3)]
    assert len({id(pair) for session in sessions for pair in session._shared[:1]}) == 1
    assert (len(rates._accounts), len(rates._sessions)) == (1, 3)
    sessions.clear()
    gc.collect()
    assert (len(rates._accounts), len(rates._sessions)) == (0, 0)
