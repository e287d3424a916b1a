"""The table of verbs: complete, and true to its own rules."""

from __future__ import annotations

import pytest

from lockgate.protocol.verbs import VERBS, Argument, Room, Verb, lookup


def test_every_verb_has_a_row_and_every_row_its_verb():
    assert set(VERBS) == set(Verb)
    assert all(row.verb is verb for verb, row in VERBS.items())


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        VERBS[Verb.NOOP] = VERBS[Verb.QUIT]  # type: ignore[index]


@pytest.mark.parametrize(
    "words",
    [
        "USER PASS ACCT CWD CDUP SMNT REIN QUIT PORT PASV TYPE STRU MODE RETR STOR STOU APPE ALLO REST RNFR",
        "RNTO ABOR DELE RMD MKD PWD LIST NLST SITE SYST STAT HELP NOOP",
        "XCWD XCUP XPWD XMKD XRMD LPRT LPSV",
        "AUTH ADAT PROT PBSZ CCC MIC CONF ENC",
        "FEAT OPTS EPRT EPSV LANG MDTM SIZE MLST MLSD HOST",
        "MFMT MFCT MFF HASH RANG AVBL CLNT CSID SSCN CPSV",
    ],
    ids=["RFC 959", "RFC 959 too", "RFC 775 and 1639", "RFC 2228", "RFC 2389 to 7151", "practice"],
)
def test_no_command_of_the_sources_is_forgotten(words):
    assert [word for word in words.split() if lookup(word) is None] == []


@pytest.mark.requirement("R959-4-d")
@pytest.mark.parametrize("word", ["RETR", "retr", "ReTr"])
def test_a_word_is_found_in_any_case(word):
    assert lookup(word) is VERBS[Verb.RETR]


@pytest.mark.parametrize("word", ["", "RET", "RETRX", " RETR", "GET"])
def test_an_unknown_word_has_no_row(word):
    assert lookup(word) is None


@pytest.mark.parametrize(
    ("other", "verb"),
    [("XCWD", "CWD"), ("XCUP", "CDUP"), ("XPWD", "PWD"), ("XMKD", "MKD"), ("XRMD", "RMD")],
)
def test_another_spelling_is_the_same_verb_under_the_same_rules(other, verb):
    row, own = VERBS[Verb(other)], VERBS[Verb(verb)]
    assert row.canonical is own.canonical is Verb(verb)
    assert (row.room, row.argument, row.needs_login) == (own.room, own.argument, own.needs_login)


def test_exactly_the_transfer_commands_open_data():
    opening = {verb for verb, row in VERBS.items() if row.opens_data}
    assert opening == {Verb(v) for v in ("RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD")}


def test_whatever_touches_files_or_data_needs_a_login():
    rooms = (Room.FILES, Room.TRANSFERS, Room.LISTINGS, Room.ENDPOINTS)
    open_to_all = {v for v, row in VERBS.items() if row.room in rooms and not row.needs_login}
    assert open_to_all == {Verb.ABOR}


def test_exactly_what_authenticates_is_secret():
    assert {verb for verb, row in VERBS.items() if row.secret} == {Verb.PASS, Verb.ACCT, Verb.ADAT}


def test_no_verb_is_refused_and_listed_as_a_feature():
    assert [v for v, row in VERBS.items() if row.refused is not None and row.feature is not None] == []


def test_the_features_of_the_security_extensions_are_listed():
    assert [VERBS[v].feature for v in (Verb.AUTH, Verb.PBSZ, Verb.PROT)] == ["AUTH TLS", "PBSZ", "PROT"]


def test_the_help_line_starts_with_the_word_and_shows_the_argument():
    for verb, row in VERBS.items():
        word, _, argument = row.help.partition(" ")
        assert word == verb.value
        assert bool(argument) == (row.argument is not Argument.NONE) or verb is Verb.STOU
        assert row.rfc
