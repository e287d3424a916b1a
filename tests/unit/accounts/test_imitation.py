"""Whom an unknown name imitates."""

from __future__ import annotations

from lockgate.accounts.imitation import imitated

KEY, NAMES = b"k" * 16, [f"name{number}" for number in range(600)]


def test_a_name_is_always_treated_the_same_way() -> None:
    for name in NAMES[:20]:
        assert len({imitated(name, ways, key=KEY) for ways in (["a", "b"], ["b", "a"])}) == 1
    assert imitated("x", ["only"], key=KEY) == "only"
    assert imitated("\udc80", [None], key=KEY) is None


def test_every_way_has_its_share_and_another_key_another_choice() -> None:
    chosen = [imitated(name, ["a", "b", None], key=KEY) for name in NAMES]
    assert all(140 < chosen.count(way) < 260 for way in ("a", "b", None))
    others = [imitated(name, ["a", "b", None], key=b"l" * 16) for name in NAMES]
    assert sum(one != other for one, other in zip(chosen, others, strict=True)) > 200


def test_a_new_way_moves_only_the_names_that_come_to_it() -> None:
    for name in NAMES:
        before, after = imitated(name, ["a", "b"], key=KEY), imitated(name, ["a", "b", "c"], key=KEY)
        assert after in (before, "c")
