"""The plugin in test runs of its own, in one process and with xdist."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent

PYPROJECT = f"""\
[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = [{str(HERE)!r}]
addopts = ["--import-mode=importlib", "--strict-markers", "-p", "no:cacheprovider"]
markers = ["requirement(id, ...): shows", "interop: others"]
"""

TESTS = """\
import pytest

@pytest.mark.requirement("R1-a")
@pytest.mark.parametrize("n", [1, 2])
def test_shows(n):
    assert n

@pytest.mark.requirement("R1-b", side="C")
def test_is_skipped():
    pytest.skip("not here")
"""


@pytest.fixture
def run(pytester):
    """A project of two requirements; calling `run(*options)` runs its tests."""
    pytester.makefile(".toml", pyproject=PYPROJECT)
    (pytester.mkdir("docs") / "requirements.md").write_text(
        "## 1. Only\n- R1-a [S, MUST] Answers.\n- R1-b [C, desc] Asks.\n"
    )
    (pytester.mkdir("tests") / "conftest.py").write_text('pytest_plugins = ["conformance_plugin"]\n')
    (pytester.path / "tests" / "conformance").mkdir()
    (pytester.path / "tests" / "conformance" / "deviations.toml").write_text("")
    (pytester.path / "tests" / "test_it.py").write_text(TESTS)
    return pytester.runpytest_subprocess


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_written_table_is_found_up_to_date_by_the_next_check(run, pytester, workers):
    written = run("--conformance=write", "-n", workers)
    assert written.ret == 0
    page = (pytester.path / "docs" / "conformance.md").read_text()
    assert "| R1-a | S | MUST | shown | `test_it.py::test_shows` |  |" in page
    assert "| R1-b | C | desc | shown | `test_it.py::test_is_skipped` (C) |  |" in page
    checked = run("--conformance=check")
    assert checked.ret == 0
    checked.assert_outcomes(passed=2, skipped=1)


def test_a_table_out_of_date_fails_a_green_run(run):
    result = run("--conformance=check")
    assert result.ret == 1
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["FAILED docs/conformance.md is out of date*"])


@pytest.mark.parametrize(
    "choice",
    [["-m", "not interop"], ["-k", "shows"], ["tests/test_it.py"], ["--deselect", "tests/test_it.py::x"]],
    ids=lambda choice: choice[0],
)
def test_a_run_of_some_tests_is_not_judged_and_writes_no_table(run, pytester, choice):
    checked = run("--conformance=check", *choice)
    assert checked.ret == 0
    checked.stdout.fnmatch_lines(["not judged: a run of some of the tests only (*)"])
    written = run("--conformance=write", *choice)
    assert written.ret == 1
    written.stdout.fnmatch_lines(["FAILED docs/conformance.md cannot be written by*"])
    assert not (pytester.path / "docs" / "conformance.md").exists()


def test_a_run_of_some_tests_refuses_unknown_ids_all_the_same(run, pytester):
    (pytester.path / "tests" / "test_it.py").write_text(TESTS.replace("R1-b", "R1-c"))
    result = run("--conformance=check", "-m", "not interop")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["no requirement 'R1-c'*"])


def test_a_must_whose_only_test_fails_for_one_parameter_is_not_shown(run, pytester):
    (pytester.path / "tests" / "test_it.py").write_text(TESTS.replace("assert n", "assert n == 1"))
    result = run("--conformance=write")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED R1-a * has no passing test (test_it.py::test_shows)*"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('requirement("R1-c")', "no requirement 'R1-c'*"),
        ("requirement()", "write requirement(*"),
        ('requirement("R1-a", side="X")', "write requirement(*"),
    ],
)
def test_a_wrong_marker_fails_its_test_in_every_run(run, pytester, marker, message):
    (pytester.path / "tests" / "test_it.py").write_text(TESTS.replace('requirement("R1-a")', marker))
    result = run("tests/test_it.py")
    assert result.ret == 1
    result.assert_outcomes(errors=2, skipped=1)
    result.stdout.fnmatch_lines([message])
