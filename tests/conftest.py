"""What every test run has: the conformance table and the Hypothesis profiles."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# tests/conformance and tests/interop are on the import path (pytest's `pythonpath` in pyproject.toml).
pytest_plugins = ["conformance_plugin", "live_fixtures", "pytester"]

# `make test` must say the same thing twice: no random seed, no verdict on how fast the machine is.
settings.register_profile(
    "test", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# `make fuzz`: new examples each time; what it finds becomes an ordinary test.
settings.register_profile(
    "fuzz", max_examples=5000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("test")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a test's command did to the loggers of its process: `serve` sets their levels."""
    loggers = [logging.getLogger(name) for name in ("", "lockgate", "lockgate.audit")]
    kept = [(one, one.level, one.handlers[:], one.filters[:], one.propagate) for one in loggers]
    yield
    for one, level, handlers, filters, propagate in kept:
        one.setLevel(level)
        one.handlers[:], one.filters[:], one.propagate = handlers, filters, propagate
