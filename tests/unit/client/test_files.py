"""Files and directories as conversations."""

from __future__ import annotations

import pytest

from lockgate.client import files, sessions
from lockgate.errors import (
    FileUnavailable,
    LocalProtocolError,
    ProtectionRefused,
    RemoteProtocolError,
)


def test_pwd_reads_the_quoted_path(ready):
    assert ready.play(files.working_directory, 'C: PWD\nS: 257 "/a ""b""" is it') == '/a "b"'


def test_a_rename_is_rnfr_and_rnto(ready):
    ready.play(files.rename, "C: RNFR /a\nS: 350 go on\nC: RNTO /b\nS: 250 done", "/a", "/b")


def test_a_rename_of_nothing_stops_at_rnfr(ready):
    with pytest.raises(FileUnavailable):
        ready.play(files.rename, "C: RNFR /a\nS: 550 no", "/a", "/b")


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        (files.change_directory, "CWD"),
        (files.make_directory, "MKD"),
        (files.remove_directory, "RMD"),
        (files.remove, "DELE"),
    ],
)
@pytest.mark.requirement("R959-C-a")
def test_any_2xx_is_a_success_and_lines_between_do_no_harm(ready, operation, word):
    ready.play(operation, f"C: {word} /a\nS: 299-first\nS: 299-second\nS:  299 x\nS: 299 done", "/a")


@pytest.mark.parametrize("name", ["/a\r\nDELE /b", "/a\nb", "/a\0b"])
@pytest.mark.parametrize(
    "operation", [files.remove, files.make_directory, files.change_directory, files.size, files.stat]
)
@pytest.mark.requirement("R959-C-d")
def test_no_line_end_from_a_name_reaches_the_connection(ready, operation, name):
    ready.peer.type = "I"
    with pytest.raises(LocalProtocolError):
        ready.play(operation, "", name)


def test_an_empty_path_is_not_sent(ready):
    with pytest.raises(LocalProtocolError):
        ready.play(files.remove, "", "")


def test_size_is_asked_in_type_i_and_must_be_a_number(ready):
    assert ready.play(files.size, "C: TYPE I\nS: 200 ok\nC: SIZE /a\nS: 213 42", "/a") == 42
    with pytest.raises(RemoteProtocolError):
        ready.play(files.size, "C: SIZE /a\nS: 213 many", "/a")


def test_times_are_read_and_written_in_utc(ready):
    assert ready.play(files.modified, "C: MDTM /a\nS: 213 20240101000000", "/a") == 1704067200
    ready.play(files.set_modified, "C: MFMT 20240101000000 /a\nS: 213 ok", "/a", 1704067200.9)


def test_stat_reads_mlst(ready):
    script = "C: MLST /d/a b\nS: 250-Here\nS:  type=file;size=5;modify=20240101000000; /d/a b\nS: 250 End"
    entry = ready.play(files.stat, script, "/d/a b")
    assert (entry.name, entry.path, entry.size, entry.is_file) == ("a b", "/d/a b", 5, True)


def test_the_name_in_mlst_is_not_the_servers_to_choose(ready):
    script = "C: MLST /a\nS: 250-Here\nS:  type=file; /etc/passwd\nS: 250 End"
    assert ready.play(files.stat, script, "/a").path == "/a"


def test_without_mlst_a_file_is_told_by_size_and_mdtm(ready):
    ready.peer.features = {"SIZE": "", "MDTM": ""}
    script = """
        C: MLST /a
        S: 500 what
        C: PWD
        S: 257 "/home"
        C: CWD /a
        S: 550 no directory
        C: TYPE I
        S: 200 ok
        C: SIZE /a
        S: 213 7
        C: MDTM /a
        S: 213 20240101000000
    """
    entry = ready.play(files.stat, script, "/a")
    assert (entry.kind, entry.size, entry.modified) == ("file", 7, 1704067200)


def test_without_mlst_a_directory_is_told_by_cwd_which_is_undone(ready):
    ready.peer.refuses_mlst = True
    script = 'C: PWD\nS: 257 "/home"\nC: CWD /a\nS: 250 ok\nC: CWD /home\nS: 250 ok'
    assert ready.play(files.stat, script, "/a").is_dir


def test_without_mlst_nothing_is_nothing(ready):
    ready.peer.refuses_mlst = True
    ready.peer.type = "I"
    script = 'C: PWD\nS: 257 "/"\nC: CWD /a\nS: 550 no\nC: SIZE /a\nS: 550 no\nC: MDTM /a\nS: 550 no'
    assert ready.play(files.exists, script, "/a") is False


def test_exists_tells_yes_and_no(ready):
    assert ready.play(files.exists, "C: MLST /a\nS: 250-x\nS:  type=file; /a\nS: 250 End", "/a")
    assert not ready.play(files.exists, "C: MLST /a\nS: 550 no", "/a")


def test_a_directory_that_is_there_already_is_fine_where_asked(ready):
    script = "C: MKD /d\nS: 550 exists\nC: MLST /d\nS: 250-x\nS:  type=dir; /d\nS: 250 End"
    ready.play(files.ensure_directory, script, "/d")
    script = "C: MKD /d\nS: 550 exists\nC: MLST /d\nS: 250-x\nS:  type=file; /d\nS: 250 End"
    with pytest.raises(FileUnavailable):
        ready.play(files.ensure_directory, script, "/d")


def test_quote_gives_back_refusals_too(ready):
    assert ready.play(files.quote, "C: SITE chmod 1 x\nS: 502 no", "site chmod 1 x").code == 502


@pytest.mark.parametrize("line", ["AUTH TLS", "CCC", "rein", "RETR a", "QUIT", "ABOR", "MLSD"])
def test_quote_leaves_commands_with_consequences_to_their_methods(ready, line):
    with pytest.raises(LocalProtocolError):
        ready.play(files.quote, "", line)


@pytest.mark.requirement("RSEC-C-pass")
def test_quote_sends_no_secret_in_clear(playbook):
    book = playbook(secure=False, login=False)
    book.play(sessions.establish, "S: 220 Hello")
    for line in ("PASS secret", "USER alice", "ACCT gold"):
        with pytest.raises(ProtectionRefused):
            book.play(files.quote, "", line)


def test_a_quoted_type_is_not_taken_for_ours(ready):
    ready.peer.type = "I"
    ready.play(files.quote, "C: TYPE A\nS: 200 ok", "TYPE A")
    ready.play(files.size, "C: TYPE I\nS: 200 ok\nC: SIZE /a\nS: 213 42", "/a")
