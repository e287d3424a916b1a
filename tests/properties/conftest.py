"""A Hypothesis profile for long runs by environment: HYPOTHESIS_PROFILE=long; `make fuzz` has its own."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "long",
    max_examples=5000,
    stateful_step_count=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
if name := os.environ.get("HYPOTHESIS_PROFILE"):
    settings.load_profile(name)
