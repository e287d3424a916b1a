"""TLS hellos that no TLS library would send."""

from __future__ import annotations

import contextlib
import ssl

__all__ = ["hello_with"]


def hello_with(name: bytes) -> bytes:
    """A ClientHello of OpenSSL's whose SNI holds these octets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
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
