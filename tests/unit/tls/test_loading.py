"""What is said of files that are not what they should be."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from lockgate.errors import ConfigError
from lockgate.tls.devcert import CertificateAuthority
from lockgate.tls.loading import _lacks, load_ca, load_certificate, load_crl


@pytest.fixture
def files(tmp_path: Path) -> Path:
    authority = CertificateAuthority()
    authority.write(tmp_path)
    authority.issue_server().write(tmp_path, "server")
    der = ssl.PEM_cert_to_DER_cert((tmp_path / "ca.pem").read_text())
    (tmp_path / "der").write_bytes(der)
    (tmp_path / "rubbish").write_text("rubbish")
    (tmp_path / "broken").write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    (tmp_path / "request").write_text("-----BEGIN CERTIFICATE REQUEST-----\n")
    return tmp_path


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (
            "server.key",
            "server.key",
            r"certificate: .*server\.key holds PRIVATE KEY, no CERTIFICATE; what is wanted",
        ),
        ("server.pem", "server.pem", r"key: .*server\.pem holds CERTIFICATE, no PRIVATE KEY; what is wanted"),
        ("server.pem", None, r"key: .*server\.pem holds CERTIFICATE, no PRIVATE KEY"),
        ("request", "server.key", r"holds CERTIFICATE REQUEST, no CERTIFICATE"),
        ("der", "server.key", r"certificate: .*der is in DER or PKCS #12, not in PEM"),
        ("rubbish", "server.key", r"certificate: .*rubbish is not PEM"),
        ("server.pem", "rubbish", r"key: .*rubbish is not PEM"),
        ("broken", "server.key", r"are not a certificate chain and its key in PEM"),
        ("server.pem", "missing", r"key: .*missing cannot be read: No such file"),
    ],
)
def test_what_a_file_holds_and_lacks_is_told(
    files: Path, certificate: str, key: str | None, words: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ConfigError, match=words):
        load_certificate(context, files / certificate, files / key if key else None)


def test_a_key_of_another_certificate_is_told(files: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ConfigError, match="does not belong"):
        load_certificate(context, files / "ca.pem", files / "server.key")
    load_certificate(context, files / "server.pem", files / "server.key")


def test_cas_and_lists_are_told_too(files: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ConfigError, match=r"CA file: .* holds no CA"):
        load_ca(context, files / "rubbish", "CA file")
    with pytest.raises(ConfigError, match=r"crl: .* holds no revocation list"):
        load_crl(context, files / "rubbish")
    with pytest.raises(ConfigError, match=r"crl: .* holds certificates"):
        load_crl(context, files / "ca.pem")


def test_a_file_that_goes_away_meanwhile_is_told(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in _lacks(tmp_path / "gone", "CERTIFICATE")
