"""What replies mean to the four machines."""

from __future__ import annotations

import pytest

from lockgate.protocol.commands import Command
from lockgate.protocol.meanings import Input, classify
from lockgate.protocol.replies import Reply


@pytest.mark.parametrize(
    ("line", "code", "meaning"),
    [
        ("AUTH TLS", 234, Input.AUTH_CLEAR),
        ("AUTH SSL", 234, Input.AUTH_PRIVATE),
        ("CCC", 200, Input.CCC),
        ("PBSZ 0", 200, Input.PBSZ),
        ("PBSZ 0", 503, None),
        ("XPWD", 257, None),
        ("QUIT", 221, None),
        ("CPSV", 227, Input.ENDPOINT_SET),
        ("MLST", 250, None),
    ],
)
def test_a_reply_means_what_its_command_and_code_say(line, code, meaning):
    assert classify(Command.parse(line.encode()), Reply.of(code, "x")) is meaning


def test_an_unknown_verb_means_nothing():
    assert classify(Command("XYZZY"), Reply.of(200, "x")) is None
