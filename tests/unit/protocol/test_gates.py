"""The gates: each one closed and open, and the order in which they say no."""

from __future__ import annotations

import pytest

from lockgate.protocol.commands import Command
from lockgate.protocol.gates import GATES, CccRule, GatePolicy, Requirement, View, judge
from lockgate.protocol.policy import DataRule, Flow
from lockgate.protocol.states import Control, Data, Login, SessionState, Transfer
from lockgate.protocol.verbs import VERBS, Verb

EASY = GatePolicy(
    control=Requirement.OPTIONAL, data=Requirement.OPTIONAL, ccc=CccRule.AFTER_LOGIN, legacy_auth=True
)
STRICT = GatePolicy()
CLEAR = SessionState()
TLS = SessionState(Control.PROTECTED)
IN = SessionState(Control.PROTECTED, Data.PRIVATE, Login.LOGGED_IN)
IN_READY = SessionState(Control.PROTECTED, Data.PRIVATE, Login.LOGGED_IN, Transfer.ENDPOINT_READY)
IN_READY_CLEAR_DATA = SessionState(Control.PROTECTED, Data.CLEAR, Login.LOGGED_IN, Transfer.ENDPOINT_READY)
IN_NO_PBSZ = SessionState(Control.PROTECTED, Data.CLEAR_NO_PBSZ, Login.LOGGED_IN)
CLEARED = SessionState(Control.CLEARED, Data.FROZEN_PRIVATE, Login.LOGGED_IN)
CLEAR_IN = SessionState(login=Login.LOGGED_IN)

DATA_LINES = ("RETR a", "STOR a", "APPE a", "STOU", "LIST", "NLST", "MLSD")


def verdict(line, state=CLEAR, policy=EASY, cwd="/"):
    """The gate's name and code that refuse a line, or None."""
    command = Command.parse(line.encode())
    gate = judge(View(command, VERBS[Verb(command.word)], state, policy, cwd))
    return None if gate is None else (gate.name, int(gate.code))


# --- the table itself ---


def test_every_gate_has_its_own_name_and_a_source():
    names = [gate.name for gate in GATES]
    assert len(names) == len(set(names))
    assert all(gate.rfc.startswith("RFC ") for gate in GATES)


@pytest.mark.requirement("R4217-4.2-c")
def test_every_gate_refuses_with_4xx_or_5xx():
    command = Command("NOOP")
    assert all(gate.reply(command).is_refusal for gate in GATES)
    assert all(row.refused is None or 500 <= row.refused < 600 for row in VERBS.values())


def test_a_refusal_names_the_word_as_the_client_said_it():
    (gate,) = (gate for gate in GATES if gate.name == "argument-missing")
    assert gate.reply(Command("XCWD")).text == "XCWD needs an argument."


def test_the_defaults_are_safe():
    policy = GatePolicy()
    assert (policy.control, policy.data, policy.ccc) == (
        Requirement.REQUIRED,
        Requirement.REQUIRED,
        CccRule.OFF,
    )


def test_another_spelling_meets_the_gates_of_its_verb():
    assert verdict("XPWD", CLEAR) == verdict("PWD", CLEAR) == ("not-logged-in", 530)
    assert verdict("XPWD", IN) is None


# --- refused for form ---


@pytest.mark.requirement("R959-4-c")
@pytest.mark.parametrize("verb", [verb for verb, row in VERBS.items() if row.refused is not None])
def test_a_known_verb_that_is_not_served_is_502(verb):
    assert verdict(f"{verb} x", IN) == ("refused-verb", 502)


@pytest.mark.requirement("R959-4-c")
@pytest.mark.parametrize("line", ["RETR", "RETR ", "RETR  ", "USER", "AUTH", "PBSZ", "PROT ", "TYPE", "OPTS"])
def test_a_missing_argument_is_501(line):
    assert verdict(line, CLEAR) == ("argument-missing", 501)


@pytest.mark.requirement("R959-4-c")
@pytest.mark.parametrize("line", ["PASV x", "NOOP x", "FEAT x", "PWD /", "QUIT now", "CDUP .."])
def test_an_argument_too_many_is_501(line):
    assert verdict(line, IN) == ("argument-unwanted", 501)


def test_spaces_are_no_argument():
    assert verdict("PASV ", IN) is None
    assert verdict("NOOP  ", CLEAR) is None


# --- AUTH ---


@pytest.mark.requirement("R4217-17-b")
@pytest.mark.parametrize("mechanism", ["TLS", "tls", "tLs", " TLS "])
@pytest.mark.parametrize("legacy", [True, False])
def test_auth_tls_is_taken_in_any_case(mechanism, legacy):
    assert verdict(f"AUTH {mechanism}", CLEAR, GatePolicy(legacy_auth=legacy)) is None


