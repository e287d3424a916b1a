from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import RemoteProtocolError
from lockgate.tls.contexts import ServerContexts, client_context
from lockgate.tls.hello import (
    MAX_HELLO_BYTES,
    ClientHello,
    ClientHelloReader,
    acceptable_alpn,
    parse_client_hello,
)


def vector(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width) + content


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2) + vector(2, content)


def body(*extensions: bytes, version: int = 0x0303, tail: bytes | None = None) -> bytes:
    fixed = version.to_bytes(2) + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0")
    return fixed + (vector(2, b"".join(extensions)) if tail is None else tail)


def message(content: bytes) -> bytes:
    return b"\x01" + vector(3, content)


def records(handshake: bytes, size: int = 16_384) -> bytes:
    pieces = [handshake[at : at + size] for at in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)


def hello(*extensions: bytes, **options) -> bytes:
    return records(message(body(*extensions, **options)))


def alpn(*names: bytes) -> bytes:
    return extension(16, vector(2, b"".join(vector(1, name) for name in names)))


def sni(name: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes([kind]) + vector(2, name)))


def openssl_hello(*, session=None, context=None, name="files.example.com") -> bytes:
    context = context or ssl.create_default_context()
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name, session=session)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_openssls_hello_is_read():
    context = ssl.create_default_context()
    context.set_alpn_protocols(["ftp", "h2"])
    found = parse_client_hello(openssl_hello(context=context))
    assert found.server_name == "files.example.com"
    assert found.alpn == ("ftp", "h2")
    assert set(found.versions) >= {0x0303, 0x0304}
    assert found.tickets == ()


def test_without_extensions_the_legacy_version_counts():
    assert parse_client_hello(hello(tail=b"", version=0x0302)) == ClientHello(versions=(0x0302,))
    assert parse_client_hello(hello()) == ClientHello(versions=(0x0303,))


def test_supported_versions_count_more_than_the_legacy_one():
    offered = extension(43, vector(1, b"\x03\x04\x03\x03"))
    assert parse_client_hello(hello(offered)).versions == (0x0304, 0x0303)


def test_the_tickets_offered_are_found(pki, version, join):
    context = client_context(pki.trust())
    pair = join(ServerContexts(pki.policy(version)).for_control().context, context)
    pair.client.read()
    offer = openssl_hello(session=pair.client.session, context=context, name="localhost")
    found = parse_client_hello(offer)
    assert len(found.tickets) == 1
    assert parse_client_hello(openssl_hello(context=context, name="localhost")).tickets == ()


def test_an_empty_ticket_extension_offers_nothing():
    assert parse_client_hello(hello(extension(35, b""))).tickets == ()


def test_names_of_another_kind_and_an_empty_extension_are_no_server_name():
    assert parse_client_hello(hello(sni(b"x", kind=7))).server_name is None
    assert parse_client_hello(hello(extension(0, b""))).server_name is None


@pytest.mark.parametrize("size", [1, 2, 5, 100, 16_384])
@pytest.mark.parametrize("step", [1, 7, 1_000_000])
def test_a_hello_may_be_cut_into_records_and_feeds_in_any_way(size, step):
    stream = records(message(body(sni(b"localhost"), alpn(b"ftp"))), size)
    reader = ClientHelloReader()
    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        whole = at + step >= len(stream)
        found = reader.feed(piece)
        assert (found is not None) is whole
    assert found == ClientHello(server_name="localhost", alpn=("ftp",), versions=(0x0303,))
    assert reader.feed(b"what follows does not matter") == found


def test_what_follows_in_the_same_record_or_after_it_is_ignored():
    handshake = message(body(alpn(b"ftp")))
    for stream in (records(handshake + b"more"), records(handshake) + b"\x17\x03\x03..."):
        assert parse_client_hello(stream).alpn == ("ftp",)


