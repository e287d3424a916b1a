"""Which certificate a control connection and its data connections show, and to whom none is shown.

Does no I/O; `contexts` loads the certificates.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from lockgate.tls.names import NameTable, is_address
from lockgate.tls.policy import UnknownNames

__all__ = ["CertificateChoice", "ControlTls", "ServedContexts"]


@dataclass(frozen=True, slots=True)
class ServedContexts:
    """The shared contexts, one a certificate.

    Attributes:
        default: For names that are unknown, and for none.
        table: The others, by name.
        unknown_names: What becomes of those who name another host.
    """

    default: ssl.SSLContext
    table: NameTable[ssl.SSLContext]
    unknown_names: UnknownNames

    def find(self, name: str) -> ssl.SSLContext:
        """Return the context for a name; an unknown name and no name are served by the default."""
        return self.table.find(name) or self.default

    def refuses(self, name: str) -> bool:
        """Return whether who means this host is sent away: another server's client was led here (ALPACA)."""
        if self.unknown_names is UnknownNames.SERVE:
            return False
        # RFC 6066 §3 has no addresses in SNI, yet some clients send what they connect to.
        return self.table.find(name) is None and not is_address(name)


class CertificateChoice:
    """Which certificate one control connection shows, chosen at its handshake; its data connections follow.

    A client measures the data connections' certificate against the control connection's (RFC 4217 §15.1.1),
    so what their hellos name counts for nothing.

    Args:
        served: The certificates.
        host: The host that HOST named, or "".
    """

    __slots__ = ("_host", "_served", "_shown")

    def __init__(self, served: ServedContexts, host: str) -> None:
        self._served = served
        self._host = host
        self._shown: ssl.SSLContext | None = None

    def __call__(
        self, connection: ssl.SSLObject, server_name: str | None, bare: ssl.SSLContext
    ) -> int | None:
        """Put the shared context on a connection: OpenSSL's callback, for every ClientHello.

        In TLS 1.2 a resumed session counts with the name that it was made for: it has proven already whose
        client this is.

        Returns:
            None, or the alert that the client is refused with.
        """
        if server_name and self._served.refuses(server_name):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if self._shown is None:
            self._shown = self._served.find(self._host or server_name or "")
        connection.context = self._shown
        return None

    def fits(self, name: str) -> bool:
        """Return whether a client that means this host is shown the right certificate; does not block."""
        return self._shown is None or self._served.find(name) is self._shown


@dataclass(frozen=True, slots=True)
class ControlTls:
    """What TLS on one control connection and its data connections runs with.

    Attributes:
        context: The connection's own context.
        choice: Its certificate.
    """

    context: ssl.SSLContext
    choice: CertificateChoice
