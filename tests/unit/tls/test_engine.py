from __future__ import annotations

import _ssl
import ctypes
import ssl
from dataclasses import replace

import pytest
from hellos import hello_with

from lockgate.errors import CertificateRejected, HandshakeFailed, LocalProtocolError, TlsError
from lockgate.tls.contexts import ServerContexts, client_context
from lockgate.tls.engine import TlsEngine
from lockgate.tls.hello import MAX_HELLO_BYTES
from lockgate.tls.pins import fingerprint, parse_pin
from lockgate.tls.policy import ClientCertificate

NO_APPLICATION_PROTOCOL = bytes([0x15, 3, 3, 0, 2, 2, 0x78])
FATAL = 2
PROTOCOL_VERSION = 70


def new_server(pki, version="1.3", **options) -> TlsEngine:
    return TlsEngine(ServerContexts(pki.policy(version)).for_control().context, server_side=True, **options)


def new_client(pki, **options) -> TlsEngine:
    return TlsEngine(client_context(pki.trust()), server_side=False, server_hostname="localhost", **options)


def hello_offering(*protocols: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    stranger = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        stranger.do_handshake()
    return out.read()


def in_small_records(hello: bytes, size: int) -> bytes:
    body = hello[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(hello[:3] + len(piece).to_bytes(2) + piece for piece in pieces)


# --- both directions, however the records are cut ---


@pytest.mark.requirement("RTLS-k")
def test_plaintext_comes_through_both_ways(pair):
    pair.client.write(b"USER alice\r\n")
    pair.server.write(bytearray(b"331 "))
    pair.server.write(memoryview(b"more\r\n"))
    pair.carry()
    assert pair.server.read() == b"USER alice\r\n"
    assert pair.client.read() == b"331 more\r\n"
    assert pair.client.read() == b""


@pytest.mark.requirement("RTLS-k")
def test_a_handshake_byte_by_byte_works_the_same(pki, version):
    client, server = new_client(pki), new_server(pki, version)
    for _ in range(6):
        for here, there in ((client, server), (server, client)):
            here.do_handshake()
            for octet in here.data_to_send():
                there.feed(bytes([octet]))
                there.do_handshake()
    assert client.handshake_done
    assert server.handshake_done
    assert client.version == server.version


@pytest.mark.requirement("RTLS-k")
def test_records_byte_by_byte_and_joined_give_the_same_plaintext(pair):
    for text in (b"a", b"b" * 40_000, b"c"):
        pair.client.write(text)
    stream = pair.client.data_to_send()
    got = bytearray()
    for octet in stream:
        pair.server.feed(bytes([octet]))
        got += pair.server.read()
    assert got == b"a" + b"b" * 40_000 + b"c"
    for text in (b"a", b"b" * 40_000, b"c"):
        pair.client.write(text)
    pair.carry()
    assert pair.server.read() == got


def test_writing_nothing_sends_nothing(pair):
    pair.client.write(b"")
    assert pair.client.data_to_send() == b""


def test_feeding_nothing_changes_nothing(pair):
    pair.client.feed(b"")
    assert pair.client.read() == b""


def test_what_the_handshake_showed_is_known_and_outlives_the_end(pair, pki, version):
    for engine in (pair.client, pair.server):
        assert engine.version == {"1.2": "TLSv1.2", "1.3": "TLSv1.3"}[version]
        assert engine.alpn == "ftp"
        assert engine.cipher
        assert not engine.session_reused
    assert pair.client.peer_certificate
    session = pair.client.session
    pair.client.shutdown()
    pair.carry()
    pair.server.shutdown()
    pair.carry()
    pair.client.shutdown()
    assert pair.client.peer_certificate
    assert pair.client.session.id == session.id
    assert pair.client.session.has_ticket


def test_before_the_handshake_nothing_is_known(pki):
    engine = new_client(pki)
    assert (engine.version, engine.cipher, engine.alpn, engine.session) == (None, None, None, None)
    assert engine.peer_certificate is None
    assert not engine.session_reused


def test_writing_before_the_handshake_is_refused(pki):
    with pytest.raises(LocalProtocolError, match="before the TLS handshake"):
        new_client(pki).write(b"USER alice\r\n")


def test_shutting_down_before_the_handshake_is_refused(pki):
    with pytest.raises(LocalProtocolError, match="drop the connection"):
        new_client(pki).shutdown()


def test_a_session_of_another_context_is_refused(pki, pair):
    with pytest.raises(LocalProtocolError, match="different SSLContext"):
        new_client(pki, session=pair.client.session)


def test_a_verifying_client_needs_a_name(pki):
    with pytest.raises(LocalProtocolError, match="server_hostname must be given"):
        TlsEngine(client_context(pki.trust()), server_side=False)


# --- the end of TLS ---


@pytest.mark.requirement("RTLS-g")
def test_close_notify_goes_both_ways(pair):
    assert not pair.client.shutdown()
    assert pair.client.close_sent
    assert not pair.server.peer_closed
    pair.carry()
    assert pair.server.read() == b""
    assert pair.server.peer_closed
    assert pair.server.shutdown()
    pair.carry()
    assert pair.client.shutdown()
    assert pair.client.peer_closed
    assert not pair.client.truncated
    assert not pair.server.truncated


def test_both_ends_may_say_close_notify_at_once(pair):
    assert not pair.client.shutdown()
    assert not pair.server.shutdown()
    pair.carry()
    assert pair.client.shutdown()
    assert pair.server.shutdown()


def test_close_notify_is_sent_once(pair):
    pair.client.shutdown()
    assert pair.client.data_to_send()
    pair.client.shutdown()
    assert pair.client.data_to_send() == b""


def test_plaintext_under_way_survives_our_close_notify(pair):
    pair.server.write(b"in flight")
    assert not pair.client.shutdown()
    pair.carry()
    assert not pair.client.shutdown()
    pair.server.write(b", and later")
    pair.server.shutdown()
    pair.carry()
    assert pair.client.shutdown()
    assert pair.client.read() == b"in flight, and later"


def test_a_reply_can_be_written_after_the_peers_close_notify(pair):
    pair.client.shutdown()
    pair.carry()
    assert pair.server.read() == b""
    pair.server.write(b"221 bye\r\n")
    pair.server.shutdown()
    pair.carry()
    assert pair.client.read() == b"221 bye\r\n"


def test_writing_after_our_close_notify_is_refused(pair):
    pair.client.shutdown()
    with pytest.raises(LocalProtocolError, match="shut down"):
        pair.client.write(b"too late")


@pytest.mark.requirement("RTLS-h", "RTLS-m")
def test_an_end_without_close_notify_is_a_truncation(pair):
    pair.client.write(b"half a fi")
    pair.carry()
    pair.server.feed_eof()
    assert pair.server.truncated
    assert not pair.server.peer_closed
    assert pair.server.read() == b"half a fi"
    assert pair.server.read() == b""
    assert pair.server.shutdown()


@pytest.mark.requirement("RTLS-h", "RTLS-m")
def test_an_end_inside_a_record_is_a_truncation(pair):
    pair.client.write(b"half a file")
    pair.server.feed(pair.client.data_to_send()[:-1])
    pair.server.feed_eof()
    assert pair.server.truncated
    assert pair.server.read() == b""


def test_an_end_after_close_notify_is_clean(pair):
    pair.client.shutdown()
    pair.carry()
    pair.server.feed_eof()
    pair.server.feed_eof()
    assert pair.server.peer_closed
    assert not pair.server.truncated


def test_a_cut_close_notify_is_a_truncation(pair):
    pair.client.shutdown()
    pair.server.feed(pair.client.data_to_send()[:-1])
    pair.server.feed_eof()
    assert pair.server.truncated


# --- clear bytes behind close_notify ---


@pytest.mark.requirement("RTLS-e", "R4217-5-e")
def test_clear_bytes_in_the_same_feed_as_close_notify_come_back(pair):
    pair.client.write(b"CCC\r\n")
    pair.client.shutdown()
    pair.server.feed(pair.client.data_to_send() + b"NOOP\r\nPWD")
    assert pair.server.take_residue() == b"NOOP\r\nPWD"
    assert pair.server.read() == b"CCC\r\n"
    assert pair.server.take_residue() == b""


def test_clear_bytes_fed_after_close_notify_come_back_in_order(pair):
    pair.client.shutdown()
    pair.server.feed(pair.client.data_to_send() + b"1")
    assert pair.server.read() == b""
    pair.server.feed(b"2")
    pair.server.shutdown()
    pair.server.feed(b"3")
    assert pair.server.take_residue() == b"123"


def test_clear_bytes_come_back_however_the_stream_is_cut(pair):
    pair.client.write(b"CCC\r\n")
    pair.client.shutdown()
    got = bytearray()
    for octet in pair.client.data_to_send() + b"\x16\x03\x03NOOP\r\n":
        pair.server.feed(bytes([octet]))
        got += pair.server.take_residue()
    assert got == b"\x16\x03\x03NOOP\r\n"
    assert pair.server.read() == b"CCC\r\n"


def test_clear_bytes_come_back_when_we_closed_first(pair):
    pair.server.shutdown()
    pair.client.feed(pair.server.data_to_send())
    pair.client.shutdown()
    pair.server.feed(pair.client.data_to_send() + b"NOOP\r\n")
    assert pair.server.shutdown()
    assert pair.server.take_residue() == b"NOOP\r\n"


def test_there_is_no_residue_before_close_notify(pair):
    pair.client.write(b"NOOP\r\n")
    pair.carry()
    assert pair.server.take_residue() == b""
    assert pair.server.read() == b"NOOP\r\n"


# --- broken streams ---


@pytest.mark.requirement("RTLS-e")
def test_clear_bytes_inside_tls_break_the_stream_and_an_alert_is_sent(pair):
    pair.client.write(b"before")
    pair.server.feed(pair.client.data_to_send() + b"NOOP\r\n in clear")
    assert pair.server.read() == b"before"
    with pytest.raises(TlsError) as caught:
        pair.server.read()
    assert pair.server.failure is caught.value
    assert pair.server.data_to_send()
    pair.server.feed(b"ignored")
    with pytest.raises(TlsError):
        pair.server.write(b"reply")
    assert pair.server.shutdown()


def test_a_record_that_was_tampered_with_breaks_the_stream(pair):
    pair.client.write(b"RETR file\r\n")
    record = bytearray(pair.client.data_to_send())
    record[-1] ^= 1
    pair.server.feed(record)
    with pytest.raises(TlsError, match=r"bad record mac|decryption failed"):
        pair.server.read()


def test_a_break_is_seen_by_shutdown_too(pair):
    pair.server.feed(b"\x17\x03\x03\x00\x01x")
    assert pair.server.shutdown()
    assert pair.server.failure is not None


# --- handshakes that fail ---


@pytest.mark.parametrize(
    "junk", [b"G", b"GET / HTTP/1.1\r\n\r\n", b"USER alice\r\n", b"\x16\x02", b"\x80\x2e\x01"]
)
@pytest.mark.requirement("RSEC-xproto-a")
def test_what_is_not_tls_fails_at_once(pki, junk):
    server = new_server(pki)
    server.feed(junk)
    with pytest.raises(HandshakeFailed, match=r"not a TLS ClientHello"):
        server.do_handshake()
    with pytest.raises(HandshakeFailed):
        server.do_handshake()
    assert not server.handshake_done


def test_a_client_that_gets_something_else_than_tls_says_so(pki):
    client = new_client(pki)
    client.do_handshake()
    client.feed(b"220 ready\r\n")
    with pytest.raises(HandshakeFailed, match="is not TLS"):
        client.do_handshake()


def test_an_endless_client_hello_fails(pki):
    server = new_server(pki)
    announced = (MAX_HELLO_BYTES - 100).to_bytes(3)
    stream = in_small_records(b"\x16\x03\x01\0\0\x01" + announced + bytes(MAX_HELLO_BYTES), 100)
    server.feed(stream[:MAX_HELLO_BYTES])
    assert not server.do_handshake()
    server.feed(stream[MAX_HELLO_BYTES:])
    with pytest.raises(HandshakeFailed, match="longer than"):
        server.do_handshake()


@pytest.mark.requirement("RTLS-j")
@pytest.mark.parametrize("protocols", [("h2",), ("http/1.1", "h2"), ("FTP",), ("ftp2",)])
@pytest.mark.parametrize("size", [16_384, 50, 1])
def test_an_alpn_list_without_ftp_is_refused_with_an_alert(pki, protocols, size):
    server = new_server(pki)
    for octet in in_small_records(hello_offering(*protocols), size):
        server.feed(bytes([octet]))
        if server.failure is None:
            assert not server.do_handshake()
    with pytest.raises(HandshakeFailed, match="ALPN"):
        server.do_handshake()
    assert server.data_to_send() == NO_APPLICATION_PROTOCOL
    assert server.data_to_send() == b""


def test_the_peer_understands_the_alert_about_alpn(pki):
    context = client_context(pki.trust())
    context.set_alpn_protocols(["h2"])
    client = TlsEngine(context, server_side=False, server_hostname="localhost")
    server = new_server(pki)
    client.do_handshake()
    server.feed(client.data_to_send())
    with pytest.raises(HandshakeFailed):
        server.do_handshake()
    client.feed(server.data_to_send())
    with pytest.raises(HandshakeFailed, match="ALPN 'ftp'"):
        client.do_handshake()


@pytest.mark.requirement("RTLS-j")
@pytest.mark.parametrize("protocols", [(), ("ftp",), ("h2", "ftp")])
def test_no_alpn_and_a_list_with_ftp_are_served(pki, protocols):
    server = new_server(pki)
    server.feed(hello_offering(*protocols))
    assert not server.do_handshake()
    assert server.data_to_send()


def test_the_demand_for_ftp_in_alpn_can_be_dropped(pki):
    server = new_server(pki, require_alpn_ftp=False)
    server.feed(hello_offering("h2"))
    assert not server.do_handshake()
    assert server.data_to_send()


@pytest.mark.requirement("RTLS-k")
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_client_hello_over_many_records_is_served(pki, size):
    server = new_server(pki)
    server.feed(in_small_records(hello_offering("ftp"), size))
    assert not server.do_handshake()
    assert server.data_to_send()[0] == 22


@pytest.mark.requirement("RTLS-a")
@pytest.mark.parametrize("legacy", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_refused_with_an_alert(pki, legacy):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = legacy
    client = TlsEngine(context, server_side=False, server_hostname="localhost")
    server = new_server(pki, "1.2")
    client.do_handshake()
    server.feed(client.data_to_send())
    with pytest.raises(HandshakeFailed, match=r"TLS 1\.2 is the floor"):
        server.do_handshake()
    assert server.data_to_send()[-2:] == bytes([FATAL, PROTOCOL_VERSION])


@pytest.mark.requirement("RTLS-a")
def test_a_client_refuses_a_server_that_has_old_versions_only(pki):
    client = new_client(pki)
    client.do_handshake()
    client.feed(bytes([0x15, 3, 2, 0, 2, FATAL, PROTOCOL_VERSION]))
    with pytest.raises(HandshakeFailed, match="refuses our TLS versions"):
        client.do_handshake()


def test_a_rejected_certificate_is_told_to_the_peer(pki, version, join):
    asks = ClientCertificate.REQUIRED
    server = ServerContexts(pki.policy(version, asks)).for_control().context
    client = replace(pki.trust(pki.client), ca_file=pki.other_ca)
    pair = join(server, client_context(client))
    assert isinstance(pair.errors["client"], CertificateRejected)
    assert "unknown_ca" in str(pair.errors["server"])


@pytest.mark.parametrize("said", [0, 100])
def test_an_end_in_the_handshake_is_a_failure(pki, version, said):
    client, server = new_client(pki), new_server(pki, version)
    client.do_handshake()
    server.feed(client.data_to_send()[:said])
    server.feed_eof()
    with pytest.raises(HandshakeFailed, match="closed the connection"):
        server.do_handshake()
    assert not server.truncated


# --- pins ---


@pytest.mark.requirement("R4217-15.1-e")
def test_the_pinned_certificate_is_accepted_and_stays_so(pki, version, pair):
    pin = parse_pin(fingerprint(pair.client.peer_certificate))
    context = client_context(replace(pki.trust(), ca_file=None, pin_sha256=pin))
    client = TlsEngine(context, server_side=False, server_hostname="some.name", pin_sha256=pin)
    server = new_server(pki, version)
    for _ in range(4):
        client.do_handshake()
        server.feed(client.data_to_send())
        server.do_handshake()
        client.feed(server.data_to_send())
    assert client.do_handshake()


@pytest.mark.requirement("R4217-10.3-e", "RTLS-n")
def test_another_certificate_than_the_pinned_one_never_counts_but_lets_quit_through(pki, version):
    context = client_context(replace(pki.trust(), ca_file=None, pin_sha256=bytes(32)))
    client = TlsEngine(context, server_side=False, server_hostname="some.name", pin_sha256=bytes(32))
    server = new_server(pki, version)
    rejections = 0
    for _ in range(4):
        try:
            client.do_handshake()
        except CertificateRejected:
            rejections += 1
        server.feed(client.data_to_send())
        server.do_handshake()
        client.feed(server.data_to_send())
    assert rejections >= 2
    client.write(b"QUIT\r\n")
    client.shutdown()
    server.feed(client.data_to_send())
    assert server.do_handshake()
    assert server.read() == b"QUIT\r\n"
    assert server.peer_closed


# --- renegotiation ---


def ask_for_renegotiation(engine: TlsEngine) -> None:
    """Let OpenSSL itself start a renegotiation; Python has no call for it."""
    library = ctypes.CDLL(_ssl.__file__)
    if not hasattr(library, "SSL_renegotiate"):
        pytest.skip("this Python keeps OpenSSL's functions to itself")
    # struct PySSLSocket: object head (two words), owner, SSL*
    handle = ctypes.c_void_p.from_address(id(engine._object._sslobj) + 3 * ctypes.sizeof(ctypes.c_void_p))
    library.SSL_renegotiate.argtypes = library.SSL_do_handshake.argtypes = [ctypes.c_void_p]
    assert library.SSL_renegotiate(handle.value) == 1
    library.SSL_do_handshake(handle.value)


@pytest.mark.requirement("RTLS-d")
@pytest.mark.parametrize("allowed", [True, False], ids=["control", "ours"])
def test_renegotiation_is_refused(pki, join, allowed):
    server_context = ServerContexts(pki.policy("1.2")).for_control().context
    client = client_context(pki.trust())
    client.options &= ~ssl.OP_NO_RENEGOTIATION
    if allowed:  # shows that the attempt is a real one: a server that allows it answers with a handshake
        server_context.options &= ~ssl.OP_NO_RENEGOTIATION
        server_context.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
    pair = join(server_context, client)
    ask_for_renegotiation(pair.client)
    attempt = pair.client.data_to_send()
    assert attempt[0] == 22
    pair.server.feed(attempt)
    assert pair.server.read() == b""
    answer = pair.server.data_to_send()
    assert answer[0] == (22 if allowed else 21)
    if not allowed:
        pair.client.feed(answer)
        with pytest.raises(TlsError, match="no renegotiation"):
            pair.client.read()


def test_a_write_that_openssl_cannot_do_breaks_the_stream(pki, join):
    client = client_context(pki.trust())
    client.options &= ~ssl.OP_NO_RENEGOTIATION
    pair = join(ServerContexts(pki.policy("1.2")).for_control().context, client)
    ask_for_renegotiation(pair.client)
    with pytest.raises(TlsError, match="TLS stream"):
        pair.client.write(b"NOOP\r\n")
    assert pair.client.failure is not None


def test_the_engine_knows_whether_it_stands_between_records() -> None:
    engine = TlsEngine(
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), server_side=False, server_hostname="localhost"
    )
    assert engine.is_between_records
    for octet in bytes.fromhex("17 03 03 00 02 aa bb 15 03 03 00"):
        engine.feed(bytes((octet,)))
        seen = engine.is_between_records
        assert seen == (octet == 0xBB)
    engine.feed(bytes.fromhex("00"))
    assert engine.is_between_records


def test_a_session_is_asked_for_again_only_when_a_ticket_may_have_come(pair, version):
    first = pair.client.session
    pair.server.write(b"220 Hello\r\n")
    pair.carry()
    assert pair.client.read() == b"220 Hello\r\n"
    assert pair.client.session is first


@pytest.mark.parametrize("name", [b"\xff\xfe", "bücher.example".encode()])
def test_a_server_name_that_is_not_ascii_gets_an_alert_of_its_own(pki, name):
    server = TlsEngine(ServerContexts(pki.policy("1.3")).for_control().context, server_side=True)
    server.feed(hello_with(name))
    with pytest.raises(HandshakeFailed, match="is none"):
        server.do_handshake()
    assert server.data_to_send() == bytes.fromhex("15 03 03 00 02 02 70")


def test_a_server_name_that_nobody_has_is_served(pki):
    server = TlsEngine(ServerContexts(pki.policy("1.3")).for_control().context, server_side=True)
    server.feed(hello_with(b"not a host name"))
    assert not server.do_handshake()
    assert server.data_to_send().startswith(b"\x16")
