"""Who may enter once the password, or the certificate in its place, is right, and what entering means.

The policy of RFC 4217 §10.1: TLS demanded of or denied to certain users, certificates that must agree with
USER. Must not answer for wrong passwords: that is `handlers.access`'s.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lockgate.accounts.base import Account, Protection
from lockgate.accounts.certificates import CertificateVerdict, judge_certificate
from lockgate.errors import ConfigError, StorageError, shorten
from lockgate.protocol.replies import Reply, ReplyCode

from .audit import record

if TYPE_CHECKING:
    from .session import Session

__all__ = ["enter", "may_enter", "may_enter_by_certificate"]

_logger = logging.getLogger(__name__)

_C = ReplyCode


def may_enter_by_certificate(session: Session, account: Account) -> bool:
    """Return whether the client's certificate takes the place of the password (reply 232)."""
    return _verdict(session, account) is CertificateVerdict.SUFFICES and _protection_agrees(session, account)


def may_enter(session: Session, account: Account) -> bool:
    """Return whether protection and certificate let a client in whose password was right."""
    return (
        _protection_agrees(session, account) and _verdict(session, account) is not CertificateVerdict.REFUSED
    )


async def enter(session: Session, account: Account, done: Reply, *, by: str) -> Reply:
    """Log in and return `done`, or 451 when the account's home cannot be used: that is for the operator."""
    try:
        storage = await session.in_worker(lambda: session.server.homes.storage_for(account))
    except (ConfigError, StorageError) as error:
        _logger.error("%s ! %s cannot log in: %s", session, shorten(account.name), error)  # noqa: TRY400
        return Reply.of(_C.LOCAL_ERROR, "Your files cannot be opened on the server; its operator can help.")
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
    identity = session.tls.identity
    rule = session.control.listener.policy_for(account).client_certificate
    return judge_certificate(account, rule, identity.subject_matches if identity is not None else None)


def _protection_agrees(session: Session, account: Account) -> bool:
    """RFC 4217 §10.1: TLS may be demanded of, or denied to, certain users."""
    control = session.control.listener.policy_for(account).control
    is_protected = session.control.core.state.is_protected
    return control is Protection.OPTIONAL or is_protected == (control is Protection.REQUIRED)
