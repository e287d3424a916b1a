"""The TLS hello of a data connection, judged before OpenSSL answers it; blocking, for worker threads."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from lockgate.errors import HandshakeFailed, RemoteProtocolError
from lockgate.tls.hello import (
    MAX_HELLO_BYTES,
    ClientHello,
    ClientHelloReader,
    acceptable_alpn,
    acceptable_server_name,
)
from lockgate.transfer import kernel

if TYPE_CHECKING:
    from lockgate.transfer.stop import Stop

__all__ = ["check_hello"]

# How often a hello that has come in part is looked at again.
_HELLO_PAUSE_SECONDS = 0.01


def check_hello(sock: socket.socket, *, deadline: float, stop: Stop) -> ClientHello:
    """Refuse a client whose ALPN list lacks "ftp" (ALPACA); the ssl module would silently go on.

    Blocks until the hello is here; the bytes stay in the socket, which is closed when it is refused.

    Raises:
        HandshakeFailed: It speaks to another service, sent no hello, one that is too long, or not in time.
    """
    try:
        with stop.watching(sock):
            return _await_hello(sock, deadline=deadline, stop=stop)
    except RemoteProtocolError as error:
        sock.close()
        raise HandshakeFailed(f"the client's TLS hello is refused: {error}") from error
    except OSError as error:
        sock.close()
        stop.check()
        raise HandshakeFailed(_NO_HELLO) from error
    except BaseException:
        sock.close()
        raise


_NO_HELLO = "the client closed the data connection before its TLS hello"


def _await_hello(sock: socket.socket, *, deadline: float, stop: Stop) -> ClientHello:
    reader, seen = ClientHelloReader(), 0
    while kernel.wait_until(sock, select.POLLIN, deadline=deadline, stop=stop):
        # One more than a hello may have: the reader refuses what it cannot judge, OpenSSL takes 128 KiB.
        data = sock.recv(MAX_HELLO_BYTES + 1, socket.MSG_PEEK)
        hello = reader.feed(data[seen:])
        if hello is not None:
            return _acceptable(hello)
        if not data or kernel.has_ended(sock):
            raise HandshakeFailed(_NO_HELLO)
        # A part of a hello: poll would say at once that it is readable, past the deadline too.
        if time.monotonic() >= deadline:
            break
        seen = len(data)
        stop.wait(_HELLO_PAUSE_SECONDS)
    raise HandshakeFailed("the client sent no TLS hello in time")


def _acceptable(hello: ClientHello) -> ClientHello:
    if not acceptable_alpn(hello):
        raise HandshakeFailed("the client's ALPN list has no 'ftp'")
    if not acceptable_server_name(hello):
        raise HandshakeFailed("the server name that the client asks for is none")
    return hello
