"""Waiting for what happens in another thread or process: a condition and a deadline, never a fixed pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["until"]

_EVERY_SECONDS = 0.005


def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Return as soon as the condition holds; fail when it does not within the time.

    Nothing announces that a descriptor is closed or a thread has ended, so the condition is asked again
    and again.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not hold within {seconds} s"
        pause.wait(_EVERY_SECONDS)
