"""Judges whether a data connection's TLS peer is the control connection's (RFC 4217 §10.2, §15.1, §15.2.6).

Pure: compares what the handshakes have shown. Must not open, close or read anything.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.tls.policy import SessionReuse

if TYPE_CHECKING:
    import ssl

__all__ = ["ControlBinding", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a data connection is accepted.

    Attributes:
        accepted: True when data may pass.
        reason: Why, in words fit for the text of a 522 reply and for the log.
    """

    accepted: bool
    reason: str


@dataclass(slots=True)
class ControlBinding:
    """What a protected control connection's data connections are measured against.

    Made after the control handshake, replaced after the next one. One data connection is judged at a time;
    the judgement may come from any thread.

    Attributes:
        peer_address: The control peer's IP address.
        peer_certificate: The client certificate it showed, DER, or None.
        context: The context of this control connection; data handshakes must run on it.
        reuse_policy: Whether resumption is demanded.
        resumed_before: True once a data connection has resumed the session; AUTO demands it from then on.
        offered_ticket: The ticket that the last data connection resumed with.
        owes_ticket: True when the client may have spent its last ticket and was given no new one.
    """

    peer_address: str
    peer_certificate: bytes | None
    context: ssl.SSLContext
    reuse_policy: SessionReuse = SessionReuse.AUTO
    resumed_before: bool = False
    offered_ticket: bytes = b""
    owes_ticket: bool = False

    @property
    def demands_resumption(self) -> bool:
        """True when the next data connection must resume the control connection's session."""
        if self.reuse_policy is SessionReuse.AUTO:
            return self.resumed_before and not self.owes_ticket
        return self.reuse_policy is SessionReuse.REQUIRED

    def tickets_for(self, offered: tuple[bytes, ...], *, sends: bool, early: bool) -> int:
        """Return how many TLS 1.3 tickets the next data handshake sends; does not block.

        Two kinds of clients resume, and neither says which it is. One uses a ticket once (RFC 8446 §C.4; so
        does curl, through OpenSSL's client cache): unless each data connection brings the next, it cannot
        resume again. The other keeps one and offers it every time (lftp): it may never read while it uploads,
        and a ticket that lies unread when it closes makes its kernel send a reset instead of the file's rest.

        Args:
            offered: The tickets in the client's hello.
            sends: The server will send, as far as is known: a client that receives reads.
            early: The hello came before the command, as curl's does. Where resumption is demanded that client
                gets a ticket on uploads too: it would be refused next time without.
        """
        if self._keeps_its_ticket(offered):
            return 0
        return int(sends or (early and bool(offered) and self.reuse_policy is SessionReuse.REQUIRED))

    def note_handshake(self, offered: tuple[bytes, ...], *, version: str | None, tickets: int) -> None:
        """Remember an accepted data handshake: what the client offered, and the tickets that it was sent."""
        keeps = self._keeps_its_ticket(offered)
        self.owes_ticket = version == "TLSv1.3" and not keeps and tickets == 0
        if offered:
            self.offered_ticket = offered[0]

    def _keeps_its_ticket(self, offered: tuple[bytes, ...]) -> bool:
        return bool(offered) and offered[0] == self.offered_ticket

    def judge(self, *, session_reused: bool, peer_certificate: bytes | None, peer_address: str) -> Verdict:
        """Return the verdict on a data handshake that is done; does not block.

        A resumed session proves the peer, for its tickets open under this control connection's context only.
        Without it the address must be the control peer's and, where the control peer showed a certificate, so
        must the certificate.

        Args:
            session_reused: As read right after the data handshake.
            peer_certificate: The data peer's certificate, DER, read right after the handshake.
            peer_address: The data peer's IP address.
        """
        if self.peer_certificate is not None and peer_certificate != self.peer_certificate:
            return Verdict(
                accepted=False, reason="the data connection must show the control connection's certificate"
            )
        if session_reused:
            self.resumed_before = True
            return Verdict(accepted=True, reason="the control connection's TLS session was resumed")
        if self.demands_resumption:
            return Verdict(
                accepted=False, reason="the data connection must resume the control connection's TLS session"
            )
        if _plain_address(peer_address) != _plain_address(self.peer_address):
            return Verdict(
                accepted=False, reason="the data connection must come from the control connection's address"
            )
        if self.peer_certificate is not None:
            return Verdict(
                accepted=True, reason="same address and same certificate as the control connection"
            )
        return Verdict(accepted=True, reason="same address as the control connection")


def _plain_address(text: str) -> str:
    """Return an address in one spelling: no zone, no IPv4 inside IPv6; what is no address stays as it is."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped if mapped is not None else address)