@pytest.mark.requirement("R4217-17-a")
@pytest.mark.parametrize("mechanism", ["TLS-C", "SSL", "TLS-P", "tls-c", "ssl"])
def test_legacy_mechanisms_are_taken_where_the_policy_says_so(mechanism):
    assert verdict(f"AUTH {mechanism}", CLEAR, GatePolicy(legacy_auth=True)) is None
    refused = verdict(f"AUTH {mechanism}", CLEAR, GatePolicy(legacy_auth=False))
    assert refused == ("auth-unknown-mechanism", 504)


@pytest.mark.requirement("R2228-3-a")
@pytest.mark.parametrize(
    ("line", "state", "policy", "name", "code"),
    [
        ("AUTH", CLEAR, EASY, "argument-missing", 501),
        ("AUTH GSSAPI", CLEAR, EASY, "auth-unknown-mechanism", 504),
        ("AUTH GSSAPI", CLEAR, GatePolicy(control=Requirement.FORBIDDEN), "auth-unknown-mechanism", 504),
        ("AUTH TLS", CLEAR, GatePolicy(control=Requirement.FORBIDDEN), "auth-denied", 534),
        ("AUTH TLS", CLEAR, GatePolicy(has_tls=False), "auth-without-certificate", 431),
        ("AUTH TLS", TLS, EASY, "auth-twice", 503),
        ("AUTH TLS", CLEARED, EASY, "auth-twice", 503),
    ],
)
def test_auth_is_refused_with_its_own_codes(line, state, policy, name, code):
    assert verdict(line, state, policy) == (name, code)


@pytest.mark.requirement("RD97-12-a")
def test_auth_on_the_implicit_port_is_refused():
    state = SessionState(Control.PROTECTED, Data.PRIVATE_NO_PBSZ, implicit=True)
    assert verdict("AUTH TLS", state) == ("auth-twice", 503)


@pytest.mark.requirement("R2228-3-b", "RD97-B-c")
@pytest.mark.parametrize("state", [CLEAR, TLS, IN, CLEARED])
@pytest.mark.parametrize("line", ["ADAT", "ADAT AAAA", "MIC AAAA", "CONF AAAA", "ENC AAAA", "CCC"])
def test_what_tls_does_not_use_is_refused(line, state):
    refused = verdict(line, state, STRICT)
    assert refused is not None
    assert refused[1] in (500, 502, 503, 533, 534, 537)


@pytest.mark.requirement("R2228-3-b")
@pytest.mark.parametrize("state", [CLEAR, TLS, IN])
def test_adat_is_always_503(state):
    assert verdict("ADAT AAAA", state) == ("adat-without-exchange", 503)


# --- CCC ---


@pytest.mark.requirement("R4217-5-a")
@pytest.mark.parametrize("state", [CLEAR, TLS, IN, CLEARED])
def test_ccc_that_is_off_is_500_whatever_else_could_be_said(state):
    assert verdict("CCC", state, STRICT) == ("ccc-off", 500)
    assert verdict("CCC x", state, STRICT) == ("ccc-off", 500)


@pytest.mark.requirement("R4217-5-b")
@pytest.mark.parametrize("state", [CLEAR, CLEAR_IN, CLEARED])
def test_ccc_in_clear_is_533(state):
    assert verdict("CCC", state) == ("ccc-in-clear", 533)


@pytest.mark.requirement("R4217-5-c", "R4217-15.3-a")
@pytest.mark.parametrize("login", [Login.NONE, Login.PASSWORD_NEEDED, Login.ACCOUNT_NEEDED])
def test_ccc_before_the_login_is_534(login):
    assert verdict("CCC", SessionState(Control.PROTECTED, login=login)) == ("ccc-before-login", 534)


def test_ccc_after_the_login_is_let_through():
    assert verdict("CCC", IN) is None


# --- PBSZ and PROT ---


@pytest.mark.requirement("R4217-9-c")
@pytest.mark.parametrize("line", ["PBSZ 0", "PROT P", "PROT C"])
def test_pbsz_and_prot_without_tls_are_503(line):
    assert verdict(line, CLEAR) == ("protection-in-clear", 503)


@pytest.mark.requirement("R4217-5-f")
@pytest.mark.parametrize("line", ["PBSZ 0", "PBSZ junk", "PROT P", "PROT C", "PROT S"])
@pytest.mark.parametrize("data", [Data.FROZEN_CLEAR, Data.FROZEN_PRIVATE])
def test_pbsz_and_prot_after_ccc_are_503(line, data):
    state = SessionState(Control.CLEARED, data, Login.LOGGED_IN)
    assert verdict(line, state) == ("protection-after-ccc", 503)