@pytest.mark.parametrize(
    "junk",
    [
        b"G",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02",
        b"\x80\x2e\x01\x03\x01",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x40\x01",
        b"\x16\x03\x01\x00\x01\x02",
    ],
)
def test_what_is_no_client_hello_is_refused_at_once(junk):
    with pytest.raises(RemoteProtocolError):
        parse_client_hello(junk)


@pytest.mark.parametrize("length", [MAX_HELLO_BYTES - 3, 0xFFFFFF])
def test_a_hello_that_announces_too_much_is_refused_at_once(length):
    with pytest.raises(RemoteProtocolError, match="longer than"):
        parse_client_hello(records(b"\x01" + length.to_bytes(3)))


def test_a_hello_of_many_small_records_that_takes_too_much_is_refused():
    reader = ClientHelloReader()
    stream = records(b"\x01" + (40_000).to_bytes(3) + bytes(20_000), 1)
    assert reader.feed(stream[: MAX_HELLO_BYTES - 1]) is None
    assert reader.feed(stream[MAX_HELLO_BYTES - 1 : MAX_HELLO_BYTES]) is None
    with pytest.raises(RemoteProtocolError, match="longer than"):
        reader.feed(stream[MAX_HELLO_BYTES : MAX_HELLO_BYTES + 1])


def test_a_hello_that_is_too_long_is_too_long_in_one_piece_too():
    with pytest.raises(RemoteProtocolError, match="longer than"):
        parse_client_hello(records(message(body(extension(21, bytes(60_000)))), 20))


def test_the_longest_hello_that_fits_is_read():
    padding = extension(21, bytes(30_000))
    assert parse_client_hello(hello(padding, alpn(b"ftp"))).alpn == ("ftp",)


@pytest.mark.parametrize(
    "broken",
    [
        hello(tail=vector(2, b"\0")),
        hello(tail=b"\xff\xff"),
        hello(extension(16, b"")),
        hello(alpn()),
        hello(extension(16, b"\x00\x05\x09ftp")),
        hello(extension(0, b"\x00\x09\x00")),
        hello(extension(43, b"\x03\x03\x04\x03")),
        hello(extension(41, b"\x00\x03\x00\x01x")),
        hello(alpn(b"ftp"), alpn(b"h2")),
        records(message(b"\x03\x03")),
        records(message(b"")),
    ],
)
def test_a_broken_hello_is_refused(broken):
    with pytest.raises(RemoteProtocolError, match="broken ClientHello"):
        parse_client_hello(broken)


@pytest.mark.parametrize(
    ("offered", "acceptable"),
    [
        ((), True),
        (("ftp",), True),
        (("h2", "ftp"), True),
        (("h2",), False),
        (("FTP",), False),
        (("",), False),
    ],
)
@pytest.mark.requirement("RTLS-j")
def test_alpn_is_acceptable_without_a_list_or_with_ftp_in_it(offered, acceptable):
    assert acceptable_alpn(ClientHello(alpn=offered)) is acceptable


def test_octets_beyond_ascii_in_names_do_no_harm():
    found = parse_client_hello(hello(sni(b"\xff\xfe"), alpn(b"\x0a\x0a", b"\xff")))
    assert found.server_name == "\xff\xfe"
    assert found.alpn == ("\x0a\x0a", "\xff")


@given(st.binary(max_size=300))
def test_any_octets_give_a_hello_or_nothing_or_our_error(data):
    for stream in (data, records(data) if data else b"", records(message(data))):
        try:
            found = parse_client_hello(stream)
        except RemoteProtocolError:
            continue
        assert found is None or isinstance(found, ClientHello)


@given(st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=40)), max_size=4), st.integers(1, 50))
def test_any_extensions_give_the_same_however_they_are_cut(extensions, step):
    stream = hello(*(extension(kind, content) for kind, content in extensions))

    def read(pieces):
        reader = ClientHelloReader()
        try:
            return [reader.feed(piece) for piece in pieces][-1]
        except RemoteProtocolError as error:
            return str(error)

    assert read([stream]) == read([stream[at : at + step] for at in range(0, len(stream), step)])
