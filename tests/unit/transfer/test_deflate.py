"""MODE Z's stream: the same however it is cut, bounded whatever it holds."""

from __future__ import annotations

import itertools
import os
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.transfer.deflate import FREE_EXPANSION_BYTES, BadCompression, Deflater, Inflater

PIECE_BYTES = 256 * 1024


def raw(*blocks: bytes) -> bytes:
    """A zlib header and deflate blocks, byte aligned."""
    return b"\x78\x9c" + b"".join(blocks)


EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"


def bomb(size: int) -> bytes:
    """A stream that stands for so many zeros, in a thousandth of their size."""
    engine = zlib.compressobj(9)
    begin = engine.compress(b"") + engine.flush(zlib.Z_FULL_FLUSH)
    block = engine.compress(bytes(1 << 20)) + engine.flush(zlib.Z_FULL_FLUSH)
    return begin + block * (size >> 20) + b"\x03\x00" + zlib.adler32(bytes(size)).to_bytes(4, "big")


def deflated(data: bytes, *cuts: int, level: int = 6) -> bytes:
    deflater = Deflater(level)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = [deflater.feed(memoryview(data)[a:b]) for a, b in itertools.pairwise(edges)]
    return b"".join([*out, deflater.finish()])


def inflated(data: bytes, *, step: int = 0, ratio: int = 0) -> bytes:
    inflater = Inflater(ratio)
    step = step or max(len(data), 1)
    out = [
        piece for start in range(0, len(data), step) for piece in inflater.feed(data[start : start + step])
    ]
    inflater.finish()
    return b"".join(out)


@given(st.binary(max_size=5000), st.lists(st.integers(0, 5000), max_size=5), st.integers(0, 9))
def test_what_is_deflated_is_a_zlib_stream_however_it_is_cut(data, cuts, level):
    assert zlib.decompress(deflated(data, *cuts, level=level)) == data


@given(st.binary(max_size=5000), st.integers(1, 300))
def test_what_is_inflated_is_the_same_however_it_is_cut(data, step):
    assert inflated(zlib.compress(data), step=step) == data


@given(st.binary(max_size=300))
def test_junk_is_refused_or_a_stream_and_nothing_else_happens(data):
    try:
        found = inflated(data, step=7)
    except BadCompression:
        return
    assert zlib.decompress(data) == found


def test_large_data_comes_in_pieces():
    data = os.urandom(3_000_000) + bytes(5_000_000)
    pieces = list(Inflater().feed(zlib.compress(data)))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE_BYTES


def test_one_step_never_holds_more_than_a_piece_or_two():
    stream = bomb(256 << 20)
    inflater = Inflater()
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in inflater.feed(stream))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 256 << 20
    assert peak < 4 << 20


@pytest.mark.parametrize("cut", [0, 1, 2, 10, -5, -1])
def test_a_cut_stream_has_no_end(cut):
    data = zlib.compress(os.urandom(5000))
    with pytest.raises(BadCompression, match="before its end mark"):
        inflated(data[:cut])


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("more", [b"x", bytes(100_000), zlib.compress(b"second")])
def test_nothing_may_follow_the_stream(more, step):
    with pytest.raises(BadCompression, match="something follows"):
        inflated(zlib.compress(b"abc") + more, step=step)


def test_a_fault_is_remembered():
    inflater = Inflater()
    with pytest.raises(BadCompression):
        list(inflater.feed(zlib.compress(b"abc") + b"x"))
    with pytest.raises(BadCompression):
        inflater.finish()


@pytest.mark.parametrize(
    "data",
    [b"not zlib at all", zlib.compress(b"abc" * 100)[:-4] + b"xxxx", b"\x1f\x8b\x08" + bytes(30),
     zlib.compress(b"abc" * 100)[2:], b"\x78\xbb" + b"\x00\x01\x02\x03" + b"more"],
    ids=["junk", "checksum", "gzip", "no header", "dictionary wanted"],
)  # fmt: skip
def test_damage_is_told(data):
    with pytest.raises(BadCompression, match="no zlib stream, or it is damaged"):
        inflated(data)


def test_a_stream_that_wants_a_dictionary_is_refused():
    engine = zlib.compressobj(zdict=b"shared words")
    with pytest.raises(BadCompression):
        inflated(engine.compress(b"shared words") + engine.flush())


def test_a_bomb_ends_soon_after_what_is_free():
    stream, came = bomb(1 << 30), []
    assert len(stream) < 1_100_000
    with pytest.raises(BadCompression, match="more than 200 times"):
        came.extend(map(len, Inflater(200).feed(stream)))
    assert FREE_EXPANSION_BYTES - PIECE_BYTES <= sum(came) <= FREE_EXPANSION_BYTES


def test_without_a_limit_and_below_it_zeros_are_data_like_others():
    assert sum(map(len, Inflater(0).feed(bomb(100 << 20)))) == 100 << 20
    assert sum(map(len, Inflater(200).feed(bomb(64 << 20)))) == 64 << 20
    assert sum(map(len, Inflater(1100).feed(bomb(100 << 20)))) == 100 << 20


def test_the_ratio_is_that_of_the_whole():
    engine = zlib.compressobj(9)
    data = os.urandom(1 << 20) + bytes(150 << 20)
    stream = engine.compress(data) + engine.flush()
    assert sum(map(len, Inflater(200).feed(stream))) == len(data)


def test_empty_blocks_do_not_go_on_for_ever():
    inflater = Inflater()
    assert list(inflater.feed(raw())) == []
    came = []
    with pytest.raises(BadCompression, match="longer than what it holds"):
        came.extend(inflater.feed(EMPTY_BLOCK * 2_000_000))
    assert came == []


def test_a_flush_after_every_few_bytes_is_no_fault():
    engine = zlib.compressobj()
    data = [b"%07d\n" % number for number in range(300_000)]
    stream = (
        b"".join(engine.compress(line) + engine.flush(zlib.Z_SYNC_FLUSH) for line in data) + engine.flush()
    )
    assert len(stream) > 2 << 20
    assert inflated(stream) == b"".join(data)


def test_many_small_steps_cost_little():
    data = zlib.compress(os.urandom(200_000))
    began = time.process_time()
    assert len(inflated(data, step=1)) == 200_000
    assert time.process_time() - began < 5


def test_nothing_is_a_stream_of_its_own():
    assert inflated(deflated(b"")) == b""
    with pytest.raises(BadCompression):
        inflated(b"")
