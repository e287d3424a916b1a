"""Which certificates are an account's own, and data connections that must show them, on a live server."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest
from live_server import LiveServer, authority
from raw_client import RawClient, Reply, read_all
from tls_bytes import enter, forgiving

from lockgate.tls.devcert import IssuedCertificate
from lockgate.tls.identity import from_certificate

Start = Callable[..., LiveServer]
Show = Callable[..., RawClient]

CLIENT_CA = 'client_ca = "ca.pem"'
FULL = (
    'certificate_subject = "CN=alice"\ncertificate_email = "alice@example.com"\n'
    'certificate_uri = "spiffe://example.com/alice"\n'
)


def issue(subject: str = "CN=alice", email: str = "", uri: str = "") -> IssuedCertificate:
    return authority().issue_client(subject, emails=[email] if email else [], uris=[uri] if uri else [])


def sufficient(start: Start, account: str, **more: str) -> LiveServer:
    server = start(policy='client_certificate = "sufficient"', tls=CLIENT_CA, account=account, **more)
    return forgiving(server)


def code_of_user(client: RawClient) -> int:
    client.auth()
    return client.command("USER alice").code


@pytest.mark.requirement("R4217-4.2-d", "R4217-10.1-a", side="S")
@pytest.mark.parametrize(
    ("subject", "email", "uri", "code"),
    [
        ("CN=alice", "alice@example.com", "spiffe://example.com/alice", 232),
        ("CN=alice", "alice@EXAMPLE.COM", "spiffe://example.com/alice", 232),
        ("CN=mallory", "alice@example.com", "spiffe://example.com/alice", 331),
        ("CN=alice", "mallory@example.com", "spiffe://example.com/alice", 331),
        ("CN=alice", "", "spiffe://example.com/alice", 331),
        ("CN=alice", "alice@example.com", "spiffe://example.com/mallory", 331),
        ("CN=alice", "alice@example.com", "", 331),
    ],
)
def test_everything_that_is_said_of_a_certificate_must_fit(
    start: Start, show: Show, subject: str, email: str, uri: str, code: int
) -> None:
    client = show(sufficient(start, FULL), issue(subject, email, uri))
    assert code_of_user(client) == code
    if code == 331:
        # Another certificate does not stand in the way of a password where one would suffice.
        client.expect("PASS wrong", 530)
        enter(client)


@pytest.mark.requirement("R4217-4.2-d", side="S")
@pytest.mark.parametrize("key", ["email", "uri", "fingerprint"])
def test_each_key_alone_tells_whose_a_certificate_is(start: Start, show: Show, key: str) -> None:
    hers = issue("CN=x", "alice@example.com", "spiffe://example.com/alice")
    value = {
        "email": "alice@example.com",
        "uri": "spiffe://example.com/alice",
        "fingerprint": from_certificate(hers.der).fingerprint_sha256,
    }[key]
    server = sufficient(start, f'certificate_{key} = "{value}"')
    assert code_of_user(show(server, hers)) == 232
    assert code_of_user(show(server, issue("CN=x"))) == 331


@pytest.mark.requirement("R4217-4.2-d", side="S")
def test_two_fingerprints_let_a_certificate_be_changed(start: Start, show: Show) -> None:
    old, new, other = issue(), issue(), issue()
    prints = [from_certificate(one.der).fingerprint_sha256 for one in (old, new)]
    written = f'["{prints[0]}", "{prints[1].replace(":", "").lower()}"]'
    server = sufficient(start, f"certificate_fingerprint = {written}")
    assert [code_of_user(show(server, one)) for one in (old, new, other)] == [232, 232, 331]
    path = server.work / "lockgate.toml"
    path.write_text(path.read_text().replace(f'"{prints[0]}", ', ""))
    server.call(server.server.reload)
    assert [code_of_user(show(server, one)) for one in (old, new)] == [331, 232]


@pytest.mark.requirement("R4217-4.2-d", "R2577-7-a", side="S")
@pytest.mark.parametrize("rule", ["required", "optional"])
def test_a_certificate_that_does_not_fit_is_answered_like_a_wrong_password(
    start: Start, show: Show, rule: str
) -> None:
    server = forgiving(start(policy=f'client_certificate = "{rule}"', tls=CLIENT_CA, account=FULL))
    right = issue("CN=alice", "alice@example.com", "spiffe://example.com/alice")
    answers = []
    for certificate, password in ((right, "wrong"), (issue(), "correct horse")):
        client = show(server, certificate)
        client.auth()
        answers.append((client.command("USER alice"), client.command(f"PASS {password}")))
    assert answers[0] == answers[1]
    assert answers[0][1].code == 530
    enter_with = show(server, right)
    enter_with.auth()
    enter(enter_with)


# --- data connections ---


def transfer_over(client: RawClient, verb: str, sock_context: ssl.SSLContext, *, resume: bool) -> Reply:
    """List over a passive (EPSV) or an active (EPRT) data connection; return the final reply."""
    if verb == "EPSV":
        sock = client.passive()
        client.expect("NLST", 150)
    else:
        with socket.create_server(("127.0.0.1", 0)) as waiting:
            client.expect(f"EPRT |1|127.0.0.1|{waiting.getsockname()[1]}|", 200)
            client.expect("NLST", 150)
            sock, _ = waiting.accept()
            sock.settimeout(15)
        client.closes(sock)
    received = b""
    reused = None
    with suppress(ssl.SSLError, ConnectionError):
        data = sock_context.wrap_socket(
            sock,
            server_hostname="localhost",
            session=client.session if resume else None,
            suppress_ragged_eofs=False,
        )
        client.closes(data)
        reused = data.session_reused
        received = read_all(data)
    reply = client.read()
    assert reply.code == 226 or not received
    assert reply.code != 226 or reused is resume
    return reply


@pytest.mark.requirement("R4217-10.2-g", "R4217-15.1-d", "R4217-7-a", "R4217-10.2-e", side="S")
@pytest.mark.parametrize("resume", [True, False], ids=["resumed", "full"])
@pytest.mark.parametrize("verb", ["EPSV", "EPRT"])
def test_data_must_show_the_control_connections_certificate(
    start: Start, show: Show, verb: str, resume: bool
) -> None:
    server = start(
        policy='client_certificate = "required"\nsession_reuse = "off"',
        tls=CLIENT_CA,
        account='certificate_subject = "CN=alice"',
    )
    client = show(server, issue()).log_in()
    assert transfer_over(client, verb, client.context, resume=resume).code == 226
    if not resume:
        for other in (issue(), issue("CN=mallory"), None):
            refusal = transfer_over(client, verb, show(server, other).context, resume=False)
            assert refusal.code == 522
            assert "certificate" in refusal
        assert transfer_over(client, verb, client.context, resume=False).code == 226
