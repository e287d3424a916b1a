"""Sessions as conversations: what is said, in which order, and what is never said."""

from __future__ import annotations

import pytest

from lockgate.client import sessions
from lockgate.errors import (
    AccountNeeded,
    CertificateRejected,
    CommandUnrecognised,
    HandshakeFailed,
    LocalProtocolError,
    NotLoggedIn,
    ProtectionRefused,
    RemoteProtocolError,
    ServiceNotAvailable,
)
from lockgate.protocol.states import Control, Data

PROTECTION = "C: PBSZ 0\nS: 200 ok\nC: PROT P\nS: 200 ok\n"
LOGIN = "C: USER alice\nS: 331 password\nC: PASS secret\nS: 230 welcome\n"
NO_FEATURES = "C: FEAT\nS: 500 unknown\n"
SECURE = "S: 220 Hello\nC: AUTH TLS\nS: 234 go\n* StartTls\n"


@pytest.mark.requirement(
    "R4217-4.1-a",
    "R4217-8-c",
    "RD97-C-b",
    "R4217-9-j",
    "R4217-17-c",
    "R003-3.3-b",
    "R4217-4.1-b",
    "R4217-4.2-i",
)
def test_a_session_is_secured_and_protected_before_anything_secret_is_said(playbook):
    book = playbook()
    book.play(sessions.establish, SECURE + PROTECTION + LOGIN + NO_FEATURES)
    assert book.peer.state.control is Control.PROTECTED
    assert book.peer.state.data is Data.PRIVATE
    assert book.peer.state.is_logged_in


def test_a_120_before_the_greeting_is_waited_out(playbook):
    book = playbook(login=False, secure=False)
    book.play(sessions.establish, "S: 120 in a minute\nS: 220 Hello")


def test_a_421_instead_of_a_greeting_is_the_error(playbook):
    with pytest.raises(ServiceNotAvailable):
        playbook().play(sessions.establish, "S: 421 too many")


@pytest.mark.parametrize(
    "reply", ["334 ADAT wanted", "500 what", "504 no", "534 no", "431 no", "200 fine", "230 x"]
)
@pytest.mark.requirement("R4217-4.2-h", "R4217-4.1-c", "R4217-10.3-c", "R4217-10.3-d", "RSEC-C-pass")
def test_any_answer_to_auth_but_234_ends_the_session_in_clear_with_quit_alone(playbook, reply):
    with pytest.raises(ProtectionRefused):
        playbook().play(sessions.establish, f"S: 220 Hello\nC: AUTH TLS\nS: {reply}\nC: QUIT\nS: 221 Bye")


def test_a_421_to_auth_says_that_the_server_ended_the_session(playbook):
    with pytest.raises(ServiceNotAvailable):
        playbook().play(sessions.establish, "S: 220 Hello\nC: AUTH TLS\nS: 421 no TLS now")


@pytest.mark.requirement("R4217-10.3-e", "RTLS-n")
def test_a_certificate_that_is_refused_inside_tls_is_followed_by_quit_alone(playbook):
    script = "S: 220 Hello\nC: AUTH TLS\nS: 234 go\n* StartTls ! CertificateRejected\nC: QUIT\nS: 221 Bye"
    with pytest.raises(CertificateRejected):
        playbook().play(sessions.establish, script)


@pytest.mark.requirement("R4217-10.3-f")
def test_after_a_handshake_that_failed_nothing_more_is_said(playbook):
    with pytest.raises(HandshakeFailed):
        playbook().play(
            sessions.establish, "S: 220 Hello\nC: AUTH TLS\nS: 234 go\n* StartTls ! HandshakeFailed"
        )


@pytest.mark.requirement("R4217-10.3-b", "R4217-10.3-a")
def test_commands_of_the_users_come_before_auth(playbook):
    book = playbook(before_auth=["SITE hello world", "noop"])
    script = (
        "S: 220 Hello\nC: SITE hello world\nS: 200 ok\nC: NOOP\nS: 200 ok\nC: AUTH TLS\nS: 234 go\n* StartTls"
    )
    book.play(sessions.establish, script + "\n" + PROTECTION + LOGIN + NO_FEATURES)


def test_a_refused_command_before_auth_stops_the_session(playbook):
    with pytest.raises(CommandUnrecognised):
        playbook(before_auth=["SITE x"]).play(sessions.establish, "S: 220 Hello\nC: SITE x\nS: 500 no")


@pytest.mark.requirement("R4217-12.1-d", "R4217-10.3-a")
def test_protection_can_be_asked_for_after_the_login(playbook):
    book = playbook(protect_after_login=True)
    book.play(sessions.establish, SECURE + LOGIN + PROTECTION + NO_FEATURES)
    assert book.peer.state.data is Data.PRIVATE


