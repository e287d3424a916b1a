"""What ends soon is told again every day; with timers of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from live_server import configuration

from lockgate.server.certificates import CertificateKeeper


class Timer:
    """A call to come."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds, self.call = seconds, call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


def test_a_certificate_that_ends_soon_is_told_of_every_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    timers: list[Timer] = []

    def call_later(seconds: float, call: Callable[[], None]) -> Timer:
        timers.append(Timer(seconds, call))
        return timers[-1]

    server = SimpleNamespace(
        config=configuration(tmp_path, tls="expiry_warning_days = 100\nreload_seconds = 0"),
        loop=SimpleNamespace(call_later=call_later),
        helpers=SimpleNamespace(offer=lambda work: work()),
        is_draining=False,
    )
    keeper = CertificateKeeper(server)  # type: ignore[arg-type]
    keeper.start()
    for day in range(1, 4):
        told = [one for one in caplog.records if one.name == "lockgate.server.certificates"]
        assert sum("expires in 89 days" in one.getMessage() for one in told) == day
        assert [one.seconds for one in timers] == [24 * 3600] * day
        timers[-1].call()
    keeper.stop()
    assert timers[-1].is_cancelled
    assert told[0].levelno == logging.WARNING
