"""Reads a ClientHello before TLS answers it: server name, ALPN, versions, tickets (RFC 8446 §4.1.2).

CPython's server goes on when a client's ALPN list has nothing for it, so the list is judged here. Pure: bytes
in, values out; must not change what TLS itself does with the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.errors import RemoteProtocolError, shorten

__all__ = [
    "MAX_HELLO_BYTES",
    "ClientHello",
    "ClientHelloReader",
    "acceptable_alpn",
    "acceptable_server_name",
    "parse_client_hello",
]

#: A ClientHello with post-quantum keys and tickets stays under 4 KiB; this leaves room and bounds memory.
MAX_HELLO_BYTES = 64 * 1024

_RECORD_HEADER_BYTES = 5
_MAX_RECORD_BYTES = 1 << 14
_MESSAGE_HEADER_BYTES = 4
_HANDSHAKE = 22
_CLIENT_HELLO = 1

_SERVER_NAME = 0
_ALPN = 16
_SESSION_TICKET = 35
_PRE_SHARED_KEY = 41
_SUPPORTED_VERSIONS = 43


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client says at the start of a handshake; all of it unproven.

    Attributes:
        server_name: The host name of SNI, or None.
        alpn: The protocols offered, in order; octets beyond ASCII as Latin-1; empty when ALPN is not used.
        versions: The versions offered as on the wire (0x0303 is TLS 1.2, 0x0304 TLS 1.3), in the client's
            order.
        tickets: The tickets offered: the TLS 1.2 ticket or the TLS 1.3 identities.
    """

    server_name: str | None = None
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()
    tickets: tuple[bytes, ...] = ()


def acceptable_alpn(hello: ClientHello) -> bool:
    """Return whether the client's ALPN offer lets it speak FTP: no offer at all, or "ftp" in it.

    A list without "ftp" comes from a program that thinks it speaks to a web or mail server, which somebody
    has led here (ALPACA); RFC 7301 §3.2 has it refused with no_application_protocol.
    """
    return not hello.alpn or "ftp" in hello.alpn


def acceptable_server_name(hello: ClientHello) -> bool:
    """Return whether the name in SNI, if there is one, is ASCII, as RFC 6066 §3 has it; it may be unknown.

    CPython's server would answer any other with a traceback in the log and an internal_error.
    """
    return hello.server_name is None or hello.server_name.isascii()


def parse_client_hello(data: bytes) -> ClientHello | None:
    """Return the ClientHello at the start of a byte stream, or None when more bytes are needed.

    Args:
        data: The stream from its first byte, TLS records; what follows the ClientHello is ignored.

    Raises:
        RemoteProtocolError: This is no TLS, no ClientHello, a broken or a too long one.
    """
    return ClientHelloReader().feed(data)


class ClientHelloReader:
    """Reads a ClientHello that comes in pieces: cut into records and into feeds in any way.

    Keeps its place, so that many small pieces cost no more than one big one.
    """

    __slots__ = ("_hello", "_message", "_partial", "_taken_bytes")

    def __init__(self) -> None:
        self._partial = bytearray()
        self._message = bytearray()
        self._taken_bytes = 0
        self._hello: ClientHello | None = None

    def feed(self, data: bytes) -> ClientHello | None:
        """Take more of the stream; return the ClientHello once it is whole. Does not block.

        Raises:
            RemoteProtocolError: As in `parse_client_hello`.
        """
        if self._hello is not None:
            return self._hello
        self._partial += data[: MAX_HELLO_BYTES + 1]
        position = 0
        while self._hello is None:
            length = self._record_length(position)
            if length is None:
                break
            start = position + _RECORD_HEADER_BYTES
            self._message += self._partial[start : start + length]
            position = start + length
            self._taken_bytes += _RECORD_HEADER_BYTES + length
            if self._taken_bytes > MAX_HELLO_BYTES:
                raise _too_long()
            self._hello = self._whole_message()
        del self._partial[:position]
        if self._hello is None and self._taken_bytes + len(self._partial) > MAX_HELLO_BYTES:
            raise _too_long()
        return self._hello

    def _record_length(self, position: int) -> int | None:
        """Check the record that begins at a position; return its length once all of it is there."""
        header = self._partial[position : position + _RECORD_HEADER_BYTES]
        # Each octet is judged as soon as it is there, so that "GET / HTTP/1.1" waits for nothing.
        if (header and header[0] != _HANDSHAKE) or (len(header) > 1 and header[1] != 3):
            begin = bytes(self._partial[position : position + 16])
            raise RemoteProtocolError(f"not a TLS ClientHello: the peer sent {shorten(begin)!r}")
        if len(header) < _RECORD_HEADER_BYTES:
            return None
        length = int.from_bytes(header[3:5])
        if not 0 < length <= _MAX_RECORD_BYTES:
            raise RemoteProtocolError(f"not a TLS ClientHello: a record of {length} bytes")
        return length if len(self._partial) - position >= _RECORD_HEADER_BYTES + length else None

    def _whole_message(self) -> ClientHello | None:
        message = self._message
        if message[0] != _CLIENT_HELLO:
            raise RemoteProtocolError(
                f"the first TLS message is of type {message[0]}: a ClientHello was expected"
            )
        if len(message) < _MESSAGE_HEADER_BYTES:
            return None
        end = _MESSAGE_HEADER_BYTES + int.from_bytes(message[1:4])
        if end > MAX_HELLO_BYTES:
            raise _too_long()
        return _parse_body(bytes(message[_MESSAGE_HEADER_BYTES:end])) if len(message) >= end else None