@pytest.mark.parametrize("refused", ["C: PBSZ 0\nS: 530 log in first\n", "C: PBSZ 0\nS: 503 later\n"])
@pytest.mark.requirement("R4217-12.1-d")
def test_a_server_that_wants_the_login_first_gets_it_first(playbook, refused):
    playbook().play(sessions.establish, SECURE + refused + LOGIN + PROTECTION + NO_FEATURES)


@pytest.mark.requirement("R4217-9-k", "R4217-10.3-c")
def test_a_refused_prot_p_is_an_error_before_the_login(playbook):
    script = SECURE + "C: PBSZ 0\nS: 200 ok\nC: PROT P\nS: 536 no\nC: QUIT\nS: 221 Bye"
    with pytest.raises(ProtectionRefused):
        playbook().play(sessions.establish, script)


@pytest.mark.requirement("R4217-9-k")
def test_a_prot_p_that_is_refused_after_the_login_too_is_an_error(playbook):
    refused = "C: PBSZ 0\nS: 200 ok\nC: PROT P\nS: 530 no\n"
    with pytest.raises(ProtectionRefused):
        playbook().play(sessions.establish, SECURE + refused + LOGIN + "C: PROT P\nS: 534 policy\n")


def test_data_in_clear_on_demand_needs_no_prot(playbook):
    book = playbook(protect=False)
    book.play(sessions.establish, SECURE + LOGIN + NO_FEATURES)
    assert not book.peer.state.data.is_private


@pytest.mark.requirement("RD97-C-a")
def test_the_implicit_port_has_tls_first_no_auth_and_prot_p_all_the_same(playbook):
    book = playbook("ftps://alice:secret@server.example")
    book.play(sessions.establish, "* StartTls\nS: 220 Hello\n" + PROTECTION + LOGIN + NO_FEATURES)
    assert book.peer.state.data is Data.PRIVATE


@pytest.mark.requirement("RD97-C-a")
def test_an_implicit_server_that_knows_no_pbsz_has_private_data_anyway(playbook):
    book = playbook("ftps://alice:secret@server.example")
    script = "* StartTls\nS: 220 Hello\nC: PBSZ 0\nS: 502 no\n" + LOGIN + NO_FEATURES
    book.play(sessions.establish, script)
    assert book.peer.state.data.is_private


def test_data_in_clear_on_the_implicit_port_is_asked_for_with_prot_c(playbook):
    book = playbook("ftps://alice:secret@server.example", protect=False)
    script = "* StartTls\nS: 220 Hello\nC: PBSZ 0\nS: 200 ok\nC: PROT C\nS: 200 ok\n" + LOGIN + NO_FEATURES
    book.play(sessions.establish, script)
    assert not book.peer.state.data.is_private


def test_clear_ftp_on_demand_says_nothing_about_tls(playbook):
    book = playbook("ftp://alice:secret@server.example", tls="never")
    book.play(sessions.establish, "S: 220 Hello\n" + LOGIN + NO_FEATURES)


@pytest.mark.parametrize("code", [230, 232])
@pytest.mark.requirement("R4217-12.1-c", "R4217-4.2-g")
def test_a_user_that_suffices_sends_no_password(playbook, code):
    book = playbook()
    book.play(sessions.establish, SECURE + PROTECTION + f"C: USER alice\nS: {code} in\n" + NO_FEATURES)
    assert book.peer.state.is_logged_in


@pytest.mark.requirement("R959-C-c")
def test_an_account_is_given_when_the_server_asks(playbook):
    login = "C: USER alice\nS: 331 p\nC: PASS secret\nS: 332 account\nC: ACCT gold\nS: 230 in\n"
    playbook(account="gold").play(sessions.establish, SECURE + PROTECTION + login + NO_FEATURES)


@pytest.mark.parametrize(
    "login", ["C: USER alice\nS: 331 p\nC: PASS secret\nS: 332 account", "C: USER alice\nS: 332 account"]
)
@pytest.mark.requirement("R959-C-c")
def test_an_account_that_nobody_gave_is_an_error_that_says_so(playbook, login):
    with pytest.raises(AccountNeeded, match="pass one"):
        playbook().play(sessions.establish, SECURE + PROTECTION + login)


def test_a_202_to_pass_is_a_login(playbook):
    login = "C: USER alice\nS: 331 p\nC: PASS secret\nS: 202 superfluous\n"
    playbook().play(sessions.establish, SECURE + PROTECTION + login + NO_FEATURES)


def test_a_refused_password_is_not_repeated_in_the_error(playbook):
    login = "C: USER alice\nS: 331 p\nC: PASS secret\nS: 530 no user alice with secret here"
    with pytest.raises(NotLoggedIn) as caught:
        playbook().play(sessions.establish, SECURE + PROTECTION + login)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(caught.value.lines)


