"""Names and paths as text: what is taken, what is hidden, how partials are called."""

from __future__ import annotations

import pytest

from lockgate.errors import NameRejected
from lockgate.storage._names import HiddenNames, from_bytes, to_bytes, unique_name, visible_target
from lockgate.storage.conformance import refused


def test_every_octet_survives_the_way_there_and_back() -> None:
    raw = bytes(range(1, 256))
    assert to_bytes(from_bytes(raw)) == raw


def test_text_without_octets_is_no_name() -> None:
    for name in ("\ud800", "a\0b"):
        with refused(NameRejected):
            to_bytes(name)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/", ()),
        ("//", ()),
        ("/a", (b"a",)),
        ("/a//b/", (b"a", b"b")),
        ("/./a", (b"a",)),
        ("/...", (b"...",)),
    ],
)
def test_a_path_is_its_components(path: str, parts: tuple[bytes, ...]) -> None:
    assert HiddenNames().existing(path) == parts
    assert HiddenNames().new(path) == parts


@pytest.mark.parametrize(
    "name",
    [
        ".lockgate-",
        ".lockgate-x",
        ".LOCKGATE-x",
        ".Lock\u200bgate-x",
        ".lock\u00adgate-x",
        "\u200d.lockgate-x",
        ".loc\u212agate-x",  # the Kelvin sign folds to k
        ".\uff4cockgate-x",  # a full-width l
    ],
)
def test_whatever_a_disk_may_take_for_a_hidden_name_is_hidden(name: str) -> None:
    assert HiddenNames().hides(name)


@pytest.mark.parametrize(
    "name", ["lockgate-x", ".lockgate", ".lockgates", "x.lockgate-", "\u00fc.lockgate-", "."]
)
def test_other_names_are_not_hidden(name: str) -> None:
    assert not HiddenNames().hides(name)


def test_partials_are_hidden_and_known_again() -> None:
    names = HiddenNames()
    kept, working = names.kept(b"file").decode(), names.working(b"file").decode()
    assert names.hides(kept)
    assert names.hides(working)
    assert (names.is_kept(kept), names.is_kept(working)) == (True, False)
    assert (names.is_partial(kept), names.is_partial(working)) == (True, True)
    assert not names.is_partial(".lockgate-notes")


def test_a_partial_is_found_again_by_its_target_and_uploads_get_names_of_their_own() -> None:
    names = HiddenNames()
    assert names.kept(b"file") == names.kept(b"file") != names.kept(b"other")
    assert names.working(b"file") != names.working(b"file")
    assert len(names.working(b"x" * 255)) < 255


def test_unique_names_differ() -> None:
    assert unique_name("report") != unique_name("report")


@pytest.mark.parametrize(
    ("target", "depth", "is_shown"),
    [
        ("file", 0, True),
        ("../file", 1, True),
        ("./a/../../file", 1, True),
        ("../file", 0, False),
        ("a/../../file", 0, False),
        ("../../a/b/c", 1, False),
        ("/file", 5, False),
    ],
)
def test_a_link_target_is_shown_when_it_stays_inside(target: str, depth: int, is_shown: bool) -> None:
    assert visible_target(target, depth) == (target if is_shown else None)
