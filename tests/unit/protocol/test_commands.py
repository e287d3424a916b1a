"""Commands: parsing and building one line, and keeping secrets."""

from __future__ import annotations

import traceback

import pytest

from lockgate.errors import LocalProtocolError, RemoteProtocolError
from lockgate.protocol.commands import Command, decode, encode
from lockgate.protocol.verbs import VERBS, Verb


def test_a_line_is_a_word_and_everything_behind_one_space():
    assert Command.parse(b"STOR  two spaces ") == Command("STOR", " two spaces ")


def test_a_line_without_a_space_has_no_argument():
    command = Command.parse(b"NOOP")
    assert command.argument is None
    assert command.text == ""


def test_an_empty_argument_is_not_the_same_as_none():
    assert Command.parse(b"LIST ").argument == ""


@pytest.mark.requirement("R959-4-d")
def test_a_word_comes_in_any_case():
    assert Command.parse(b"reTr x") == Command("RETR", "x")
    assert Command("retr", "x").verb is Verb.RETR


@pytest.mark.parametrize(
    "line",
    [b"", b" ", b" USER x", b"\xe9 x", b"US\x1bER x", b"USER\tx", b"STOR a\rb", b"STOR a\nb", b"STOR a\0b"],
)
def test_a_line_that_is_no_command_is_the_peers_fault(line):
    with pytest.raises(RemoteProtocolError, match="not a command line"):
        Command.parse(line)


@pytest.mark.parametrize("word", ["", "TWO WORDS", "CR\r", "Ä", "TAB\t"])
def test_a_word_that_could_not_stand_on_a_line_cannot_be_built(word):
    with pytest.raises(LocalProtocolError, match="not a command word"):
        Command(word)


@pytest.mark.requirement("R959-C-d")
@pytest.mark.parametrize("name", ["a\r\nDELE b", "a\nb", "a\rb", "a\0b"])
def test_no_line_end_of_a_file_name_reaches_the_wire(name):
    with pytest.raises(LocalProtocolError, match="CR, LF or NUL"):
        Command("STOR", name)


def test_text_that_stands_for_no_octets_cannot_be_built():
    with pytest.raises(LocalProtocolError, match="surrogate"):
        Command("STOR", "a\ud800b")


def test_a_row_and_a_verb_fold_other_spellings():
    assert Command("XPWD").row is VERBS[Verb.XPWD]
    assert Command("XPWD").verb is Verb.PWD


def test_an_unknown_word_has_neither_row_nor_verb():
    assert Command("SITEX").row is None
    assert Command("SITEX").verb is None
    # It may be a mistyped PASS.
    assert Command("SITEX", "x").is_secret


def test_a_command_goes_out_as_one_line():
    assert Command("PROT", "P").to_bytes() == b"PROT P\r\n"
    assert Command("QUIT").to_bytes() == b"QUIT\r\n"


def test_octets_that_are_no_utf8_go_out_as_they_came():
    line = b"STOR \xe9\xf6 \xc3\xa9"
    assert Command.parse(line).to_bytes() == line + b"\r\n"


def test_a_telnet_iac_in_a_name_is_doubled():
    assert Command.parse(b"STOR a\xffb").to_bytes() == b"STOR a\xff\xffb\r\n"


def test_decode_and_encode_undo_each_other_on_any_octets():
    octets = bytes(range(256))
    assert encode(decode(octets)) == octets


def test_encode_refuses_half_of_a_surrogate_pair():
    with pytest.raises(LocalProtocolError, match="surrogate"):
        encode("\ud800")


SECRETS = [
    Command("PASS", "hunter2"),
    Command("pass", "hunter2"),
    Command("PaSs", "hunter2"),
    Command("ACCT", "hunter2"),
    Command("acct", "hunter2"),
    Command.parse(b"PASS hunter2"),
    Command.parse(b"pass  hunter2 "),
    Command.parse(b"PASS:hunter2"),
    Command.parse(b"passhunter2"),
    Command.parse(b"PASS-hunter2 hunter2"),
    Command.parse(b"acct=hunter2"),
]


@pytest.mark.parametrize("command", SECRETS, ids=range(len(SECRETS)))
def test_a_secret_is_never_shown(command):
    assert command.is_secret
    for shown in (repr(command), str(command), f"{command}", repr([command])):
        assert "hunter2" not in shown.lower()
        assert shown.upper().find("PASS") >= 0 or shown.upper().find("ACCT") >= 0


def test_a_secret_with_a_line_end_is_not_in_the_error():
    with pytest.raises(LocalProtocolError) as caught:
        Command("PASS", "hunter2\r\n")
    assert "hunter2" not in str(caught.value)


def test_a_secret_behind_a_tab_is_not_in_the_traceback():
    secret = "hunter2"[::-1]
    with pytest.raises(RemoteProtocolError) as caught:
        Command.parse(b"PASS\t" + secret.encode())
    assert secret not in "".join(traceback.format_exception(caught.value)).lower()


def test_other_arguments_are_shown_on_one_line_and_shortened():
    command = Command("STOR", "ev\x1bil" + "x" * 500)
    assert "\x1b" not in repr(command)
    assert "\x1b" not in str(command)
    assert len(repr(command)) < 300


@pytest.mark.parametrize(
    ("command", "shown", "written"),
    [
        (Command("NOOP"), "Command('NOOP')", "NOOP"),
        (Command("RETR", "a"), "Command('RETR', 'a')", "RETR a"),
        (Command("PASS", "a"), "Command('PASS', '<hidden>')", "PASS ***"),
        (Command("PASSA"), "Command('PASS***')", "PASS***"),
    ],
)
def test_repr_and_str(command, shown, written):
    assert (repr(command), str(command)) == (shown, written)
