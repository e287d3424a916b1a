"""What every test run has: the conformance table and the Hypothesis profiles."""

from __future__ import annotations

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
