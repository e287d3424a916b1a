"""Progress as people read it."""

from __future__ import annotations

import pytest

from lockgate.client.progress import Meter, Progress, shown_bytes


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress("a", 512, 1024, 1.0, 512.0), "a: 512 B of 1.0 KiB (50 %), 512 B/s"),
        (Progress("a", 512, None, 1.0, 2048.0), "a: 512 B, 2.0 KiB/s"),
        (Progress("a", 0, 0, 1.0, 0.0), "a: 0 B of 0 B (100 %), 0 B/s"),
        (Progress("a", 3, 2, 1.0, 0.0), "a: 3 B of 2 B (100 %), 0 B/s"),
    ],
)
def test_progress_is_readable(progress, text):
    assert str(progress) == text


@pytest.mark.parametrize(
    ("count", "text"), [(1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**5, "5120.0 TiB")]
)
def test_sizes_are_readable(count, text):
    assert shown_bytes(count) == text


def test_a_meter_tells_the_end_and_not_every_piece():
    told = []
    meter = Meter(told.append, "a", total=300, offset=100)
    assert meter.on_piece is not None
    for _ in range(200):
        meter.on_piece(1)
    meter.finish()
    assert len(told) < 100
    assert (told[-1].done, told[-1].total) == (300, 300)


def test_nobody_listening_costs_nothing():
    meter = Meter(None, "a", total=1)
    assert meter.on_piece is None
    meter.finish()
