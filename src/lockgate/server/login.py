"""Who may enter once the password, or the certificate in its place, is right, and what entering means.

The policy of RFC 4217 §10.1: TLS demanded of or denied to certain users, certificates that must agree with
USER, and TLS whose parameters must be acceptable. Must not answer for wrong passwords: that is
`handlers.access`'s.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lockgate.accounts.base import Account, Protection
from lockgate.accounts.certificates import CertificateVerdict, judge_certificate
from lockgate.accounts.imitation import imitated
from lockgate.errors import ConfigError, StorageError, shorten
from lockgate.protocol.replies import Reply, ReplyCode

from .audit import record

if TYPE_CHECKING:
    from lockgate.accounts.certificates import ShownCertificate

    from .session import Session

__all__ = [
    "control_refusal",
    "enter",
    "entry_problem",
    "failure_reason",
    "may_enter_by_certificate",
    "must_look_up",
    "tls_problem",
]

_logger = logging.getLogger(__name__)

_C = ReplyCode


def tls_problem(session: Session) -> str:
    """Return why the control connection's TLS is not acceptable to the listener, or "".

    RFC 4217 §10.1: the handshake was right by itself, and a 421 inside TLS tells what is missing.
    """
    listener, tls = session.control.listener, session.tls
    if listener.demands_certificate and tls.identity is None:
        return "A client certificate is required"
    return listener.policy_for(None).acceptance().problem(tls.version, tls.cipher)


def must_look_up(session: Session) -> bool:
    """Return whether USER needs the account: only where accounts are answered differently at USER."""
    return session.tls.identity is not None or session.control.listener.account_controls != (None,)


def control_refusal(session: Session, name: str, account: Account | None) -> Reply | None:
    """Return the refusal of USER where this user must, or must not, be in TLS, else None (RFC 4217 §10.1).

    It comes before the password does. A name that nobody has is treated like an account, always like the same
    kind of one, so that the answer tells nothing about who is there (RFC 2577 §7).

    Args:
        session: Whose USER it is.
        name: The argument of USER.
        account: The account of that name; None: there is none, or accounts do not differ here.
    """
    listener = session.control.listener
    # Chosen for accounts too, so that names that exist and names that do not take the same time.
    other = imitated(name, listener.account_controls, key=session.server.name_key)
    control = (account.control if account is not None else other) or listener.policy_for(None).control
    if _agrees(session, control):
        return None
    record("login-refused", peer=session.control.peer_address, user=name, reason=f'control = "{control}"')
    if control is Protection.REQUIRED:
        return Reply.of(_C.NOT_LOGGED_IN, "AUTH TLS comes first: this user takes no login in clear.")
    return Reply.of(_C.POLICY_DENIED, "This user takes no login in TLS.")


def may_enter_by_certificate(session: Session, account: Account) -> bool:
    """Return whether the client's certificate takes the place of the password (reply 232)."""
    return _verdict(session, account) is CertificateVerdict.SUFFICES and not _connection_problem(
        session, account
    )


def entry_problem(session: Session, account: Account) -> str:
    """Return why connection or certificate keep a client out whose password was right, or ""; for the log."""
    problem = _connection_problem(session, account)
    if not problem and _verdict(session, account) is CertificateVerdict.REFUSED:
        problem = _certificate_problem(session.tls.identity)
    return problem


def failure_reason(account: Account | None, shown: ShownCertificate | None) -> str:
    """Return why a login failed where nothing but name and password was judged; for the log alone.

    Args:
        account: The account of that name, if there is one.
        shown: The certificate that the client has shown.
    """
    if account is None:
        return "no such user"
    if account.password_hash is None:
        return f"the account has no password, and {_certificate_problem(shown)}"
    return "wrong password"


def _certificate_problem(shown: ShownCertificate | None) -> str:
    return "no certificate was shown" if shown is None else "the certificate does not fit the account"


async def enter(session: Session, account: Account, done: Reply, *, by: str) -> Reply:
    """Log in and return `done`, or 451 when the account's home cannot be used: that is for the operator."""
    try:
        storage = await session.in_worker(lambda: session.server.homes.storage_for(account))
    except (ConfigError, StorageError) as error:
        _logger.error("%s ! %s cannot log in: %s", session, shorten(account.name), error)  # noqa: TRY400
        return Reply.of(_C.LOCAL_ERROR, "Your files cannot be opened on the server; its operator can help.")
    if not session.server.door.log_in(session.control, account):
        return Reply.of(_C.NOT_AVAILABLE, "Too many sessions of this account; closing.")
    session.log_in(account, storage)
    record(
        "login",
        peer=session.control.peer_address,
        user=account.name,
        by=by,
        tls=session.tls.version or "none",
        cipher=session.tls.cipher or None,
    )
    return done


def _verdict(session: Session, account: Account) -> CertificateVerdict:
    rule = session.control.listener.policy_for(account).client_certificate
    return judge_certificate(account, rule, session.tls.identity)


def _connection_problem(session: Session, account: Account) -> str:
    """RFC 4217 §10.1: TLS may be demanded of, or denied to, certain users, and so may its parameters."""
    policy, tls = session.control.listener.policy_for(account), session.tls
    # Judged at USER already, but a reload may have come in between.
    if not _agrees(session, policy.control):
        return f'control = "{policy.control}"'
    if not session.control.core.state.is_protected:
        return ""
    return policy.acceptance().problem(tls.version, tls.cipher)


def _agrees(session: Session, control: Protection) -> bool:
    is_protected = session.control.core.state.is_protected
    return control is Protection.OPTIONAL or is_protected == (control is Protection.REQUIRED)
