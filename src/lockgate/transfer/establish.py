"""Opens data connections: listen, accept, connect, TLS handshake; must not know who asks or why.

Everything blocks until its deadline at most, on sockets that do not block themselves; a peer that sends its
handshake byte by byte gains no time. Everything can be interrupted through a `Stop`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import select
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from lockgate.errors import CertificateRejected, HandshakeFailed, LocalProtocolError, shorten
from lockgate.transfer import kernel
from lockgate.transfer.outcome import NotOpened
from lockgate.transfer.ports import ANY_PORT, PortRange, PortsExhausted
from lockgate.transfer.stop import Stop
from lockgate.transfer.streams import STALL_SECONDS, PlainStream, TlsStream

__all__ = ["Wait", "accept", "connect", "listen", "normal_address", "plain", "start_tls"]


class Wait(Protocol):
    """Blocks until an event or the deadline; `kernel.wait_until` is one.

    Another may watch more than the data connection, and raise when there is nothing left to wait for.
    """

    def __call__(
        self, sock: socket.socket, events: int, /, *, deadline: float, stop: Stop | None = None
    ) -> bool:
        """Return False when the deadline passes first."""


# Strangers wait in this queue with the rightful client until they are dropped; it must not overflow easily.
_BACKLOG = 32
# What Linux's IP_BIND_ADDRESS_NO_PORT is called in C; Python has no name for it.
_IP_BIND_ADDRESS_NO_PORT = 24
_MISSING_PEER = frozenset({errno.ECONNABORTED, errno.EAGAIN, errno.EINTR, errno.EPROTO, errno.ECONNRESET})


@functools.lru_cache(maxsize=1024)
def normal_address(host: str) -> str:
    """Return a numeric address in its one usual form: no zone, IPv4 inside IPv6 as plain IPv4.

    Two addresses of the same host compare equal then, whichever socket they came from.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def listen(
    host: str, ports: PortRange = ANY_PORT, *, family: socket.AddressFamily | None = None
) -> socket.socket:
    """Open a listening socket on a port of the range, picked at random (RFC 2577 section 8). Does not block.

    Args:
        host: A numeric local address; "" is every address.
        ports: Where the port may lie. Every port is tried before giving up.
        family: AF_INET or AF_INET6; the default is the family of `host`.

    Returns:
        A socket that does not block; for `accept`.

    Raises:
        PortsExhausted: No port of the range is free.
        NotOpened: The address is not one of this machine's, or no descriptor is left.
    """
    if family is None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in ports.in_random_order():
        listener = _new_socket(family)
        try:
            # Otherwise each port is blocked for a minute after a transfer that we ended first (TIME_WAIT).
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "" else 1)
            listener.bind(_numeric(host, port, family))
            # Two sockets may bind the same port; only listen() tells that somebody was first.
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise NotOpened(f"cannot listen on {shorten(host)}: {error.strerror}") from error
        except BaseException:
            listener.close()
            raise
        else:
            listener.setblocking(False)
            return listener
    raise PortsExhausted(
        f"no free port for a data connection in the range {ports}: widen it, or allow fewer transfers"
    )


def accept(
    listener: socket.socket,
    *,
    allowed: Callable[[str], bool],
    deadline: float,
    stop: Stop | None = None,
    wait: Wait = kernel.wait_until,
) -> socket.socket:
    """Block until somebody who is allowed connects; strangers are dropped and do not end the wait.

    RFC 2577 sections 4 and 8: a stranger who reaches the port first is neither served nor able to keep the
    rightful client out.

    Args:
        listener: From `listen`; it stays open, the caller closes it. An interruption ends its listening.
        allowed: Judges the peer's address, in the form of `normal_address`.
        deadline: A `time.monotonic()` value.
        stop: Interrupts the wait.
        wait: How to wait; what it raises comes out.

    Returns:
        A connected socket for `plain` or `start_tls`.

    Raises:
        NotOpened: Nobody allowed came in time, or no descriptor is left.
        TransferAborted: Interrupted.
    """
    stop = stop or Stop()
    with stop.watching(listener):
        while wait(listener, select.POLLIN, deadline=deadline, stop=stop):
            try:
                sock, address = listener.accept()
            except OSError as error:
                stop.check()
                if error.errno in _MISSING_PEER:
                    continue
                raise NotOpened(f"cannot accept a data connection: {error.strerror}") from error
            if allowed(normal_address(address[0])):
                return _prepared(sock)
            sock.close()
    raise NotOpened("the peer did not open the data connection in time: a firewall may be in the way")


def connect(
    host: str,
    port: int,
    *,
    deadline: float,
    source: tuple[str, int] | None = None,
    stop: Stop | None = None,
) -> socket.socket:
    """Connect to a numeric address. Blocks until the deadline at most.

    Args:
        host: A numeric address (no names: looking them up has no deadline).
        port: The port.
        deadline: A `time.monotonic()` value.
        source: The local address and port (0: any) to connect from.
        stop: Interrupts the wait.

    Returns:
        A connected socket for `plain` or `start_tls`.

    Raises:
        NotOpened: The peer refused, is not reachable, or did not answer in time.
        TransferAborted: Interrupted.
    """
    stop = stop or Stop()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = _new_socket(family)
    try:
        sock.setblocking(False)
        if source is not None:
            _bind_source(sock, source)
        with stop.watching(sock):
            _connect(sock, _numeric(host, port, family), deadline=deadline, stop=stop)
        return _prepared(sock)
    except OSError as error:
        sock.close()
        stop.check()
        where = f"{shorten(host)} port {port}"
        raise NotOpened(f"no data connection to {where}: {error.strerror or error}") from error
    except BaseException:
        sock.close()
        raise


