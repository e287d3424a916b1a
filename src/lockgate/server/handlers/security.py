"""AUTH, PBSZ, PROT, CCC (RFC 2228, RFC 4217).

The gates have refused what is to be refused; the states move on the replies made here, and TLS starts and
ends as an effect of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session

__all__ = ["auth", "ccc", "pbsz", "prot"]

_C = ReplyCode


async def auth(session: Session, command: Command) -> Reply:
    """Accept TLS; login and parameters are back at their defaults (RFC 4217 §4.2)."""
    session.reset()
    return Reply.of(_C.SECURITY_ACCEPTED, "Begin the TLS handshake.")


async def pbsz(session: Session, command: Command) -> Reply:
    """TLS has no buffers of its own: any size is answered with 0 (RFC 4217 §8, 1997 draft Appendix B)."""
    return Reply.of(_C.OK, "PBSZ=0")


async def prot(session: Session, command: Command) -> Reply:
    """Set the level of the data connections to come (RFC 4217 §9)."""
    level = "Private" if command.text.strip().upper() == "P" else "Clear"
    return Reply.of(_C.OK, f"Data protection level is {level}.")


async def ccc(session: Session, command: Command) -> Reply:
    """Clear the command channel (RFC 4217 §5)."""
    record("ccc", peer=session.control.peer_address, user=session.user_name)
    return Reply.of(_C.OK, "The control connection goes on in clear.")
