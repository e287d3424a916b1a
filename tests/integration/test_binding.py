"""Which data connections a live server takes for the control connection's own (RFC 4217 §10.2, §15)."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient, client_context, read_all
from tls_bytes import listener, listing_with, stands

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


def together(server: LiveServer, version: str, **more: str) -> tuple[RawClient, RawClient]:
    """Two sessions of one user with one client context, so that either can offer the other's session."""
    context = client_context(server.ca_file, version=version)
    pair = [RawClient(server.host, server.port, context=context, **more) for _ in range(2)]  # type: ignore[arg-type]
    return pair[0].log_in(), pair[1].log_in()


@pytest.mark.requirement("R4217-10.2-f", "R4217-10.2-e", "R4217-10.2-g", side="S")
def test_where_resumption_is_required_a_full_handshake_is_522_that_says_so(
    start: Start, connect: Connect
) -> None:
    client = connect(start(policy='session_reuse = "required"')).log_in()
    with stands(client):
        refusal = listing_with(client, None)
    assert refusal.code == 522
    assert "resume" in refusal
    client.download("NLST")
    assert listing_with(client, None).code == 522


@pytest.mark.requirement("R4217-10.2-f", "R4217-18-a", side="S")
def test_where_it_is_automatic_a_client_is_held_to_what_it_has_shown(start: Start, connect: Connect) -> None:
    server = start(policy='session_reuse = "auto"')
    client = connect(server).log_in()
    assert listing_with(client, None).code == 226
    assert listing_with(client, None).code == 226
    client.download("NLST")  # resumed
    refusal = listing_with(client, None)
    assert refusal.code == 522
    assert "resume" in refusal
    # What one session has shown does not bind another.
    assert listing_with(connect(server).log_in(), None).code == 226


@pytest.mark.requirement("R4217-10.2-f", "R4217-18-a", side="S")
def test_where_it_is_off_both_kinds_may_come_in_turn(start: Start, connect: Connect) -> None:
    client = connect(start(policy='session_reuse = "off"')).log_in()
    for _ in range(2):
        client.download("NLST")
        assert listing_with(client, None).code == 226


@pytest.mark.requirement("R4217-10.2-f", "R4217-10.1-a", side="S")
@pytest.mark.parametrize(("general", "own"), [("required", "off"), ("off", "required")])
def test_an_account_has_the_last_word_on_resumption(
    start: Start, connect: Connect, general: str, own: str
) -> None:
    server = start(policy=f'session_reuse = "{general}"', account=f'session_reuse = "{own}"')
    client = connect(server).log_in()
    assert listing_with(client, None).code == (226 if own == "off" else 522)


@pytest.mark.requirement("R4217-10.2-f", "R4217-10.1-a", side="S")
def test_listeners_may_differ_on_resumption(start: Start, connect: Connect) -> None:
    rules = {"explicit": "required", "implicit": "off"}
    server = start(listeners="".join(listener(kind, f'session_reuse = "{rules[kind]}"') for kind in rules))
    for kind, code in (("explicit", 522), ("implicit", 226)):
        client = connect(server, implicit=kind == "implicit").log_in()
        assert listing_with(client, None).code == code
        client.download("NLST")


@pytest.mark.requirement("RTLS-i", "R4217-10.2-g", "R4217-15.2-a", side="S")
def test_a_session_of_another_control_connection_does_not_satisfy_the_demand(
    start: Start, tls_version: str
) -> None:
    server = start(policy='session_reuse = "required"')
    (server.root / "kept.txt").write_bytes(b"kept")
    one, other = together(server, tls_version)
    with one, other:
        one.download("NLST")
        other.download("NLST")
        stolen = other.session
        with stands(one):
            assert listing_with(one, stolen).code == 522
        # It is a good session all the same, on its own control connection.
        assert listing_with(other, stolen).code == 226
        one.download("NLST")


@pytest.mark.requirement("RTLS-i", "R4217-10.2-g", side="S")
def test_a_session_made_on_a_data_connection_is_the_control_connections_own(
    start: Start, tls_version: str
) -> None:
    server = start(policy='session_reuse = "required"')
    one, other = together(server, tls_version)
    with one, other:
        sock = one.passive()
        one.expect("NLST", 150)
        data = one.protect_data(sock)
        read_all(data)
        taken = data.session
        data.close()
        assert one.read().code == 226
        assert listing_with(one, taken).code == 226
        assert listing_with(other, taken).code == 522


@pytest.mark.requirement("R4217-15.2-a", "R2577-4-a", "R4217-10.2-g", side="S")
@pytest.mark.parametrize("reuse", ["required", "auto", "off"])
def test_a_stranger_who_reaches_the_port_first_gets_nothing_and_locks_nobody_out(
    start: Start, connect: Connect, reuse: str
) -> None:
    server = start(policy=f'session_reuse = "{reuse}"')
    (server.root / "kept.txt").write_bytes(b"kept")
    client = connect(server).log_in()
    port = client.passive_port()
    stranger = client.connect_data(port, source="127.0.0.2")
    client.expect("RETR kept.txt", 150)
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        client.context.wrap_socket(stranger, server_hostname="localhost", session=client.session)
    data = client.protect_data(client.connect_data(port))
    assert read_all(data) == b"kept"
    data.close()
    assert client.read().code == 226


@pytest.mark.requirement("R4217-10.2-e", "R4217-10.2-g", side="S")
def test_an_upload_from_an_unacceptable_connection_leaves_the_old_file(
    start: Start, connect: Connect
) -> None:
    server = start(policy='session_reuse = "required"')
    (server.root / "kept.txt").write_bytes(b"old")
    client = connect(server).log_in()
    sock = client.passive()
    client.expect("STOR kept.txt", 150)
    data = client.protect_data(sock, reuse=False)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _push(data)
    assert client.read().code == 522
    assert [(one.name, one.read_bytes()) for one in server.root.iterdir()] == [("kept.txt", b"old")]
    assert client.upload("STOR kept.txt", b"new").code == 226


def _push(data: ssl.SSLSocket) -> None:
    for _ in range(1000):
        data.sendall(b"x" * 16384)


@pytest.mark.requirement("RTLS-i", "R4217-18-a", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_uploads_downloads_and_listings_resume_in_any_order(
    start: Start, connect: Connect, implicit: bool
) -> None:
    server = start(policy='session_reuse = "required"')
    client = connect(server, implicit=implicit).log_in()
    for turn in range(4):
        content = bytes([turn]) * 50_000
        assert client.upload("STOR x.bin", content).code == 226
        assert client.download("RETR x.bin") == content
        assert b"x.bin" in client.download("MLSD")
        assert client.upload("APPE x.bin", b"more").code == 226
