"""Several certificates: chosen by SNI and by HOST, on control and data connections, and attacks on that."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hellos import hello_with
from live_server import LiveServer, authority, live_server
from named_certificates import certificate_table, data_certificate, shake_hands
from raw_client import RawClient, client_context

DEFAULT = {"localhost"}
FIRST = {"ftp.example.com"}
WILD = {"example.org", "*.example.org"}
LISTED = {"listed.example"}
IMPLICIT = pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
CHOICES = [
    ("ftp.example.com", FIRST),
    ("FTP.Example.COM", FIRST),
    ("example.org", WILD),
    ("a.example.org", WILD),
    ("a.b.example.org", DEFAULT),
    ("org", DEFAULT),
    ("localhost", DEFAULT),
    ("unknown.example", DEFAULT),
    ("xn--bcher-kva.example", LISTED),
    ("other.example", LISTED),
    ("listed.example", LISTED),
    (None, DEFAULT),
]


def tables(folder: Path) -> str:
    return (
        certificate_table(folder, "first", sorted(FIRST))
        + certificate_table(folder, "wild", sorted(WILD))
        + certificate_table(folder, "listed", sorted(LISTED), ["Bücher.example", "OTHER.example."])
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a default certificate and three others."""
    folder = tmp_path_factory.mktemp("many")
    more = tables(folder)
    with live_server(folder, more_accounts=more, policy='session_reuse = "required"') as running:
        yield running


@pytest.fixture
def reach(tls_version: str) -> Iterator[Callable[..., RawClient]]:
    """Connect without a handshake: `reach(server, implicit=True)`."""
    with ExitStack() as stack:

        def one(server: LiveServer, *, implicit: bool = False) -> RawClient:
            port = server.implicit_port if implicit else server.port
            context = client_context(server.ca_file, version=tls_version)
            client = RawClient(server.host, port, context=context, greet=not implicit)
            if not implicit:
                assert client.greeting.code == 220
            return stack.enter_context(client)

        yield one


def begin(client: RawClient, name: str | None, *, implicit: bool) -> set[str]:
    if implicit:
        shown = shake_hands(client, name)
        assert client.read().code == 220
        return shown
    client.expect("AUTH TLS", 234)
    return shake_hands(client, name)


# --- SNI ---


@IMPLICIT
@pytest.mark.requirement("RTLS-j", side="S")
@pytest.mark.parametrize(("name", "shown"), CHOICES)
def test_sni_chooses_the_certificate_of_control(many, reach, implicit, name, shown):
    client = reach(many, implicit=implicit)
    assert begin(client, name, implicit=implicit) == shown
    client.log_in().expect("PWD", 257)


@IMPLICIT
@pytest.mark.requirement("RTLS-i", "R4217-15.1-b", side="S")
@pytest.mark.parametrize(
    ("name", "shown"), [("a.example.org", WILD), ("ftp.example.com", FIRST), (None, DEFAULT)]
)
def test_data_connections_resume_whatever_certificate_was_chosen(many, reach, implicit, name, shown):
    client = reach(many, implicit=implicit)
    begin(client, name, implicit=implicit)
    client.log_in()
    for _ in range(3):
        assert data_certificate(client, name, session=client.session) == (shown, True)


@pytest.mark.requirement("R4217-15.1-b", side="S")
@pytest.mark.parametrize("data_name", ["a.example.org", None, "ftp.example.com", "unknown.example"])
def test_a_full_data_handshake_shows_the_control_connections_certificate(start, reach, tmp_path, data_name):
    server = start(more_accounts=tables(tmp_path), policy='session_reuse = "off"')
    client = reach(server)
    assert begin(client, "a.example.org", implicit=False) == WILD
    client.log_in()
    assert data_certificate(client, data_name) == (WILD, False)


@pytest.mark.requirement("RTLS-i", side="S")
def test_a_session_of_another_connection_with_the_same_certificate_is_not_enough(many, reach):
    thief, owner = reach(many), reach(many)
    for client in (thief, owner):
        begin(client, "a.example.org", implicit=False)
        client.log_in()
    sock = thief.passive()
    thief.expect("NLST", 150)
    thief.closes(owner.context.wrap_socket(sock, server_hostname="a.example.org", session=owner.session))
    assert thief.read().code == 522


# --- HOST ---


@pytest.mark.requirement("R7151-a", side="S")
@pytest.mark.parametrize(("name", "shown"), [choice for choice in CHOICES if choice[0]])
def test_host_before_auth_decides_the_certificate(many, reach, name, shown):
    client = reach(many)
    known = shown != DEFAULT or name == "localhost"
    client.expect(f"HOST {name}", 220 if known else 504)
    assert begin(client, None, implicit=False) == shown
    client.log_in()
    assert data_certificate(client, None, session=client.session) == (shown, True)