@pytest.mark.requirement("R4217-9-g")
def test_pbsz_0_is_let_through():
    assert verdict("PBSZ 0", TLS) is None


@pytest.mark.parametrize("number", ["1", "0000", " 0 ", "16384", "4294967295"])
def test_other_numbers_are_let_through_too(number):
    assert verdict(f"PBSZ {number}", TLS) is None


@pytest.mark.requirement("R2228-3-c")
@pytest.mark.parametrize(
    "number", ["4294967296", "99999999999", "-1", "+1", "1.0", "0x10", "abc", "0 0", "٣", "²", "9" * 5000]
)
def test_pbsz_of_junk_or_more_than_32_bits_is_501(number):
    assert verdict(f"PBSZ {number}", TLS) == ("pbsz-junk", 501)


@pytest.mark.requirement("R4217-9-b")
@pytest.mark.parametrize("data", [Data.CLEAR_NO_PBSZ, Data.PRIVATE_NO_PBSZ])
@pytest.mark.parametrize("level", ["C", "P", "S", "X"])
def test_prot_before_pbsz_is_503(data, level):
    assert verdict(f"PROT {level}", SessionState(Control.PROTECTED, data)) == ("prot-before-pbsz", 503)


@pytest.mark.requirement("R4217-9-d", "RD97-B-b")
@pytest.mark.parametrize("level", ["S", "E", "s", "e"])
def test_levels_that_tls_does_not_know_are_536(level):
    assert verdict(f"PROT {level}", SessionState(Control.PROTECTED, Data.CLEAR)) == (
        "prot-level-not-in-tls",
        536,
    )


@pytest.mark.requirement("R4217-9-d", "R959-4-d")
@pytest.mark.parametrize("level", ["C", "P", "c", "p", " P"])
def test_clear_and_private_are_let_through_in_any_case(level):
    assert verdict(f"PROT {level}", SessionState(Control.PROTECTED, Data.CLEAR)) is None


@pytest.mark.requirement("R2228-3-d")
@pytest.mark.parametrize(
    ("line", "state", "policy", "name", "code"),
    [
        ("PROT", IN, EASY, "argument-missing", 501),
        ("PROT P", TLS, EASY, "prot-before-pbsz", 503),
        ("PROT X", IN, EASY, "prot-unknown-level", 504),
        ("PROT CP", IN, EASY, "prot-unknown-level", 504),
        ("PROT S", IN, EASY, "prot-level-not-in-tls", 536),
        ("PROT P", IN, GatePolicy(data=Requirement.FORBIDDEN), "prot-denied", 534),
        ("PROT C", IN, GatePolicy(data=Requirement.REQUIRED), "prot-denied", 534),
    ],
)
def test_prot_is_refused_with_its_own_codes(line, state, policy, name, code):
    assert verdict(line, state, policy) == (name, code)


@pytest.mark.parametrize(
    ("line", "data"),
    [("PROT C", Requirement.FORBIDDEN), ("PROT P", Requirement.REQUIRED), ("PROT C", Requirement.OPTIONAL)],
)
def test_the_level_that_the_policy_wants_is_let_through(line, data):
    assert verdict(line, IN, GatePolicy(data=data)) is None


@pytest.mark.requirement("R4217-12.1-a")
@pytest.mark.parametrize("line", ["PBSZ 0", "PROT P"])
def test_protection_may_be_set_before_and_after_the_login(line):
    for login in Login:
        assert verdict(line, SessionState(Control.PROTECTED, Data.CLEAR, login), STRICT) is None


@pytest.mark.requirement("R4217-8-b")
def test_protection_may_be_set_behind_an_endpoint():
    assert verdict("PROT P", IN_READY_CLEAR_DATA, STRICT) is None


# --- login ---


@pytest.mark.requirement("R4217-4.2-a", "R4217-10.1-a", "R003-3.3-c")
@pytest.mark.parametrize("line", ["USER a", "PASS b", "ACCT c"])
def test_no_login_in_clear_where_it_must_be_protected(line):
    for login in (Login.NONE, Login.PASSWORD_NEEDED, Login.ACCOUNT_NEEDED):
        assert verdict(line, SessionState(login=login), STRICT) == ("login-in-clear", 530)


def test_no_account_in_clear_after_ccc_where_it_must_be_protected():
    assert verdict("ACCT c", CLEARED, STRICT) == ("login-in-clear", 530)


