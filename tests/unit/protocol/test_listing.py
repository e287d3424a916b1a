"""LIST lines: those of other servers read, our own written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.protocol.listing import EntryKindName, ListEntry, format_unix_line, parse_list


def at(year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0, second: int = 0) -> float:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


NOW = at(2024, 6, 15, 12)


def read(line: str, now: float = NOW) -> ListEntry:
    (entry,) = parse_list([line], now=now)
    return entry


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (
            "-rw-r--r--    1 1000     1000         1234 Jun 01 10:30 a.txt",
            ListEntry("a.txt", "file", 1234, at(2024, 6, 1, 10, 30), None, 0o644),
        ),
        (
            "drwxr-xr-x 2 ftp ftp 4096 Jan  5  2020 a dir\r\n",
            ListEntry("a dir", "dir", None, at(2020, 1, 5), None, 0o755),
        ),
        (
            "-rw------- 1 a b 5 Jan  5  2020  leading and trailing ",
            ListEntry(" leading and trailing ", "file", 5, at(2020, 1, 5), None, 0o600),
        ),
        (
            "lrwxrwxrwx 1 root root 7 Jan  5  2020 bin -> usr/bin",
            ListEntry("bin", "link", None, at(2020, 1, 5), "usr/bin", 0o777),
        ),
        (
            "lrwxrwxrwx 1 root root 7 Jan  5  2020 bare",
            ListEntry("bare", "link", None, at(2020, 1, 5), None, 0o777),
        ),
        (
            "-rw-r--r-- 1 a b 5 Jan  5  2020 not -> a link",
            ListEntry("not -> a link", "file", 5, at(2020, 1, 5), None, 0o644),
        ),
        (
            "crw-rw-rw- 1 root root 1, 3 Jan  5  2020 null",
            ListEntry("null", "other", None, at(2020, 1, 5), None, 0o666),
        ),
        (
            "-rw-r--r--+ 1 DOM\\Joe User Domain Users 5 Jan  5  2020 owners with spaces",
            ListEntry("owners with spaces", "file", 5, at(2020, 1, 5), None, 0o644),
        ),
        ("-rw-r--r-- 5 Jan  5  2020 x", ListEntry("x", "file", 5, at(2020, 1, 5), None, 0o644)),
        ("-rw-r--r-- 1 a b 5 5 jan 2020 x", ListEntry("x", "file", 5, at(2020, 1, 5), None, 0o644)),
        (
            "-rw-r--r-- 1 a b 5 Jan  5  2020 6 Feb  7  2021 y",
            ListEntry("6 Feb  7  2021 y", "file", 5, at(2020, 1, 5), None, 0o644),
        ),
        (
            "-rw-r--r-- 1 a b 5 2020-01-05 10:30 x",
            ListEntry("x", "file", 5, at(2020, 1, 5, 10, 30), None, 0o644),
        ),
        (
            "-rw-r--r-- 1 a b 5 2020-01-05 10:30:15.123456789 +0130 x",
            ListEntry("x", "file", 5, at(2020, 1, 5, 9, 0, 15), None, 0o644),
        ),
        (
            "-rw-r--r-- 1 a b 5 2020-01-05 10:30:15 -0130 x",
            ListEntry("x", "file", 5, at(2020, 1, 5, 12, 0, 15), None, 0o644),
        ),
        ("-rw-r--r-- 1 a b 5 2020-13-05 10:30 x", ListEntry("x", "file", 5, None, None, 0o644)),
        ("-rw-r--r-- 1 a b 5 Feb 30 2020 x", ListEntry("x", "file", 5, None, None, 0o644)),
        ("-rw-r--r-- 1 a b 5 Feb 30 10:30 x", ListEntry("x", "file", 5, None, None, 0o644)),
        ("-rw-r--r-- 1 a b 5 Feb  1 24:30 x", ListEntry("x", "file", 5, None, None, 0o644)),
        ("-rwsr-Sr-t 1 a b 5 Jan  5  2020 x", ListEntry("x", "file", 5, at(2020, 1, 5), None, 0o7745)),
        (
            "-rw-r--r-- 1 a b 5 Jan  5  2020 \udcff",
            ListEntry("\udcff", "file", 5, at(2020, 1, 5), None, 0o644),
        ),
    ],
)
def test_unix_lines_are_read(line: str, entry: ListEntry) -> None:
    assert read(line) == entry


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (
            "01-23-20  10:30AM       <DIR>          a dir",
            ListEntry("a dir", "dir", None, at(2020, 1, 23, 10, 30)),
        ),
        ("01-23-20  10:30AM       <dir>  x", ListEntry("x", "dir", None, at(2020, 1, 23, 10, 30))),
        (
            "01-23-20  10:30AM       <DIR>            x",
            ListEntry("  x", "dir", None, at(2020, 1, 23, 10, 30)),
        ),
        (
            "01-23-2020  12:30AM                  589 a b.txt",
            ListEntry("a b.txt", "file", 589, at(2020, 1, 23, 0, 30)),
        ),
        ("01-23-99  12:30PM                  589  x", ListEntry(" x", "file", 589, at(1999, 1, 23, 12, 30))),
        (
            "01/23/2020  11:30 pm         1,234,567 x",
            ListEntry("x", "file", 1234567, at(2020, 1, 23, 23, 30)),
        ),
        ("01-23-2020  23:30                    0 x", ListEntry("x", "file", 0, at(2020, 1, 23, 23, 30))),
        ("01-23-2020  23:30PM                  0 x", ListEntry("x", "file", 0, None)),
        ("23-01-2020  10:30                    0 x", ListEntry("x", "file", 0, None)),
        (
            "01-23-2020  10:30AM       <JUNCTION>     My Music [C:\\Music]",
            ListEntry("My Music", "link", None, at(2020, 1, 23, 10, 30), "C:\\Music"),
        ),
        ("01-23-2020  10:30AM       <SYMLINK>      l", ListEntry("l", "link", None, at(2020, 1, 23, 10, 30))),
    ],
)
def test_dos_lines_are_read(line: str, entry: ListEntry) -> None:
    assert read(line) == entry


@pytest.mark.parametrize(
    ("now", "date", "modified"),
    [
        (at(2024, 6, 15), "Jun 14 23:00", at(2024, 6, 14, 23)),
        (at(2024, 6, 15), "Dec 14 23:00", at(2023, 12, 14, 23)),
        (at(2024, 6, 15), "Jun 15 23:00", at(2024, 6, 15, 23)),
        (at(2024, 6, 15), "Jun 17 00:00", at(2023, 6, 17)),
        (at(2024, 12, 31, 23), "Jan  1 10:00", at(2025, 1, 1, 10)),
        (at(2025, 1, 1, 1), "Dec 31 23:00", at(2024, 12, 31, 23)),
        (at(2025, 1, 10), "Feb 29 10:00", at(2024, 2, 29, 10)),
        (at(1903, 1, 10), "Feb 29 10:00", at(1896, 2, 29, 10)),
        (at(9999, 12, 31), "Dec 31 10:00", at(9999, 12, 31, 10)),
    ],
)
def test_a_date_without_a_year_is_the_last_such_day(now: float, date: str, modified: float) -> None:
    assert read(f"-rw-r--r-- 1 a b 5 {date} x", now).modified == modified


@pytest.mark.parametrize(
    "line",
    [
        "",
        "total 12",
        "junk",
        "ls: cannot open directory",
        "drwxr-xr-x 2 a b 4096 Jan  5  2020 .",
        "drwxr-xr-x 2 a b 4096 Jan  5  2020 ..",
        "drwxr-xr-x 2 a b 4096 Jan  5  2020 ",
        "lrwxrwxrwx 2 a b 4096 Jan  5  2020  -> x",
        "drwxr-xr-x 2 a b 4096 Foo  5  2020 x",
        "drwxr-xr-x 2 a b \u0665 Jan  5  2020 x",
        "01-23-20  10:30AM       <DIR>          ..",
        "01-23-20  10:30AM       <WHAT>         x",
        "-rw-r--r-- 1 a b 5 Jan  5  2020 " + "x" * 40000,
    ],
)
def test_junk_is_passed_over(line: str) -> None:
    good = "-rw-r--r-- 1 a b 5 Jan  5  2020 good"
    assert [entry.name for entry in parse_list([line, good], now=NOW)] == ["good"]


@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.from_regex(r"[-dlc][-rwxsStT]{9} +1 a b \d+ (Jan|Feb|Dec) +\d\d? +(\d\d:\d\d|\d{4}) .*"),
            st.from_regex(r"\d\d-\d\d-\d\d(\d\d)? +\d\d?:\d\d([AP]M)? +(<DIR>|\d+) .*"),
            st.from_regex(r"-rw-r--r-- 1 a b 5 \d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?( [-+]\d{4})? .*"),
        )
    ),
    st.floats(allow_nan=False),
)
def test_no_line_raises(lines: list[str], now: float) -> None:
    assert len(parse_list(lines, now=now)) <= len(lines)


NAMES = st.text(min_size=1, max_size=20).filter(
    lambda name: not set(name) & set("\0\r\n") and name not in (".", "..") and " -> " not in f"{name} "
)


@given(
    name=NAMES,
    kind=st.sampled_from(["file", "dir", "link", "other"]),
    size=st.integers(0, 2**62),
    modified=st.floats(at(1, 1, 1), at(9999, 12, 31)),
    mode=st.integers(0, 0o7777),
    owner=st.text(max_size=12),
    target=st.none() | NAMES,
    now=st.just(NOW),
)
def test_our_own_lines_are_read_back(
    *,
    name: str,
    kind: EntryKindName,
    size: int,
    modified: float,
    mode: int,
    owner: str,
    target: str | None,
    now: float,
) -> None:
    line = format_unix_line(
        name=name, kind=kind, size=size, modified=modified, mode=mode, owner=owner, target=target, now=now
    )
    entry = read(line, now)
    assert (entry.name, entry.kind, entry.mode) == (name, kind, mode)
    assert entry.size == (size if kind == "file" else None)
    assert entry.target == (target if kind == "link" else None)
    assert entry.modified is not None
    assert 0 <= modified - entry.modified <= 86400


@pytest.mark.parametrize(
    ("modified", "date"),
    [
        (NOW, "Jun 15 12:00"),
        (at(2024, 1, 5, 3, 4), "Jan  5 03:04"),
        (at(2023, 12, 5), "Dec  5  2023"),
        (NOW + 3600, "Jun 15 13:00"),
        (NOW + 2 * 86400, "Jun 17  2024"),
        (-1e300, "Jan  1  0001"),
    ],
)
def test_a_recent_time_has_its_hour_and_others_their_year(modified: float, date: str) -> None:
    line = format_unix_line(name="x", kind="file", size=5, modified=modified, mode=0o644, now=NOW)
    assert line == f"-rw-r--r--   1 ftp      ftp                 5 {date} x"


def test_no_field_forges_a_line() -> None:
    line = format_unix_line(
        name="a\r\nb",
        kind="link",
        size=1,
        modified=0,
        mode=0o777,
        now=NOW,
        owner="x\r\ny z",
        group="",
        target="c\nd\0",
    )
    assert line == "lrwxrwxrwx   1 x__y_z   -                   1 Jan  1  1970 a??b -> c?d?"


@pytest.mark.parametrize(
    ("mode", "letters"),
    [
        (0o755, "rwxr-xr-x"),
        (0o7777, "rwsrwsrwt"),
        (0o7644, "rwSr-Sr-T"),
        (0, "---------"),
        (0o100644, "rw-r--r--"),
    ],
)
def test_permissions_are_shown_as_ls_shows_them(mode: int, letters: str) -> None:
    line = format_unix_line(name="x", kind="other", size=1, modified=0, mode=mode, now=NOW)
    assert line.startswith(f"?{letters} ")
