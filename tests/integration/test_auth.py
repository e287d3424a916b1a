"""AUTH on a live server: mechanisms, refusals, the handshake that follows, and what it all puts back."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient, read_all
from tls_bytes import TlsBytes, enter, is_refused, listener, silence

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

MIXED = 'control = "optional"\ndata = "optional"\nclear_command_channel = "after-login"'


@pytest.fixture
def mixed(start: Start) -> LiveServer:
    """A server where everything may be clear or protected."""
    server = start(policy=MIXED)
    (server.root / "sub").mkdir()
    (server.root / "lines.txt").write_bytes(b"one\ntwo\n")
    return server


@pytest.mark.requirement("R4217-4-a", side="S")
def test_the_ordinary_port_greets_in_clear_and_waits(server: LiveServer) -> None:
    with RawClient(server.host, server.port) as client:
        assert client.greeting.code == 220
        client.expect("NOOP", 200)
        assert silence(client.sock)


@pytest.mark.requirement(
    "R4217-3-a", "R4217-4.2-b", "R4217-17-a", "R4217-17-b", "R003-3.4-a", "R959-4-d", side="S"
)
@pytest.mark.parametrize("mechanism", ["TLS", "tls", "TlS-c", "TLS-C", "SSL", "ssl", "TLS-P", "tls-p"])
def test_every_spelling_of_auth_starts_tls(server: LiveServer, connect: Connect, mechanism: str) -> None:
    client = connect(server)
    client.auth(mechanism)
    client.expect("NOOP", 200)
    enter(client)


@pytest.mark.requirement("R4217-9-h", "R4217-8-a", "RD97-6-a", "RD97-6-b", side="S")
@pytest.mark.parametrize(
    ("mechanism", "private"), [("TLS", False), ("TLS-C", False), ("SSL", True), ("TLS-P", True)]
)
def test_auth_sets_the_level_that_data_starts_at(
    mixed: LiveServer, connect: Connect, mechanism: str, private: bool
) -> None:
    client = connect(mixed)
    client.auth(mechanism)
    enter(client)
    assert b"sub" in client.download("NLST", protect=private)


@pytest.mark.requirement("R4217-6-b", "RD97-6-a", side="S")
@pytest.mark.parametrize("mechanism", ["SSL", "TLS-P", "TLS-C"])
def test_old_mechanisms_can_be_switched_off(start: Start, connect: Connect, mechanism: str) -> None:
    client = connect(start(policy="legacy_auth = false"))
    client.expect(f"AUTH {mechanism}", 504)
    assert "SSL" not in client.expect("FEAT", 211)
    client.auth()
    client.expect("NOOP", 200)


@pytest.mark.requirement("R2228-3-a", "R4217-4.2-c", side="S")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("AUTH", 501),
        ("AUTH ", 501),
        ("AUTH GSSAPI", 504),
        ("AUTH KERBEROS_V4", 504),
        ("AUTH TLS-X", 504),
        ("AUTH TLSv1.3", 504),
        ("AUTH TLS now", 504),
    ],
)
def test_an_auth_that_cannot_be_honoured_leaves_the_session_in_clear(
    server: LiveServer, connect: Connect, line: str, code: int
) -> None:
    client = connect(server)
    client.expect(line, code)
    client.expect("NOOP", 200)
    client.auth()


@pytest.mark.requirement("R2228-3-a", side="S")
def test_auth_inside_tls_is_refused_and_changes_nothing(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    client.expect("CWD /", 250)
    client.expect("AUTH TLS", 503)
    client.expect("AUTH SSL", 503)
    client.download("NLST")


@pytest.mark.requirement("R2228-3-a", "R4217-10.1-a", side="S")
def test_auth_is_refused_by_policy_with_534(start: Start) -> None:
    server = start(policy='control = "forbidden"\ndata = "forbidden"', listeners=listener("explicit"))
    with RawClient(server.host, server.port) as client:
        client.expect("AUTH TLS", 534)
        client.expect("AUTH NONSENSE", 504)
        enter(client)
        client.download("NLST", protect=False)


@pytest.mark.requirement("R2228-3-a", side="S")
def test_auth_where_there_is_no_certificate_is_431(start: Start) -> None:
    server = start(
        policy='control = "optional"\ndata = "optional"',
        listeners=listener("none"),
    )
    with RawClient(server.host, server.clear_port) as client:
        client.expect("AUTH TLS", 431)
        assert "AUTH" not in client.expect("FEAT", 211)
        enter(client)


@pytest.mark.requirement("R2228-3-b", "R4217-4.2-c", "RD97-B-c", side="S")
@pytest.mark.parametrize("inside", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("verb", ["ADAT YQ==", "MIC YQ==", "CONF YQ==", "ENC YQ==", "ADAT"])
def test_base64_verbs_are_never_taken(server: LiveServer, connect: Connect, verb: str, inside: bool) -> None:
    client = connect(server)
    if inside:
        client.auth()
    reply = client.command(verb)
    assert reply.code in (500, 501, 502, 503, 533, 537)
    if verb.startswith("ADAT "):
        assert reply.code == 503
    client.expect("NOOP", 200)


@pytest.mark.requirement("R4217-10.1-d", "RTLS-f", side="S")
@pytest.mark.parametrize(
    "junk",
    [b"USER alice\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 64, b"\x16\x03\x01\xff\xff" + b"x" * 100],
    ids=["clear-command", "no-hello", "zeros", "huge-record"],
)
def test_a_handshake_that_fails_drops_the_connection_and_nothing_else(
    server: LiveServer, connect: Connect, junk: bytes
) -> None:
    other = connect(server).log_in()
    client = connect(server)
    client.expect("AUTH TLS", 234)
    client.write(junk)
    client.sock.shutdown(socket.SHUT_WR)
    # An alert may come; a reply may not.
    assert b"\r\n" not in read_all(client.sock)
    other.expect("NOOP", 200)
    connect(server).log_in()


@pytest.mark.requirement("R4217-10.1-d", side="S")
def test_a_client_that_refuses_the_certificate_is_dropped(server: LiveServer, tls_version: str) -> None:
    context = ssl.create_default_context()
    version = ssl.TLSVersion.TLSv1_2 if tls_version == "1.2" else ssl.TLSVersion.TLSv1_3
    context.minimum_version = context.maximum_version = version
    with RawClient(server.host, server.port, context=context) as client:
        client.expect("AUTH TLS", 234)
        tls = TlsBytes(client.sock, context)
        with pytest.raises(ssl.SSLCertVerificationError):
            tls.handshake()
        client.write(tls.alert())
        assert client.at_end()


@pytest.mark.requirement("R4217-4.2-d", "R4217-4.2-e", side="S")
@pytest.mark.parametrize("steps", [["USER alice"], ["USER alice", "PASS correct horse"]])
def test_a_login_in_clear_counts_no_more_after_auth(
    mixed: LiveServer, connect: Connect, steps: list[str]
) -> None:
    client = connect(mixed)
    for line in steps:
        assert client.command(line).code in (230, 331)
    client.auth()
    client.expect("PASS correct horse", 503)
    client.expect("PWD", 530)
    client.expect("ACCT x", 503)
    enter(client)
    client.expect("PWD", 257)


@pytest.mark.requirement("R4217-4.2-f", side="S")
def test_auth_puts_every_parameter_back(mixed: LiveServer, connect: Connect) -> None:
    client = enter(connect(mixed))
    client.expect("CWD sub", 250)
    client.expect("TYPE I", 200)
    client.expect("OPTS MLST size;", 200)
    client.expect("EPSV ALL", 200)
    port = client.passive_port()
    client.expect("RNFR /lines.txt", 350)
    client.expect("REST 4", 350)
    client.auth()
    assert is_refused(mixed.host, port)
    enter(client)
    client.expect("RNTO /gone.txt", 503)
    assert '"/"' in client.expect("PWD", 257)
    client.expect("RETR lines.txt", 425)
    client.expect("PROT C", 503)
    client.passive_port("PASV")  # refused while EPSV ALL holds
    # TYPE A again, from the first byte, without TLS on the data connection.
    assert client.download("RETR lines.txt", protect=False) == b"one\r\ntwo\r\n"
    assert "type*;" in client.expect("FEAT", 211)


@pytest.mark.requirement("R4217-4.2-f", side="S")
@pytest.mark.parametrize("pending", ["REST 4", "RNFR lines.txt"])
def test_auth_forgets_what_held_for_one_command(mixed: LiveServer, connect: Connect, pending: str) -> None:
    client = enter(connect(mixed))
    client.expect(pending, 350)
    client.auth()
    enter(client)
    client.expect("RNTO moved.txt", 503)
    client.expect("TYPE I", 200)
    assert client.download("RETR lines.txt", protect=False) == b"one\ntwo\n"


@pytest.mark.requirement("R4217-4.2-f", side="S")
def test_auth_frees_a_data_connection_that_stands_already(mixed: LiveServer, connect: Connect) -> None:
    client = enter(connect(mixed))
    data = client.passive()
    client.auth()
    enter(client)
    client.expect("NLST", 425)
    data.settimeout(10)
    assert data.recv(1) == b""
    assert mixed.call(lambda: mixed.server.data_budget.count) == 0
