"""The conversations around a session: greeting, TLS, protection of data, login, CCC, REIN, the end.

`secure`, `protect` and `login` are separate, because their order is the user's choice (RFC 4217 §10.3).
Must not do I/O. Never goes on in clear when TLS was asked for.
"""

from __future__ import annotations

import logging

from lockgate.errors import (
    AccountNeeded,
    CertificateRejected,
    ConnectionLost,
    LocalProtocolError,
    LockgateError,
    NotLoggedIn,
    ProtectionRefused,
    ReplyError,
    ServiceNotAvailable,
    TransferTimeout,
)
from lockgate.protocol.commands import Command
from lockgate.protocol.features import parse_feat
from lockgate.protocol.replies import Reply

from .conversation import (
    Close,
    Conversation,
    StartTls,
    StopTls,
    ask,
    ask_final,
    first_final,
    local,
    refusal,
    succeed,
)
from .options import ANONYMOUS, Password, TlsMode
from .peer import Peer

__all__ = [
    "ccc",
    "establish",
    "feat",
    "goodbye",
    "greet",
    "login",
    "protect",
    "quit_session",
    "rein",
    "secure",
]

_log = logging.getLogger(__name__)

_GOODBYE_SECONDS = 5.0
# A server may take PBSZ and PROT only after the login (RFC 4217 §12.1).
_NOT_YET = frozenset((503, 530))
_UNKNOWN = frozenset((500, 502, 503, 504))


def establish(peer: Peer) -> Conversation[None]:
    """Bring a fresh connection to the point that the options ask for.

    Raises:
        ProtectionRefused: The server does not give the protection asked for; nothing went out in clear.
        CertificateRejected: The server's certificate is not acceptable; USER was not sent.
        HandshakeFailed: TLS failed otherwise.
        ReplyError: The server refused the session or the login.
    """
    options = peer.options
    if options.mode is TlsMode.IMPLICIT:
        yield from _start_tls(peer)
    yield from greet(peer)
    for command in options.before_auth:
        yield from succeed(command)
    if options.mode is TlsMode.EXPLICIT and options.secure:
        yield from secure(peer)
    if not options.login:
        return
    is_level_open = options.protect_after_login or not (yield from _protect_if_ready(peer))
    yield from login(peer, options.user, options.password, account=options.account)
    if is_level_open:
        yield from _settle_level(peer)
    yield from feat(peer)
    if options.ccc:
        yield from ccc(peer)


def greet(peer: Peer) -> Conversation[Reply]:
    """Wait for the greeting (RFC 959 §5.4).

    Raises:
        ServiceNotAvailable: 421.
        ReplyError: Any other refusal.
        ConnectionLost, TransferTimeout: None came.
    """
    try:
        reply = yield from first_final()
    except (ConnectionLost, TransferTimeout) as error:
        if peer.options.mode is TlsMode.IMPLICIT:
            raise
        raise type(error)(
            f"{error}; no greeting came: this may be a port for implicit TLS, try ftps://"
        ) from error.__cause__
    if not reply.is_success:
        raise refusal(reply)
    return reply


def secure(peer: Peer) -> Conversation[None]:
    """AUTH TLS and the handshake (RFC 4217 §4).

    Raises:
        ProtectionRefused: Any answer but 234; QUIT was said in clear, nothing secret was (§10.3).
        CertificateRejected: The certificate; where TLS was up already, QUIT was said inside it.
        HandshakeFailed: The handshake failed half-way; the connection is dropped.
    """
    command = Command("AUTH", "TLS")
    reply = yield from ask_final(command)
    if reply.code == ServiceNotAvailable.codes[0]:
        raise refusal(reply, command)
    if reply.code != 234:
        yield from goodbye(peer)
        why = refusal(reply, command)
        raise ProtectionRefused(
            f"the server refuses TLS ({why}); nothing secret was sent: ask its operator, "
            "or try ftps:// (implicit TLS) if it has that port",
            unless="say tls='never' if clear FTP will do",
        ) from why
    peer.forget()
    yield from _start_tls(peer)


def _start_tls(peer: Peer) -> Conversation[None]:
    try:
        yield StartTls()
    except CertificateRejected:
        # RFC 4217 §10.3: TLS is up, but its parameters are not acceptable.
        if peer.state.is_protected:
            yield from goodbye(peer)
        raise


def _protect_if_ready(peer: Peer) -> Conversation[bool]:
    """Set the level before the login; False when the server wants the login first."""
    if not peer.options.wants_tls:
        return True
    refused = yield from _set_level(peer, "P" if peer.wants_private else "C", is_default_fine=True)
    if refused is None:
        return True
    if refused.code in _NOT_YET:
        return False
    yield from goodbye(peer)
    raise _not_protected(refused)


def _settle_level(peer: Peer) -> Conversation[None]:
    if peer.options.wants_tls:
        yield from protect(peer, private=peer.wants_private)


def protect(peer: Peer, *, private: bool) -> Conversation[None]:
    """PBSZ 0 and PROT P, or PROT C (RFC 4217 §9); the level holds for the transfers to come.

    Raises:
        ProtectionRefused: The server refuses; under `private` no transfer will start.
        LocalProtocolError: The control connection is not in TLS.
    """
    peer.wants_private = peer.wants_private or private
    refused = yield from _set_level(peer, "P" if private else "C")
    if refused is not None:
        raise _not_protected(refused) if private else refused
    peer.wants_private = private


