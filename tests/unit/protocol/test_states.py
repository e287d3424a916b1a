"""The four machines, step by step, and what AUTH and REIN reset."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockgate.errors import LocalProtocolError
from lockgate.protocol.commands import Command
from lockgate.protocol.replies import Reply
from lockgate.protocol.states import (
    Control,
    Data,
    Login,
    SessionState,
    Transfer,
    apply,
    handshake_done,
    initial,
)

IN_TLS = SessionState(control=Control.PROTECTED)
READY = SessionState(transfer=Transfer.ENDPOINT_READY)
STARTED = SessionState(transfer=Transfer.STARTED)


def step(state, line, code):
    """The state after the command `line` was answered by `code`."""
    return apply(state, Command.parse(line.encode()), Reply.of(code, "x"))


def walk(state, *exchanges):
    for line, code in exchanges:
        state = handshake_done(state) if line == "handshake" else step(state, line, code)
    return state


# --- how it starts ---


def test_a_session_starts_in_clear_with_nobody_logged_in():
    assert initial() == SessionState(Control.CLEAR, Data.CLEAR_NO_PBSZ, Login.NONE, Transfer.IDLE)


@pytest.mark.requirement("RD97-8-a")
def test_an_implicit_session_starts_with_a_handshake_and_private_data():
    state = handshake_done(initial(implicit=True))
    assert state.is_protected
    assert state.data is Data.PRIVATE_NO_PBSZ
    assert state.data.is_private


# --- control ---


def test_auth_negotiates_and_the_handshake_protects():
    state = step(initial(), "AUTH TLS", 234)
    assert state.control is Control.NEGOTIATING
    assert not state.is_protected
    assert handshake_done(state).is_protected


@pytest.mark.parametrize("code", [334, 200, 431, 500, 504, 534])
def test_auth_moves_nothing_but_by_234(code):
    assert step(initial(), "AUTH TLS", code) == initial()


@pytest.mark.parametrize("control", [Control.PROTECTED, Control.NEGOTIATING, Control.CLEARED])
def test_auth_accepted_twice_is_an_illegal_step(control):
    with pytest.raises(LocalProtocolError, match="AUTH_CLEAR does not fit"):
        step(SessionState(control=control), "AUTH TLS", 234)


@pytest.mark.parametrize("control", [Control.CLEAR, Control.PROTECTED, Control.CLEARED])
def test_a_handshake_that_nobody_negotiated_is_an_illegal_step(control):
    with pytest.raises(LocalProtocolError, match="HANDSHAKE_DONE does not fit"):
        handshake_done(SessionState(control=control))


def test_ccc_clears_the_control_connection():
    assert step(IN_TLS, "CCC", 200).control is Control.CLEARED


@pytest.mark.parametrize("code", [500, 533, 534])
def test_a_refused_ccc_changes_nothing(code):
    assert step(IN_TLS, "CCC", code) == IN_TLS


@pytest.mark.parametrize("control", [Control.CLEAR, Control.NEGOTIATING, Control.CLEARED])
def test_ccc_accepted_outside_tls_is_an_illegal_step(control):
    with pytest.raises(LocalProtocolError, match="CCC does not fit"):
        step(SessionState(control=control), "CCC", 200)


def test_rein_goes_back_to_clear():
    for control in (Control.CLEAR, Control.PROTECTED, Control.CLEARED):
        assert step(SessionState(control=control), "REIN", 220) == initial()


def test_a_rein_that_is_delayed_or_refused_changes_nothing():
    state = replace(IN_TLS, login=Login.LOGGED_IN)
    assert step(state, "REIN", 120) == state
    assert step(state, "REIN", 502) == state


# --- data ---


@pytest.mark.requirement("R4217-9-h", "R4217-17-a", "RD97-6-b")
@pytest.mark.parametrize("mechanism", ["TLS", "tls", "TLS-C", " tls-c "])
def test_data_starts_clear_after_auth_tls(mechanism):
    assert step(initial(), f"AUTH {mechanism}", 234).data is Data.CLEAR_NO_PBSZ


@pytest.mark.requirement("RD97-6-a")
@pytest.mark.parametrize("mechanism", ["SSL", "ssl", "TLS-P", "tls-p", "  TLS-P"])
def test_data_starts_private_after_auth_ssl(mechanism):
    state = step(initial(), f"AUTH {mechanism}", 234)
    assert state.data is Data.PRIVATE_NO_PBSZ
    assert state.data.is_private
    assert not state.data.has_pbsz


@pytest.mark.requirement("R4217-9-a")
def test_a_level_stands_until_another_prot():
    state = walk(IN_TLS, ("PBSZ 0", 200), ("PROT P", 200))
    assert state.data is Data.PRIVATE
    for line, code in (
        ("PASV", 227),
        ("RETR a", 150),
        ("RETR a", 226),
        ("PBSZ 0", 200),
        ("NOOP", 200),
        ("X", 500),
    ):
        state = step(state, line, code)
        assert state.data is Data.PRIVATE
    assert step(state, "PROT C", 200).data is Data.CLEAR


@pytest.mark.requirement("R959-4-d")
@pytest.mark.parametrize("level", ["P", "p", " P", "p "])
def test_a_level_that_was_accepted_is_set_however_it_was_spelt(level):
    assert walk(IN_TLS, ("PBSZ 0", 200), (f"PROT {level}", 200)).data is Data.PRIVATE


@pytest.mark.requirement("R4217-9-i")
@pytest.mark.parametrize("level", ["P", "C", "S", "E", "X"])
@pytest.mark.parametrize("code", [431, 501, 503, 504, 534, 536])
@pytest.mark.parametrize("data", [Data.CLEAR, Data.PRIVATE])
def test_a_refused_prot_leaves_the_level(level, code, data):
    state = replace(IN_TLS, data=data)
    assert step(state, f"PROT {level}", code) == state


def test_a_level_that_is_none_moves_nothing_whatever_the_reply():
    state = replace(IN_TLS, data=Data.CLEAR)
    assert step(state, "PROT S", 200) == state


@pytest.mark.requirement("RD97-6-c")
def test_prot_changes_an_implicit_level_both_ways():
    state = walk(initial(implicit=True), ("handshake", 0), ("PBSZ 0", 200))
    assert state.data is Data.PRIVATE
    assert walk(state, ("PROT C", 200)).data is Data.CLEAR
    assert walk(state, ("PROT C", 200), ("PROT P", 200)).data is Data.PRIVATE


@pytest.mark.parametrize(
    "data", [Data.CLEAR_NO_PBSZ, Data.PRIVATE_NO_PBSZ, Data.FROZEN_CLEAR, Data.FROZEN_PRIVATE]
)
@pytest.mark.parametrize("level", ["C", "P"])
def test_prot_accepted_without_pbsz_or_after_ccc_is_an_illegal_step(data, level):
    with pytest.raises(LocalProtocolError, match=f"PROT_{level} does not fit"):
        step(replace(IN_TLS, data=data), f"PROT {level}", 200)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Data.CLEAR_NO_PBSZ, Data.FROZEN_CLEAR),
        (Data.CLEAR, Data.FROZEN_CLEAR),
        (Data.PRIVATE_NO_PBSZ, Data.FROZEN_PRIVATE),
        (Data.PRIVATE, Data.FROZEN_PRIVATE),
    ],
)
def test_ccc_freezes_the_level_as_it_was(before, after):
    state = step(replace(IN_TLS, data=before), "CCC", 200)
    assert state.data is after
    assert state.data.is_frozen
    assert not state.data.has_pbsz
    assert state.data.is_private == before.is_private


# --- login ---


@pytest.mark.parametrize(
    ("exchanges", "login"),
    [
        ([("USER a", 331)], Login.PASSWORD_NEEDED),
        ([("USER a", 230)], Login.LOGGED_IN),
        ([("USER a", 232)], Login.LOGGED_IN),
        ([("USER a", 332)], Login.ACCOUNT_NEEDED),
        ([("USER a", 530)], Login.NONE),
        ([("USER a", 331), ("PASS b", 230)], Login.LOGGED_IN),
        ([("USER a", 331), ("PASS b", 202)], Login.LOGGED_IN),
        ([("USER a", 331), ("PASS b", 332)], Login.ACCOUNT_NEEDED),
        ([("USER a", 331), ("PASS b", 530)], Login.NONE),
        ([("USER a", 331), ("PASS b", 421)], Login.NONE),
        ([("USER a", 331), ("PASS b", 332), ("ACCT c", 230)], Login.LOGGED_IN),
        ([("USER a", 331), ("PASS b", 332), ("ACCT c", 202)], Login.LOGGED_IN),
        ([("USER a", 331), ("PASS b", 332), ("ACCT c", 530)], Login.ACCOUNT_NEEDED),
        ([("USER a", 331), ("PASS b", 230), ("USER c", 331)], Login.PASSWORD_NEEDED),
        ([("USER a", 331), ("PASS b", 230), ("USER c", 530)], Login.NONE),
        ([("USER a", 331), ("PASS b", 230), ("PASS b", 230)], Login.LOGGED_IN),
        ([("USER a", 331), ("PASS b", 230), ("ACCT b", 202)], Login.LOGGED_IN),
    ],
)
def test_login_follows_the_codes(exchanges, login):
    state = walk(initial(), *exchanges)
    assert state.login is login
    assert state.is_logged_in == (login is Login.LOGGED_IN)


@pytest.mark.parametrize("line", ["USER b", "USER", "PASS b"])
@pytest.mark.parametrize("code", [500, 501, 502, 503, 504])
def test_a_refusal_for_form_logs_nobody_out(line, code):
    state = SessionState(login=Login.LOGGED_IN)
    assert step(state, line, code) == state


@pytest.mark.parametrize("line", ["PASS b", "ACCT b"])
@pytest.mark.parametrize("code", [230, 202])
def test_pass_or_acct_without_user_log_nobody_in(line, code):
    with pytest.raises(LocalProtocolError, match="LOGIN_DONE does not fit"):
        step(initial(), line, code)


@pytest.mark.parametrize(
    ("line", "code"), [("PASS b", 331), ("ACCT b", 332), ("ACCT b", 331), ("USER a", 202)]
)
def test_codes_that_do_not_belong_to_a_login_verb_move_nothing(line, code):
    assert step(initial(), line, code) == initial()


# --- transfer ---


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("PASV", 227),
        ("EPSV", 229),
        ("EPSV 1", 229),
        ("PORT 127,0,0,1,4,1", 200),
        ("EPRT |1|127.0.0.1|1025|", 200),
    ],
)
def test_an_endpoint_is_ready_after_its_own_code(line, code):
    assert step(initial(), line, code) == READY
    assert step(READY, line, code) == READY
    for other in {200, 227, 229, 425, 500, 522} - {code}:
        assert step(initial(), line, other) == initial()


def test_a_transfer_starts_with_1xx_and_ends_with_the_final_reply():
    for code in (226, 250, 425, 426, 451, 522, 552):
        assert walk(READY, ("RETR a", 150)) == STARTED
        assert walk(READY, ("RETR a", 150), ("RETR a", code)) == initial()


def test_a_second_1xx_changes_nothing():
    assert walk(READY, ("LIST", 150), ("LIST", 125)) == STARTED


@pytest.mark.parametrize("line", ["RETR a", "STOR a", "STOU", "APPE a", "LIST", "NLST", "MLSD"])
@pytest.mark.parametrize("code", [425, 450, 501, 521, 530, 550])
def test_a_transfer_refused_before_any_1xx_leaves_the_endpoint(line, code):
    assert step(READY, line, code) == READY
    assert step(initial(), line, code) == initial()


def test_a_final_reply_without_a_1xx_has_used_the_endpoint_up():
    assert step(READY, "LIST", 226) == initial()
    assert step(initial(), "LIST", 226) == initial()


def test_a_transfer_may_start_without_an_endpoint_on_the_default_ports():
    assert step(initial(), "RETR a", 150) == STARTED


def test_abor_drops_an_endpoint_but_not_a_running_transfer():
    assert step(READY, "ABOR", 226) == initial()
    assert step(initial(), "ABOR", 225) == initial()
    assert step(STARTED, "ABOR", 226) == STARTED
    assert step(READY, "ABOR", 502) == READY


def test_an_endpoint_during_a_transfer_is_an_illegal_step():
    with pytest.raises(LocalProtocolError, match="ENDPOINT_SET does not fit"):
        step(STARTED, "PASV", 227)


# --- what holds for one command ---


@pytest.mark.parametrize("line", ["RETR a", "STOR a", "APPE a", "STOU", "LIST"])
def test_a_restart_offset_is_used_once(line):
    state = step(READY, "REST 100", 350)
    assert state.restart_offset == 100
    state = step(state, line, 150)
    assert state.restart_offset == 100
    assert step(state, line, 226).restart_offset == 0


def test_a_new_type_clears_the_offset_and_a_refused_one_does_not():
    state = step(initial(), "REST 100", 350)
    assert step(state, "TYPE I", 200).restart_offset == 0
    assert step(state, "TYPE X", 504).restart_offset == 100
    assert step(state, "NOOP", 200).restart_offset == 100


def test_a_refused_rest_sets_nothing():
    assert step(initial(), "REST 100", 501) == initial()


@pytest.mark.parametrize("offset", ["x", "-1", "1.5", "٣", "1" * 21, "9" * 5000, ""])
def test_an_offset_that_is_no_number_is_zero(offset):
    assert step(initial(), f"REST {offset}", 350).restart_offset == 0


def test_a_name_to_rename_holds_for_the_next_command_only():
    state = step(initial(), "RNFR a", 350)
    assert state.rename_from == "a"
    for line, code in (("RNTO b", 250), ("RNTO b", 553), ("NOOP", 200), ("REST 5", 350), ("PWD", 257)):
        assert step(state, line, code).rename_from is None
    assert step(state, "RNFR c", 350).rename_from == "c"
    assert step(state, "RNFR c", 550).rename_from is None


def test_the_offset_of_a_renaming_session_stays():
    state = walk(initial(), ("REST 5", 350), ("RNFR a", 350), ("RNTO b", 250))
    assert state.restart_offset == 5


def test_epsv_all_holds_until_a_reset():
    state = step(initial(), "EPSV all", 200)
    assert state.epsv_all
    assert state.transfer is Transfer.IDLE
    assert step(state, "EPSV", 229).epsv_all
    assert not step(state, "REIN", 220).epsv_all
    assert not step(initial(), "EPSV ALL", 522).epsv_all


def test_an_unknown_verb_moves_nothing():
    state = replace(READY, rename_from="a", restart_offset=3)
    assert step(state, "XYZZY", 200) == state


# --- resets ---

FULL = SessionState(
    control=Control.CLEAR,
    data=Data.PRIVATE,
    login=Login.LOGGED_IN,
    transfer=Transfer.ENDPOINT_READY,
    restart_offset=7,
    rename_from="a",
    epsv_all=True,
)


@pytest.mark.requirement("R4217-4.2-e")
@pytest.mark.parametrize("login", Login)
def test_after_auth_the_user_must_log_in_again(login):
    state = walk(replace(FULL, login=login), ("AUTH TLS", 234), ("handshake", 0))
    assert state.login is Login.NONE


def test_auth_resets_everything():
    assert step(FULL, "AUTH TLS", 234) == SessionState(control=Control.NEGOTIATING)


@pytest.mark.parametrize("data", Data)
@pytest.mark.parametrize("login", Login)
@pytest.mark.parametrize("transfer", Transfer)
def test_rein_resets_everything(data, login, transfer):
    state = replace(FULL, control=Control.PROTECTED, data=data, login=login, transfer=transfer)
    assert step(state, "REIN", 220) == initial()


@pytest.mark.requirement("R4217-13-d")
def test_after_rein_auth_and_login_work_again():
    state = step(replace(FULL, control=Control.PROTECTED), "REIN", 220)
    again = [
        ("AUTH TLS", 234),
        ("handshake", 0),
        ("USER a", 331),
        ("PASS b", 230),
        ("PBSZ 0", 200),
        ("PROT P", 200),
    ]
    state = walk(state, *again)
    assert (state.is_protected, state.is_logged_in, state.data) == (True, True, Data.PRIVATE)


def test_rein_on_an_implicit_port_resets_everything_but_tls():
    fresh = handshake_done(initial(implicit=True))
    used = replace(FULL, control=Control.PROTECTED, implicit=True)
    assert step(used, "REIN", 220) == fresh


def test_rein_on_an_implicit_port_after_ccc_is_clear():
    used = replace(FULL, control=Control.CLEARED, data=Data.FROZEN_PRIVATE, implicit=True)
    assert step(used, "REIN", 220) == SessionState(implicit=True)


def test_one_step_touches_its_own_machine_only():
    state = replace(FULL, control=Control.PROTECTED, rename_from=None)
    after = step(state, "PROT C", 200)
    assert after == replace(state, data=Data.CLEAR)


# --- RANG ---


def test_a_range_holds_until_its_command():
    ranged = step(READY, "RANG 3 9", 350)
    assert (ranged.restart_offset, ranged.range_end) == (3, 9)
    for line, code in (("NOOP", 200), ("SIZE a", 213), ("TYPE A", 504), ("MODE Z", 504), ("RETR a", 150)):
        assert (step(ranged, line, code).restart_offset, step(ranged, line, code).range_end) == (3, 9)


@pytest.mark.parametrize(
    ("line", "code"),
    [("RANG 1 0", 350), ("RANG 9 3", 501), ("RETR a", 226), ("RETR a", 550), ("STOR a", 504), ("LIST", 226),
     ("HASH a", 213), ("HASH a", 550), ("TYPE A", 200), ("MODE Z", 200)],
)  # fmt: skip
def test_a_range_ends_with(line, code):
    after = step(step(READY, "RANG 3 9", 350), line, code)
    assert (after.restart_offset, after.range_end) == (0, None)


def test_rest_and_rang_take_each_others_place():
    after = walk(READY, ("RANG 3 9", 350), ("REST 5", 350))
    assert (after.restart_offset, after.range_end) == (5, None)
    assert walk(after, ("RANG 1 2", 350)).restart_offset == 1


def test_hash_leaves_the_offset_of_rest():
    assert walk(READY, ("REST 5", 350), ("HASH a", 213), ("MODE S", 200)).restart_offset == 5


def test_a_range_forgets_the_name_to_be_renamed():
    assert walk(READY, ("RNFR a", 350), ("RANG 1 2", 350)).rename_from is None