def plain(
    sock: socket.socket, *, stall_seconds: float = STALL_SECONDS, stop: Stop | None = None
) -> PlainStream:
    """Make a stream in clear of a connected socket, which it takes over. Does not block.

    Raises:
        TransferAborted: `stop` was asked to interrupt before; the socket is closed.
    """
    stop = stop or Stop()
    kernel.set_no_delay(sock)
    try:
        stop.attach(sock)
        return PlainStream(sock, stall_seconds=stall_seconds, stop=stop)
    except BaseException:
        stop.detach()
        sock.close()
        raise


def start_tls(
    sock: socket.socket,
    context: ssl.SSLContext,
    *,
    server_side: bool,
    deadline: float,
    server_hostname: str | None = None,
    session: ssl.SSLSession | None = None,
    stall_seconds: float = STALL_SECONDS,
    stop: Stop | None = None,
    wait: Wait = kernel.wait_until,
) -> TlsStream:
    """Run a TLS handshake on a connected socket, which the stream takes over.

    Blocks until the deadline at most.

    RFC 4217 section 7: the FTP server is the TLS server, whoever opened the connection.

    Args:
        sock: Connected; closed when the handshake fails.
        context: For a server, the control connection's own context (its tickets bind data to control).
        server_side: Whether we are the FTP server.
        deadline: A `time.monotonic()` value for the whole handshake, however many pieces it comes in.
        server_hostname: The name to check and to send, as a client.
        session: A session to offer, as a client.
        stall_seconds: For the stream, once the handshake is done.
        stop: Interrupts the handshake, and later the stream.
        wait: How the handshake waits; what it raises comes out.

    Raises:
        CertificateRejected: The peer's certificate is not acceptable, or ours is not to the peer.
        HandshakeFailed: The handshake failed for another reason, or did not end in time.
        TransferAborted: Interrupted.
    """
    if context.options & getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0):
        sock.close()
        raise LocalProtocolError(
            "this TLS context hides truncation (OP_IGNORE_UNEXPECTED_EOF): clear that option"
        )
    stop = stop or Stop()
    kernel.set_no_delay(sock)
    kernel.unblock(sock)
    try:
        # Of a connection that is gone already CPython leaves a socket unclosed: ask before.
        sock.getpeername()
        tls = context.wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            server_hostname=server_hostname,
            session=session,
        )
    except (OSError, ValueError) as error:
        sock.close()
        stop.check()
        raise HandshakeFailed(f"the TLS handshake could not begin: {error}") from error
    try:
        stop.attach(tls)
        _handshake(tls, deadline=deadline, stop=stop, wait=wait)
        return TlsStream(tls, stall_seconds=stall_seconds, stop=stop)
    except BaseException:
        stop.detach()
        _drop(tls)
        raise


def _handshake(tls: ssl.SSLSocket, *, deadline: float, stop: Stop, wait: Wait) -> None:
    while True:
        stop.check()
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            events = select.POLLIN
        except ssl.SSLWantWriteError:
            events = select.POLLOUT
        except OSError as error:
            stop.check()
            raise _handshake_error(error) from error
        else:
            return
        if not wait(tls, events, deadline=deadline, stop=stop):
            raise HandshakeFailed("the peer did not complete the TLS handshake in time")


def _handshake_error(error: OSError) -> HandshakeFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateRejected(f"the peer's certificate is not acceptable: {error.verify_message}")
    if isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError):
        return HandshakeFailed("the peer closed the data connection during the TLS handshake")
    reason = error.reason or "unknown TLS error"
    if "CERTIFICATE" in reason:
        return CertificateRejected(f"the TLS handshake failed over a certificate: {reason}")
    return HandshakeFailed(f"the TLS handshake failed: {reason}")


def _drop(tls: ssl.SSLSocket) -> None:
    """Close after a failed handshake, so that the alert that says why still arrives."""
    with contextlib.suppress(OSError, ValueError):
        socket.socket.shutdown(tls, socket.SHUT_WR)
        kernel.unblock(tls)
        # What is left unread would make close() send a reset, which may overtake the alert.
        for _ in range(4):
            if not socket.socket.recv(tls, 65536):
                break
    tls.close()


def _connect(sock: socket.socket, address: tuple[str, int], *, deadline: float, stop: Stop) -> None:
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        if not kernel.wait_until(sock, select.POLLOUT, deadline=deadline, stop=stop):
            raise NotOpened(f"{shorten(address[0])} port {address[1]} did not answer in time")
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, errno.errorcode.get(code, "error"))


def _bind_source(sock: socket.socket, source: tuple[str, int]) -> None:
    host, port = source
    if port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        # Let connect() choose the port: the same one can then serve several destinations.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind(_numeric(host, port, sock.family))


def _numeric(host: str, port: int, family: int) -> tuple[str, int]:
    """Return the address for the socket calls, zone included, without ever asking a name server."""
    if not host:
        return ("", port)
    found = socket.getaddrinfo(
        host, port, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )
    return found[0][4]  # type: ignore[return-value]


def _new_socket(family: int) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise NotOpened(f"cannot make a socket for a data connection: {error.strerror}") from error


def _prepared(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    kernel.set_no_delay(sock)
    return sock
