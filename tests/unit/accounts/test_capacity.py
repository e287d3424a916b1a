"""How many hashes a machine can compute at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.accounts.capacity import default_at_once, memory_kib, processors

MIB, GIB = 1024, 1024 * 1024


@pytest.mark.parametrize(
    ("hash_kib", "cpus", "available_kib", "at_once"),
    [
        (46 * MIB, 2, 8 * GIB, 2),
        (46 * MIB, 64, 64 * GIB, 8),
        (46 * MIB, 8, 512 * MIB, 2),
        (46 * MIB, 8, 128 * MIB, 1),
        (GIB, 8, 8 * GIB, 2),
        (0, 4, GIB, 4),
    ],
)
def test_processors_and_a_quarter_of_the_memory_say_how_many(
    hash_kib: int, cpus: int, available_kib: int, at_once: int
) -> None:
    assert default_at_once(hash_kib, cpus=cpus, available_kib=available_kib) == at_once


def test_this_machine_has_a_processor_and_some_memory() -> None:
    assert processors() >= 1
    assert memory_kib() > 64 * MIB


@pytest.mark.parametrize(
    ("text", "limit_kib"),
    [("268435456\n", 256 * MIB), ("max\n", None), ("", None), ("\xff", None), (f"{2**63}", None)],
)
def test_the_limit_of_a_container_counts_where_it_is_below_the_machine(
    tmp_path: Path, text: str, limit_kib: int | None
) -> None:
    file = tmp_path / "memory.max"
    file.write_text(text, encoding="latin-1")
    machine = memory_kib([])
    assert memory_kib([tmp_path / "missing", file]) == (limit_kib or machine)
