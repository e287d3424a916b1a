"""PASV, EPSV, PORT, EPRT (RFC 959 §4.1.2, RFC 2428, RFC 2577).

The protection level is not judged here but at the transfer command (RFC 4217 §10.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockgate.errors import LockgateError
from lockgate.protocol.addresses import (
    EpsvRequest,
    HostPort,
    NetworkFamily,
    UnknownProtocolFamily,
    format_227,
    format_229,
    format_522,
    parse_eprt,
    parse_epsv,
    parse_port,
)
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record
from lockgate.server.endpoint import ActiveEndpoint, PassiveEndpoint
from lockgate.transfer.establish import listen, normal_address

if TYPE_CHECKING:
    import socket

    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session

__all__ = ["eprt", "epsv", "pasv", "port"]

_C = ReplyCode
_FIRST_UNPRIVILEGED_PORT = 1024
_TOO_MANY = Reply.of(_C.CANNOT_OPEN_DATA, "Too many passive ports for your address; try again later.")


async def pasv(session: Session, command: Command) -> Reply:
    """Listen and say where, in IPv4 numbers."""
    if _family(session) is not NetworkFamily.IPV4:
        return Reply.of(_C.NOT_IMPLEMENTED, "PASV speaks IPv4 only; use EPSV.")
    listening_port = _listen(session)
    if listening_port is None:
        return _TOO_MANY
    host = session.server.config.passive.address or session.control.local_address
    return Reply.of(_C.PASSIVE, format_227(HostPort(host, listening_port)))


async def epsv(session: Session, command: Command) -> Reply:
    """Listen and say the port; EPSV ALL forbids every other way from now on (RFC 2428 §4)."""
    family = _family(session)
    try:
        request = parse_epsv(command.argument)
    except UnknownProtocolFamily:
        return Reply.of(_C.DATA_TLS_REFUSED, format_522([family]))
    if request is EpsvRequest.ALL:
        return Reply.of(_C.OK, "Only EPSV from now on.")
    wanted = {EpsvRequest.IPV4: NetworkFamily.IPV4, EpsvRequest.IPV6: NetworkFamily.IPV6}.get(request, family)
    if wanted is not family:
        return Reply.of(_C.DATA_TLS_REFUSED, format_522([family]))
    listening_port = _listen(session)
    return _TOO_MANY if listening_port is None else Reply.of(_C.EXTENDED_PASSIVE, format_229(listening_port))


async def port(session: Session, command: Command) -> Reply:
    """Note where to connect to (active mode), in IPv4 numbers."""
    if _family(session) is not NetworkFamily.IPV4:
        return Reply.of(_C.NOT_IMPLEMENTED, "PORT speaks IPv4 only; use EPRT.")
    return _active(session, command, parse_port(command.text))


async def eprt(session: Session, command: Command) -> Reply:
    """Note where to connect to, IPv6 too."""
    try:
        target = parse_eprt(command.text)
    except UnknownProtocolFamily:
        return Reply.of(_C.DATA_TLS_REFUSED, format_522([_family(session)]))
    if target.family is not _family(session):
        return Reply.of(_C.DATA_TLS_REFUSED, format_522([_family(session)]))
    return _active(session, command, target)


def _active(session: Session, command: Command, target: HostPort) -> Reply:
    peer = session.control.peer_address
    if target.is_unspecified:
        # Some clients say 0.0.0.0 for "the address I come from".
        target = HostPort(peer, target.port)
    if normal_address(target.host) != peer:
        # RFC 2577 §3: a bounce attack uses the server to reach a third host.
        record("bounce", peer=peer, target=f"{target}")
        return Reply.of(_C.PARAMETER_NOT_IMPLEMENTED, "Only your own address is allowed.")
    if target.port < _FIRST_UNPRIVILEGED_PORT:
        return Reply.of(_C.PARAMETER_NOT_IMPLEMENTED, "Ports below 1024 are not allowed.")
    session.set_endpoint(ActiveEndpoint(session, target))
    return Reply.of(_C.OK, f"{command.word} is set.")


def _listen(session: Session) -> int | None:
    """Replace the session's endpoint by a listening one; return its port.

    Returns:
        None when the address has its share of the range of ports.
    """
    session.drop_endpoint()
    budget = session.server.data_budget
    ports, peer = session.server.passive_ports, session.control.peer_address
    if not budget.listen(peer, 0 if ports.is_any else len(ports)):
        return None
    try:
        listener = _open_listener(session)
    except LockgateError:
        budget.stop_listening(peer)
        raise
    session.set_endpoint(PassiveEndpoint(session, listener))
    listening_port: int = listener.getsockname()[1]
    return listening_port


def _open_listener(session: Session) -> socket.socket:
    """Listen on a free port, or on one that an address with more of them gives up."""
    server, here = session.server, session.control.local_address
    try:
        return listen(here, server.passive_ports)
    except LockgateError:
        waiting = server.data_budget.waiting.of_heavier(session.control.peer_address)
        one = next((one for one in waiting if one.is_listening), None)
        if one is None:
            raise
        one.expire()
        return listen(here, server.passive_ports)


def _family(session: Session) -> NetworkFamily:
    return NetworkFamily.IPV6 if ":" in session.control.local_address else NetworkFamily.IPV4
