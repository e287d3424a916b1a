"""The exception tree: lookup by reply code, messages, pickling."""

from __future__ import annotations

import copy
import pickle

import pytest

from lockgate import errors
from lockgate.errors import (
    AccountNeeded,
    DataLevelRefused,
    DataTlsRefused,
    LocalProtocolError,
    LockgateError,
    PermanentReplyError,
    ReplyError,
    ServiceNotAvailable,
    TransientReplyError,
    shorten,
)


def subclasses(kind):
    return {kind} | {below for child in kind.__subclasses__() for below in subclasses(child)}


OURS = {kind for kind in subclasses(LockgateError) if kind.__module__ == errors.__name__}


def test_every_exception_and_nothing_else_is_public():
    assert sorted(errors.__all__) == sorted({kind.__name__ for kind in OURS} | {"shorten"})


def test_the_tree_at_the_top_of_the_file_names_every_exception():
    assert [kind.__name__ for kind in OURS if kind.__name__ not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (421, ServiceNotAvailable),
        (521, DataLevelRefused),
        (522, DataTlsRefused),
        (332, AccountNeeded),
        (532, AccountNeeded),
    ],
)
def test_lookup_finds_the_class_of_a_code(code, kind):
    assert ReplyError.lookup(code) is kind


def test_lookup_finds_every_class_by_each_of_its_codes():
    for kind in subclasses(ReplyError):
        assert all(ReplyError.lookup(code) is kind for code in kind.codes)


def test_no_two_classes_share_a_code():
    codes = [code for kind in subclasses(ReplyError) for code in kind.codes]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, TransientReplyError),
        (499, TransientReplyError),
        (567, PermanentReplyError),
        (599, PermanentReplyError),
        (334, ReplyError),
        (600, ReplyError),
        (200, ReplyError),
    ],
)
def test_lookup_falls_back_to_the_family(code, kind):
    assert ReplyError.lookup(code) is kind


def test_a_class_of_a_code_belongs_to_the_family_of_its_first_digit():
    for kind in subclasses(ReplyError):
        for code in kind.codes:
            family = TransientReplyError if 400 <= code < 500 else PermanentReplyError
            assert issubclass(kind, family)


def test_a_reply_error_says_command_code_words_and_meaning():
    error = DataLevelRefused(521, ("Not", "so"), "RETR")
    assert str(error) == f"RETR: 521 Not / so ({DataLevelRefused.meaning})"
    assert (error.code, error.lines, error.command) == (521, ("Not", "so"), "RETR")


def test_a_refused_greeting_is_named():
    assert str(ServiceNotAvailable(421, ("Full",))).startswith("greeting: 421 Full (")


def test_a_peers_text_is_escaped_and_shortened_in_the_message():
    text = str(ReplyError(550, ("\x1b[2J\r\n" + "x" * 1000,), "DELE"))
    assert "\x1b" not in text
    assert "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_reply_error_survives_copying_and_pickling(again):
    error = again(DataTlsRefused(522, ("a", "b"), "STOR"))
    assert type(error) is DataTlsRefused
    assert (error.code, error.lines, error.command) == (522, ("a", "b"), "STOR")


def test_a_local_protocol_error_is_a_value_error():
    assert issubclass(LocalProtocolError, ValueError)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("", ""),
        ("a\r\nb", "a\\r\\nb"),
        (b"caf\xc3\xa9 \xff", "caf\\xe9 \\\\xff"),
        ("\udcff\ud800", "\\udcff\\ud800"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 57 + "..."),
    ],
)
def test_shorten_escapes_and_bounds(value, shown):
    assert shorten(value) == shown


def test_shorten_takes_a_limit():
    assert shorten("abcdefgh", 6) == "abc..."
