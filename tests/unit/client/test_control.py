"""The control connection without a socket: replies, TLS that starts and stops, injected bytes."""

from __future__ import annotations

import pytest

from lockgate.client.control import ControlChannel
from lockgate.errors import CertificateRejected, HandshakeFailed, RemoteProtocolError
from lockgate.protocol.commands import Command
from lockgate.tls.contexts import ServerContexts, client_context
from lockgate.tls.devcert import CertificateAuthority
from lockgate.tls.engine import TlsEngine
from lockgate.tls.policy import TlsPolicy, TrustPolicy


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = CertificateAuthority()
    authority.write(folder)
    authority.issue_server().write(folder, "server")
    return folder


@pytest.fixture(params=["1.2", "1.3"])
def trust(request, files):
    return TrustPolicy(ca_file=files / "ca.pem", minimum_version=request.param, maximum_version=request.param)


@pytest.fixture
def server(files):
    policy = TlsPolicy(certificate=files / "server.pem", key=files / "server.key")
    return TlsEngine(ServerContexts(policy).for_control().context, server_side=True)


def say(channel: ControlChannel, line: str) -> bytes:
    channel.send(Command.parse(line.encode()))
    return channel.data_to_send()


def asked_for_tls() -> ControlChannel:
    channel = ControlChannel(label="server")
    channel.feed(b"220 Hello\r\n")
    assert channel.next_reply().code == 220
    assert say(channel, "AUTH TLS") == b"AUTH TLS\r\n"
    channel.feed(b"234 Go\r\n")
    assert channel.next_reply().code == 234
    return channel


def shake_hands(channel: ControlChannel, server: TlsEngine, trust: TrustPolicy, *, name="localhost", **more):
    channel.start_tls(client_context(trust), server_hostname=name, **more)
    client_done = server_done = False
    for _ in range(6):
        client_done = client_done or channel.handshake()
        server.feed(channel.data_to_send())
        server_done = server_done or server.do_handshake()
        channel.feed(server.data_to_send())
    assert client_done
    assert server_done


def tell(channel: ControlChannel, server: TlsEngine, text: bytes):
    server.write(text)
    channel.feed(server.data_to_send())


@pytest.fixture
def in_tls(server, trust):
    channel = asked_for_tls()
    shake_hands(channel, server, trust)
    return channel


@pytest.mark.requirement("R4217-14-c")
def test_commands_and_replies_travel_inside_tls(in_tls, server):
    sent = say(in_tls, "NOOP")
    assert b"NOOP" not in sent
    server.feed(sent)
    assert server.read() == b"NOOP\r\n"
    tell(in_tls, server, b"200 ok\r\n")
    assert in_tls.next_reply().code == 200
    assert in_tls.certificate is not None
    assert in_tls.version in ("TLSv1.2", "TLSv1.3")
    assert in_tls.session is not None


@pytest.mark.requirement("RTLS-l")
def test_bytes_in_clear_behind_234_end_it():
    channel = ControlChannel()
    channel.feed(b"220 Hello\r\n")
    channel.next_reply()
    say(channel, "AUTH TLS")
    channel.feed(b"234 Go\r\n230 In\r\n")
    with pytest.raises(RemoteProtocolError):
        channel.next_reply()


@pytest.mark.requirement("RTLS-l")
def test_bytes_in_clear_that_come_later_are_no_handshake(trust):
    channel = asked_for_tls()
    channel.start_tls(client_context(trust), server_hostname="localhost")
    assert not channel.handshake()
    channel.feed(b"230 In\r\n")
    with pytest.raises(HandshakeFailed):
        channel.handshake()
    assert channel.next_reply() is None


def test_a_pin_that_does_not_match_leaves_tls_for_quit(server, files):
    channel = asked_for_tls()
    with pytest.raises(CertificateRejected):
        shake_hands(channel, server, TrustPolicy(pin_sha256=bytes(32)), pin_sha256=bytes(32))
    server.feed(channel.data_to_send())
    server.do_handshake()
    server.feed(say(channel, "QUIT"))
    assert server.read() == b"QUIT\r\n"


def close_both_ways(channel: ControlChannel, server: TlsEngine) -> None:
    done = channel.stop_tls()
    server.feed(channel.data_to_send())
    server.shutdown()
    channel.feed(server.data_to_send())
    assert done or channel.stop_tls()
    channel.leave_tls()


@pytest.mark.requirement("R4217-5-h")
def test_after_ccc_the_connection_goes_on_in_clear_and_the_session_is_kept(in_tls, server):
    server.feed(say(in_tls, "CCC"))
    tell(in_tls, server, b"200 Clear\r\n")
    assert in_tls.next_reply().code == 200
    close_both_ways(in_tls, server)
    assert not in_tls.at_end
    assert say(in_tls, "NOOP") == b"NOOP\r\n"
    in_tls.feed(b"200 ok\r\n")
    assert in_tls.next_reply().code == 200
    assert in_tls.session is not None
    assert in_tls.certificate is not None


def test_a_server_that_closes_tls_with_its_200_has_not_gone(in_tls, server):
    server.feed(say(in_tls, "CCC"))
    server.write(b"200 Clear\r\n")
    server.shutdown()
    in_tls.feed(server.data_to_send())
    assert in_tls.next_reply().code == 200
    assert in_tls.stop_tls()
    assert not in_tls.at_end
    in_tls.leave_tls()
    assert not in_tls.at_end


@pytest.mark.requirement("RTLS-l")
def test_bytes_in_clear_behind_the_end_of_tls_are_noticed(in_tls, server):
    server.feed(say(in_tls, "CCC"))
    server.write(b"200 Clear\r\n")
    server.shutdown()
    in_tls.feed(server.data_to_send() + b"230 In\r\n")
    in_tls.next_reply()
    in_tls.stop_tls()
    with pytest.raises(RemoteProtocolError):
        in_tls.leave_tls()


def test_a_close_notify_without_ccc_is_the_end(in_tls, server):
    server.shutdown()
    in_tls.feed(server.data_to_send())
    assert in_tls.at_end


def test_the_end_of_the_connection_is_the_end(in_tls):
    in_tls.feed_eof()
    assert in_tls.at_end
    clear = ControlChannel()
    clear.feed_eof()
    assert clear.at_end


def test_close_notify_is_said_once(in_tls, server):
    in_tls.close_notify()
    server.feed(in_tls.data_to_send())
    assert server.read() == b""
    assert server.peer_closed
    in_tls.close_notify()
    assert in_tls.data_to_send() == b""
    ControlChannel().close_notify()


def test_secrets_do_not_reach_the_log(caplog):
    caplog.set_level("DEBUG", logger="lockgate")
    channel = ControlChannel(label="host:21")
    channel.feed(b"220 Hello\r\n")
    channel.next_reply()
    say(channel, "PASS hunter2")
    say(channel, "ACCT gold")
    channel.feed(b"331 ok\r\n")
    text = caplog.text
    assert "> host:21 PASS ***" in text
    assert "< host:21 220 Hello" in text
    assert "hunter2" not in text
    assert "gold" not in text
