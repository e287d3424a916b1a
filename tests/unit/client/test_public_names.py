"""What `import lockgate` gives, and what it costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import lockgate


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", lockgate.__all__)
def test_every_public_name_is_there(name):
    assert getattr(lockgate, name) is not None
    assert name in dir(lockgate)


@pytest.mark.parametrize("connect", [lockgate.connect, lockgate.aio.connect])
def test_the_help_of_connect_names_every_argument(connect):
    arguments = inspect.getdoc(connect).partition("Raises:")[0]
    described = set(re.findall(r"^ {4}(\w+): ", arguments, re.MULTILINE))
    assert described == {"address", *lockgate.ConnectArguments.__annotations__}


def test_every_local_failure_that_a_caller_meets_has_a_public_name():
    from lockgate import errors

    kinds = {
        kind.__name__ for kind in errors.StorageError.__subclasses__() if kind.__module__ == errors.__name__
    }
    # A server's storage alone knows a root.
    assert kinds - {"OutsideRoot"} <= set(lockgate.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        lockgate.nonsense  # noqa: B018


def test_the_import_loads_neither_tls_nor_asyncio():
    heavy = "{'ssl', 'asyncio', 'socket', 'lockgate.client', 'lockgate.server'}"
    assert run(f"import lockgate, sys; print({heavy} & set(sys.modules))") == "set()"


def test_the_client_needs_the_standard_library_only():
    code = (
        "import lockgate, sys; lockgate.connect, lockgate.aio, lockgate.TreeIncomplete\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(names & {'argon2', 'cryptography', 'pydantic', 'typer', 'rich', 'fsspec', 'click'}))"
    )
    assert run(code) == "[]"


def test_the_blocking_client_needs_no_asyncio():
    assert run("import lockgate, sys; lockgate.connect; print('asyncio' in sys.modules)") == "False"
