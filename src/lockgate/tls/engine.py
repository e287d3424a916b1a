"""TLS on a connection whose bytes somebody else moves: `TlsEngine` over memory BIOs.

Must not touch sockets, wait, or know what the bytes mean.

The subtle part is the end. FTP stops TLS and goes on in clear on the same connection (CCC, REIN), so the
clear bytes that follow the peer's close_notify must come back whole. OpenSSL reads record by record (no
read-ahead), hence what follows the close_notify stays in the incoming BIO, and `take_residue` hands it back,
with what is fed later. After our own close_notify the peer's data may still be under way; `shutdown` reads it
rather than failing on it, for SSL_shutdown takes it as an error. An end of the connection without
close_notify is never a clean one: `truncated` says so (RFC 8446 §6.1).
"""

from __future__ import annotations

import ssl

from lockgate.errors import (
    CertificateRejected,
    HandshakeFailed,
    LocalProtocolError,
    RemoteProtocolError,
    TlsError,
)
from lockgate.tls.failures import explain_handshake, explain_stream
from lockgate.tls.hello import ClientHello, ClientHelloReader, acceptable_alpn, acceptable_server_name
from lockgate.tls.pins import check_pin

__all__ = ["TlsEngine"]

_READ_BYTES = 64 * 1024
_HEADER_BYTES = 5
# A fatal no_application_protocol (120) alert in the clear, RFC 7301 §3.2.
_NO_APPLICATION_PROTOCOL = bytes.fromhex("15 03 03 00 02 02 78")
# A fatal unrecognized_name (112) alert, RFC 6066 §3.
_UNRECOGNIZED_NAME = bytes.fromhex("15 03 03 00 02 02 70")


