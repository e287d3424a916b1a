"""Opens a control connection: name, TCP, TLS context. Blocks until a deadline; must not send anything."""

from __future__ import annotations

import logging
import os
import socket
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from lockgate.errors import ConnectionLost, TransferTimeout
from lockgate.tls.contexts import client_context
from lockgate.transfer import establish
from lockgate.transfer.outcome import NotOpened
from lockgate.transfer.workers import Workers

from .line import ControlLine
from .options import Options

__all__ = ["dial", "workers"]

_log = logging.getLogger(__name__)

workers = Workers(256, queue_limit=4096, name="lockgate-client")
"""Threads for name look-ups and for the asyncio driver's transfers; started when needed, gone when idle."""


def dial(options: Options) -> ControlLine:
    """Look the host up and connect to it, one address after the other.

    Blocks up to the options' time limit.

    Raises:
        ConnectionLost: No such host, or nobody listens there.
        TransferTimeout: No answer in time.
        ConfigError: A CA, certificate or key file cannot be used.
    """
    deadline = time.monotonic() + options.timeout
    # Before anything goes out: a wrong --ca must not cost a connection.
    context = client_context(options.trust) if options.wants_tls else None
    addresses = _look_up(options, deadline)
    failure: NotOpened | None = None
    for index, address in enumerate(addresses):
        # The first address may lead nowhere (IPv6 without a route); the others get their share of the time.
        share = (deadline - time.monotonic()) / (len(addresses) - index)
        try:
            sock = establish.connect(address, options.port, deadline=time.monotonic() + max(share, 0.0))
        except NotOpened as error:
            _log.debug("! %s: no connection to %s: %s", options.address, address, error.__cause__)
            failure = error
            continue
        _log.debug("= %s connected to %s", options.address, address)
        return ControlLine(sock, context, options)
    if time.monotonic() >= deadline:
        raise TransferTimeout(
            f"{options.address}: no connection within {options.timeout:g} s: check host, port and firewalls"
        ) from None
    # The operating system's error says more than how a data connection would have failed.
    cause = None if failure is None else failure.__cause__
    raise ConnectionLost(f"{options.address}: no connection: {_reason(cause)}") from cause


def _reason(cause: BaseException | None) -> str:
    number = cause.errno if isinstance(cause, OSError) else None
    reason = os.strerror(number) if number else "nobody answers"
    return f"{reason}; is the server running, and is the port right?"


def _look_up(options: Options, deadline: float) -> list[str]:
    # getaddrinfo knows no time limit, so it runs in a thread that can be left behind.
    future: Future[list[str]] = workers.submit(lambda: _addresses(options.host, options.port))
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except FutureTimeout:
        raise TransferTimeout(f"{options.host}: the name was not resolved in {options.timeout:g} s") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise ConnectionLost(f"{options.host}: no such host ({reason})") from error


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(_literal(entry) for entry in found))


def _literal(entry: tuple[object, ...]) -> str:
    address = entry[4]
    assert isinstance(address, tuple)
    return str(address[0])
