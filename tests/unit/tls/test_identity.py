from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest

from lockgate.errors import CertificateRejected, ConfigError
from lockgate.tls.devcert import CertificateAuthority
from lockgate.tls.identity import Identity, from_certificate, parse_subject, subject_text
from lockgate.tls.pins import check_pin, fingerprint, parse_pin

DER = b"some certificate"
DIGEST = hashlib.sha256(DER).digest()


@pytest.fixture(scope="module")
def identity() -> Identity:
    certificate = CertificateAuthority().issue_client(
        "CN=alice,OU=Sales+UID=7,O=Example\\, Inc", emails=["alice@example.com"]
    )
    return from_certificate(certificate.der)


def test_a_fingerprint_is_written_in_pairs_of_capitals():
    assert fingerprint(DER) == ":".join(f"{octet:02X}" for octet in DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        fingerprint(DER),
        DIGEST.hex(),
        DIGEST.hex().upper(),
        DIGEST.hex(" "),
        f"  {fingerprint(DER)}\n",
        f"sha256:{DIGEST.hex()}",
        f"SHA256 Fingerprint={fingerprint(DER)}",
    ],
)
def test_a_pin_may_be_written_in_any_usual_way(text):
    assert parse_pin(text) == DIGEST


@pytest.mark.parametrize(
    "text", ["", "abc", DIGEST.hex()[:-2], DIGEST.hex() + "00", "z" * 64, "sha256:", "é"]
)
def test_what_is_no_fingerprint_is_an_error_that_says_what_is(text):
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        parse_pin(text)


def test_the_pinned_certificate_passes():
    check_pin(DER, DIGEST)


def test_another_certificate_is_rejected_and_its_fingerprint_named():
    with pytest.raises(CertificateRejected, match=fingerprint(DER)):
        check_pin(DER, bytes(32))


def test_no_certificate_is_rejected():
    with pytest.raises(CertificateRejected, match="no certificate"):
        check_pin(None, DIGEST)


def test_an_identity_has_what_the_certificate_says(identity):
    assert identity.subject_rfc4514 == "CN=alice,OU=Sales+UID=7,O=Example\\, Inc"
    assert identity.san_emails == ("alice@example.com",)
    assert identity.san_dns == identity.san_uris == ()


def test_alternative_names_and_their_absence_are_read():
    server = from_certificate(CertificateAuthority().issue_server(["files.example.com", "192.0.2.1"]).der)
    assert server.san_dns == ("files.example.com",)
    assert from_certificate(CertificateAuthority().issue_client("CN=bob").der).san_emails == ()


def test_the_fingerprint_is_the_certificates():
    certificate = CertificateAuthority().issue_client("CN=bob")
    assert from_certificate(certificate.der).fingerprint_sha256 == fingerprint(certificate.der)


@pytest.mark.parametrize(
    "required",
    [
        "CN=alice",
        "cn=alice",
        "O=Example\\, Inc",
        "O=Example\\, Inc,CN=alice",
        "UID=7+OU=Sales",
        "2.5.4.3=alice",
    ],
)
def test_required_rdns_match_in_any_order_and_in_any_spelling_of_the_type(identity, required):
    assert identity.subject_matches(required)


@pytest.mark.parametrize(
    "required",
    [
        "CN=bob",
        "CN=Alice",
        "CN=alice,CN=bob",
        "O=alice",
        "OU=Sales",
        "UID=7",
        "CN=alic",
        "emailAddress=alice@x",
        "",
    ],
)
def test_whatever_differs_or_is_left_out_does_not_match(identity, required):
    assert not identity.subject_matches(required)


def named(**names: tuple[str, ...]) -> Identity:
    return replace(from_certificate(CertificateAuthority().issue_client("CN=bob").der), **names)


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("Alice@example.com", True),
        ("Alice@EXAMPLE.com", True),
        ("alice@example.com", False),
        ("Alice@example.com.evil.example", False),
        ("Alice", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_an_address_fits_with_its_host_in_any_case(address, fits):
    one = named(san_emails=("other@example.com", "Alice@Example.com"))
    assert one.has_email(address) is fits
    assert not named().has_email(address)


@pytest.mark.parametrize(
    ("uri", "fits"),
    [("spiffe://x/alice", True), ("spiffe://x/alice/", False), ("spiffe://X/alice", False), ("", False)],
)
def test_a_uri_fits_to_the_letter(uri, fits):
    assert named(san_uris=("spiffe://x/bob", "spiffe://x/alice")).has_uri(uri) is fits


def test_the_alternative_names_that_are_uris_are_read():
    der = CertificateAuthority().issue_client("CN=bob", uris=["spiffe://x/bob"]).der
    assert from_certificate(der).has_uri("spiffe://x/bob")


def test_a_fingerprint_fits_however_it_is_written(identity):
    written = identity.fingerprint_sha256
    assert identity.has_fingerprint(written)
    assert identity.has_fingerprint(written.replace(":", "").lower())
    assert not identity.has_fingerprint("00" * 32)
    with pytest.raises(ConfigError):
        identity.has_fingerprint(written[:-3])


@pytest.mark.parametrize("text", ["alice", "CN", "CN=alice,,", "=alice", "XX=alice"])
def test_what_is_no_subject_is_an_error_that_shows_one(text):
    with pytest.raises(ConfigError, match="CN=alice,O=Example"):
        parse_subject(text)


def test_the_subject_in_the_log_can_be_required_as_it_stands(identity):
    assert identity.subject_matches(identity.subject_rfc4514)


def test_an_attribute_of_octets_is_read():
    from cryptography import x509
    from cryptography.x509.name import _ASN1Type

    from lockgate.tls import identity as module

    oid = x509.NameOID.X500_UNIQUE_IDENTIFIER
    name = x509.Name([x509.NameAttribute(oid, b"\x01\xff", _ASN1Type.BitString)])
    assert module._rdns(name) == (frozenset({(oid.dotted_string, "01ff")}),)


def test_what_is_no_certificate_is_rejected():
    with pytest.raises(CertificateRejected, match="cannot be read"):
        from_certificate(b"rubbish")


def test_importing_tls_needs_the_standard_library_only():
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import lockgate.tls.engine, lockgate.tls.contexts, lockgate.tls.binding, lockgate.tls.devcert\n"
        "from lockgate.tls.pins import fingerprint, parse_pin, check_pin\n"
        "check_pin(b'x', parse_pin(fingerprint(b'x')))\n"
        "print('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "done\n"


@pytest.mark.parametrize(
    ("printed", "meant"),
    [
        ("CN=bank,O=Example", "CN=bank,O=Example"),
        ("subject=CN = bank, O = Example", "CN=bank,O=Example"),
        ("CN = bank, O = Example Ltd", "CN=bank,O=Example Ltd"),
        ('C = DE, O = "Example, Inc.", CN = bank', "C=DE,O=Example\\, Inc.,CN=bank"),
    ],
)
def test_a_subject_is_taken_as_openssl_prints_it(printed: str, meant: str) -> None:
    assert parse_subject(subject_text(printed)) == parse_subject(meant)


@pytest.mark.parametrize("text", ["bank", "CN = bank,", "CN = a = b", "CN = bank, what"])
def test_what_is_no_subject_stays_none(text: str) -> None:
    with pytest.raises(ConfigError, match="is no certificate subject"):
        subject_text(text)