class TlsEngine:
    """One end of a TLS connection, fed with bytes and asked for bytes. Never blocks; not thread-safe.

    The caller's loop: `feed` what came, call `do_handshake` until it says True, then `read`; after every call
    send `data_to_send`, *also when a call raised*, for then it holds the alert that tells the peer why.

    Args:
        context: A server's `ServerContexts.for_control`, or a `client_context`.
        server_side: Whether this end is the TLS server.
        server_hostname: As a client, the name to send (SNI) and to verify.
        session: As a client, a session to offer; it must come from the same context.
        pin_sha256: As a client, the SHA-256 that the server's certificate must have. If it has not,
            `do_handshake` raises but TLS is up, so that QUIT can be said inside it.
        require_alpn_ftp: As a server, refuse a client whose ALPN list lacks "ftp".

    Raises:
        LocalProtocolError: The arguments do not fit together.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
        pin_sha256: bytes | None = None,
        require_alpn_ftp: bool = True,
    ) -> None:
        if context.check_hostname and not server_side and not server_hostname:
            # SSLSocket refuses this; SSLObject verifies the chain and silently leaves the name out.
            raise LocalProtocolError("this client checks host names: server_hostname must be given")
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._server_side = server_side
        self._pin_sha256 = pin_sha256
        self._require_alpn_ftp = require_alpn_ftp
        try:
            self._object = context.wrap_bio(
                self._incoming,
                self._outgoing,
                server_side=server_side,
                server_hostname=server_hostname,
                session=session,
            )
        except (ValueError, ssl.SSLError) as error:
            raise LocalProtocolError(f"TLS cannot be set up with these arguments: {error}") from error
        self._hello_reader = ClientHelloReader()
        self._hello: ClientHello | None = None
        self._plaintext = bytearray()
        self._residue = bytearray()
        self._record_header = bytearray()
        self._record_left = 0
        self._own_alert = b""
        self._failure: TlsError | None = None
        self._rejection: CertificateRejected | None = None
        self._handshake_done = False
        self._eof = False
        self._close_sent = False
        self._peer_closed = False
        self._truncated = False
        self._session: ssl.SSLSession | None = None
        self._may_have_ticket = False
        self._is_fed = False
        self._session_reused = False
        self._peer_certificate: bytes | None = None

    # --- bytes in and out ---

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes that came from the peer; what is wrong with them is raised by the call that looks."""
        if self._failure is not None or not data:
            return
        if self._peer_closed:
            self._residue += data
            return
        self._incoming.write(data)
        self._is_fed = True
        self._follow_records(data)
        if self._server_side and self._hello is None:
            self._look_at_hello(bytes(data))

    def _follow_records(self, data: bytes | bytearray | memoryview) -> None:
        """Keep count of TLS's records (RFC 8446 §5.1): OpenSSL does not say whether it waits inside one."""
        left = memoryview(data)
        while left:
            if self._record_left:
                taken = min(self._record_left, len(left))
                self._record_left -= taken
            else:
                taken = min(_HEADER_BYTES - len(self._record_header), len(left))
                self._record_header += left[:taken]
                if len(self._record_header) == _HEADER_BYTES:
                    self._record_left = int.from_bytes(self._record_header[3:])
                    self._record_header.clear()
            left = left[taken:]

    def feed_eof(self) -> None:
        """Take the end of the connection; `truncated` is right from here on."""
        if self._eof:
            return
        self._eof = True
        self._incoming.write_eof()
        self._pump()

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the peer now, b"" when there are none; they are handed out once."""
        alert, self._own_alert = self._own_alert, b""
        return self._outgoing.read() + alert

    # --- the handshake ---

    def do_handshake(self) -> bool:
        """Go on with the handshake; return True when it is done, False when more bytes are needed.

        Raises:
            CertificateRejected: The peer's certificate is not acceptable, or it did not show the one
                required.
            HandshakeFailed: The handshake failed otherwise. Either way send `data_to_send`, then drop the
                connection (RFC 4217 §10.1).
        """
        if self._rejection is not None:
            raise self._rejection
        if self._handshake_done:
            return True
        if self._failure is not None:
            raise self._failure
        if self._server_side and self._hello is None and not self._eof:
            return False
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            self._failure = explain_handshake(error, server_side=self._server_side)
            raise self._failure from error
        self._handshake_done = True
        self._session_reused = bool(self._object.session_reused)
        self._peer_certificate = self._object.getpeercert(binary_form=True)
        if self._pin_sha256 is not None:
            self._check_pin(self._pin_sha256)
        return True

    def _look_at_hello(self, data: bytes) -> None:
        try:
            self._hello = self._hello_reader.feed(data)
        except RemoteProtocolError as error:
            self._failure = HandshakeFailed(f"TLS handshake: {error}")
            self._failure.__cause__ = error
            return
        if self._hello is None:
            return
        if not acceptable_server_name(self._hello):
            self._own_alert = _UNRECOGNIZED_NAME
            self._failure = HandshakeFailed("TLS handshake: the server name that the client asks for is none")
        elif self._require_alpn_ftp and not acceptable_alpn(self._hello):
            self._own_alert = _NO_APPLICATION_PROTOCOL
            self._failure = HandshakeFailed(
                "TLS handshake: the client's ALPN list has no 'ftp', so it means to speak to another service"
            )

    def _check_pin(self, pin_sha256: bytes) -> None:
        try:
            check_pin(self._peer_certificate, pin_sha256)
        except CertificateRejected as error:
            # RFC 4217 §10.3: TLS is up but not acceptable, so the client says QUIT inside it. Hence it is
            # no failure of the stream, but do_handshake never says True.
            self._rejection = error
            raise

    # --- plaintext ---

    def read(self) -> bytes:
        """Return all plaintext that is available, b"" when there is none.

        The end shows in `peer_closed` and `truncated`.

        Raises:
            HandshakeFailed: The peer refused our certificate after our handshake was done (TLS 1.3).
            TlsError: The stream broke; plaintext that came before is handed out first.
        """
        self._pump()
        if self._plaintext:
            plaintext = bytes(self._plaintext)
            self._plaintext.clear()
            return plaintext
        if self._failure is not None:
            raise self._failure
        return b""

    def write(self, plaintext: bytes | bytearray | memoryview) -> None:
        """Encrypt plaintext; `data_to_send` has it afterwards. The outgoing buffer is the caller's to bound.

        Raises:
            LocalProtocolError: The handshake is not done, or TLS was shut down.
            TlsError: The stream broke before.
        """
        if self._failure is not None:
            raise self._failure
        if not self._handshake_done or self._close_sent:
            when = "after TLS was shut down" if self._close_sent else "before the TLS handshake is done"
            raise LocalProtocolError(f"nothing can be written {when}")
        left = memoryview(plaintext).cast("B")
        while left:
            try:
                left = left[self._object.write(left) :]
            except ssl.SSLError as error:
                self._failure = explain_stream(error)
                raise self._failure from error

    def _pump(self) -> None:
        """Read all there is into our buffer: what stays in the BIO is less than a record."""
        size = len(self._plaintext)
        while self._handshake_done and not (self._peer_closed or self._truncated or self._failure):
            try:
                piece = self._object.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                # Bytes that held no data may have been a ticket (RFC 8446 §4.6.1).
                self._may_have_ticket |= self._is_fed and len(self._plaintext) == size
                self._is_fed = False
                return
            except ssl.SSLZeroReturnError:
                piece = b""
            except ssl.SSLEOFError:
                self._truncated = True
                return
            except ssl.SSLError as error:
                self._failure = explain_stream(error)
                self._failure.__cause__ = error
                return
            if piece:
                self._plaintext += piece
                continue
            self._peer_closed = True
            self._residue += self._incoming.read()

    # --- the end of TLS ---

    def shutdown(self) -> bool:
        """End TLS: send close_notify, once; call again after each feed to see whether the peer's has come.

        `read` still has the plaintext that came before the peer's.

        Returns:
            True when there is nothing left to wait for: the peer's close_notify was seen (`peer_closed`), or
            it cannot come any more.

        Raises:
            LocalProtocolError: The handshake is not done, so there is no TLS to end.
        """
        if self._failure is not None:
            return True
        if not self._handshake_done:
            raise LocalProtocolError(
                "TLS cannot be shut down before the handshake is done: drop the connection"
            )
        self._pump()
        if not self._close_sent:
            self._end_tls()
        return self._peer_closed or self._truncated or self._failure is not None

    def _end_tls(self) -> None:
        self._close_sent = True
        try:
            self._object.unwrap()
        except ssl.SSLError:
            # WantRead: the peer's close_notify is not here yet, and _pump finds it. Anything else: the stream
            # is broken, which the next read says.
            return

    def take_residue(self) -> bytes:
        """Return the clear bytes that followed the peer's close_notify, once; b"" before it.

        RFC 4217 §5, §13: after CCC and REIN the connection goes on in clear.
        """
        self._pump()
        residue = bytes(self._residue)
        self._residue.clear()
        return residue

    # --- what is known ---

    @property
    def handshake_done(self) -> bool:
        """True once the handshake is done."""
        return self._handshake_done

    @property
    def peer_closed(self) -> bool:
        """True when the peer's close_notify was seen."""
        return self._peer_closed

    @property
    def is_between_records(self) -> bool:
        """True when what was fed so far ends where a TLS record does: the next byte begins a new one."""
        return not self._record_left and not self._record_header

    @property
    def close_sent(self) -> bool:
        """True when our close_notify was made."""
        return self._close_sent

    @property
    def truncated(self) -> bool:
        """True when the connection ended after the handshake without a close_notify of the peer."""
        return self._truncated

    @property
    def failure(self) -> TlsError | None:
        """What broke the handshake or the stream, if anything did."""
        return self._failure

    @property
    def session(self) -> ssl.SSLSession | None:
        """As a client, the newest session, to be offered on data connections.

        Tickets come after the handshake in TLS 1.3: ask after `read`.
        """
        if not self._handshake_done:
            return None
        if self._session is None or self._may_have_ticket:
            # CPython copies the session and loses some 6 KB each time it is asked: ask only for a new one.
            self._session = self._object.session
            self._may_have_ticket = False
        return self._session

    @property
    def session_reused(self) -> bool:
        """True when the handshake resumed a session."""
        return self._session_reused

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate, DER, or None when it showed none."""
        return self._peer_certificate

    @property
    def version(self) -> str | None:
        """The TLS version, such as "TLSv1.3"; None before the handshake is done."""
        return self._object.version() if self._handshake_done else None

    @property
    def cipher(self) -> str | None:
        """The cipher suite's name in OpenSSL's spelling; None before the handshake is done."""
        cipher = self._object.cipher() if self._handshake_done else None
        return cipher[0] if cipher is not None else None

    @property
    def alpn(self) -> str | None:
        """The application protocol agreed on by ALPN, or None."""
        return self._object.selected_alpn_protocol() if self._handshake_done else None
