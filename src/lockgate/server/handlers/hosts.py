"""HOST: which of the server's names the client means (RFC 7151).

Here a host decides the certificate alone: accounts, policies and files are the same for all, so nothing that
a listener demands can be got round by naming another one.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.tls.names import normal_name

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session

__all__ = ["host"]

_C = ReplyCode


async def host(session: Session, command: Command) -> Reply:
    """Take a name of this server: 220 known, 504 unknown, 501 no name at all (RFC 7151 §3).

    Before TLS the name decides the certificate of the handshake to come. In TLS that is past: a host whose
    certificate is another one is refused, for the client would find the wrong one (RFC 7151, RFC 4217
    §15.1.1).
    """
    name = _host_name(command.text.strip(" "))
    if name is None:
        return Reply.of(_C.BAD_ARGUMENT, "HOST takes a host name, an IPv4 address or [an IPv6 address].")
    control = session.control
    is_own = name == control.local_address
    if not is_own and not session.server.knows_host(name, control.listener):
        return Reply.of(_C.PARAMETER_NOT_IMPLEMENTED, "There is no such host here.")
    if session.tls.choice is not None and not session.tls.choice.fits(name):
        return Reply.of(
            _C.PARAMETER_NOT_IMPLEMENTED,
            "That host has another certificate than this TLS session has shown: say HOST before AUTH.",
        )
    session.choose_host(name)
    return Reply.of(_C.READY, "Ready for a user of that host.")


def _host_name(text: str) -> str | None:
    """Return a HOST argument's name or address in one spelling (RFC 7151 §3.1, RFC 3986 §3.2.2), or None."""
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1])) if text.endswith("]") and "%" not in text else None
        except ValueError:
            return None
    # An IPv6 address needs its brackets.
    return None if ":" in text else normal_name(text)