@pytest.mark.requirement("R7151-a", side="S")
@pytest.mark.parametrize("server_name", ["a.example.org", "unknown.example", "localhost"])
def test_host_counts_more_than_sni(many, reach, server_name):
    client = reach(many)
    client.expect("HOST ftp.example.com", 220)
    assert begin(client, server_name, implicit=False) == FIRST


@pytest.mark.requirement("R7151-a", side="S")
@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("127.0.0.1", 220),
        ("[::1]", 220),
        ("::1", 501),
        ("[127.0.0.1]", 501),
        ("[::1", 501),
        ("[]", 501),
        ("[fe80::1%lo]", 501),
        ("192.0.2.1", 504),
        ("[2001:db8::1]", 504),
        ("Bücher.example", 220),
        ("ftp.example.com.", 220),
        ("ftp.example.com:21", 501),
        ("*.example.org", 501),
        ("ftp example.com", 501),
        ("-a.example", 501),
        ("a..example", 501),
        ("." * 3, 501),
        ("300.0.0.1", 501),
        ("x" * 64 + ".example", 501),
        ("é" * 4000, 501),
        ("a" * 8000, 501),
        ("a\x1b[2J.example", 501),
        ("a\x7f.example", 501),
        ("ftp.example.com\x0b", 501),
        ("\x1cftp.example.com", 501),
        ("ftp.example.com\x85", 501),
        (" ftp.example.com ", 220),
        ("$(id).example", 501),
        ("../../etc/passwd", 501),
        ("", 501),
    ],
)
def test_arguments_of_host(many, reach, argument, code):
    client = reach(many)
    reply = client.command(f"HOST {argument}")
    assert reply.code == code
    if len(argument) > 10:
        assert argument not in reply
    client.expect("NOOP", 200)


def test_host_is_in_feat(many, reach):
    assert "\n HOST\n" in reach(many).expect("FEAT", 211)


@IMPLICIT
@pytest.mark.requirement("R7151-a", side="S")
def test_host_is_refused_after_the_login(many, reach, implicit):
    client = reach(many, implicit=implicit)
    begin(client, "a.example.org", implicit=implicit)
    client.log_in()
    client.expect("HOST a.example.org", 503)
    client.expect("PWD", 257)
    data_certificate(client, None, session=client.session)


@IMPLICIT
@pytest.mark.requirement("R7151-a", side="S")
def test_in_tls_only_a_host_of_the_certificate_that_was_shown_is_taken(many, reach, implicit):
    client = reach(many, implicit=implicit)
    assert begin(client, "a.example.org", implicit=implicit) == WILD
    client.expect("HOST ftp.example.com", 504)
    client.expect("HOST unknown.example", 504)
    client.expect("HOST b.example.org", 220)
    client.log_in()
    assert data_certificate(client, None, session=client.session) == (WILD, True)


@IMPLICIT
@pytest.mark.requirement("R7151-a", side="S")
def test_host_begins_the_login_anew_and_keeps_tls_and_prot(many, reach, implicit):
    client = reach(many, implicit=implicit)
    begin(client, None, implicit=implicit)
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 200)
    client.expect("USER alice", 331)
    client.expect("HOST localhost", 220)
    client.expect("PASS correct horse", 503)
    client.log_in(protect=False)
    assert data_certificate(client, None, session=client.session)[1]


@pytest.mark.requirement("R7151-a", side="S")
def test_rein_ends_what_host_said(many, reach):
    client = reach(many)
    client.expect("HOST ftp.example.com", 220)
    begin(client, None, implicit=False)
    client.log_in()
    client.expect("REIN", 220)
    client.stop_tls()
    assert begin(client, "a.example.org", implicit=False) == WILD


def test_the_last_host_counts(many, reach):
    client = reach(many)
    client.expect("HOST ftp.example.com", 220)
    client.expect("HOST unknown.example", 504)
    client.expect("HOST b.example.org", 220)
    assert begin(client, None, implicit=False) == WILD


def test_a_clear_listener_knows_the_hosts_too(start, tmp_path):
    kinds = [("explicit", ""), ("none", 'control = "optional"\ndata = "optional"\n')]
    listeners = "".join(f'[[listener]]\nport = 0\ntls = "{kind}"\n{more}' for kind, more in kinds)
    server = start(listeners=listeners, more_accounts=tables(tmp_path))
    with RawClient(server.host, server.clear_port) as client:
        client.expect("HOST a.example.org", 220)
        client.expect("HOST unknown.example", 504)
        client.log_in(protect=False, tls=False)
        client.expect("HOST a.example.org", 503)


# --- listeners with TLS of their own ---


