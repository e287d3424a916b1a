"""TLS on a control connection whose socket lives on: it starts (AUTH), ends (CCC, REIN) and may start again.

Wraps `TlsEngine` in the phases of RFC 4217 §4, §5 and §13 and says what came of the bytes. Must not touch the
socket: bytes go out through a function that was passed in, and time limits are the corridor's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from lockgate.errors import LockgateError
from lockgate.tls.engine import TlsEngine

if TYPE_CHECKING:
    import ssl

__all__ = ["Broken", "Ended", "Established", "PeerEnded", "Phase", "Plaintext", "SecuredControl", "TlsEvent"]

_TLS_CONTENT_TYPES = range(20, 25)


class Phase(Enum):
    """Where TLS stands on the connection."""

    OFF = auto()
    HANDSHAKE = auto()
    ON = auto()
    STOPPING = auto()
    """Our close_notify is out, the peer's is awaited."""


@dataclass(frozen=True, slots=True)
class Plaintext:
    """The peer sent this inside TLS."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Established:
    """The handshake is done."""

    engine: TlsEngine


@dataclass(frozen=True, slots=True)
class Ended:
    """TLS is over on both sides, the connection is in clear; `residue` came in clear already."""

    residue: bytes


@dataclass(frozen=True, slots=True)
class PeerEnded:
    """The peer has ended TLS on its own: that ends the session, after what it said before."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection has to be dropped; an alert that says why is out.

    Attributes:
        reason: For the log.
        in_handshake: True when TLS did not come about.
    """

    reason: str
    in_handshake: bool


TlsEvent = Plaintext | Established | Ended | PeerEnded | Broken


class SecuredControl:
    """TLS on one control connection, or none just now.

    Args:
        send: Takes bytes for the peer; must not block.
    """

    __slots__ = ("_engine", "_send", "phase")

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._engine: TlsEngine | None = None
        self.phase = Phase.OFF

    @property
    def is_quiet(self) -> bool:
        """True when TLS is off or on: not being started or stopped, so that a reply can be sent."""
        return self.phase in (Phase.OFF, Phase.ON)

    def start(self, context: ssl.SSLContext) -> None:
        """Await the peer's hello."""
        self._engine = TlsEngine(context, server_side=True)
        self.phase = Phase.HANDSHAKE

    def forget(self) -> None:
        """Let the engine go: the connection is closed."""
        self._engine = None
        self.phase = Phase.OFF

    def write(self, data: bytes) -> None:
        """Send bytes, inside TLS while it is on.

        Raises:
            TlsError: The stream is broken; drop the connection.
        """
        engine = self._engine
        if engine is None:
            self._send(data)
            return
        try:
            engine.write(data)
        finally:
            self._flush(engine)

    def feed(self, data: bytes) -> Iterator[TlsEvent]:
        """Take bytes while TLS is not off, and say what came of them."""
        engine = self._engine
        assert engine is not None
        if self.phase is Phase.STOPPING and engine.is_between_records and data[0] not in _TLS_CONTENT_TYPES:
            # The peer goes on in clear without a close_notify of its own: a command begins with a letter.
            yield self._ended(data)
            return
        engine.feed(data)
        if self.phase is Phase.HANDSHAKE:
            yield from self._advance_handshake(engine)
        if self.phase is Phase.ON:
            yield from self._read(engine)
        elif self.phase is Phase.STOPPING:
            yield from self._advance_stop(engine)

    def stop(self) -> Iterator[TlsEvent]:
        """End TLS and keep the connection: send close_notify and await the peer's."""
        assert self._engine is not None
        self.phase = Phase.STOPPING
        yield from self._advance_stop(self._engine)

    def give_up_stopping(self) -> Ended:
        """The peer does not answer our close_notify: it went on in clear, or will."""
        return self._ended(b"")

    def close(self) -> None:
        """Send close_notify, as the last thing before the connection closes."""
        if self._engine is not None and self.phase is Phase.ON:
            self._engine.shutdown()
            self._flush(self._engine)

    def _advance_handshake(self, engine: TlsEngine) -> Iterator[TlsEvent]:
        try:
            done = engine.do_handshake()
        except LockgateError as error:
            # RFC 4217 §10.1: a handshake that fails half-way drops the connection; the alert tells why.
            self._flush(engine)
            yield Broken(f"{error}", in_handshake=True)
            return
        self._flush(engine)
        if done:
            self.phase = Phase.ON
            yield Established(engine)

    def _read(self, engine: TlsEngine) -> Iterator[TlsEvent]:
        try:
            plaintext = engine.read()
        except LockgateError as error:
            self._flush(engine)
            yield Broken(f"TLS: {error}", in_handshake=False)
            return
        self._flush(engine)
        if plaintext:
            yield Plaintext(plaintext)
        if engine.peer_closed:
            yield PeerEnded()

    def _advance_stop(self, engine: TlsEngine) -> Iterator[TlsEvent]:
        done = engine.shutdown()
        self._flush(engine)
        try:
            if engine.read():
                # RFC 4217 §5: the 200 was the last thing inside TLS, so nothing may come inside it now.
                yield Broken("data inside TLS after its end", in_handshake=False)
                return
        except LockgateError as error:
            yield Broken(f"TLS: {error}", in_handshake=False)
            return
        if done:
            yield self._ended(engine.take_residue())

    def _ended(self, residue: bytes) -> Ended:
        self.forget()
        return Ended(residue)

    def _flush(self, engine: TlsEngine) -> None:
        data = engine.data_to_send()
        if data:
            self._send(data)
