"""USER, PASS, ACCT, REIN, QUIT (RFC 959 §4.1.1, RFC 4217 §4.2, §12.2, §13)."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record
from lockgate.server.hashing import HashingBusy
from lockgate.server.login import control_refusal, enter, may_enter, may_enter_by_certificate, must_look_up

if TYPE_CHECKING:
    from lockgate.accounts.base import Account
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session

__all__ = ["acct", "pass_", "quit_", "rein", "user"]

_C = ReplyCode


async def user(session: Session, command: Command) -> Reply:
    """Name the user: 232 when the client's certificate suffices, else 331, known name or not.

    Refused where this user must, or must not, be in TLS: before the password goes out (RFC 4217 §10.1).
    """
    name = session.login.user_name = command.text
    account = None
    if must_look_up(session):
        account = await session.in_worker(lambda: session.server.accounts.find(name))
    refusal = control_refusal(session, name, account)
    if refusal is not None:
        return refusal
    if account is not None and may_enter_by_certificate(session, account):
        done = Reply.of(_C.LOGGED_IN_BY_CERTIFICATE, "Logged in by certificate.")
        return await enter(session, account, done, by="certificate")
    # RFC 2577 §7: the same answer whether the name is known or not.
    return Reply.of(_C.NEED_PASSWORD, "Password required.")


async def pass_(session: Session, command: Command) -> Reply:
    """Check the password, slowly for those who fail (RFC 2577 §5)."""
    server, name = session.server, session.login.user_name
    door, address = server.door, session.control.peer_address
    if door.lockout.locks_address(address):
        record("login-refused", peer=address, user=name, reason="the address is locked out")
        return Reply.of(_C.NOT_AVAILABLE, "Too many failed logins from your address; try again later.")
    # Others' failures at a shared address do not make those wait who have logged in from there.
    waited = 0.0 if door.lockout.is_familiar(name, address) else door.throttle.delay(address)
    if waited:
        await asyncio.sleep(waited)
    try:
        account = await _check_password(session, name, command.text)
    except HashingBusy as error:
        record("login-refused", peer=address, user=name, reason=str(error))
        return Reply.of(_C.NOT_AVAILABLE, "Too many logins at once; try again later.")
    if account is not None:
        door.lockout.succeeded(name, address)
        return await enter(session, account, Reply.of(_C.LOGGED_IN, "Logged in."), by="password")
    session.failed_logins += 1
    record("login-failed", peer=address, user=name, attempt=session.failed_logins)
    if door.lockout.failed(name, address):
        record("locked-out", peer=address, user=name, seconds=door.lockout.limits.seconds)
    # Who has waited before the check has waited for this answer already.
    delay = door.throttle.failed(address) - waited
    if delay > 0:
        await asyncio.sleep(delay)
    if session.failed_logins >= server.config.limits.login_attempts:
        return Reply.of(_C.NOT_AVAILABLE, "Too many failed logins; closing.")
    return Reply.of(_C.NOT_LOGGED_IN, "Login failed.")


async def _check_password(session: Session, name: str, password: str) -> Account | None:
    """Return the account that the password opens, or None: also while the name is locked out."""
    server, control, address = session.server, session.control, session.control.peer_address
    is_locked = server.door.lockout.locks_name(name, address)
    # The work is done all the same, with a password that fits nothing and is remembered by nobody: a right
    # guess must not be told by its time either.
    tried = secrets.token_hex() if is_locked else password
    lockout = server.door.lockout
    return await server.passwords.check(
        server.accounts,
        name,
        tried,
        address=address,
        is_wanted=lambda: server.has(control),
        # Asked again: many guesses at once may have locked it while this one waited for its turn.
        may_enter=lambda account: (
            not lockout.locks_address(address)
            and not lockout.locks_name(name, address)
            and may_enter(session, account)
        ),
    )


async def acct(session: Session, command: Command) -> Reply:
    """Accounts in RFC 959's sense are not used here."""
    return Reply.of(_C.SUPERFLUOUS, "No account is needed.")


async def rein(session: Session, command: Command) -> Reply:
    """Begin anew; TLS ends after the reply, except on the implicit port (RFC 4217 §13)."""
    record("rein", peer=session.control.peer_address, user=session.user_name)
    session.reset()
    # RFC 7151 §3.2: REIN ends what HOST said.
    session.host = ""
    return Reply.of(_C.READY, "Ready for a new user.")


async def quit_(session: Session, command: Command) -> Reply:
    """Say goodbye; a transfer's result has been sent before (RFC 959 §4.1.1)."""
    return Reply.of(_C.CLOSING_CONTROL, "Goodbye.")
