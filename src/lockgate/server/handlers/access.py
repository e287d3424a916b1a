"""USER, PASS, ACCT, REIN, QUIT (RFC 959 §4.1.1, RFC 4217 §4.2, §12.2, §13)."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from lockgate.errors import AccountError
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.audit import record
from lockgate.server.hashing import HashingBusy
from lockgate.server.login import (
    control_refusal,
    enter,
    entry_problem,
    failure_reason,
    may_enter_by_certificate,
    must_look_up,
)
from lockgate.transfer.workers import WorkersBusy

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
    problems: list[str] = []
    try:
        account = await _check_password(session, name, command.text, problems)
    except HashingBusy as error:
        record("login-refused", peer=address, user=name, reason=str(error))
        return Reply.of(_C.NOT_AVAILABLE, "Too many logins at once; try again later.")
    if account is not None:
        door.lockout.succeeded(name, address)
        return await enter(session, account, Reply.of(_C.LOGGED_IN, "Logged in."), by="password")
    session.failed_logins += 1
    is_locked = door.lockout.failed(name, address)
    # Beside the answer: why it failed takes a look at the account, and no time that the client can see.
    server.spawn(_tell_failure(session, name, problems, attempt=session.failed_logins, is_locked=is_locked))
    # Who has waited before the check has waited for this answer already.
    delay = door.throttle.failed(address) - waited
    if delay > 0:
        await asyncio.sleep(delay)
    if session.failed_logins >= server.config.limits.login_attempts:
        return Reply.of(_C.NOT_AVAILABLE, "Too many failed logins; closing.")
    return Reply.of(_C.NOT_LOGGED_IN, "Login failed.")


async def _tell_failure(
    session: Session, name: str, problems: list[str], *, attempt: int, is_locked: bool
) -> None:
    """Tell the operator, and nobody else, why a login failed; looks unknown names up like known ones."""
    server, address = session.server, session.control.peer_address
    identity = session.tls.identity
    reason: str | None
    try:
        found = await session.in_worker(lambda: server.accounts.find(name))
        reason = (problems or [failure_reason(found, identity)])[0]
    except (AccountError, WorkersBusy, RuntimeError):
        # Or the server ends just now: the failure is told all the same.
        reason = next(iter(problems), None)
    record("login-failed", peer=address, user=name, attempt=attempt, reason=reason)
    if is_locked:
        record("locked-out", peer=address, user=name, seconds=server.door.lockout.limits.seconds)


async def _check_password(session: Session, name: str, password: str, problems: list[str]) -> Account | None:
    """Return the account that the password opens, or None: also while the name is locked out.

    What stood in the way of a right password, or kept it from being looked at, comes into `problems`.
    """
    server, control, address = session.server, session.control, session.control.peer_address
    lockout = server.door.lockout
    is_locked = lockout.locks_name(name, address)
    if is_locked:
        problems.append(_NAME_LOCKED)
    # The work is done all the same, with a password that fits nothing and is remembered by nobody: a right
    # guess must not be told by its time either.
    tried = secrets.token_hex() if is_locked else password

    def may_enter(account: Account) -> bool:
        # Asked again: many guesses at once may have locked it while this one waited for its turn.
        if lockout.locks_address(address):
            problems.append("the address is locked out")
        elif lockout.locks_name(name, address):
            problems.append(_NAME_LOCKED)
        elif problem := entry_problem(session, account):
            problems.append(problem)
        return not problems

    return await server.passwords.check(
        server.accounts,
        name,
        tried,
        address=address,
        is_wanted=lambda: server.has(control),
        may_enter=may_enter,
    )


_NAME_LOCKED = "the name is locked out, so the password was not looked at"


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