@pytest.mark.requirement("RTLS-a", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_each_listener_has_its_own_versions_certificate_and_clients_ca(start, tmp_path, implicit):
    own = certificate_table(tmp_path, "own", ["own.example"]).replace("[[certificate]]\n", "")
    kinds = ("implicit", "explicit") if implicit else ("explicit", "implicit")
    server = start(
        listeners=(
            f'[[listener]]\nport = 0\ntls = "{kinds[0]}"\nmaximum_version = "1.2"\n{own}'
            'client_ca = "ca.pem"\nclient_certificate = "required"\n'
            f'[[listener]]\nport = 0\ntls = "{kinds[1]}"\nminimum_version = "1.3"\n'
        ),
        more_accounts=tables(tmp_path),
    )
    shown = authority().issue_client("CN=alice").write(tmp_path, "client")
    for version, certificate, is_first, works in (
        ("1.2", (shown.certificate, shown.key), True, True),
        ("1.2", None, True, False),
        ("1.3", (shown.certificate, shown.key), True, False),
        ("1.3", None, False, True),
        ("1.2", None, False, False),
    ):
        context = client_context(server.ca_file, version=version, certificate=certificate)
        is_implicit = is_first == implicit
        port = server.implicit_port if is_implicit else server.port
        with RawClient(server.host, port, context=context, greet=not is_implicit) as client:
            if version == "1.2" and is_first and not works:
                # Without the certificate that is demanded there: 421, once TLS is up.
                if not is_implicit:
                    client.expect("AUTH TLS", 234)
                shake_hands(client, None)
                assert client.read().code == 421
                continue
            if not works:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    begin(client, None, implicit=is_implicit)
                continue
            default = {"own.example"} if is_first else DEFAULT
            assert begin(client, None, implicit=is_implicit) == default
            client.log_in()
            assert data_certificate(client, "example.org", session=client.session) == (default, True)


# --- attacks ---


@pytest.mark.parametrize("sent", ["HOST ftp.example.com\r\nHOST a.example.org", "HOST ftp.example.com"])
def test_a_host_behind_auth_in_clear_is_not_taken_into_tls(many, reach, sent):
    client = reach(many)
    client.write(f"AUTH TLS\r\n{sent}\r\n".encode())
    assert client.read().code == 421
    assert client.at_end()


def test_switching_hosts_does_not_get_round_the_demand_for_a_certificate(start, reach, tmp_path):
    server = start(
        policy='client_certificate = "required"', tls='client_ca = "ca.pem"', more_accounts=tables(tmp_path)
    )
    for name in ("ftp.example.com", "a.example.org", "localhost"):
        client = reach(server)
        client.expect(f"HOST {name}", 220)
        client.expect("AUTH TLS", 234)
        shake_hands(client, name)
        assert client.read().code == 421
        assert client.at_end()


def test_switching_hosts_does_not_give_back_login_attempts(start, reach, tmp_path):
    server = start(limits="login_attempts = 3", more_accounts=tables(tmp_path))
    client = reach(server)
    begin(client, "a.example.org", implicit=False)
    codes = []
    for attempt in range(3):
        client.expect(f"HOST {'abc'[attempt]}.example.org", 220)
        client.expect("USER alice", 331)
        codes.append(client.command("PASS wrong").code)
    assert codes == [530, 530, 421]
    assert client.at_end()


@pytest.mark.parametrize("name", ["a.example.org", "unknown.example"])
def test_a_flood_of_host_ends_the_session(many, reach, name):
    client = reach(many)
    codes = []
    while not codes or codes[-1] != 421:
        codes.append(client.command(f"HOST {name}").code)
        assert len(codes) <= 501
    assert client.at_end()


@pytest.mark.requirement("RTLS-j", side="S")
@pytest.mark.parametrize(
    "name", [b"unknown.example", b"not a host name", b"-", b"...", b"127.0.0.1", b"%s%n", b""]
)
def test_an_odd_name_in_sni_is_served_all_the_same(many, name):
    with socket.create_connection((many.host, many.implicit_port), 10) as sock:
        sock.sendall(hello_with(name))
        assert sock.recv(3)[:1] == b"\x16"  # a handshake record: ServerHello


@pytest.mark.parametrize(
    "name",
    [b"x" * 256, b"x" * 10_000, b"a\0.example", b"\xff\xfe.example", "bücher.example".encode()],
    ids=["256", "10000", "NUL", "octets", "UTF-8"],
)
def test_no_name_in_sni_gets_an_alert_and_no_traceback(many, name, capfd, caplog):
    with socket.create_connection((many.host, many.implicit_port), 10) as sock:
        sock.sendall(hello_with(name))
        assert sock.recv(3)[:1] == b"\x15"  # an alert
        while sock.recv(100):
            pass
    assert "Traceback" not in caplog.text + capfd.readouterr().err
