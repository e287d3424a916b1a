"""Checksums of files: right for every part, and ended from outside."""

from __future__ import annotations

import hashlib
import random
import time
import zlib

import pytest

from lockgate.errors import TransferAborted, TransferTimeout
from lockgate.storage.base import OffsetBeyondEnd
from lockgate.transfer.digests import ALGORITHMS, Digest, FileDigest
from lockgate.transfer.stop import Stop

CONTENT = random.Random(2).randbytes(1_000_003)


class File:
    """A file in memory that may interrupt the one who reads it."""

    def __init__(self, content: bytes = CONTENT, stop: Stop | None = None) -> None:
        self.content = memoryview(content)
        self.position = 0
        self.reads = 0
        self.stop = stop
        self.closed = 0

    @property
    def size(self) -> int:
        return len(self.content)

    def fileno(self) -> None:
        return None

    def seek(self, offset: int) -> None:
        if offset > self.size:
            raise OffsetBeyondEnd
        self.position = offset

    def readinto(self, buffer: memoryview) -> int:
        self.reads += 1
        if self.stop is not None:
            self.stop.interrupt()
        piece = self.content[self.position : self.position + len(buffer)]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)

    def close(self) -> None:
        self.closed += 1


def digest(file: File, algorithm: str, **more):
    return FileDigest(lambda: file, algorithm, **more).go_on()


def soon() -> float:
    return time.monotonic() + 20


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [("SHA-256", hashlib.sha256(CONTENT).hexdigest()), ("SHA-512", hashlib.sha512(CONTENT).hexdigest()),
     ("MD5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()),
     ("CRC32", f"{zlib.crc32(CONTENT):08x}")],
)  # fmt: skip
def test_the_whole_file_is_covered(algorithm, expected):
    found = digest(File(), algorithm, stop=Stop(), deadline=soon())
    assert found == Digest(0, len(CONTENT) - 1, expected)


def test_every_algorithm_tells_the_checksum_of_nothing():
    for algorithm in ALGORITHMS:
        found = digest(File(b""), algorithm, stop=Stop(), deadline=soon())
        assert (found.first, found.last) == (0, 0)
    assert digest(File(b""), "CRC32", stop=Stop(), deadline=soon()).value == "00000000"


@pytest.mark.parametrize(
    ("first", "last", "end"),
    [(0, 0, 1), (0, 262_143, 262_144), (262_143, 262_144, 262_145), (999_999, None, None),
     (5, 1 << 62, None), (1_000_002, 1_000_002, None)],
)  # fmt: skip
def test_a_part_is_covered_and_cut_at_the_end(first, last, end):
    found = digest(File(), "SHA-256", first=first, last=last, stop=Stop(), deadline=soon())
    part = CONTENT[first:end]
    assert found == Digest(first, first + len(part) - 1, hashlib.sha256(part).hexdigest())


@pytest.mark.parametrize(
    ("content", "first", "last"), [(CONTENT, 1_000_003, 1_000_003), (b"", 0, 5), (b"1", 2, 3)]
)
def test_a_part_without_a_byte_is_refused(content, first, last):
    with pytest.raises(OffsetBeyondEnd):
        digest(File(content), "CRC32", first=first, last=last, stop=Stop(), deadline=soon())


def test_an_interruption_ends_it_before_the_next_piece():
    stop = Stop()
    file = File(stop=stop)
    with pytest.raises(TransferAborted):
        digest(file, "CRC32", stop=stop, deadline=soon())
    assert file.reads == 1


def test_a_deadline_ends_it():
    file = File()
    with pytest.raises(TransferTimeout):
        digest(file, "CRC32", stop=Stop(), deadline=time.monotonic())
    assert file.reads == 0
    assert file.closed == 1


def test_one_that_waits_after_each_piece_comes_to_the_same():
    file = File()
    work = FileDigest(lambda: file, "SHA-256", first=10, last=900_000, stop=Stop(), deadline=soon())
    steps = 1
    while (found := work.go_on(lambda: True)) is None:
        assert not file.closed
        steps += 1
    assert found == Digest(10, 900_000, hashlib.sha256(CONTENT[10:900_001]).hexdigest())
    assert steps == 5
    work.close()
    assert file.closed == 1


def test_one_that_is_given_up_between_two_pieces_closes_its_file():
    file = File()
    work = FileDigest(lambda: file, "CRC32", stop=Stop(), deadline=soon())
    work.go_on(lambda: True)
    work.close()
    work.close()
    assert file.closed == 1
