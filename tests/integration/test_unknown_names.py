"""`unknown_names = "refuse"`: a hello that names somebody else's host is refused (ALPACA)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hellos import hello_with
from live_server import LiveServer, live_server
from named_certificates import certificate_table, data_certificate, shake_hands
from raw_client import RawClient, client_context
from tls_bytes import TlsBytes, listener

IMPLICIT = pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
UNKNOWN = [
    "www.example.com",
    "example.com",
    "a.b.example.org",
    "xn--bcher-kva.example",
    "300.0.0.1",
    "no name",
]
SERVED = [
    "localhost",
    "LOCALHOST.",
    "ftp.example.com",
    "a.example.org",
    "only-listed.example",
    "127.0.0.1",
    "192.0.2.7",
    "2001:db8::7",
    None,
]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with three certificates that serves no other names."""
    folder = tmp_path_factory.mktemp("strict")
    more = certificate_table(folder, "first", ["ftp.example.com"])
    more += certificate_table(folder, "wild", ["*.example.org"], ["only-listed.example"])
    with live_server(folder, more_accounts=more, tls='unknown_names = "refuse"') as running:
        yield running


@pytest.fixture
def reach(tls_version: str) -> Iterator[Callable[..., RawClient]]:
    """Connect, up to where the TLS hello comes next: `reach(server, implicit=True)`."""
    with ExitStack() as stack:

        def one(server: LiveServer, *, implicit: bool = False) -> RawClient:
            port = server.implicit_port if implicit else server.port
            context = client_context(server.ca_file, version=tls_version)
            context.check_hostname = False
            client = stack.enter_context(RawClient(server.host, port, context=context, greet=not implicit))
            if not implicit:
                client.expect("AUTH TLS", 234)
            return client

        yield one


def answer(client: RawClient, name: str) -> bytes:
    """Send a hello, and return the record that comes back, as far as an alert goes."""
    client.sock.sendall(hello_with(name.encode(), client.context))
    found = b""
    while len(found) < 7 and (more := client.sock.recv(7 - len(found))):
        found += more
    return found


def is_refusal(record: bytes) -> bool:
    """True for a fatal unrecognized_name (RFC 6066 section 3) in clear."""
    return record[:1] == b"\x15" and record[3:] == b"\x00\x02\x02\x70"


@IMPLICIT
@pytest.mark.parametrize("name", UNKNOWN)
def test_a_name_that_no_certificate_has_is_refused_on_control(strict, reach, implicit, name):
    client = reach(strict, implicit=implicit)
    assert is_refusal(answer(client, name))
    assert client.at_end()


@IMPLICIT
@pytest.mark.parametrize("name", SERVED)
def test_names_of_certificates_addresses_and_no_name_are_served(strict, reach, implicit, name):
    if name is not None:
        assert answer(reach(strict, implicit=implicit), name)[0] == 22
        return
    client = reach(strict, implicit=implicit)
    shake_hands(client, None)
    if implicit:
        assert client.read().code == 220
    client.log_in().expect("PWD", 257)


@pytest.mark.parametrize("early", [True, False], ids=["hello-before-command", "hello-after-150"])
def test_an_unknown_name_on_data_is_refused_with_522(strict, reach, early):
    client = reach(strict)
    shake_hands(client, "ftp.example.com")
    client.log_in()
    sock = client.passive()
    _, hello = TlsBytes(sock, client.context, hostname="www.example.com").step()
    if early:
        sock.sendall(hello)
    client.expect("NLST", 150)
    if not early:
        sock.sendall(hello)
    assert is_refusal(sock.recv(7))
    assert client.read().code == 522
    # The session lives on, and a data hello with the name of another certificate is served as ever.
    assert data_certificate(client, "localhost") == ({"ftp.example.com"}, False)
    assert data_certificate(client, None, session=client.session)[1]


def test_a_resumed_session_is_judged_by_its_name_in_tls_1_2_and_by_the_hellos_in_tls_1_3(
    strict, reach, tls_version
):
    client = reach(strict)
    shake_hands(client, "ftp.example.com")
    client.log_in()
    sock = client.passive()
    tls = TlsBytes(sock, client.context, hostname="www.example.com", session=client.session)
    client.expect("NLST", 150)
    sock.sendall(tls.step()[1])
    # Only the client of this very control connection can go on with the session.
    assert is_refusal(sock.recv(7)) is (tls_version == "1.3")


def test_a_listener_may_refuse_where_the_others_serve(tmp_path, reach):
    own = listener("explicit") + listener("implicit", 'unknown_names = "refuse"')
    with live_server(tmp_path, listeners=own) as server:
        client = reach(server)
        shake_hands(client, "www.example.com")
        assert is_refusal(answer(reach(server, implicit=True), "www.example.com"))


def test_the_log_says_why_and_what_to_do(tmp_path, reach, caplog):
    caplog.set_level(logging.INFO)
    with live_server(tmp_path, tls='unknown_names = "refuse"') as server:
        assert is_refusal(answer(reach(server), "www.example.com"))
    assert "unknown_names" in caplog.text


def test_a_reload_changes_it_for_sessions_to_come(tmp_path, reach):
    with live_server(tmp_path) as server:
        running = reach(server)
        shake_hands(running, "www.example.com")
        running.log_in()
        path = server.work / "lockgate.toml"
        path.write_text(path.read_text().replace("[tls]\n", '[tls]\nunknown_names = "refuse"\n'))
        server.call(server.server.reload)
        assert is_refusal(answer(reach(server), "www.example.com"))
        assert data_certificate(running, "www.example.com") == ({"localhost"}, False)
