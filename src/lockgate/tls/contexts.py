"""From a policy to `ssl.SSLContext`: the server's, shared and per control connection, and the client's.

Must not open sockets and must not decide who may come in.

Why each control connection has a context of its own (RFC 4217 §10.2): session tickets open only under the
context that made them, so on a data connection that runs on the control connection's context,
`session_reused` *means* "the peer is the one on this control connection". Such a context would cost as much
as loading certificate, key and CA files, so it is left bare: its `sni_callback`, which OpenSSL calls for
every ClientHello, with SNI or without, puts a shared context on the connection, that of the certificate which
HOST or SNI asks for. From then on certificate, key, CA store and TLS 1.2 ciphers are the shared context's,
while the ticket keys stay the bare one's. What OpenSSL copies when a connection is made, or uses before the
callback (versions, verify mode and flags, options, TLS 1.3 ciphers, ticket count), must stand on the bare
context, and is therefore the same for all certificates.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError, LocalProtocolError
from lockgate.tls.choice import CertificateChoice, ControlTls, ServedContexts
from lockgate.tls.hardening import ALPN_PROTOCOLS, harden
from lockgate.tls.keyfiles import key_problem
from lockgate.tls.loading import load_ca, load_certificate, load_crl
from lockgate.tls.names import NameTable
from lockgate.tls.policy import ClientCertificate, TlsPolicy, TrustPolicy

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ALPN_PROTOCOLS",
    "NamesOf",
    "Prepared",
    "ServerContexts",
    "client_context",
    "set_tickets",
]

_VERIFY_MODES = {
    ClientCertificate.OFF: ssl.CERT_NONE,
    ClientCertificate.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificate.REQUIRED: ssl.CERT_REQUIRED,
    ClientCertificate.SUFFICIENT: ssl.CERT_OPTIONAL,
}
# Two, so that a client whose second data connection starts before new tickets have come still has one.
_CONTROL_TICKETS = 2


NamesOf = Callable[["Path"], tuple[str, ...]]
"""Reads the host names in a certificate file, as `names.normal_name` has them; blocks."""

_FileState = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Contexts that have been loaded and are not in use yet.

    Attributes:
        policy: What they follow.
        served: The certificates, to be found by name.
        seen: The state of each file before it was read.
    """

    policy: TlsPolicy
    served: ServedContexts
    seen: Mapping[Path, _FileState]


class ServerContexts:
    """The server's TLS contexts under one policy: shared ones with the files, a bare one per session.

    Thread-safe: a reload replaces the shared contexts in one step. Sessions that are running keep the
    certificate they began with, on their data connections too (RFC 4217 §15.1).

    Args:
        policy: What TLS is to be; it must name a certificate.
        names_of: Reads the names in a certificate; without it only the names that the policy gives are known.

    Raises:
        ConfigError: A file is missing or cannot be used, or no cipher suite is left.
    """

    __slots__ = ("_in_use", "_names_of")

    def __init__(self, policy: TlsPolicy, names_of: NamesOf | None = None) -> None:
        self._names_of: NamesOf = names_of or _no_names
        self._in_use = self.prepare(policy)

    @property
    def policy(self) -> TlsPolicy:
        """The policy the contexts follow."""
        return self._in_use.policy

    @property
    def shared(self) -> ssl.SSLContext:
        """The context with the default certificate; sessions made under it bind nothing."""
        return self._in_use.served.default

    def knows(self, name: str) -> bool:
        """Return whether a host name, in any spelling, is one of a certificate's; does not block."""
        return self._in_use.served.table.find(name) is not None

    def files_changed(self) -> bool:
        """Return whether a file is another one than was read, symbolic links followed. Blocks shortly."""
        seen = self._in_use.seen
        return any(_state_of(file) != state for file, state in seen.items())

    def prepare(self, policy: TlsPolicy | None = None) -> Prepared:
        """Read the files again without using them yet. Blocks for file reading; any thread.

        Args:
            policy: A new policy, or None for the present one.

        Raises:
            ConfigError: The files cannot be used, or one changed while they were read.
        """
        chosen = policy if policy is not None else self._in_use.policy
        seen = {file: _state_of(file) for file in chosen.files}
        served = _load_served(chosen, self._names_of)
        if any(_state_of(file) != state for file, state in seen.items()):
            raise ConfigError("certificates or keys changed while they were read: reload once more")
        return Prepared(chosen, served, seen)

    def install(self, prepared: Prepared) -> None:
        """Use what was prepared for control connections made from now on; does not block."""
        self._in_use = prepared

    def reload(self, policy: TlsPolicy | None = None) -> None:
        """Read the files again, for control connections made from now on. Blocks for file reading.

        Args:
            policy: A new policy, or None to keep the present one.

        Raises:
            ConfigError: The files cannot be used; the contexts stay as they were.
        """
        self.install(self.prepare(policy))

    def for_control(self, host: str = "") -> ControlTls:
        """Return a new context for one control connection and its data connections; takes about 0.15 ms.

        After REIN or a new AUTH the control connection needs another one.

        Args:
            host: The host that HOST named, which decides the certificate; "" leaves that to SNI.
        """
        in_use = self._in_use
        bare = _new_server_context(in_use.policy)
        choice = CertificateChoice(in_use.served, host)
        # Holds the shared contexts, never the bare one: a cycle would keep dead sessions' contexts alive.
        bare.sni_callback = choice
        return ControlTls(bare, choice)


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
    harden(context, minimum=trust.minimum_version, maximum=trust.maximum_version, ciphers="")
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
        load_ca(context, trust.ca_file, "CA file")
    if trust.certificate is not None:
        load_certificate(context, trust.certificate, trust.key)
    return context


def _no_names(certificate: Path) -> tuple[str, ...]:
    return ()


def _state_of(file: Path) -> _FileState:
    """Return what changes when a file, or what a symbolic link on the way to it leads to, is replaced."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _load_served(policy: TlsPolicy, names_of: NamesOf) -> ServedContexts:
    if policy.certificate is None:
        raise ConfigError("the server has no certificate: set certificate (and key) in [tls]")
    default = _load_shared(policy, policy.certificate, policy.key)
    named = [(one, _load_shared(policy, one.certificate, one.key)) for one in policy.certificates]
    table: NameTable[ssl.SSLContext] = NameTable()
    for one, context in named:
        table.add(one.names, context)
    for one, context in named:
        if not one.names:
            table.add(names_of(one.certificate), context)
    table.add(names_of(policy.certificate), default)
    # Names that a certificate has beside those it was configured for: better than a certificate without.
    for one, context in named:
        if one.names:
            table.add(names_of(one.certificate), context)
    return ServedContexts(default, table, policy.unknown_names)


def _load_shared(policy: TlsPolicy, certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = _new_server_context(policy)
    load_certificate(context, certificate, key)
    if policy.check_key_permissions and (problem := key_problem(key or certificate)):
        raise ConfigError(problem)
    if policy.client_ca is not None:
        load_ca(context, policy.client_ca, "client_ca")
    if policy.crl is not None:
        load_crl(context, policy.crl)
    return context


def _new_server_context(policy: TlsPolicy) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    harden(context, minimum=policy.minimum_version, maximum=policy.maximum_version, ciphers=policy.ciphers)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = _VERIFY_MODES[policy.client_certificate]
    if policy.crl is not None:
        # The whole chain: a CA that was revoked must not vouch for anybody, and a CA without a CRL fails
        # closed (RFC 5280 §6.3). The flag counts on the bare context, the lists are the shared one's.
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    context.num_tickets = _CONTROL_TICKETS
    return context
