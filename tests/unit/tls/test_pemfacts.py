from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from revocation import holder, revocation_list

from lockgate.errors import ConfigError
from lockgate.tls.devcert import CertificateAuthority
from lockgate.tls.pemfacts import certificate_names, certificate_validity, crl_validity


def test_the_names_are_those_of_the_first_certificate_in_one_spelling(tmp_path: Path) -> None:
    ca = CertificateAuthority()
    names = ["FTP.Example.com", "*.example.org", "bücher.example", "127.0.0.1", "::1"]
    file = tmp_path / "chain.pem"
    file.write_bytes(ca.issue_server(names).certificate_pem + ca.issue_server(["other"]).certificate_pem)
    assert certificate_names(file) == (
        "ftp.example.com",
        "*.example.org",
        "xn--bcher-kva.example",
        "127.0.0.1",
        "::1",
    )


def test_a_certificate_without_alternative_names_has_none(tmp_path: Path) -> None:
    assert certificate_names(CertificateAuthority().write(tmp_path)) == ()


def test_names_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    broken = x509.UnrecognizedExtension(x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x05rub")
    name = x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(broken, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "broken.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    with pytest.raises(ConfigError, match="alternative names cannot be read"):
        certificate_names(file)


def test_the_validity_of_each_certificate_is_told(tmp_path: Path) -> None:
    root = holder("root", ca=True, days=5)
    certificate, _key = holder("leaf", root, days=2).write(tmp_path, "leaf", root)
    leaf, above = certificate_validity(certificate)
    assert (leaf.holder, above.holder) == ("CN=leaf", "CN=root")
    assert leaf.end is not None
    assert above.end is not None
    assert above.end - leaf.end == pytest.approx(
        datetime.timedelta(days=3), abs=datetime.timedelta(seconds=5)
    )


def test_the_validity_of_each_revocation_list_is_told(tmp_path: Path) -> None:
    one, two = holder("one", ca=True), holder("two", ca=True)
    file = tmp_path / "crl.pem"
    file.write_bytes(b"# ours\n" + revocation_list(one) + b"\n" + revocation_list(two, one, days=-1))
    first, second = crl_validity(file)
    assert (first.holder, second.holder) == ("CN=one", "CN=two")
    now = datetime.datetime.now(datetime.UTC)
    assert first.end is not None
    assert second.end is not None
    assert second.end < now < first.end


@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_what_holds_neither_is_an_error_with_the_files_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.pem"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"file\.pem: no certificate in PEM"):
        certificate_validity(file)
    with pytest.raises(ConfigError, match=r"file\.pem: no revocation list in PEM"):
        crl_validity(file)


def test_a_broken_revocation_list_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "crl.pem"
    file.write_bytes(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        crl_validity(file)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        crl_validity(tmp_path / "none")
