"""What is known about the server on one control connection. Must not send anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockgate.protocol.client import ClientProtocol
    from lockgate.protocol.states import SessionState

    from .options import Options

__all__ = ["Peer"]


@dataclass(slots=True)
class Peer:
    """The server as this connection has come to know it; operations read and write it.

    Attributes:
        options: What the caller chose.
        protocol: The control connection's core.
        wants_private: Data connections must be protected; a transfer at a lower level is not started.
        features: What FEAT listed, or None when it was not asked yet.
        type: The TYPE that is set, or "" after connecting, AUTH and REIN.
        refuses_epsv: EPSV was refused: PASV is used from now on.
        refuses_mlsd: MLSD was refused: LIST is used from now on.
        refuses_mlst: MLST was refused.
    """

    options: Options
    protocol: ClientProtocol
    wants_private: bool = False
    features: dict[str, str] | None = None
    type: str = ""
    refuses_epsv: bool = False
    refuses_mlsd: bool = False
    refuses_mlst: bool = False

    def __post_init__(self) -> None:
        self.wants_private = self.options.protect

    @property
    def state(self) -> SessionState:
        """Where the four machines stand."""
        return self.protocol.state

    def has(self, feature: str) -> bool:
        """Tell whether FEAT listed a feature."""
        return self.features is not None and feature in self.features

    def forget(self) -> None:
        """AUTH and REIN put everything back to its default (RFC 4217 §4.2, §13); so does our memory."""
        self.features = None
        self.type = ""
        self.refuses_epsv = self.refuses_mlsd = self.refuses_mlst = False