@pytest.mark.parametrize("policy", [EASY, GatePolicy(control=Requirement.FORBIDDEN)])
def test_user_in_clear_is_let_through_where_the_policy_says_so(policy):
    assert verdict("USER a", CLEAR, policy) is None


def test_user_in_tls_is_let_through():
    assert verdict("USER a", TLS, STRICT) is None


@pytest.mark.parametrize("line", ["USER a", "PASS b", "PASS"])
@pytest.mark.parametrize("state", [IN, CLEARED, CLEAR_IN])
def test_a_second_login_is_503(line, state):
    assert verdict(line, state, STRICT) == ("login-again", 503)


def test_user_may_be_sent_again_before_the_login_is_done():
    for login in (Login.PASSWORD_NEEDED, Login.ACCOUNT_NEEDED):
        assert verdict("USER b", SessionState(Control.PROTECTED, login=login)) is None


@pytest.mark.requirement("R959-4.1-a")
@pytest.mark.parametrize("login", [Login.NONE, Login.ACCOUNT_NEEDED])
def test_pass_without_user_is_503(login):
    assert verdict("PASS b", SessionState(Control.PROTECTED, login=login)) == ("pass-without-user", 503)


def test_pass_after_user_is_let_through():
    state = SessionState(Control.PROTECTED, login=Login.PASSWORD_NEEDED)
    assert verdict("PASS b", state) is None
    assert verdict("PASS", state) is None


@pytest.mark.parametrize("login", [Login.NONE, Login.PASSWORD_NEEDED])
def test_acct_before_its_turn_is_503(login):
    assert verdict("ACCT c", SessionState(Control.PROTECTED, login=login)) == ("acct-before-login", 503)


@pytest.mark.parametrize("login", [Login.ACCOUNT_NEEDED, Login.LOGGED_IN])
def test_acct_in_its_turn_is_let_through(login):
    assert verdict("ACCT c", SessionState(Control.PROTECTED, login=login)) is None


@pytest.mark.requirement("R959-4.1-a")
@pytest.mark.parametrize(
    "verb", [verb for verb, row in VERBS.items() if row.needs_login and row.refused is None]
)
@pytest.mark.parametrize("login", [Login.NONE, Login.PASSWORD_NEEDED, Login.ACCOUNT_NEEDED])
def test_commands_that_need_a_login_are_530_without_one(verb, login):
    line = f"{verb} x" if VERBS[verb].argument.name == "REQUIRED" else verb.value
    assert verdict(line, SessionState(Control.PROTECTED, login=login)) == ("not-logged-in", 530)


@pytest.mark.parametrize(
    "line", ["FEAT", "HELP", "SYST", "NOOP", "QUIT", "OPTS UTF8 ON", "CLNT x", "REIN", "ABOR"]
)
def test_harmless_commands_need_no_login(line):
    assert verdict(line, CLEAR, STRICT) is None


# --- order of commands ---


@pytest.mark.requirement("R959-4-c")
def test_rnto_without_rnfr_is_503():
    assert verdict("RNTO b", IN) == ("rename-without-source", 503)
    named = SessionState(Control.PROTECTED, login=Login.LOGGED_IN, rename_from="a")
    assert verdict("RNTO b", named) is None


@pytest.mark.requirement("R2428-b")
@pytest.mark.parametrize("line", ["PASV", "PORT 127,0,0,1,4,1", "EPRT |1|127.0.0.1|1025|"])
def test_after_epsv_all_every_other_way_to_set_up_data_is_503(line):
    state = SessionState(Control.PROTECTED, login=Login.LOGGED_IN, epsv_all=True)
    assert verdict(line, state) == ("after-epsv-all", 503)
    assert verdict("EPSV", state) is None
    assert verdict(line, IN) is None


@pytest.mark.parametrize("line", ["PORT 127,0,0,1,4,1", "EPRT |1|127.0.0.1|1025|"])
def test_active_mode_that_is_off_is_502(line):
    assert verdict(line, IN, GatePolicy(active_mode=False)) == ("active-mode-off", 502)
    assert verdict("PASV", IN, GatePolicy(active_mode=False)) is None


# --- data ---


@pytest.mark.requirement("R959-3.2-a")
@pytest.mark.parametrize("line", DATA_LINES)
@pytest.mark.parametrize("transfer", [Transfer.IDLE, Transfer.STARTED])
def test_a_data_command_without_an_endpoint_is_425(line, transfer):
    state = SessionState(Control.PROTECTED, Data.CLEAR, Login.LOGGED_IN, transfer)
    assert verdict(line, state, STRICT) == ("no-endpoint", 425)


