"""From verb to handler: the table, the permissions, and what a handler's errors are answered with.

Must not judge login or protection: `protocol.gates` has done so.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from lockgate.accounts.base import Permission
from lockgate.errors import AccountError, LocalProtocolError, RemoteProtocolError, StorageError
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.protocol.verbs import VERBS, Verb
from lockgate.transfer.outcome import NotOpened
from lockgate.transfer.workers import WorkersBusy

from .handlers import (
    access,
    attributes,
    digests,
    endpoints,
    files,
    hosts,
    information,
    listings,
    parameters,
    security,
    transfers,
)
from .refusallog import tell_refusal
from .refusals import storage_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lockgate.protocol.commands import Command

    from .session import Session

__all__ = ["HANDLERS", "run"]

_logger = logging.getLogger(__name__)

Handler = Callable[["Session", "Command"], Awaitable[Reply]]

HANDLERS: Mapping[Verb, Handler] = MappingProxyType(
    {
        Verb.USER: access.user,
        Verb.PASS: access.pass_,
        Verb.ACCT: access.acct,
        Verb.REIN: access.rein,
        Verb.QUIT: access.quit_,
        Verb.HOST: hosts.host,
        Verb.AUTH: security.auth,
        Verb.PBSZ: security.pbsz,
        Verb.PROT: security.prot,
        Verb.CCC: security.ccc,
        Verb.TYPE: parameters.type_,
        Verb.STRU: parameters.stru,
        Verb.MODE: parameters.mode,
        Verb.REST: parameters.rest,
        Verb.RANG: parameters.rang,
        Verb.ALLO: parameters.allo,
        Verb.OPTS: parameters.opts,
        Verb.PASV: endpoints.pasv,
        Verb.EPSV: endpoints.epsv,
        Verb.PORT: endpoints.port,
        Verb.EPRT: endpoints.eprt,
        Verb.RETR: transfers.retr,
        Verb.STOR: transfers.stor,
        Verb.APPE: transfers.appe,
        Verb.STOU: transfers.stou,
        Verb.ABOR: transfers.abor,
        Verb.LIST: listings.list_,
        Verb.NLST: listings.nlst,
        Verb.MLSD: listings.mlsd,
        Verb.MLST: listings.mlst,
        Verb.STAT: listings.stat,
        Verb.CWD: files.cwd,
        Verb.CDUP: files.cdup,
        Verb.PWD: files.pwd,
        Verb.MKD: files.mkd,
        Verb.RMD: files.rmd,
        Verb.DELE: files.dele,
        Verb.RNFR: files.rnfr,
        Verb.RNTO: files.rnto,
        Verb.SIZE: files.size,
        Verb.MDTM: files.mdtm,
        Verb.MFMT: attributes.mfmt,
        Verb.HASH: digests.hash_,
        Verb.MFF: attributes.mff,
        Verb.AVBL: attributes.avbl,
        Verb.SITE: attributes.site,
        Verb.FEAT: information.feat,
        Verb.HELP: information.help_,
        Verb.SYST: information.syst,
        Verb.NOOP: information.noop,
        Verb.CLNT: information.clnt,
    }
)
"""A handler for every verb that no gate refuses for good."""

_PERMISSIONS: Mapping[Verb, Permission] = MappingProxyType(
    {
        Verb.RETR: Permission.READ,
        Verb.HASH: Permission.READ,
        Verb.STOR: Permission.WRITE,
        Verb.APPE: Permission.WRITE,
        Verb.STOU: Permission.WRITE,
        Verb.MFMT: Permission.WRITE,
        Verb.MFF: Permission.WRITE,
        Verb.LIST: Permission.LIST,
        Verb.NLST: Permission.LIST,
        Verb.MLSD: Permission.LIST,
        Verb.MLST: Permission.LIST,
        Verb.DELE: Permission.DELETE,
        Verb.RMD: Permission.DELETE,
        Verb.MKD: Permission.MKDIR,
        Verb.RNFR: Permission.RENAME,
        Verb.RNTO: Permission.RENAME,
    }
)


async def run(session: Session, command: Command) -> Reply:
    """Run a command that every gate has let through, and return its final or preliminary reply.

    A preliminary reply means that `session.job` is ready to be started. Refusals that an operator may be
    asked about go to the log.
    """
    reply, cause = await _run(session, command)
    tell_refusal(session, command, reply, cause)
    return reply


async def _run(session: Session, command: Command) -> tuple[Reply, Exception | str | None]:
    """Return the reply, and the cause of a refusal where there is more to say than the reply does."""
    verb = command.verb
    assert verb is not None
    needed = _PERMISSIONS.get(verb)
    if needed is not None and not session.account.may(needed):
        lacking = f'the account lacks the permission "{needed}"'
        return Reply.of(ReplyCode.FILE_UNAVAILABLE, "Permission denied."), lacking
    try:
        handler = _transfer if VERBS[verb].opens_data else HANDLERS[verb]
        return await handler(session, command), None
    except StorageError as error:
        return storage_reply(error, is_blind=session.is_blind), error
    except RemoteProtocolError as error:
        return Reply.of(ReplyCode.BAD_ARGUMENT, f"{command.word}: bad argument; {VERBS[verb].help}"), error
    except NotOpened as error:
        _logger.warning("%s ! %s", session, error)
        text = "No port is free for a data connection; try again later."
        return Reply.of(ReplyCode.CANNOT_OPEN_DATA, text), error
    except WorkersBusy as error:
        return Reply.of(ReplyCode.FILE_BUSY, "The server is busy; try again later."), error
    except AccountError as error:
        _logger.exception("%s ! %s", session, command)
        return Reply.of(ReplyCode.LOCAL_ERROR, "The accounts cannot be read just now."), error
    except LocalProtocolError as error:
        # A name that no reply can carry: the file system's, not the client's.
        _logger.warning("%s ! %s cannot be answered", session, command, exc_info=True)
        return Reply.of(ReplyCode.FILE_UNAVAILABLE, "The name cannot be told."), error
    except Exception:
        _logger.exception("%s ! %s", session, command)
        return Reply.of(ReplyCode.LOCAL_ERROR, "The server had an error of its own."), None


async def _transfer(session: Session, command: Command) -> Reply:
    """Run a command that opens a data connection, when there is a place for one more transfer."""
    verb = command.verb
    assert verb is not None
    reason = session.claim_endpoint()
    if reason:
        return Reply.of(ReplyCode.CANNOT_OPEN_DATA, reason)
    try:
        return await HANDLERS[verb](session, command)
    finally:
        # Refused before any 1xx: the endpoint waits for another command.
        session.release_endpoint()
