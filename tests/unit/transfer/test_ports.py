"""Passive port ranges."""

from __future__ import annotations

import pytest

from lockgate.errors import TransferError
from lockgate.transfer import establish
from lockgate.transfer.ports import ANY_PORT, PortRange, PortsExhausted


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("0", 0, 0), ("50000", 50000, 50000), ("50000-50100", 50000, 50100), (" 1 - 65535 ", 1, 65535)],
)
def test_a_range_is_read(text: str, first: int, last: int) -> None:
    assert PortRange.parse(text) == PortRange(first, last)


@pytest.mark.parametrize(
    "text", ["", "-", "a", "1-", "-1", "1-2-3", "0-5", "70000", "1-65536", "9-8", "\u0661"]
)
def test_what_is_no_range_is_refused_in_clear_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|instead"):
        PortRange.parse(text)


def test_a_range_shows_as_it_is_written() -> None:
    assert [str(PortRange.parse(text)) for text in ("0", "7", "7-9")] == ["0", "7", "7-9"]


def test_a_range_knows_its_ports() -> None:
    ports = PortRange(10, 12)
    assert len(ports) == 3
    assert [port in ports for port in (9, 10, 12, 13, "10")] == [False, True, True, False, False]
    assert 4711 in ANY_PORT


def test_every_port_of_a_range_is_tried_once() -> None:
    assert sorted(PortRange(1000, 1999).in_random_order()) == list(range(1000, 2000))
    assert list(ANY_PORT.in_random_order()) == [0]


@pytest.mark.requirement("R2577-8-a")
def test_the_order_of_ports_cannot_be_foreseen() -> None:
    ports = PortRange(1000, 1999)
    orders = {tuple(ports.in_random_order()) for _ in range(5)}
    assert len(orders) == 5
    assert len({order[0] for order in (tuple(ports.in_random_order()) for _ in range(50))}) > 25


def test_the_last_free_port_of_a_range_is_found_and_then_there_is_none() -> None:
    base = establish.listen("127.0.0.1")
    try:
        taken = base.getsockname()[1]
        ports = PortRange(taken, taken)
        with pytest.raises(PortsExhausted, match=f"range {taken}") as raised:
            establish.listen("127.0.0.1", ports)
        assert isinstance(raised.value, TransferError)
    finally:
        base.close()
    again = establish.listen("127.0.0.1", ports)
    assert again.getsockname()[1] == taken
    again.close()
