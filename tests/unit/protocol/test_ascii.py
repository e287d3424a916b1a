"""TYPE A line ends: both directions, however the data is cut into blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.protocol.ascii import FromNetwork, ToNetwork

LINE_END_HEAVY = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"\0", b"\xff"])).map(b"".join)


def convert(converter: ToNetwork | FromNetwork, blocks: list[bytes]) -> bytes:
    return b"".join(map(converter.feed, blocks)) + converter.finish()


def octets(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@st.composite
def cut_data(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    data = draw(LINE_END_HEAVY)
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=5)))
    return data, [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize(
    ("local", "network"),
    [
        (b"", b""),
        (b"one\ntwo\n", b"one\r\ntwo\r\n"),
        (b"no end", b"no end"),
        (b"\n\n", b"\r\n\r\n"),
        (b"dos\r\nunix\n", b"dos\r\nunix\r\n"),
        (b"lone\rcr", b"lone\rcr"),
        (b"\r\r\n", b"\r\r\n"),
        (b"\n\r", b"\r\n\r"),
    ],
)
def test_local_line_ends_become_crlf(local: bytes, network: bytes) -> None:
    assert convert(ToNetwork(), [local]) == network


@pytest.mark.parametrize(
    ("network", "local"),
    [
        (b"", b""),
        (b"one\r\ntwo\r\n", b"one\ntwo\n"),
        (b"lone\nlf", b"lone\nlf"),
        (b"lone\rcr", b"lone\rcr"),
        (b"\r\r\n", b"\r\n"),
        (b"end\r", b"end\r"),
    ],
)
def test_crlf_becomes_the_local_line_end(network: bytes, local: bytes) -> None:
    assert convert(FromNetwork(), [network]) == local


@given(cut_data())
def test_cutting_makes_no_difference_to_the_network(case: tuple[bytes, list[bytes]]) -> None:
    data, blocks = case
    whole = convert(ToNetwork(), [data])
    assert convert(ToNetwork(), blocks) == whole
    assert convert(ToNetwork(), octets(data)) == whole


@given(cut_data())
def test_cutting_makes_no_difference_from_the_network(case: tuple[bytes, list[bytes]]) -> None:
    data, blocks = case
    whole = convert(FromNetwork(), [data])
    assert convert(FromNetwork(), blocks) == whole
    assert convert(FromNetwork(), octets(data)) == whole


@given(LINE_END_HEAVY)
def test_no_lf_goes_out_without_a_cr_before_it(data: bytes) -> None:
    assert b"\n" not in convert(ToNetwork(), octets(data)).replace(b"\r\n", b"")


@given(LINE_END_HEAVY.map(lambda data: data.replace(b"\r", b"")))
def test_a_file_with_local_line_ends_comes_back_the_same(data: bytes) -> None:
    assert convert(FromNetwork(), octets(convert(ToNetwork(), [data]))) == data


def test_views_of_a_buffer_that_is_used_again_are_taken() -> None:
    buffer = bytearray(b"a\r")
    incoming, outgoing = FromNetwork(), ToNetwork()
    assert incoming.feed(memoryview(buffer)) == b"a"
    assert outgoing.feed(memoryview(buffer)) == b"a\r"
    buffer[:] = b"\nb"
    assert incoming.feed(memoryview(buffer)) == b"\nb"
    assert outgoing.feed(buffer) == b"\nb"


def test_a_finished_converter_starts_afresh() -> None:
    incoming, outgoing = FromNetwork(), ToNetwork()
    assert incoming.feed(b"a\r") + incoming.finish() == b"a\r"
    assert incoming.feed(b"\n") + incoming.finish() == b"\n"
    assert outgoing.feed(b"a\r") + outgoing.finish() == b"a\r"
    assert outgoing.feed(b"\n") == b"\r\n"
