from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.errors import ConfigError
from lockgate.tls.policy import ClientCertificate, SessionReuse, TlsPolicy, TrustPolicy

PEM = Path("some.pem")


def test_the_default_floor_is_tls_1_2_and_there_is_no_ceiling():
    for policy in (TlsPolicy(), TrustPolicy()):
        assert (policy.minimum_version, policy.maximum_version) == ("1.2", None)


def test_a_client_verifies_by_default():
    assert TrustPolicy().verify
    assert TrustPolicy().verifies_chain


def test_resumption_is_demanded_automatically_by_default():
    assert TlsPolicy().session_reuse is SessionReuse.AUTO


@pytest.mark.parametrize("version", ["1.0", "1.1", "TLSv1.2", "", "3"])
def test_a_version_that_is_not_spoken_is_an_error_that_names_those_that_are(version: str):
    with pytest.raises(ConfigError, match=r'write "1\.2" or "1\.3"'):
        TlsPolicy(minimum_version=version)
    with pytest.raises(ConfigError, match="maximum_version"):
        TrustPolicy(maximum_version=version)


def test_a_maximum_below_the_minimum_is_an_error():
    with pytest.raises(ConfigError, match="no version is left"):
        TlsPolicy(minimum_version="1.3", maximum_version="1.2")


@pytest.mark.parametrize("asks", [asks for asks in ClientCertificate if asks is not ClientCertificate.OFF])
def test_asking_for_client_certificates_needs_a_ca(asks: ClientCertificate):
    with pytest.raises(ConfigError, match="client_ca"):
        TlsPolicy(certificate=PEM, client_certificate=asks)
    assert TlsPolicy(certificate=PEM, client_certificate=asks, client_ca=PEM).client_certificate is asks


def test_a_key_without_a_certificate_is_an_error():
    with pytest.raises(ConfigError, match="certificate"):
        TlsPolicy(key=PEM)
    with pytest.raises(ConfigError, match="certificate"):
        TrustPolicy(key=PEM)


def test_a_pin_takes_the_place_of_the_chain_unless_a_ca_file_is_given_too():
    assert not TrustPolicy(pin_sha256=bytes(32)).verifies_chain
    assert TrustPolicy(pin_sha256=bytes(32), ca_file=PEM).verifies_chain
    assert not TrustPolicy(verify=False).verifies_chain


def test_a_pin_of_another_length_is_an_error():
    with pytest.raises(ConfigError, match="32 bytes"):
        TrustPolicy(pin_sha256=bytes(20))


def test_trusting_anybody_and_somebody_contradict_each_other():
    with pytest.raises(ConfigError, match="leave one"):
        TrustPolicy(verify=False, ca_file=PEM)
    with pytest.raises(ConfigError, match="leave one"):
        TrustPolicy(verify=False, pin_sha256=bytes(32))
