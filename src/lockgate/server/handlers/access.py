"""USER, PASS, ACCT, REIN, QUIT (RFC 959 §4.1.1, RFC 4217 §4.2, §12.2, §13)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lockgate.accounts.base import Account, Protection
from lockgate.accounts.certificates import CertificateVerdict, judge_certificate
from lockgate.errors import ConfigError, StorageError, shorten
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session

__all__ = ["acct", "pass_", "quit_", "rein", "user"]

_logger = logging.getLogger(__name__)

_C = ReplyCode


async def user(session: Session, command: Command) -> Reply:
    """Name the user: 232 when the client's certificate suffices, else 331, known name or not."""
    session.login.user_name = command.text
    if session.tls.identity is not None:
        account = await session.in_worker(lambda: session.server.accounts.find(command.text))
        if account is not None and _verdict(session, account) is CertificateVerdict.SUFFICES:
            if not _protection_agrees(session, account):
                return Reply.of(_C.NEED_PASSWORD, "Password required.")
            done = Reply.of(_C.LOGGED_IN_BY_CERTIFICATE, "Logged in by certificate.")
            return await _enter(session, account, done, by="certificate")
    # RFC 2577 §7: the same answer whether the name is known or not.
    return Reply.of(_C.NEED_PASSWORD, "Password required.")


async def pass_(session: Session, command: Command) -> Reply:
    """Check the password, slowly for those who fail (RFC 2577 §5)."""
    server, name = session.server, session.login.user_name
    address = session.control.peer_address
    delay = server.throttle.delay(address)
    if delay:
        await asyncio.sleep(delay)
    check = server.hashers.submit(lambda: server.accounts.check_password(name, command.text))
    account = await asyncio.wrap_future(check)
    if account is not None and _may_enter(session, account):
        return await _enter(session, account, Reply.of(_C.LOGGED_IN, "Logged in."), by="password")
    session.failed_logins += 1
    record("login-failed", peer=address, user=name, attempt=session.failed_logins)
    delay = server.throttle.failed(address)
    if delay:
        await asyncio.sleep(delay)
    if session.failed_logins >= server.config.limits.login_attempts:
        return Reply.of(_C.NOT_AVAILABLE, "Too many failed logins; closing.")
    return Reply.of(_C.NOT_LOGGED_IN, "Login failed.")


async def acct(session: Session, command: Command) -> Reply:
    """Accounts in RFC 959's sense are not used here."""
    return Reply.of(_C.SUPERFLUOUS, "No account is needed.")


async def rein(session: Session, command: Command) -> Reply:
    """Begin anew; TLS ends after the reply, except on the implicit port (RFC 4217 §13)."""
    record("rein", peer=session.control.peer_address, user=session.user_name)
    session.reset()
    return Reply.of(_C.READY, "Ready for a new user.")


async def quit_(session: Session, command: Command) -> Reply:
    """Say goodbye; a transfer's result has been sent before (RFC 959 §4.1.1)."""
    return Reply.of(_C.CLOSING_CONTROL, "Goodbye.")


def _verdict(session: Session, account: Account) -> CertificateVerdict:
    identity = session.tls.identity
    rule = session.control.listener.policy_for(account).client_certificate
    return judge_certificate(account, rule, identity.subject_matches if identity is not None else None)


def _protection_agrees(session: Session, account: Account) -> bool:
    """RFC 4217 §10.1: TLS may be demanded of, or denied to, certain users."""
    control = session.control.listener.policy_for(account).control
    is_protected = session.control.core.state.is_protected
    return control is Protection.OPTIONAL or is_protected == (control is Protection.REQUIRED)


def _may_enter(session: Session, account: Account) -> bool:
    return (
        _protection_agrees(session, account) and _verdict(session, account) is not CertificateVerdict.REFUSED
    )


async def _enter(session: Session, account: Account, done: Reply, *, by: str) -> Reply:
    """Log in and return `done`, or 451 when the account's home cannot be used: that is for the operator."""
    try:
        storage = await session.in_worker(lambda: session.server.storage_for(account))
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