def _set_level(peer: Peer, level: str, *, is_default_fine: bool = False) -> Conversation[ReplyError | None]:
    """Send what is needed to be at a level; return the server's refusal, or None."""
    wants_private = level == "P"
    if is_default_fine and not wants_private and not peer.state.data.is_private:
        return None
    steps = [Command("PROT", level)]
    if not peer.state.data.has_pbsz:
        steps.insert(0, Command("PBSZ", "0"))
    for command in steps:
        reply = yield from ask_final(command)
        if reply.is_success:
            continue
        if peer.state.implicit and wants_private and peer.state.data.is_private and reply.code in _UNKNOWN:
            # 1997 draft, §8: on the implicit port data is private without any PROT.
            _log.debug("= the implicit port takes no %s: data is private by default", command.word)
            return None
        return refusal(reply, command)
    return None


def _not_protected(refused: ReplyError) -> LockgateError:
    if isinstance(refused, ServiceNotAvailable):
        return refused
    error = ProtectionRefused(
        f"the server does not protect data connections ({refused}); nothing was transferred",
        unless="say protect=False if data in clear will do",
    )
    error.__cause__ = refused
    return error


def login(
    peer: Peer, user: str, password: Password | None, *, account: str | None = None
) -> Conversation[Reply]:
    """USER, and PASS and ACCT where the server asks for them (RFC 959 §5.4, RFC 4217 §12.2).

    Raises:
        ProtectionRefused: The control connection is in clear, and TLS was asked for.
        NotLoggedIn: The server refuses, or wants a password and there is none.
        AccountNeeded: The server wants an account and there is none.
        ReplyError: Any other refusal.
    """
    if peer.options.wants_tls and not peer.state.is_protected:
        raise ProtectionRefused("the control connection is in clear: call auth() before login()")
    command = Command("USER", user)
    reply = yield from ask_final(command)
    if reply.code == 331:
        secret = yield from _password(reply, password)
        command = Command("PASS", secret)
        reply = _without(secret, (yield from ask_final(command)))
    if reply.code == 332:
        if account is None:
            raise AccountNeeded(reply.code, reply.lines, command.word)
        command = Command("ACCT", account)
        reply = _without(account, (yield from ask_final(command)))
    if not reply.is_success:
        error = refusal(reply, command)
        if user == ANONYMOUS:
            error.add_note("the login was anonymous: for another user write user@ before the host")
        raise error
    return reply


def _password(reply: Reply, password: Password | None) -> Conversation[str]:
    if password is None:
        error = NotLoggedIn(reply.code, reply.lines, "USER")
        error.add_note("the server asks for a password and none was given")
        raise error
    if isinstance(password, str):
        return password
    return (yield from local(password))


def _without(secret: str, reply: Reply) -> Reply:
    """Return the reply without the secret: some servers repeat what they were told."""
    if not secret or secret not in reply.text:
        return reply
    return Reply(reply.code, tuple(line.replace(secret, "***") for line in reply.lines))


def feat(peer: Peer) -> Conversation[dict[str, str]]:
    """FEAT, and OPTS UTF8 ON where it is listed (RFC 2389, RFC 2640)."""
    command = Command("FEAT")
    reply = yield from ask_final(command)
    if reply.code == ServiceNotAvailable.codes[0]:
        raise refusal(reply, command)
    peer.features = parse_feat(reply.lines) if reply.code == 211 else {}
    if peer.has("UTF8"):
        # Practice: servers that speak UTF-8 anyway may refuse it, which changes nothing.
        reply = yield from ask_final(Command("OPTS", "UTF8 ON"))
        if reply.code == ServiceNotAvailable.codes[0]:
            raise refusal(reply, Command("OPTS"))
    return peer.features


def ccc(peer: Peer) -> Conversation[None]:
    """Go back to a control connection in clear (RFC 4217 §5); data keeps its level.

    Raises:
        ReplyError: The server refuses; the connection goes on in TLS.
    """
    yield from succeed(Command("CCC"))
    yield StopTls()


def rein(peer: Peer) -> Conversation[None]:
    """Start the session anew on the same connection (RFC 4217 §13).

    Explicit TLS ends with it: AUTH comes again before the next login. On the implicit port TLS stays.

    Raises:
        ReplyError: The server refuses; everything stays as it was.
    """
    was_protected = peer.state.is_protected
    yield from succeed(Command("REIN"))
    peer.forget()
    if was_protected and not peer.state.is_protected:
        yield StopTls()


def quit_session(peer: Peer) -> Conversation[None]:
    """QUIT, then close; the server's answer does not matter."""
    yield from goodbye(peer)
    yield Close()


def goodbye(peer: Peer) -> Conversation[None]:
    """Say QUIT, and mind no failure: the connection is about to be closed."""
    try:
        yield from ask(Command("QUIT"), seconds=min(_GOODBYE_SECONDS, peer.options.timeout))
    except LocalProtocolError:
        # TLS is being negotiated: there is nothing to say QUIT in.
        return
    except LockgateError as error:
        _log.debug("! QUIT: %s", error)
