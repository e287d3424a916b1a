"""The control connection without a socket: the client's core and TLS over it, bytes in and bytes out.

Both drivers move its bytes. Must not wait and must not touch a socket.
"""

from __future__ import annotations

import logging
import ssl

from lockgate.errors import CertificateRejected, LockgateError, RemoteProtocolError
from lockgate.protocol.client import ClientProtocol
from lockgate.protocol.commands import Command
from lockgate.protocol.replies import Reply
from lockgate.tls.engine import TlsEngine

__all__ = ["ControlChannel"]

_log = logging.getLogger(__name__)


class ControlChannel:
    """One control connection's bytes and replies. Never blocks; not thread-safe.

    Args:
        implicit: True where TLS comes before the greeting.
        label: Host and port, for the log.
    """

    def __init__(self, *, implicit: bool = False, label: str = "") -> None:
        self.protocol = ClientProtocol(implicit=implicit)
        self._label = label
        self._engine: TlsEngine | None = None
        self._outgoing = bytearray()
        self._eof = False
        self._is_stopping = False
        self._session: ssl.SSLSession | None = None
        self._certificate: bytes | None = None

    @property
    def at_end(self) -> bool:
        """True when nothing more can come from the server."""
        if self._eof:
            return True
        engine = self._engine
        # After CCC and REIN the close_notify ends TLS and not the connection.
        return engine is not None and not self._is_stopping and (engine.peer_closed or engine.truncated)

    @property
    def session(self) -> ssl.SSLSession | None:
        """The newest TLS session, also after CCC; feed what has come before asking."""
        if self._engine is not None and self._engine.handshake_done:
            self._session = self._engine.session
        return self._session

    @property
    def certificate(self) -> bytes | None:
        """The server's certificate on the control connection, DER; it stays known after CCC."""
        return self._certificate

    @property
    def version(self) -> str | None:
        """The TLS version while TLS is up, such as "TLSv1.3"."""
        return None if self._engine is None else self._engine.version

    @property
    def cipher(self) -> str | None:
        """The cipher suite while TLS is up."""
        return None if self._engine is None else self._engine.cipher

    # --- commands and replies ---

    def send(self, command: Command) -> None:
        """Put a command into the bytes to send.

        Raises:
            LocalProtocolError: RFC 4217 forbids it now; nothing is sent.
        """
        data = self.protocol.send_command(command)
        _log.debug("> %s %s", self._label, command)
        if self._engine is None:
            self._outgoing += data
        else:
            self._engine.write(data)

    def next_reply(self) -> Reply | None:
        """Return the next reply, or None until more bytes come.

        Raises:
            RemoteProtocolError: What came is no reply or answers nothing.
        """
        received = self.protocol.next_reply()
        if received is None:
            return None
        _log.debug("< %s %s", self._label, received.reply)
        return received.reply

    # --- bytes ---

    def data_to_send(self) -> bytes:
        """Return the bytes to send now, handed out once."""
        clear = bytes(self._outgoing)
        self._outgoing.clear()
        return clear if self._engine is None else clear + self._engine.data_to_send()

    def feed(self, data: bytes) -> None:
        """Take bytes from the server.

        Raises:
            TlsError: The TLS stream broke.
            RemoteProtocolError: Bytes in clear where TLS must start, or a line without end.
        """
        if self._engine is None:
            self.protocol.receive_data(data)
            return
        self._engine.feed(data)
        self._take_plaintext()

    def feed_eof(self) -> None:
        """Take the end of the connection."""
        if self._engine is not None:
            self._engine.feed_eof()
            self._take_plaintext()
        self._eof = True

    def _take_plaintext(self) -> None:
        engine = self._engine
        if engine is None or not engine.handshake_done or self._is_stopping:
            return
        if plaintext := engine.read():
            self.protocol.receive_data(plaintext)

    # --- TLS ---

    def start_tls(
        self, context: ssl.SSLContext, *, server_hostname: str, pin_sha256: bytes | None = None
    ) -> None:
        """Begin TLS; call `handshake` until it says True, moving bytes in between."""
        self._engine = TlsEngine(
            context, server_side=False, server_hostname=server_hostname, pin_sha256=pin_sha256
        )

    def handshake(self) -> bool:
        """Go on with the handshake; return True when it is done and verified.

        Raises:
            CertificateRejected: The certificate. Where TLS is up all the same (a pin), QUIT can be sent.
            HandshakeFailed: Anything else.
        """
        engine = self._engine
        assert engine is not None
        try:
            if not engine.do_handshake():
                return False
        except CertificateRejected:
            if engine.handshake_done:
                self.protocol.tls_established()
            raise
        self.protocol.tls_established()
        self._certificate = engine.peer_certificate
        _log.debug("= %s %s %s", self._label, engine.version, engine.cipher)
        self._take_plaintext()
        return True

    def stop_tls(self) -> bool:
        """End TLS; call again after each feed until it says True, then call `leave_tls`."""
        engine = self._engine
        assert engine is not None
        self._is_stopping = True
        return engine.shutdown()

    def leave_tls(self) -> None:
        """Go on in clear; what the server has sent in clear already is taken.

        Raises:
            RemoteProtocolError: The connection is not in step any more.
        """
        engine = self._engine
        assert engine is not None
        self._session = engine.session
        self._outgoing += engine.data_to_send()
        rest = engine.read() + engine.take_residue()
        self._engine = None
        self._is_stopping = False
        _log.debug("= %s in clear", self._label)
        if rest:
            raise RemoteProtocolError("bytes came where TLS ended: somebody may be injecting replies")

    def close_notify(self) -> None:
        """Say the end of TLS, if TLS is up; the connection is about to be closed."""
        engine = self._engine
        if engine is None or not engine.handshake_done or engine.close_sent:
            return
        try:
            engine.shutdown()
        except LockgateError as error:
            _log.debug("! %s %s", self._label, error)
