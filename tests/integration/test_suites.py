"""Cipher suites that a live server must not speak, asked for by number: OpenSSL has forgotten most."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator

import pytest
from live_server import LiveServer, authority, configuration, live_server, running
from raw_client import RawClient

from lockgate.tls.devcert import IssuedCertificate

HANDSHAKE_FAILURE = bytes.fromhex("15 03 03 00 02 02 28")
SERVER_HELLO = 2

WEAK = {
    "RSA_NULL_SHA": 0x0002,
    "RSA_NULL_SHA256": 0x003B,
    "ECDHE_ECDSA_NULL_SHA": 0xC006,
    "ECDHE_RSA_NULL_SHA": 0xC010,
    "DH_ANON_AES128_GCM": 0x00A6,
    "DH_ANON_AES128_CBC": 0x0034,
    "ECDH_ANON_AES128_CBC": 0xC018,
    "RSA_EXPORT_RC4_40_MD5": 0x0003,
    "RSA_RC4_128_MD5": 0x0004,
    "RSA_RC4_128_SHA": 0x0005,
    "ECDHE_ECDSA_RC4_128": 0xC007,
    "ECDHE_RSA_RC4_128": 0xC011,
    "RSA_DES_CBC_SHA": 0x0009,
    "RSA_3DES_EDE_CBC": 0x000A,
    "DHE_RSA_3DES_EDE_CBC": 0x0016,
    "ECDHE_ECDSA_3DES_EDE_CBC": 0xC008,
    "ECDHE_RSA_3DES_EDE_CBC": 0xC012,
    "RSA_AES128_CBC": 0x002F,
    "RSA_AES128_GCM": 0x009C,
    "RSA_AES256_GCM": 0x009D,
    "ECDH_ECDSA_AES128_CBC": 0xC004,
    "PSK_AES128_GCM": 0x00A8,
}
GOOD = {"ecdsa": 0xC02B, "rsa": 0xC02F}  # ECDHE with AES128-GCM


def rsa_server() -> IssuedCertificate:
    """Issue a server certificate with an RSA key, the only kind that static RSA could use."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=rsa"))
        .issuer_name(x509.load_pem_x509_certificate(authority().certificate_pem).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    encoding = serialization.Encoding.PEM
    return IssuedCertificate(
        certificate_pem=builder.sign(authority()._key, hashes.SHA256()).public_bytes(encoding),
        key_pem=key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@pytest.fixture(scope="module", params=["ecdsa", "rsa", "rsa-with-loose-ciphers"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveServer, str]]:
    """Servers with both kinds of keys, and one whose configuration asks for all there is."""
    work = tmp_path_factory.mktemp("suites")
    if request.param == "ecdsa":
        with live_server(work) as server:
            yield server, "ecdsa"
        return
    loose = "loose" in request.param
    config = configuration(work, tls='ciphers = "ALL:NULL:aNULL:kRSA:@SECLEVEL=0"' if loose else "")
    rsa_server().write(work, "server")
    with running(config, work) as server:
        yield server, "rsa"


def extension(number: int, body: bytes) -> bytes:
    """Return an extension of a ClientHello."""
    return number.to_bytes(2) + len(body).to_bytes(2) + body


def client_hello(*suites: int, compression: bytes = b"\0") -> bytes:
    """Return a TLS 1.2 ClientHello in one record (RFC 5246 §7.4.1.2)."""
    numbers = b"".join(suite.to_bytes(2) for suite in suites)
    groups = bytes.fromhex("0004 0017 001d")
    algorithms = bytes.fromhex("000a 0403 0804 0401 0203 0201")
    extensions = extension(10, groups) + extension(11, b"\1\0") + extension(13, algorithms)
    body = (
        b"\3\3"
        + os.urandom(32)
        + b"\0"
        + len(numbers).to_bytes(2)
        + numbers
        + bytes([len(compression)])
        + compression
        + len(extensions).to_bytes(2)
        + extensions
    )
    message = b"\1" + len(body).to_bytes(3) + body
    return b"\x16\3\1" + len(message).to_bytes(2) + message


def answer(server: LiveServer, hello: bytes) -> bytes:
    """Send a hello behind AUTH and return the first record of the answer."""
    with RawClient(server.host, server.port) as client:
        client.expect("AUTH TLS", 234)
        client.write(hello)
        head = client.sock.recv(5)
        return head + client.sock.recv(int.from_bytes(head[3:]))


@pytest.mark.requirement("RTLS-b", "RTLS-c", "R4217-15.1-c", "R4217-10.1-a", side="S")
@pytest.mark.parametrize("suite", WEAK)
def test_a_weak_suite_alone_is_refused(served: tuple[LiveServer, str], suite: str) -> None:
    server, _ = served
    assert answer(server, client_hello(WEAK[suite])) == HANDSHAKE_FAILURE


@pytest.mark.requirement("RTLS-b", "RTLS-c", side="S")
def test_among_weak_suites_the_good_one_is_chosen(served: tuple[LiveServer, str]) -> None:
    server, kind = served
    record = answer(server, client_hello(*WEAK.values(), GOOD[kind], compression=b"\1\0"))
    assert record[5] == SERVER_HELLO
    session_id_length = record[5 + 4 + 34]
    chosen = record[5 + 4 + 35 + session_id_length :]
    assert int.from_bytes(chosen[:2]) == GOOD[kind]
    assert chosen[2] == 0  # no compression, though it was offered
