"""The examples of docs/policy.md are configurations that the server takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import hash_password
from lockgate.server.config import load_config

PAGE = Path(__file__).parents[4] / "docs" / "policy.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
HASH = hash_password("open", CHEAP)
ALICE = '[[account]]\nname = "alice"\nhome = "a"\npassword_hash = "..."\n'


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 3


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_taken(tmp_path: Path, text: str) -> None:
    for name in ("server.pem", "server.key", "partners.pem"):
        (tmp_path / name).touch()
    if 'name = "alice"' not in text:
        text += ALICE
    path = tmp_path / "lockgate.toml"
    path.write_text(text.replace('"..."', f'"{HASH}"'), encoding="utf-8")
    load_config(path, {})
