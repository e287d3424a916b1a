"""From a policy to `ssl.SSLContext`: the server's, shared and per control connection, and the client's.

Must not open sockets and must not decide who may come in.

Why each control connection has a context of its own (RFC 4217 §10.2): session tickets open only under the
context that made them, so on a data connection that runs on the control connection's context,
`session_reused` *means* "the peer is the one on this control connection". Such a context would cost as much
as loading certificate, key and CA files, so it is left bare: its `sni_callback`, which OpenSSL calls for
every ClientHello, with SNI or without, puts the shared context on the connection. From then on certificate,
key, CA store and TLS 1.2 ciphers are the shared context's, while the ticket keys stay the bare one's. What
OpenSSL copies when a connection is made, or uses before the callback (versions, verify mode, options, TLS 1.3
ciphers, ticket count), must stand on the bare context.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NoReturn

from lockgate.errors import ConfigError, LocalProtocolError, shorten
from lockgate.tls.policy import ClientCertificate, TlsPolicy, TrustPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ALPN_PROTOCOLS", "ServerContexts", "client_context", "set_tickets"]

#: The registered name of FTP in ALPN, for control and data connections alike.
ALPN_PROTOCOLS = ["ftp"]

# RFC 9325 §4.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing else.
_SAFE_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
# RFC 9325 §4.1: taken out for good, whatever the configuration asks for.
_NEVER = "!aNULL:!eNULL:!kRSA:!kDH:!kECDH:!PSK:!SRP:!aDSS:!EXPORT:!DES:!3DES:!RC2:!RC4:!IDEA:!SEED:!MD5"
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY_MODES = {
    ClientCertificate.OFF: ssl.CERT_NONE,
    ClientCertificate.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificate.REQUIRED: ssl.CERT_REQUIRED,
    ClientCertificate.SUFFICIENT: ssl.CERT_OPTIONAL,
}
# Two, so that a client whose second data connection starts before new tickets have come still has one.
_CONTROL_TICKETS = 2


class ServerContexts:
    """The server's TLS contexts under one policy: a shared one with the files, a bare one per session.

    Thread-safe: a reload replaces the shared context in one step. Sessions that are running keep the
    certificate they began with, on their data connections too (RFC 4217 §15.1).

    Args:
        policy: What TLS is to be; it must name a certificate.

    Raises:
        ConfigError: A file is missing or cannot be used, or no cipher suite is left.
    """

    __slots__ = ("_policy", "_shared")

    def __init__(self, policy: TlsPolicy) -> None:
        self._policy = policy
        self._shared = _load_shared(policy)

    @property
    def policy(self) -> TlsPolicy:
        """The policy the contexts follow."""
        return self._policy

    @property
    def shared(self) -> ssl.SSLContext:
        """The context that holds certificate, key and CA store; sessions made under it bind nothing."""
        return self._shared

    def reload(self, policy: TlsPolicy | None = None) -> None:
        """Read the files again, for control connections made from now on. Blocks for file reading.

        Args:
            policy: A new policy, or None to keep the present one.

        Raises:
            ConfigError: The files cannot be used; the contexts stay as they were.
        """
        chosen = policy if policy is not None else self._policy
        shared = _load_shared(chosen)
        self._policy, self._shared = chosen, shared

    def control_context(self) -> ssl.SSLContext:
        """Return a new context for one control connection and its data connections; takes about 0.15 ms.

        After REIN or a new AUTH the control connection needs another one.
        """
        bare = _new_server_context(self._policy)
        bare.sni_callback = _put_on_connection(self._shared)
        return bare


def set_tickets(context: ssl.SSLContext, count: int) -> None:
    """Set how many TLS 1.3 tickets the next handshakes on a server's context send; does not block.

    None for an upload: a client that never reads and closes would leave the ticket unread, its kernel answers
    with a reset, and the tail of the file is lost. Sessions that are out already can be resumed all the same.

    Args:
        context: A server-side context.
        count: 0 to 8.

    Raises:
        LocalProtocolError: The count is out of range, or the context is a client's.
    """
    if not 0 <= count <= 8:
        raise LocalProtocolError(f"{count} tickets: 0 to 8 make sense")
    try:
        context.num_tickets = count
    except ValueError as error:
        raise LocalProtocolError("only a TLS server sends tickets: this context is a client's") from error


def client_context(trust: TrustPolicy) -> ssl.SSLContext:
    """Return a client's context. Blocks for file reading; the system's CA files take about 20 ms.

    Sessions are offered only to connections on the context that they came from, so control connection and
    data connections share one. Connections to several servers may share one too, for sessions are offered
    explicitly.

    Args:
        trust: Whom to trust, and what to show.

    Raises:
        ConfigError: A file is missing or cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, minimum=trust.minimum_version, maximum=trust.maximum_version, ciphers="")
    context.hostname_checks_common_name = False
    if not trust.verifies_chain:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        # Who trusts a file trusts what is in it, be it a root, an intermediate or the server's own
        # certificate.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _load_ca(context, trust.ca_file, "CA file")
    if trust.certificate is not None:
        _load_certificate(context, trust.certificate, trust.key)
    return context


