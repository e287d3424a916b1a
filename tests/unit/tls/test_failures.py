from __future__ import annotations

import ssl

import pytest

from lockgate.errors import CertificateRejected, HandshakeFailed, TlsError
from lockgate.tls.failures import explain_handshake, explain_stream


def with_reason(reason: str | None, text: str = "what OpenSSL says") -> ssl.SSLError:
    error = ssl.SSLError(1, text)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    "error",
    [ssl.SSLEOFError(8, "eof"), ssl.SSLZeroReturnError(6, "closed"), ConnectionResetError(104, "reset")],
)
def test_an_end_in_the_handshake_is_named(error):
    failure = explain_handshake(error, server_side=True)
    assert type(failure) is HandshakeFailed
    assert "closed the connection" in str(failure)


def test_silence_in_the_handshake_is_named():
    assert "in time" in str(explain_handshake(TimeoutError(), server_side=False))


def test_a_missing_client_certificate_is_the_certificates_fault():
    failure = explain_handshake(with_reason("PEER_DID_NOT_RETURN_A_CERTIFICATE"), server_side=True)
    assert isinstance(failure, CertificateRejected)


@pytest.mark.parametrize(
    ("code", "remedy"), [(3, "put every CA's in"), (12, "nobody is let in"), (23, "has revoked it")]
)
def test_what_revocation_lists_say_has_a_remedy_of_its_own(code, remedy):
    error = ssl.SSLCertVerificationError(1, "text")
    error.verify_code = code
    failure = explain_handshake(error, server_side=True)
    assert isinstance(failure, CertificateRejected)
    assert remedy in str(failure)
    assert "client_ca" not in str(failure)


@pytest.mark.parametrize(("server_side", "remedy"), [(True, "client_ca"), (False, "--pin SHA256")])
def test_a_certificate_that_does_not_verify_names_the_remedy_of_the_role(server_side, remedy):
    error = ssl.SSLCertVerificationError(1, "text")
    failure = explain_handshake(error, server_side=server_side)
    assert isinstance(failure, CertificateRejected)
    assert remedy in str(failure)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("HTTP_REQUEST", "speaks HTTP"),
        ("NO_SHARED_CIPHER", "no cipher suite in common"),
        ("TLSV1_ALERT_UNKNOWN_CA", "does not accept our certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "alert certificate_expired"),
        ("TLSV1_ALERT_INTERNAL_ERROR", "fatal alert internal_error"),
        ("SOME_NEW_REASON", "some new reason"),
        (None, "what OpenSSL says"),
    ],
)
def test_a_reason_is_turned_into_words(reason, said):
    assert said in str(explain_handshake(with_reason(reason), server_side=False))


@pytest.mark.parametrize(
    ("alert", "remedy"),
    [
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "renew it"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "get a new one"),
        ("TLSV1_ALERT_UNKNOWN_CA", "which CA it trusts"),
    ],
)
def test_a_refusal_of_our_certificate_names_the_remedy_of_its_cause(alert, remedy):
    said = str(explain_handshake(with_reason(alert), server_side=True))
    assert remedy in said
    assert remedy == "which CA it trusts" or "CA it trusts" not in said


@pytest.mark.parametrize(
    "error", [ssl.SSLError(1, "broken (_ssl.c:2580)"), ssl.SSLCertVerificationError(1, "x (_ssl.c:1006)")]
)
def test_pythons_own_source_is_not_named(error):
    assert "_ssl.c" not in str(explain_handshake(error, server_side=True))


def test_a_reason_that_python_does_not_know_is_taken_from_the_text():
    error = with_reason(None, "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)")
    assert "ALPN 'ftp'" in str(explain_handshake(error, server_side=False))


def test_an_error_of_the_system_is_turned_into_words():
    assert "No route" in str(explain_handshake(OSError(113, "No route to host"), server_side=False))


@pytest.mark.parametrize("reason", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"])
def test_a_late_refusal_of_our_certificate_is_a_failed_handshake(reason):
    assert isinstance(explain_stream(with_reason(reason)), HandshakeFailed)


@pytest.mark.parametrize("reason", ["BAD_RECORD_TYPE", "TLSV1_ALERT_INTERNAL_ERROR", "UNKNOWN_CA", None])
def test_another_break_of_the_stream_is_none(reason):
    failure = explain_stream(with_reason(reason))
    assert type(failure) is TlsError
    assert str(failure).startswith("TLS stream: ")