@pytest.mark.requirement("R4217-10.2-c", "R4217-11-a+")
@pytest.mark.parametrize("line", DATA_LINES)
def test_a_data_command_at_a_level_too_low_is_521(line):
    assert verdict(line, IN_READY_CLEAR_DATA, STRICT) == ("data-level-too-low", 521)


@pytest.mark.parametrize("line", DATA_LINES)
def test_a_data_command_at_a_level_too_high_is_521(line):
    assert verdict(line, IN_READY, GatePolicy(data=Requirement.FORBIDDEN)) == ("data-level-too-high", 521)


@pytest.mark.parametrize("line", DATA_LINES)
@pytest.mark.parametrize(
    ("state", "data"),
    [
        (IN_READY, Requirement.REQUIRED),
        (IN_READY, Requirement.OPTIONAL),
        (IN_READY_CLEAR_DATA, Requirement.OPTIONAL),
        (IN_READY_CLEAR_DATA, Requirement.FORBIDDEN),
    ],
)
def test_a_data_command_at_the_right_level_is_let_through(line, state, data):
    assert verdict(line, state, GatePolicy(data=data)) is None


@pytest.mark.requirement("R4217-10.2-b")
@pytest.mark.parametrize("line", ["PASV", "EPSV", "PORT 127,0,0,1,4,1", "EPRT |1|127.0.0.1|1025|"])
def test_the_level_is_not_judged_at_the_endpoint(line):
    assert verdict(line, IN_NO_PBSZ, STRICT) is None


@pytest.mark.parametrize("line", ["MLST", "STAT", "STAT /", "SIZE a", "ABOR"])
def test_commands_on_the_control_connection_do_not_meet_the_data_gates(line):
    assert verdict(line, IN_NO_PBSZ, STRICT) is None


# --- path by path ---

TOO_LOW, TOO_HIGH = ("data-level-too-low", 521), ("data-level-too-high", 521)
RULED = GatePolicy(
    data=Requirement.OPTIONAL,
    rules=(
        DataRule("/secret", Requirement.REQUIRED),
        DataRule("/plain", Requirement.FORBIDDEN),
        DataRule("/drop", Requirement.REQUIRED, Flow.UPLOAD),
    ),
)


@pytest.mark.requirement("R4217-10.2-a", "R4217-10.2-b", "R4217-10.2-c")
@pytest.mark.parametrize(
    ("line", "cwd", "clear", "private"),
    [
        ("RETR a", "/", None, None),
        ("RETR /secret/a", "/", TOO_LOW, None),
        ("RETR secret/a", "/", TOO_LOW, None),
        ("RETR a", "/secret", TOO_LOW, None),
        ("RETR ../a", "/secret", None, None),
        ("RETR x/../../secret/a", "/y", TOO_LOW, None),
        ("RETR secretary", "/", None, None),
        ("LIST", "/secret", TOO_LOW, None),
        ("LIST -la", "/secret/deep", TOO_LOW, None),
        ("LIST -la /secret", "/", TOO_LOW, None),
        ("NLST -l/../secret", "/", TOO_LOW, None),
        ("MLSD /secret", "/", TOO_LOW, None),
        ("STOU", "/secret", TOO_LOW, None),
        ("STOU /secret/part", "/", TOO_LOW, None),
        ("APPE /secret/a", "/", TOO_LOW, None),
        ("STOR /plain/a", "/", None, TOO_HIGH),
        ("LIST", "/plain", None, TOO_HIGH),
        ("STOR /drop/a", "/", TOO_LOW, None),
        ("RETR /drop/a", "/", None, None),
        ("LIST /drop", "/", None, None),
        ("STOU", "/drop", TOO_LOW, None),
    ],
)
def test_a_transfer_is_judged_by_the_path_it_means(line, cwd, clear, private):
    assert verdict(line, IN_READY_CLEAR_DATA, RULED, cwd) == clear
    assert verdict(line, IN_READY, RULED, cwd) == private


@pytest.mark.parametrize("level", ["C", "P"])
def test_a_level_that_some_path_takes_may_be_set(level):
    against = {"C": Requirement.REQUIRED, "P": Requirement.FORBIDDEN}[level]
    state = SessionState(Control.PROTECTED, Data.PRIVATE, Login.LOGGED_IN)
    assert verdict(f"PROT {level}", state, GatePolicy(data=against)) == ("prot-denied", 534)
    rules = (DataRule("/a", Requirement.OPTIONAL),)
    assert verdict(f"PROT {level}", state, GatePolicy(data=against, rules=rules)) is None