def test_a_password_that_is_a_function_is_asked_for_only_when_the_server_asks(playbook):
    asked = []

    def give() -> str:
        asked.append(1)
        return "secret"

    book = playbook("ftpes://alice@server.example", password=give)
    book.play(sessions.establish, SECURE + PROTECTION + LOGIN + NO_FEATURES)
    assert asked == [1]
    book = playbook("ftpes://alice@server.example", password=give)
    book.play(sessions.establish, SECURE + PROTECTION + "C: USER alice\nS: 232 in\n" + NO_FEATURES)
    assert asked == [1]


def test_no_password_when_the_server_wants_one_is_an_error(playbook):
    with pytest.raises(NotLoggedIn):
        playbook("ftpes://alice@server.example").play(
            sessions.establish, SECURE + PROTECTION + "C: USER alice\nS: 331 p"
        )


def test_a_refused_anonymous_login_says_that_it_was_one(playbook):
    with pytest.raises(NotLoggedIn) as caught:
        playbook("ftpes://server.example").play(
            sessions.establish, SECURE + PROTECTION + "C: USER anonymous\nS: 530 no"
        )
    assert "anonymous" in caught.value.__notes__[0]


@pytest.mark.requirement("RSEC-C-pass")
def test_no_login_goes_out_in_clear_when_tls_was_asked_for(playbook):
    book = playbook(secure=False, login=False)
    book.play(sessions.establish, "S: 220 Hello")
    with pytest.raises(ProtectionRefused):
        book.play(sessions.login, "", "alice", "secret")


@pytest.mark.requirement("R4217-10.3-a")
def test_auth_may_come_late(playbook):
    book = playbook(secure=False, login=False)
    book.play(sessions.establish, "S: 220 Hello")
    book.play(sessions.secure, "C: AUTH TLS\nS: 234 go\n* StartTls")
    book.play(sessions.login, LOGIN, "alice", "secret")
    book.play(sessions.protect, PROTECTION, private=True)
    assert book.peer.state.data is Data.PRIVATE


@pytest.mark.requirement("R4217-10.4-a")
def test_the_level_can_be_changed_during_the_session(ready):
    ready.play(sessions.protect, "C: PROT C\nS: 200 ok", private=False)
    assert not ready.peer.state.data.is_private
    ready.play(sessions.protect, "C: PROT P\nS: 200 ok", private=True)
    assert ready.peer.state.data.is_private


@pytest.mark.requirement("R4217-5-h")
def test_ccc_stops_tls_and_pbsz_and_prot_are_over(ready):
    ready.play(sessions.ccc, "C: CCC\nS: 200 ok\n* StopTls")
    assert ready.peer.state.control is Control.CLEARED
    assert ready.peer.state.data.is_private
    with pytest.raises(LocalProtocolError):
        ready.play(sessions.protect, "", private=True)


@pytest.mark.requirement("R4217-5-h", "R4217-15.3-b")
def test_a_refused_ccc_leaves_tls_up(ready):
    with pytest.raises(CommandUnrecognised):
        ready.play(sessions.ccc, "C: CCC\nS: 500 no")
    assert ready.peer.state.is_protected


@pytest.mark.requirement("R4217-13-e", "R4217-4.2-i")
def test_after_rein_the_session_starts_from_auth_again(ready):
    ready.peer.type = "I"
    ready.play(sessions.rein, "C: REIN\nS: 220 again\n* StopTls")
    assert ready.peer.state.control is Control.CLEAR
    assert ready.peer.type == ""
    ready.play(sessions.secure, "C: AUTH TLS\nS: 234 go\n* StartTls")
    ready.play(sessions.login, LOGIN, "alice", "secret")


def test_rein_on_the_implicit_port_keeps_tls(playbook):
    book = playbook("ftps://alice:secret@server.example")
    book.play(sessions.establish, "* StartTls\nS: 220 Hello\n" + PROTECTION + LOGIN + NO_FEATURES)
    book.play(sessions.rein, "C: REIN\nS: 220 again")
    assert book.peer.state.is_protected


def test_ccc_comes_last_when_it_was_asked_for(playbook):
    playbook(ccc=True).play(
        sessions.establish, SECURE + PROTECTION + LOGIN + NO_FEATURES + "C: CCC\nS: 200 ok\n* StopTls"
    )


def test_utf8_is_switched_on_where_it_is_listed_and_a_refusal_does_no_harm(playbook):
    features = "C: FEAT\nS: 211-Features\nS:  UTF8\nS: 211 End\nC: OPTS UTF8 ON\nS: 501 always on\n"
    book = playbook()
    book.play(sessions.establish, SECURE + PROTECTION + LOGIN + features)
    assert book.peer.features == {"UTF8": ""}


def test_quit_is_followed_by_the_close_whatever_the_answer(ready):
    ready.play(sessions.quit_session, "C: QUIT\nS: 500 stay\n* Close")


@pytest.mark.requirement("R959-C-a")
def test_preliminary_replies_without_end_are_given_up(ready):
    with pytest.raises(RemoteProtocolError, match="preliminary replies"):
        ready.play(sessions.ccc, "C: CCC\n" + "S: 150 wait\n" * 25)
