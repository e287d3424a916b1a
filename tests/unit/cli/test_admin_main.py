"""The console script: which commands there are, what they import, how errors end."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lockgate import __version__
from lockgate.cli.main import COMMANDS, CommandRow, main
from lockgate.errors import LocalProtocolError, NotFound


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_printed(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option]) == 0
    assert capsys.readouterr().out == f"lockgate {__version__}\n"


def test_the_version_goes_before_any_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "config", "example"]) == 0
    assert capsys.readouterr().out == f"lockgate {__version__}\n"


def test_the_version_needs_no_library() -> None:
    script = (
        "import sys; from lockgate.cli.main import main; main(['--version']);"
        "print(sorted({'typer', 'rich', 'pydantic', 'argon2', 'cryptography', 'ssl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["[]"]


def test_help_lists_every_command_without_importing_one() -> None:
    script = (
        "import sys; from lockgate.cli.main import main; main(['--help']);"
        "print(sorted(one for one in sys.modules if one.startswith('lockgate.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *shown, modules = done.stdout.splitlines()
    for row in COMMANDS:
        assert any(one.split()[:1] == [row.name] for one in shown), row.name
    assert modules == "['lockgate.cli.main', 'lockgate.cli.terminal']"


def test_no_command_is_a_usage_error_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) in (0, 2)  # libraries differ in the code; all print the help
    assert "serve" in "".join(capsys.readouterr())


@pytest.mark.parametrize("arguments", [["bogus"], ["config", "bogus"], ["--bogus"], ["serve", "--port", "x"]])
def test_what_cannot_be_understood_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_row_names_something_that_is_there(row: CommandRow) -> None:
    module, _, attribute = row.target.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_has_help(row: CommandRow, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([row.name, "--help"]) == 0
    assert f"lockgate {row.name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("typer", ["config", "example"], "cli"),
        ("pydantic", ["config", "example"], "server"),
        ("argon2", ["account", "hash", "--stdin"], "server"),
    ],
)
def test_a_missing_library_is_one_line_that_says_what_to_install(
    library: str,
    arguments: list[str],
    extra: str,
    tmp_path: Path,
) -> None:
    script = (
        f"import sys; sys.modules[{library!r}] = None\nfrom lockgate.cli.main import main\nsys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], input="x\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"lockgate: {library} is missing: install lockgate[{extra}]\n"


@pytest.mark.parametrize(
    ("raised", "code", "shown"),
    [
        (NotFound("no such thing"), 1, "lockgate: no such thing\n"),
        (LocalProtocolError("not like this"), 2, "lockgate: not like this\n"),
        (FileNotFoundError(2, "No such file or directory", "x.bin"), 1, "x.bin: No such file or directory\n"),
        (OSError("odd"), 1, "lockgate: odd\n"),
    ],
)
def test_errors_of_ours_are_one_line_and_a_code(
    raised: Exception,
    code: int,
    shown: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise raised

    module = ModuleType("lockgate_test_command")
    module.fail = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lockgate_test_command", module)
    monkeypatch.setattr(
        "lockgate.cli.main.COMMANDS", (*COMMANDS, CommandRow("fail", "lockgate_test_command:fail", "Fail."))
    )
    assert main(["fail"]) == code
    error = capsys.readouterr().err
    assert error.endswith(shown)
    assert error.count("\n") == 1


def test_an_error_that_is_not_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    module = ModuleType("lockgate_test_command")
    module.fail = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lockgate_test_command", module)
    monkeypatch.setattr(
        "lockgate.cli.main.COMMANDS", (CommandRow("fail", "lockgate_test_command:fail", "Fail."),)
    )
    with pytest.raises(ZeroDivisionError):
        main(["fail"])


def test_it_runs_as_a_module_too() -> None:
    command = [sys.executable, "-m", "lockgate"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"lockgate {__version__}\n"
    done = subprocess.run([*command, "nothing"], capture_output=True, check=False)
    assert done.returncode == 2
