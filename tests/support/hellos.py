"""TLS hellos that no TLS library would send."""

from __future__ import annotations

import contextlib
import ssl

__all__ = ["hello_with", "padded_hello"]

_RECORD_BYTES = 1 << 14
_UNUSED = 0x0A0A  # for nothing, for ever (RFC 8701)


def hello_with(name: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """A ClientHello of OpenSSL's whose SNI holds these octets."""
    context = context or _careless_context()
    outgoing = ssl.MemoryBIO()
    marker = "m" * 40 + ".example"
    engine = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=marker)
    with contextlib.suppress(ssl.SSLWantReadError):
        engine.do_handshake()
    hello = outgoing.read()
    at = hello.index(marker.encode())
    grown = len(name) - len(marker)

    def length(position: int, width: int) -> bytes:
        return (int.from_bytes(hello[position : position + width]) + grown).to_bytes(width)

    # The record's, the message's, the extension list's, the extension's, the name list's, the name's.
    extensions = hello.index(b"\0\0" + (len(marker) + 5).to_bytes(2), 40) - 2
    return b"".join(
        [
            *(hello[:3], length(3, 2), hello[5:6], length(6, 3), hello[9:extensions]),
            *(length(extensions, 2), hello[extensions + 2 : at - 7], length(at - 7, 2), length(at - 5, 2)),
            *(hello[at - 3 : at - 2], length(at - 2, 2), name, hello[at + len(marker) :]),
        ]
    )


def _careless_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def padded_hello(context: ssl.SSLContext, length: int) -> bytes:
    """A ClientHello of OpenSSL's with `length` octets of an unknown extension before all the others."""
    outgoing = ssl.MemoryBIO()
    engine = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        engine.do_handshake()
    body = outgoing.read()[9:]
    at = 34
    # The session id, the suites, the compression methods.
    for width in (1, 2, 1):
        at += width + int.from_bytes(body[at : at + width])
    extensions = _UNUSED.to_bytes(2) + length.to_bytes(2) + bytes(length) + body[at + 2 :]
    body = body[:at] + len(extensions).to_bytes(2) + extensions
    message = b"\1" + len(body).to_bytes(3) + body
    pieces = [message[start : start + _RECORD_BYTES] for start in range(0, len(message), _RECORD_BYTES)]
    return b"".join(b"\x16\3\1" + len(piece).to_bytes(2) + piece for piece in pieces)
