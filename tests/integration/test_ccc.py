"""CCC on a live server: the control connection in clear again, data as protected as before."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from live_server import LiveServer, cheap_hash
from raw_client import RawClient, read_all
from tls_bytes import enter, listener, listing_with, open_bytes, protect_with, silence

from lockgate.server import control

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


@pytest.fixture
def clearing(start: Start) -> LiveServer:
    """A server that takes CCC after the login."""
    return start(policy='clear_command_channel = "after-login"')


@pytest.mark.requirement("R4217-5-a", "RD97-B-c", side="S")
def test_ccc_is_500_everywhere_while_it_is_off(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.expect("CCC", 500)
    client.auth()
    client.expect("CCC", 500)
    client.log_in()
    client.expect("CCC", 500)
    assert "CCC" not in client.expect("FEAT", 211)
    client.download("NLST")


@pytest.mark.requirement("R4217-5-b", "R4217-5-c", "R4217-15.3-a", side="S")
def test_ccc_is_533_in_clear_and_534_before_the_login(clearing: LiveServer, connect: Connect) -> None:
    client = connect(clearing)
    client.expect("CCC", 533)
    client.auth()
    client.expect("CCC", 534)
    client.expect("USER alice", 331)
    client.expect("CCC", 534)
    client.expect("PASS correct horse", 230)
    client.expect("CCC", 200)


@pytest.mark.requirement("R4217-5-c", "R4217-10.1-a", side="S")
def test_ccc_may_be_allowed_to_one_account_alone(start: Start, connect: Connect) -> None:
    server = start(account='clear_command_channel = "after-login"')
    client = connect(server)
    client.auth()
    client.expect("CCC", 500)
    enter(client).expect("CCC", 200)
    client.stop_tls()
    client.expect("PWD", 257)


@pytest.mark.requirement("R4217-5-a", "R4217-10.1-a", side="S")
def test_ccc_may_be_allowed_on_one_listener_and_denied_to_one_account(start: Start) -> None:
    bob = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("bob")}"\nhome = "bob"\n'
    allowing = listener("implicit", 'clear_command_channel = "after-login"')
    server = start(
        listeners=listener("explicit") + allowing, more_accounts=f'{bob}clear_command_channel = "off"\n'
    )
    for port, implicit, user, code in (
        (server.port, False, "alice", 500),
        (server.implicit_port, True, "bob", 500),
        (server.implicit_port, True, "alice", 200),
    ):
        with RawClient(server.host, port, implicit=implicit) as client:
            client.log_in(user, "bob" if user == "bob" else "correct horse")
            client.expect("CCC", code)


@pytest.mark.requirement("R4217-3-a", "R4217-5-d", "R4217-5-e", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_after_ccc_commands_and_replies_are_in_clear(
    clearing: LiveServer, connect: Connect, implicit: bool
) -> None:
    client = connect(clearing, implicit=implicit).log_in()
    client.expect("CCC", 200)  # read through TLS
    client.stop_tls()
    client.expect("PWD", 257)
    client.expect("CCC", 533)
    client.expect("AUTH TLS", 503)
    client.expect("QUIT", 221)
    assert client.at_end()


@pytest.mark.requirement("R4217-5-d", side="S")
def test_nothing_but_close_notify_follows_the_reply_to_ccc(clearing: LiveServer, connect: Connect) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client).expect("CCC", 200)
    assert tls.recv(100) == b""
    assert tls.rest() == b""
    assert silence(tls.plain)


@pytest.mark.requirement("R4217-5-f", side="S")
def test_after_ccc_pbsz_and_prot_are_refused(clearing: LiveServer, connect: Connect) -> None:
    client = connect(clearing).log_in()
    client.expect("CCC", 200)
    client.stop_tls()
    for line in ("PBSZ 0", "PROT P", "PROT C"):
        client.expect(line, 503)


@pytest.mark.requirement("R4217-5-g", "R4217-10.2-f", "RTLS-i", side="S")
@pytest.mark.parametrize("reuse", ["required", "auto", "off"])
def test_after_ccc_data_stays_protected_and_bound(start: Start, connect: Connect, reuse: str) -> None:
    server = start(policy=f'clear_command_channel = "after-login"\nsession_reuse = "{reuse}"')
    (server.root / "kept.txt").write_bytes(b"secret")
    client = connect(server).log_in()
    client.download("NLST")
    session = client.session
    client.expect("CCC", 200)
    client.stop_tls()
    for _ in range(3):
        sock = client.passive()
        client.expect("RETR kept.txt", 150)
        assert silence(sock, 0.05)  # not a byte before TLS
        data = protect_with(client, sock, session)
        assert data.session_reused
        assert read_all(data) == b"secret"
        data.close()
        assert client.read().code == 226
    assert listing_with(client, None).code == (226 if reuse == "off" else 522)


@pytest.mark.requirement("R4217-5-g", "R4217-10.2-c", side="S")
def test_after_ccc_data_stays_in_clear_too(start: Start, connect: Connect) -> None:
    server = start(policy='clear_command_channel = "after-login"\ndata = "optional"')
    client = connect(server).log_in(protect=False)
    client.expect("CCC", 200)
    client.stop_tls()
    client.download("NLST", protect=False)


@pytest.mark.requirement("R4217-5-g", "R4217-10.1-e", side="S")
def test_ccc_is_no_way_round_the_data_policy(clearing: LiveServer, connect: Connect) -> None:
    client = connect(clearing).log_in(protect=False)
    client.expect("CCC", 200)
    client.stop_tls()
    client.passive()
    client.expect("NLST", 521)


@pytest.mark.requirement("R4217-5-d", "RTLS-e", "RTLS-k", side="S")
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_clear_commands_may_follow_the_clients_close_notify_in_the_same_segment(
    clearing: LiveServer, connect: Connect, piece: int
) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client).expect("CCC", 200)
    tls.send_pieces(tls.close_notify() + b"PWD\r\nSYST\r\n", piece)
    assert tls.recv(10) == b""
    client.sock, behind = tls.plain, tls.rest()
    client.unread(behind)
    assert [client.read().code, client.read().code] == [257, 215]
    client.expect("NOOP", 200)


@pytest.mark.requirement("R4217-5-d", side="S")
def test_a_client_that_never_answers_close_notify_goes_on_in_clear(
    clearing: LiveServer, connect: Connect
) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client).expect("CCC", 200)
    assert tls.recv(10) == b""
    client.sock = tls.plain
    client.expect("PWD", 257)
    client.expect("QUIT", 221)


@pytest.mark.requirement("R4217-5-d", "RTLS-f", side="S")
def test_a_client_that_says_nothing_after_ccc_is_waited_for_only_so_long(
    clearing: LiveServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_TLS_STOP_SECONDS", 0.0)
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client).expect("CCC", 200)
    assert tls.recv(10) == b""
    client.sock = tls.plain
    clearing.call(lambda: None)  # one turn of the loop: the wait is over
    # A first octet that a TLS record could begin with: the wait for close_notify must be over.
    client.write(b"\x14\r\n")
    assert client.read().code == 500
    client.expect("PWD", 257)


@pytest.mark.requirement("R4217-5-d", "R959-4-a", side="S")
def test_a_client_may_leave_in_the_middle_of_ccc(clearing: LiveServer, connect: Connect) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client).expect("CCC", 200)
    tls.plain.shutdown(socket.SHUT_RDWR)
    connect(clearing).log_in().download("NLST")


@pytest.mark.requirement("R4217-14-a", "R4217-14-b", side="S")
def test_abor_with_telnet_octets_works_after_ccc(clearing: LiveServer, connect: Connect) -> None:
    client = connect(clearing).log_in()
    session = client.session
    client.expect("CCC", 200)
    client.stop_tls()
    sock = client.passive()
    client.expect("STOR cut.bin", 150)
    data = protect_with(client, sock, session)
    data.sendall(b"begun")
    client.write(b"\xff\xf4")
    client.sock.send(b"\xff\xf2", socket.MSG_OOB)
    client.write(b"ABOR\r\n")
    assert [client.read().code, client.read().code] == [426, 226]
    assert not (clearing.root / "cut.bin").exists()
