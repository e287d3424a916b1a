"""REIN on a live server: TLS ends behind its reply, all is back at the start, and it can begin anew."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient
from tls_bytes import enter, is_refused, listing_with, open_bytes, silence, tls_end_is_clean

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


@pytest.fixture
def mixed(start: Start) -> LiveServer:
    """A server where everything may be clear or protected."""
    server = start(policy='control = "optional"\ndata = "optional"\nclear_command_channel = "after-login"')
    (server.root / "sub").mkdir()
    (server.root / "lines.txt").write_bytes(b"one\ntwo\n")
    return server


@pytest.mark.requirement("R4217-13-a", "R4217-13-b", "R4217-13-d", side="S")
def test_rein_is_answered_inside_tls_and_then_all_is_clear_and_new(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in()
    client.expect("REIN", 220)  # read through TLS: a reply in clear would break it
    client.stop_tls()
    assert not isinstance(client.sock, ssl.SSLSocket)
    client.expect("NOOP", 200)
    client.expect("USER alice", 530)
    client.expect("PBSZ 0", 503)
    client.log_in()
    client.download("NLST")


@pytest.mark.requirement("R4217-13-b", "R4217-13-a", side="S")
def test_nothing_but_close_notify_follows_the_reply_to_rein(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    tls = open_bytes(client)
    client.expect("REIN", 220)
    assert tls.recv(100) == b""
    assert tls.rest() == b""
    assert silence(tls.plain)


@pytest.mark.requirement("R4217-13-c", side="S")
@pytest.mark.parametrize("offer", [True, False], ids=["old-session-offered", "no-session-offered"])
def test_after_rein_an_old_session_is_not_demanded_and_does_no_harm(
    start: Start, connect: Connect, offer: bool
) -> None:
    server = start(policy='session_reuse = "required"')
    client = connect(server).log_in()
    client.download("NLST")
    old = client.session
    client.expect("REIN", 220)
    client.stop_tls()
    client.expect("AUTH TLS", 234)
    client.sock = client.context.wrap_socket(
        client.sock,
        server_hostname="localhost",
        session=old if offer else None,
        suppress_ragged_eofs=False,
    )
    client.log_in()
    # What data connections resume is the new session.
    client.download("NLST")


@pytest.mark.requirement("R4217-13-c", "RTLS-i", side="S")
def test_after_rein_the_old_session_does_not_satisfy_a_demand_on_data(start: Start, connect: Connect) -> None:
    server = start(policy='session_reuse = "required"')
    client = connect(server).log_in()
    client.download("NLST")
    old = client.session
    client.expect("REIN", 220)
    client.stop_tls()
    client.log_in()
    refusal = listing_with(client, old)
    assert refusal.code == 522
    assert "resume" in refusal
    client.download("NLST")


@pytest.mark.requirement("R4217-13-d", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_rein_puts_every_parameter_back(mixed: LiveServer, connect: Connect, implicit: bool) -> None:
    client = connect(mixed, implicit=implicit).log_in()
    client.expect("CWD sub", 250)
    client.expect("OPTS MLST size;", 200)
    client.expect("EPSV ALL", 200)
    port = client.passive_port()
    client.expect("REST 4", 350)
    client.expect("RNFR /lines.txt", 350)
    client.expect("REIN", 220)
    if not implicit:
        client.stop_tls()
    assert is_refused(mixed.host, port)
    client.expect("PASS correct horse", 503)
    client.expect("PWD", 530)
    client.expect("PROT C", 503)
    enter(client)
    client.expect("RNTO /gone.txt", 503)
    assert '"/"' in client.expect("PWD", 257)
    client.expect("RETR lines.txt", 425)
    client.passive_port("PASV")
    # TYPE A again, from the first byte; level as right after connecting.
    assert client.download("RETR lines.txt", protect=implicit) == b"one\r\ntwo\r\n"
    assert "type*;" in client.expect("FEAT", 211)


@pytest.mark.requirement("R4217-13-d", "RD97-4.2-a", side="S")
def test_rein_on_the_implicit_port_keeps_tls(server: LiveServer, connect: Connect) -> None:
    client = connect(server, implicit=True).log_in()
    client.expect("REIN", 220)
    client.expect("PWD", 530)
    client.expect("AUTH TLS", 503)
    # Right after connecting there: Private without PBSZ and PROT, and the session can still be resumed.
    enter(client)
    client.download("NLST")


@pytest.mark.requirement("R4217-13-d", side="S")
def test_rein_in_clear_resets_and_stays_in_clear(mixed: LiveServer) -> None:
    with RawClient(mixed.host, mixed.port) as client:
        enter(client)
        client.expect("REIN", 220)
        client.expect("PWD", 530)
        enter(client)
        client.expect("PWD", 257)


@pytest.mark.requirement("R4217-13-a", "R4217-13-d", side="S")
def test_rein_after_ccc_clears_the_data_level_too(mixed: LiveServer, connect: Connect) -> None:
    client = connect(mixed).log_in()
    client.expect("CCC", 200)
    client.stop_tls()
    client.expect("REIN", 220)
    client.expect("PBSZ 0", 503)
    enter(client)
    client.download("NLST", protect=False)
    client.expect("CCC", 533)
    client.expect("REIN", 220)
    client.log_in()
    client.download("NLST")


@pytest.mark.requirement("R4217-13-a", side="S")
def test_rein_waits_for_a_running_transfer(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    sock = client.passive()
    client.expect("STOR late.bin", 150)
    client.send("REIN")
    data = client.protect_data(sock)
    data.sendall(b"all of it")
    data.unwrap().close()
    assert client.read().code == 226
    assert client.read().code == 220
    client.stop_tls()
    client.expect("NOOP", 200)
    assert (server.root / "late.bin").read_bytes() == b"all of it"


@pytest.mark.requirement("RTLS-g", side="S")
def test_rein_again_and_again_then_quit(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    for _ in range(5):
        client.log_in()
        client.expect("REIN", 220)
        client.stop_tls()
    client.auth()
    client.expect("QUIT", 221)
    assert tls_end_is_clean(client)