def _too_long() -> RemoteProtocolError:
    return RemoteProtocolError(f"the ClientHello is longer than {MAX_HELLO_BYTES} bytes")


def _too_short() -> RemoteProtocolError:
    return RemoteProtocolError("broken ClientHello: a field is longer than what holds it")


class _Octets:
    """Takes fields off a byte string; running out is the peer's fault."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise _too_short()
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def number(self, width_bytes: int) -> int:
        return int.from_bytes(self.take(width_bytes))

    def vector(self, width_bytes: int) -> bytes:
        # Most of a hello is vectors: one step for the length and what follows it, where both are there.
        start = self._position + width_bytes
        end = start + int.from_bytes(self._data[self._position : start])
        if end > len(self._data):
            raise _too_short()
        self._position = end
        return self._data[start:end]


def _parse_body(body: bytes) -> ClientHello:
    octets = _Octets(body)
    legacy_version = octets.number(2)
    octets.take(32)  # random
    octets.vector(1)  # session id
    octets.vector(2)  # cipher suites
    octets.vector(1)  # compression methods
    extensions = _extensions(octets.vector(2)) if octets else {}
    versions = _versions(extensions.get(_SUPPORTED_VERSIONS))
    ticket = extensions.get(_SESSION_TICKET)
    return ClientHello(
        server_name=_server_name(extensions.get(_SERVER_NAME)),
        alpn=_alpn(extensions.get(_ALPN)),
        versions=versions or (legacy_version,),
        tickets=((ticket,) if ticket else ()) + _identities(extensions.get(_PRE_SHARED_KEY)),
    )


def _extensions(data: bytes) -> dict[int, bytes]:
    octets = _Octets(data)
    found: dict[int, bytes] = {}
    while octets:
        kind = octets.number(2)
        # RFC 8446 §4.2: not twice, or two readers might each look at another one.
        if kind in found:
            raise RemoteProtocolError(f"broken ClientHello: extension {kind} comes twice")
        found[kind] = octets.vector(2)
    return found


def _server_name(data: bytes | None) -> str | None:
    if not data:
        return None
    names = _Octets(_Octets(data).vector(2))
    while names:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            return name.decode("latin-1")
    return None


def _alpn(data: bytes | None) -> tuple[str, ...]:
    if data is None:
        return ()
    names = _Octets(_Octets(data).vector(2))
    found: list[str] = []
    while names:
        found.append(names.vector(1).decode("latin-1"))
    if not found:
        raise RemoteProtocolError("broken ClientHello: an empty ALPN list")
    return tuple(found)


def _versions(data: bytes | None) -> tuple[int, ...]:
    if data is None:
        return ()
    versions = _Octets(_Octets(data).vector(1))
    found: list[int] = []
    while versions:
        found.append(versions.number(2))
    return tuple(found)


def _identities(data: bytes | None) -> tuple[bytes, ...]:
    if data is None:
        return ()
    identities = _Octets(_Octets(data).vector(2))
    found: list[bytes] = []
    while identities:
        found.append(identities.vector(2))
        identities.take(4)  # obfuscated age
    return tuple(found)
