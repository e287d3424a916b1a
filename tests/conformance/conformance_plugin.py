"""The pytest side of the conformance table: `requirement` markers in, docs/conformance.md out.

Every run refuses unknown requirement ids. `--conformance=check` (make test) also judges a full run, and
`--conformance=write` (make conformance) writes the table. A run of some of the tests (-m, -k, paths) can do
neither. What a test carries travels in its reports'
user_properties, so that it works the same with xdist, where only the reports reach the controller.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from requirement_table import (
    Exceptions,
    Requirement,
    Showing,
    TableError,
    key,
    parse_exceptions,
    parse_requirements,
    problems,
    render,
    unknown,
)

PROPERTY: Final = "requirement"
_CHOOSING: Final = {
    "-m": "markexpr",
    "-k": "keyword",
    "--deselect": "deselect",
    "--ignore": "ignore",
    "--ignore-glob": "ignore_glob",
    "--last-failed": "lf",
    "--stepwise": "stepwise",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("lockgate").addoption(
        "--conformance",
        choices=["off", "check", "write"],
        default="off",
        help="check: judge a full run, and whether docs/conformance.md is up to date; write: write that file",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Conformance(config), "lockgate-conformance")


def chosen_by(config: pytest.Config) -> str:
    """Return what on the command line leaves tests out, or "" for a run of all of them."""
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        return "paths"
    return next((option for option, name in _CHOOSING.items() if config.getoption(name, None)), "")


class Conformance:
    """Collects from one run which requirement is carried by which test, and which tests passed."""

    def __init__(self, config: pytest.Config) -> None:
        root = config.rootpath
        self.mode: str = config.getoption("--conformance")
        self.chosen_by = chosen_by(config)
        self.table: Path = root / "docs" / "conformance.md"
        try:
            self.known: dict[str, Requirement] = parse_requirements(
                (root / "docs" / "requirements.md").read_text(encoding="utf-8")
            )
            self.exceptions: Exceptions = parse_exceptions(
                (root / "tests" / "conformance" / "deviations.toml").read_text(encoding="utf-8"), self.known
            )
        except TableError as error:
            raise pytest.UsageError(str(error)) from error
        self.is_worker = hasattr(config, "workerinput")
        self.carried: set[Showing] = set()
        self.passed: set[Showing] = set()
        self.failed_tests: set[str] = set()
        self.problems: list[str] = []
        self.note = ""

    # In the process that runs the tests

    @pytest.hookimpl(trylast=True)  # after the folders' conftest files have added their markers
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            test = item.nodeid.split("[", 1)[0].removeprefix("tests/")
            interop = item.get_closest_marker("interop") is not None
            for marker in item.iter_markers("requirement"):
                side = marker.kwargs.get("side", "")
                for requirement_id in marker.args:
                    item.user_properties.append((PROPERTY, (key(requirement_id), test, side, interop)))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        for marker in item.iter_markers("requirement"):
            if (
                not marker.args
                or set(marker.kwargs) - {"side"}
                or marker.kwargs.get("side", "S") not in ("S", "C")
            ):
                pytest.fail(
                    f'write requirement("ID", ...) or requirement("ID", side="C"), not {marker}',
                    pytrace=False,
                )
            for requirement_id in marker.args:
                if key(requirement_id) not in self.known:
                    pytest.fail(unknown(requirement_id, self.known), pytrace=False)

    # In the process that sees all reports

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.is_worker:
            return
        for name, value in report.user_properties:
            if name == PROPERTY:
                showing = Showing(*value)  # type: ignore[misc]
                if showing.requirement in self.known:
                    self.carried.add(showing)
                    if report.failed:
                        self.failed_tests.add(showing.test)
                    elif report.when == "call" and report.passed:
                        self.passed.add(showing)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self.is_worker or self.mode == "off":
            return
        if self.chosen_by:
            told = f"a run of some of the tests only ({self.chosen_by})"
            if self.mode == "write":
                self.problems = [f"docs/conformance.md cannot be written by {told}"]
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            else:
                self.note = f"not judged: {told}"
            return
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self.note = "not judged: the run did not come to its end"
            return
        passed = {showing for showing in self.passed if showing.test not in self.failed_tests}
        self.problems = problems(self.known, self.exceptions, self.carried, passed)
        text = render(self.known, self.exceptions, self.carried)
        if self.mode == "write":
            self.table.write_text(text, encoding="utf-8")
            self.note = f"written to {self.table.relative_to(session.config.rootpath)}"
        elif not self.table.is_file() or self.table.read_text(encoding="utf-8") != text:
            self.problems.append("docs/conformance.md is out of date: run make conformance and commit it")
        if self.problems and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.is_worker or self.mode == "off":
            return
        terminalreporter.section("conformance", bold=True)
        if self.note:
            terminalreporter.line(self.note)
        for problem in self.problems:
            terminalreporter.line(f"FAILED {problem}", red=True)
        if not self.problems and not self.note:
            terminalreporter.line(
                "docs/conformance.md is true: every MUST is shown, planned or a named deviation"
            )
