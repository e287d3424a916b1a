"""Client certificates on a live server: who comes in by one, and data connections that must show it."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer, authority, cheap_hash
from raw_client import RawClient, client_context, read_all
from tls_bytes import enter, forgiving, listing_with, protect_with

from lockgate.tls.devcert import CertificateAuthority, IssuedCertificate

Start = Callable[..., LiveServer]
Show = Callable[..., RawClient]

CLIENT_CA = 'client_ca = "ca.pem"'
ALICE = 'certificate_subject = "CN=alice,O=Example"'


def protect(client: RawClient) -> RawClient:
    """PBSZ 0 and PROT P."""
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 200)
    return client


@pytest.mark.requirement("R4217-12.1-b", "R4217-4.2-d", "R4217-10.1-a", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_a_sufficient_certificate_makes_user_answer_232(start: Start, show: Show, implicit: bool) -> None:
    server = start(policy='client_certificate = "sufficient"', tls=CLIENT_CA, account=ALICE)
    client = show(server, implicit=implicit)
    if not implicit:
        client.auth()
    client.expect("PWD", 530)  # the certificate alone is no login
    client.expect("USER alice", 232)
    client.expect("PWD", 257)
    client.expect("PASS whatever", 503)
    protect(client).download("NLST")


@pytest.mark.requirement("R4217-4.2-d", "R2577-7-a", side="S")
@pytest.mark.parametrize(
    ("subject", "user"),
    [
        ("CN=mallory,O=Example", "alice"),
        ("CN=alice,O=Other", "alice"),
        ("CN=alice", "alice"),
        ("CN=alice,O=Example", "bob"),
        ("CN=alice,O=Example", "nobody"),
        (None, "alice"),
    ],
)
def test_a_certificate_that_does_not_agree_opens_nothing(
    start: Start, show: Show, subject: str | None, user: str
) -> None:
    # bob has no certificate rule: any client of the CA would fit, so none does.
    bob = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("bob")}"\nhome = "bob"'
    server = forgiving(
        start(policy='client_certificate = "sufficient"', tls=CLIENT_CA, account=ALICE, more_accounts=bob)
    )
    client = show(server, subject)
    client.auth()
    client.expect(f"USER {user}", 331)
    client.expect("PWD", 530)
    client.expect("PASS wrong", 530)


@pytest.mark.requirement("R4217-4.2-d", side="S")
@pytest.mark.parametrize(
    ("rule", "subject", "code"),
    [
        ("optional", "CN=alice,O=Example", 230),
        ("optional", None, 230),
        ("optional", "CN=mallory,O=Example", 530),
        ("sufficient", None, 230),
        ("required", "CN=alice,O=Example", 230),
        ("required", "CN=mallory,O=Example", 530),
    ],
)
def test_certificate_and_user_must_agree_as_the_policy_says(
    start: Start, show: Show, rule: str, subject: str | None, code: int
) -> None:
    server = forgiving(start(policy=f'client_certificate = "{rule}"', tls=CLIENT_CA, account=ALICE))
    client = show(server, subject)
    client.auth()
    client.expect("USER alice", 331)
    client.expect("PASS correct horse", code)


@pytest.mark.requirement("R4217-10.1-a", "R4217-10.1-e", side="S")
@pytest.mark.parametrize("subject", ["CN=alice,O=Example", None])
def test_one_account_may_demand_a_certificate_that_others_need_not_show(
    start: Start, show: Show, subject: str | None
) -> None:
    bob = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("bob")}"\nhome = "bob"'
    server = forgiving(
        start(tls=CLIENT_CA, account=f'client_certificate = "required"\n{ALICE}', more_accounts=bob)
    )
    client = show(server, subject)
    client.auth()
    client.expect("USER alice", 331)
    client.expect("PASS correct horse", 230 if subject else 530)
    if subject is None:
        enter(client, "bob", "bob")


@pytest.mark.requirement("R4217-10.1-a", "R4217-10.1-d", side="S")
@pytest.mark.parametrize("case", ["other-ca", "expired"])
def test_no_session_without_an_acceptable_certificate_where_it_is_required(
    start: Start, show: Show, case: str
) -> None:
    server = start(policy='client_certificate = "required"', tls=CLIENT_CA, account=ALICE)
    if case == "other-ca":
        client = show(server, ca=CertificateAuthority("Somebody else's CA"))
    else:
        client = show(server, days=-2)
    client.expect("AUTH TLS", 234)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _speak(client)
    show(server).log_in().download("NLST")


@pytest.mark.requirement("R4217-10.1-a", "R4217-10.1-c", "RD97-9-a", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_where_nobody_may_come_without_a_certificate_its_absence_is_421_inside_tls(
    start: Start, show: Show, implicit: bool
) -> None:
    server = start(policy='client_certificate = "required"', tls=CLIENT_CA, account=ALICE)
    client = show(server, None, implicit=implicit)
    if not implicit:
        client.auth()
        # Ahead of the 421, in the same record as the end of the handshake or after it.
        client.send("USER alice")
    told = client.greeting if implicit else client.read()
    assert told.code == 421
    assert "certificate" in told
    assert client.at_end()
    show(server, implicit=implicit).log_in().download("NLST")


def _speak(client: RawClient) -> None:
    client.start_tls()
    client.command("NOOP")  # in TLS 1.3 the client learns of the refusal here


@pytest.mark.requirement("R4217-10.2-g", "R4217-15.1-d", "RTLS-i", side="S")
def test_resumed_data_connections_keep_the_client_certificate(start: Start, show: Show) -> None:
    server = start(policy='client_certificate = "required"', tls=CLIENT_CA, account=ALICE)
    client = show(server).log_in()
    content = b"x" * 300_000
    for _ in range(3):
        assert client.upload("STOR resumed.bin", content).code == 226
        sock = client.passive()
        client.expect("RETR resumed.bin", 150)
        data = client.protect_data(sock)
        assert data.session_reused
        assert read_all(data) == content
        data.close()
        assert client.read().code == 226


@pytest.mark.requirement("R4217-10.2-g", "R4217-15.1-d", side="S")
def test_a_full_handshake_on_data_with_the_same_certificate_is_taken(start: Start, show: Show) -> None:
    server = start(policy='client_certificate = "required"', tls=CLIENT_CA, account=ALICE)
    client = show(server).log_in()
    assert listing_with(client, None).code == 226


@pytest.mark.requirement("R4217-10.2-g", "R4217-15.1-d", "R4217-10.2-e", side="S")
@pytest.mark.parametrize("rule", ["optional", "sufficient"])
@pytest.mark.parametrize("subject", [None, "CN=mallory,O=Example", "CN=alice,O=Example"])
def test_data_without_the_control_connections_certificate_is_522(
    start: Start, show: Show, rule: str, subject: str | None
) -> None:
    server = start(
        policy=f'client_certificate = "{rule}"\nsession_reuse = "off"', tls=CLIENT_CA, account=ALICE
    )
    client = protect(_by_certificate(show(server), rule))
    own = client.context
    # Another certificate, though of the same name.
    other = show(server, subject)
    client.context = other.context
    refusal = listing_with(client, None)
    assert refusal.code == 522
    assert "certificate" in refusal
    client.context = own
    client.download("NLST")


def _by_certificate(client: RawClient, rule: str) -> RawClient:
    client.auth()
    if rule == "sufficient":
        client.expect("USER alice", 232)
        return client
    return enter(client)


@pytest.mark.requirement("R4217-10.2-g", side="S")
def test_data_with_a_certificate_where_control_showed_none_is_still_bound(start: Start, show: Show) -> None:
    server = start(
        policy='client_certificate = "optional"\nsession_reuse = "required"', tls=CLIENT_CA, account=ALICE
    )
    client = show(server, None).log_in()
    client.context, own = show(server).context, client.context
    assert listing_with(client, None).code == 522
    client.context = own
    client.download("NLST")


@pytest.mark.requirement("R4217-13-a", "R4217-4.2-e", side="S")
def test_a_certificate_counts_no_more_in_clear(start: Start, show: Show) -> None:
    server = start(
        policy='client_certificate = "sufficient"\ncontrol = "optional"\ndata = "optional"\n'
        'clear_command_channel = "after-login"',
        tls=CLIENT_CA,
        account=ALICE,
    )
    client = show(server)
    client.auth()
    client.expect("USER alice", 232)
    client.expect("REIN", 220)
    client.stop_tls()
    client.expect("USER alice", 331)
    client.auth()
    client.expect("USER alice", 232)
    client.expect("CCC", 200)
    client.stop_tls()
    # Whoever can now speak on the clear connection is not the certificate's holder.
    client.expect("REIN", 220)
    client.expect("USER alice", 331)


@pytest.mark.requirement("R4217-13-d", "RD97-4.2-a", side="S")
def test_rein_on_the_implicit_port_keeps_the_certificate_with_tls(start: Start, show: Show) -> None:
    server = start(policy='client_certificate = "sufficient"', tls=CLIENT_CA, account=ALICE)
    client = show(server, implicit=True)
    client.expect("USER alice", 232)
    client.expect("REIN", 220)
    client.expect("PWD", 530)
    client.expect("USER alice", 232)
    client.download("NLST")


@pytest.mark.requirement("R4217-5-g", "R4217-15.1-d", side="S")
def test_after_ccc_the_data_connection_still_needs_the_certificate(start: Start, show: Show) -> None:
    server = start(
        policy='client_certificate = "optional"\nclear_command_channel = "after-login"',
        tls=CLIENT_CA,
        account=ALICE,
    )
    client = show(server).log_in()
    session, own = client.session, client.context
    client.expect("CCC", 200)
    client.stop_tls()
    client.context = show(server, None).context
    assert listing_with(client, None).code == 522
    client.context = own
    sock = client.passive()
    client.expect("NLST", 150)
    data = protect_with(client, sock, session)
    assert data.session_reused
    read_all(data)
    data.close()
    assert client.read().code == 226


@pytest.mark.requirement("R4217-10.1-c", "RD97-9-a", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_a_certificate_that_tls_takes_and_we_cannot_read_is_421_inside_tls(
    start: Start, show: Show, tmp_path: Path, implicit: bool
) -> None:
    server = start(policy='client_certificate = "sufficient"', tls=CLIENT_CA, account=ALICE)
    client = show(server, implicit=False)
    files = _with_strange_name(authority()).write(tmp_path, "strange")
    context = client_context(server.ca_file, certificate=(files.certificate, files.key))
    context.maximum_version = client.context.maximum_version
    context.minimum_version = client.context.minimum_version
    port = server.implicit_port if implicit else server.port
    with RawClient(server.host, port, context=context, implicit=implicit, greet=not implicit) as strange:
        if not implicit:
            strange.auth()
        assert strange.read().code == 421
        assert strange.sock.recv(1) == b""
    client.auth()
    client.expect("USER alice", 232)


def _with_strange_name(ca: CertificateAuthority) -> IssuedCertificate:
    """Issue a certificate with an e-mail address that is not ASCII, which OpenSSL lets pass."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(ca.certificate_pem)
    now = datetime.datetime.now(datetime.UTC)
    address = "älice@example.com".encode("latin-1")
    names = bytes([0x30, len(address) + 2, 0x81, len(address)]) + address
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=alice,O=Example"))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, names), critical=False)
    )
    return IssuedCertificate(
        certificate_pem=builder.sign(ca._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
