from __future__ import annotations

import itertools
import ssl

import pytest

from lockgate.tls.binding import ControlBinding
from lockgate.tls.policy import SessionReuse

HERE, THERE = "192.0.2.1", "192.0.2.2"
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def binding(policy=SessionReuse.AUTO, *, certificate=None, address=HERE) -> ControlBinding:
    return ControlBinding(address, certificate, CONTEXT, policy)


def judge(bound, *, reused, certificate=None, address=HERE):
    return bound.judge(session_reused=reused, peer_certificate=certificate, peer_address=address)


@pytest.mark.requirement("R4217-10.2-f", "RTLS-i")
def test_required_takes_a_resumed_session_only():
    bound = binding(SessionReuse.REQUIRED)
    refused = judge(bound, reused=False)
    assert not refused.accepted
    assert "must resume" in refused.reason
    assert judge(bound, reused=True).accepted
    assert not judge(bound, reused=False).accepted


@pytest.mark.requirement("R4217-10.2-f")
def test_auto_demands_resumption_once_the_client_has_shown_that_it_can():
    bound = binding()
    assert judge(bound, reused=False).accepted
    assert not bound.demands_resumption
    assert judge(bound, reused=True).accepted
    assert bound.demands_resumption
    assert not judge(bound, reused=False).accepted


def test_off_never_demands_resumption():
    bound = binding(SessionReuse.OFF)
    for reused in (True, False, True, False):
        assert judge(bound, reused=reused).accepted


@pytest.mark.requirement("R4217-10.2-g", "R4217-15.2-a")
@pytest.mark.parametrize("policy", [SessionReuse.AUTO, SessionReuse.OFF])
def test_without_resumption_the_address_must_be_the_control_peers(policy):
    refused = judge(binding(policy), reused=False, address=THERE)
    assert not refused.accepted
    assert "address" in refused.reason


def test_a_resumed_session_proves_the_peer_from_any_address():
    assert judge(binding(), reused=True, address=THERE).accepted


@pytest.mark.requirement("R4217-10.2-g", "R4217-15.1-d")
@pytest.mark.parametrize(
    ("policy", "reused", "shown"),
    list(itertools.product(SessionReuse, [True, False], [None, b"mallory"])),
)
def test_a_control_certificate_must_be_shown_on_data_too(policy, reused, shown):
    bound = binding(policy, certificate=b"alice")
    refused = judge(bound, reused=reused, certificate=shown)
    assert not refused.accepted
    assert "certificate" in refused.reason
    assert not bound.resumed_before


def test_the_same_certificate_and_address_suffice_without_resumption():
    accepted = judge(binding(certificate=b"alice"), reused=False, certificate=b"alice")
    assert accepted.accepted
    assert "same certificate" in accepted.reason


def test_the_same_certificate_from_another_address_does_not_suffice():
    assert not judge(
        binding(certificate=b"alice"), reused=False, certificate=b"alice", address=THERE
    ).accepted


def test_a_certificate_on_data_alone_does_no_harm():
    assert judge(binding(), reused=False, certificate=b"alice").accepted


@pytest.mark.parametrize(
    ("control", "data", "same"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:0db8:0:0::1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("::1", "127.0.0.1", False),
        ("pipe", "pipe", True),
        ("pipe", "127.0.0.1", False),
    ],
)
def test_addresses_are_compared_as_addresses(control, data, same):
    assert judge(binding(address=control), reused=False, address=data).accepted is same


def after_upload(bound, offered, *, version="TLSv1.3", early=True):
    """Judge and note one data connection on which the client sends; return the tickets that it was given."""
    assert judge(bound, reused=bool(offered)).accepted
    tickets = bound.tickets_for(offered, sends=False, early=early)
    bound.note_handshake(offered, version=version, tickets=tickets)
    return tickets


def test_a_client_that_receives_gets_the_next_ticket():
    assert binding().tickets_for((), sends=True, early=False) == 1
    assert binding().tickets_for((b"a",), sends=True, early=True) == 1


@pytest.mark.parametrize("policy", SessionReuse)
@pytest.mark.parametrize("early", [True, False])
def test_a_client_that_sends_and_does_not_resume_gets_no_ticket(policy, early):
    assert binding(policy).tickets_for((), sends=False, early=early) == 0


@pytest.mark.parametrize("policy", SessionReuse)
@pytest.mark.parametrize("early", [True, False])
def test_a_client_that_sends_gets_a_ticket_only_where_it_will_need_one(policy, early):
    expected = 1 if early and policy is SessionReuse.REQUIRED else 0
    assert binding(policy).tickets_for((b"a",), sends=False, early=early) == expected


def test_a_client_that_keeps_its_ticket_is_given_no_other():
    bound = binding(SessionReuse.REQUIRED)
    assert after_upload(bound, (b"kept",)) == 1
    assert after_upload(bound, (b"kept",)) == 0
    assert bound.tickets_for((b"kept",), sends=True, early=True) == 0


def test_auto_does_not_demand_a_ticket_that_was_not_given():
    bound = binding()
    assert after_upload(bound, (b"used once",)) == 0
    assert not bound.demands_resumption
    assert judge(bound, reused=False).accepted
    assert not judge(bound, reused=False, address=THERE).accepted


def test_auto_demands_resumption_again_once_a_ticket_was_given():
    bound = binding()
    after_upload(bound, (b"used once",))
    bound.note_handshake((), version="TLSv1.3", tickets=1)
    assert bound.demands_resumption


def test_auto_goes_on_demanding_from_a_client_that_keeps_its_ticket():
    bound = binding()
    after_upload(bound, (b"kept",))
    after_upload(bound, (b"kept",))
    assert bound.demands_resumption


def test_auto_goes_on_demanding_in_tls_1_2_where_sessions_last():
    bound = binding()
    after_upload(bound, (b"session",), version="TLSv1.2")
    assert bound.demands_resumption