def _put_on_connection(
    shared: ssl.SSLContext,
) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]:
    # Holds the shared context, never the bare one: a reference cycle would keep dead sessions' contexts
    # alive.
    def put(connection: ssl.SSLObject, server_name: str | None, bare: ssl.SSLContext) -> None:
        # Any name and no name are served alike; the name in the certificate is for the client to judge.
        connection.context = shared

    return put


def _load_shared(policy: TlsPolicy) -> ssl.SSLContext:
    if policy.certificate is None:
        raise ConfigError("the server has no certificate: set certificate (and key) in [tls]")
    context = _new_server_context(policy)
    _load_certificate(context, policy.certificate, policy.key)
    if policy.client_ca is not None:
        _load_ca(context, policy.client_ca, "client_ca")
    return context


def _new_server_context(policy: TlsPolicy) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, minimum=policy.minimum_version, maximum=policy.maximum_version, ciphers=policy.ciphers)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = _VERIFY_MODES[policy.client_certificate]
    context.num_tickets = _CONTROL_TICKETS
    return context


def _harden(context: ssl.SSLContext, *, minimum: str, maximum: str | None, ciphers: str) -> None:
    context.minimum_version = _VERSIONS[minimum]
    if maximum is not None:
        context.maximum_version = _VERSIONS[maximum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # Where it stands by default it would make an end without close_notify look like a clean one.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    try:
        context.set_ciphers(f"{ciphers or _SAFE_CIPHERS}:{_NEVER}")
    except ssl.SSLError as error:
        raise ConfigError(
            f"ciphers: {shorten(ciphers)!r} leaves no cipher suite that is safe enough: "
            "use OpenSSL's notation and suites with forward secrecy, or leave it empty"
        ) from error


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    def no_passphrase() -> NoReturn:
        # Without this OpenSSL would ask at the terminal, and a server would wait for ever.
        raise ConfigError(f"the key {key or certificate} has a passphrase: store it without one, mode 0600")

    _must_be_readable(certificate, "certificate")
    if key is not None:
        _must_be_readable(key, "key")
    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"the key {key or certificate} does not belong to {certificate}") from error
        raise ConfigError(
            f"{certificate} and {key or certificate} are not a certificate chain and its key in PEM: "
            f"{shorten(error.reason or str(error))}"
        ) from error


def _load_ca(context: ssl.SSLContext, file: Path, what: str) -> None:
    _must_be_readable(file, what)
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise ConfigError(f"{what}: {file} holds no CA certificates in PEM") from error


def _must_be_readable(file: Path, what: str) -> None:
    # OpenSSL's error names no file.
    try:
        with file.open("rb"):
            return
    except OSError as error:
        raise ConfigError(f"{what}: {file} cannot be read: {error.strerror}") from error
