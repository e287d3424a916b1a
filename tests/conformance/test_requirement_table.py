"""The table of requirements and tests: reading, rendering, judging."""

from __future__ import annotations

import pytest
from requirement_table import (
    Exceptions,
    Showing,
    TableError,
    parse_exceptions,
    parse_requirements,
    problems,
    render,
    unknown,
)

TEXT = """\
# Requirements

## 1. First

### Server

- R1-a [S, MUST] Answers.
- R1-b+ [S/C, desc] Either way | or not.

## 2. Second

- R2-a [C, MUST] Asks.
"""


@pytest.fixture
def known():
    return parse_requirements(TEXT)


def test_rows_are_read_with_their_section_and_without_the_trailing_plus_as_key(known):
    assert list(known) == ["R1-a", "R1-b", "R2-a"]
    assert known["R1-b"].id == "R1-b+"
    assert (known["R2-a"].who, known["R2-a"].strength, known["R2-a"].section) == ("C", "MUST", "2. Second")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- R1-a [S, MUST]",
        "- R1-a [X, MUST] x",
        "- R1-a [S, must] x",
        "- R1-a [S, MAY] x\n- R1-a+ [S, MAY] y",
    ],
)
def test_a_line_that_is_no_requirement_is_refused(text):
    with pytest.raises(TableError):
        parse_requirements(text)


def test_an_unknown_id_comes_with_the_nearest_known_one(known):
    assert unknown("R1-aa", known) == "no requirement 'R1-aa' in docs/requirements.md; is it R1-a?"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[postponed]\n", "unknown table postponed"),
        ('[planned]\n"R9-z" = "0.2"', "no requirement 'R9-z'"),
        ('[planned]\nR1-a = ""', "R1-a needs a release"),
        ("[deviation]\nR1-a = 3", "R1-a needs a reason"),
        ('[planned]\nR1-a = "0.2"\n[deviation]\nR1-a = "why"', "planned and deviation at once: R1-a"),
    ],
)
def test_a_wrong_exception_is_refused(known, text, reason):
    with pytest.raises(TableError, match=reason):
        parse_exceptions(text, known)


def test_a_must_without_a_passing_test_is_a_problem_unless_it_is_excepted(known):
    carried = [Showing("R1-a", "t.py::test_x")]
    found = problems(known, Exceptions(), carried, [])
    assert [each.partition(" ")[0] for each in found] == ["R1-a", "R2-a"]
    assert "t.py::test_x" in found[0]
    assert not problems(known, Exceptions(planned={"R2-a": "0.2"}), carried, carried)
    assert not problems(known, Exceptions(deviations={"R2-a": "why"}), carried, carried)


def test_a_planned_row_that_is_shown_already_is_a_problem(known):
    carried = [Showing("R1-a", "t.py::test_x"), Showing("R2-a", "t.py::test_y")]
    (found,) = problems(known, Exceptions(planned={"R2-a": "0.2"}), carried, carried)
    assert "take it out" in found


def test_an_interop_test_alone_shows_nothing(known):
    carried = [Showing("R1-a", "t.py::test_x"), Showing("R2-a", "interop/t.py::test_y", interop=True)]
    (found,) = problems(known, Exceptions(), carried, carried)
    assert found.startswith("R2-a ")


def test_the_page_is_the_same_whatever_the_order_of_the_run(known):
    carried = [
        Showing("R1-b", "t.py::test_x", "S"),
        Showing("R1-b", "a.py::test_y"),
        Showing("R1-a", "t.py::test_x"),
    ]
    exceptions = Exceptions(planned={"R2-a": "0.2"})
    page = render(known, exceptions, carried)
    assert page == render(known, exceptions, [*reversed(carried), carried[0]])
    assert "| R1-b+ | S/C | desc | shown | `a.py::test_y`<br>`t.py::test_x` (S) |  |\n" in page
    assert "| R2-a | C | MUST | planned, 0.2 |  |  |\n" in page
    assert "| MUST | 2 | 1 | 1 | 0 | 0 |\n" in page
    assert (
        page.index("## 1. First")
        < page.index("| R1-a |")
        < page.index("## 2. Second")
        < page.index("| R2-a |")
    )


def test_a_deviation_stands_in_the_page_with_its_reason_and_interop_tests_are_counted(known):
    carried = [Showing("R1-a", "i.py::test_x", interop=True), Showing("R1-a", "i.py::test_y", interop=True)]
    page = render(known, Exceptions(deviations={"R2-a": "Because."}), carried)
    assert "| R1-a | S | MUST | open |  | 2 |\n" in page
    assert "| R2-a | C | MUST | deviation |  |  |\n" in page
    assert page.endswith("## Deviations\n\n- R2-a: Because.\n")
