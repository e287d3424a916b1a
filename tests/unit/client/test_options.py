"""What a caller can choose, and what does not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.client.options import TlsMode, make_options
from lockgate.errors import ConfigError, LocalProtocolError
from lockgate.tls.policy import TrustPolicy

PIN = "AB:" * 31 + "AB"


@pytest.mark.parametrize(
    ("address", "tls", "mode", "port"),
    [
        ("ftpes://h", None, TlsMode.EXPLICIT, 21),
        ("ftp://h", None, TlsMode.EXPLICIT, 21),
        ("h", None, TlsMode.EXPLICIT, 21),
        ("ftps://h", None, TlsMode.IMPLICIT, 990),
        ("h", "implicit", TlsMode.IMPLICIT, 990),
        ("ftp://h", "never", TlsMode.NEVER, 21),
        ("ftpes://h:2121", None, TlsMode.EXPLICIT, 2121),
    ],
)
@pytest.mark.requirement("R003-2.3-a")
def test_the_scheme_says_how_tls_starts_and_clear_must_be_said(address, tls, mode, port):
    options = make_options(address, tls=tls)
    assert (options.mode, options.port) == (mode, port)


@pytest.mark.parametrize("address", ["ftpes://h", "ftps://h"])
def test_a_scheme_that_means_tls_cannot_be_had_without(address):
    with pytest.raises(LocalProtocolError):
        make_options(address, tls="never")


def test_the_safe_things_are_the_defaults():
    options = make_options("ftpes://alice@h")
    assert options.protect
    assert options.trust == TrustPolicy()
    assert options.require_close_notify
    assert options.offer_session
    assert not options.active


def test_arguments_win_over_the_url():
    options = make_options("ftpes://alice:x@h", user="bob", password="y")
    assert (options.user, options.password) == ("bob", "y")


def test_without_a_user_the_session_is_anonymous():
    assert make_options("ftpes://h").user == "anonymous"
    assert make_options("ftpes://alice@h").password is None


@pytest.mark.parametrize("trust", [PIN, PIN.lower().replace(":", ""), f"sha256:{PIN}"])
def test_trust_may_be_a_pin(trust):
    assert make_options("h", trust=trust).trust.pin_sha256 == b"\xab" * 32


def test_trust_may_be_a_file_or_a_policy():
    assert make_options("h", trust="ca.pem").trust.ca_file == Path("ca.pem")
    policy = TrustPolicy(verify=False)
    assert make_options("h", trust=policy).trust is policy


def test_a_tls_version_is_that_version_only():
    trust = make_options("h", tls_version="1.2").trust
    assert (trust.minimum_version, trust.maximum_version) == ("1.2", "1.2")


@pytest.mark.parametrize(
    "arguments",
    [
        {"tls": "maybe"},
        {"timeout": 0},
        {"user": "a\r\nb"},
        {"password": "a\r\nb"},
        {"account": "a\nb"},
        {"before_auth": ["USER alice"]},
        {"before_auth": ["PASS x"]},
        {"before_auth": ["SITE a\r\nDELE b"]},
        {"before_auth": ["NOOP"], "tls": "implicit"},
        {"secure": False},
        {"secure": False, "login": False, "tls": "implicit"},
        {"ccc": True, "tls": "never"},
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(arguments):
    with pytest.raises(LocalProtocolError):
        make_options("h", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"trust": PIN, "ca": "x"},
        {"trust": TrustPolicy(), "pin": PIN},
        {"pin": "1234"},
        {"trust": "sha256:12"},
        {"verify": False, "ca": "x"},
        {"tls_version": "1.1"},
        {"key": "x"},
    ],
)
def test_trust_that_contradicts_itself_is_refused(arguments):
    with pytest.raises(ConfigError):
        make_options("h", **arguments)


def test_an_unknown_argument_is_a_type_error():
    with pytest.raises(TypeError, match="passwort"):
        make_options("h", passwort="x")


def test_secrets_are_not_shown():
    shown = repr(make_options("ftpes://alice:hunter2@h", account="gold"))
    assert "hunter2" not in shown
    assert "gold" not in shown
