"""The implicit port (1997 draft): TLS before the first word, data Private from the start."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient
from tls_bytes import TlsBytes, enter, listener, silence, tls_end_is_clean

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


@pytest.mark.requirement("RD97-4.2-a", "R003-3.4-a", side="S")
def test_the_server_says_nothing_before_tls_and_greets_inside_it(
    server: LiveServer, connect: Connect
) -> None:
    with RawClient(server.host, server.implicit_port, greet=False) as mute:
        assert silence(mute.sock)
    client = connect(server, implicit=True)
    assert client.greeting.code == 220
    client.expect("QUIT", 221)
    assert tls_end_is_clean(client)


@pytest.mark.requirement("RD97-4.2-a", "R4217-10.1-e", side="S")
@pytest.mark.parametrize("line", [b"USER alice\r\n", b"AUTH TLS\r\n", b"FEAT\r\n"])
def test_clear_commands_there_get_no_reply_but_the_end(server: LiveServer, line: bytes) -> None:
    with RawClient(server.host, server.implicit_port, greet=False) as client:
        client.write(line)
        received = b""
        while piece := client.sock.recv(4096):
            received += piece
        # At most a TLS alert.
        assert received == b"" or received[0] == 0x15
        assert b"220" not in received


@pytest.mark.requirement("RD97-8-a", "R3659-7-a", side="S")
@pytest.mark.parametrize("said", [True, False], ids=["with-pbsz-and-prot", "without"])
def test_data_is_private_with_pbsz_and_prot_and_without(
    server: LiveServer, connect: Connect, said: bool
) -> None:
    client = enter(connect(server, implicit=True))
    if said:
        client.expect("PBSZ 0", 200)
        client.expect("PROT P", 200)
    assert client.upload("STOR implicit.bin", b"x" * 1000).code == 226
    assert b"implicit.bin" in client.download("NLST")


@pytest.mark.requirement("RD97-6-c", "RD97-8-a", side="S")
def test_prot_changes_the_implicit_level_both_ways(start: Start, connect: Connect) -> None:
    server = start(policy='data = "optional"')
    client = enter(connect(server, implicit=True))
    client.download("NLST", protect=True)
    client.expect("PROT C", 503)  # RFC 4217 §9: PBSZ first, here too
    client.download("NLST", protect=True)
    client.expect("PBSZ 0", 200)
    client.expect("PROT C", 200)
    client.download("NLST", protect=False)
    client.expect("PROT P", 200)
    client.download("NLST", protect=True)


@pytest.mark.requirement("RD97-12-a", side="S")
def test_auth_is_not_needed_and_refused(server: LiveServer, connect: Connect) -> None:
    client = connect(server, implicit=True)
    client.expect("AUTH TLS", 503)
    client.log_in()
    client.expect("AUTH TLS-P", 503)
    client.download("NLST")


@pytest.mark.requirement("R4217-6-a", side="S")
def test_feat_lists_the_security_features_there_too(server: LiveServer, connect: Connect) -> None:
    features = connect(server, implicit=True).expect("FEAT", 211).split("\n")
    assert {" AUTH TLS", " PBSZ", " PROT"} <= set(features)


@pytest.mark.requirement("RTLS-k", "RD97-4.2-a", side="S")
def test_commands_may_travel_with_the_end_of_the_handshake(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    with RawClient(server.host, server.implicit_port, context=client.context, greet=False) as fast:
        tls = TlsBytes(fast.sock, fast.context)
        tls.handshake(last=b"USER alice\r\nPASS correct horse\r\n")
        fast.sock = tls  # type: ignore[assignment]
        assert [fast.read().code for _ in range(3)] == [220, 331, 230]


@pytest.mark.requirement("R4217-1-a", "R4217-10.1-a", side="S")
def test_an_implicit_listener_may_stand_alone(start: Start, connect: Connect) -> None:
    server = start(listeners=listener("implicit"))
    assert server.port == 0
    connect(server, implicit=True).log_in().download("NLST")


@pytest.mark.parametrize(
    "rest", [b"\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""], ids=["hello", "its-first-byte"]
)
@pytest.mark.parametrize(
    ("kind", "told"), [("explicit", "TLS begins with AUTH TLS"), ("none", "There is no TLS")]
)
def test_a_client_that_expects_implicit_tls_elsewhere_is_told_at_once(
    start: Start, kind: str, told: str, rest: bytes
) -> None:
    server = start(listeners=listener(kind, 'control = "optional"\ndata = "optional"'))
    with RawClient(server.host, server.port if kind == "explicit" else server.clear_port) as client:
        client.write(b"\x16" + rest)
        reply = client.read()
        assert reply.code == 421
        assert told in reply
        assert client.sock.recv(1) == b""


def test_a_byte_like_a_tls_hello_later_is_a_command_that_is_unknown(server: LiveServer) -> None:
    with RawClient(server.host, server.port) as client:
        client.expect("NOOP", 200)
        client.write(b"\x16\x03\r\n")
        assert client.read().code == 500
