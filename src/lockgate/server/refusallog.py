"""Which refusals an operator is told of, and in what words: transfers, changes of files, AUTH, USER in clear.

The client gets a reply code and a few words; here is the cause behind them. What clients ask all day to find
out whether something is there is told at -v only. Must not change what is answered, nor see passwords.
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

from lockgate.errors import (
    AlreadyExists,
    IsADirectory,
    NotADirectory,
    NotFound,
    RemoteProtocolError,
    shorten,
)
from lockgate.protocol.paths import resolve
from lockgate.protocol.policy import paths_meant
from lockgate.protocol.replies import ReplyCode
from lockgate.protocol.verbs import VERBS, Verb
from lockgate.storage.base import OffsetBeyondEnd

from .audit import record

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.protocol.replies import Reply
    from lockgate.protocol.server import CommandRefused

    from .session import Session

__all__ = ["errno_name", "tell_gate", "tell_refusal"]

_logger = logging.getLogger(__name__)

_C = ReplyCode
_FIRST_REFUSAL = 400
_UPLOADS = frozenset((Verb.STOR, Verb.APPE, Verb.STOU))
_CHANGES = frozenset(
    (
        *(Verb.DELE, Verb.RMD, Verb.MKD, Verb.RNFR, Verb.RNTO),
        *(Verb.MFMT, Verb.MFF, Verb.SITE, Verb.HASH, Verb.ALLO),
    )
)
# The rest of what asks the storage; told only when the file system itself refuses.
_LOOKS = frozenset((Verb.CWD, Verb.CDUP, Verb.SIZE, Verb.MDTM, Verb.MLST, Verb.STAT, Verb.AVBL))
# Their argument is more than a path, or none.
_ARGUMENTS = frozenset((Verb.MFMT, Verb.MFF, Verb.SITE, Verb.ALLO))
# Said of a command that was wrong in itself, whatever file it names.
_WRONG_COMMAND = frozenset(
    (_C.UNRECOGNISED, _C.BAD_ARGUMENT, _C.NOT_IMPLEMENTED, _C.BAD_SEQUENCE, _C.PARAMETER_NOT_IMPLEMENTED)
)
_NOT_THERE = (NotFound, NotADirectory, IsADirectory, OffsetBeyondEnd)


def tell_gate(session: Session, refused: CommandRefused) -> None:
    """Tell of a command that a gate has refused, where it is worth a line. Event loop only."""
    command, reply = refused.command, refused.reply
    verb = None if command is None else command.verb
    if command is None or verb is None:
        return
    reason = reply.lines[0]
    peer = session.control.peer_address
    if verb is Verb.AUTH:
        record("auth-refused", peer=peer, mechanism=command.text, reply=reply.code, reason=reason)
    elif verb is Verb.USER and refused.gate == "login-in-clear":
        record("login-refused", peer=peer, user=command.text, reason='in clear, and control = "required"')
    elif session.user_name is not None:
        _tell(session, command, reply, reason=reason, gate=refused.gate)


def tell_refusal(session: Session, command: Command, reply: Reply, cause: Exception | str | None) -> None:
    """Tell of a command that was let through and then refused, where it is worth a line. Event loop only.

    Args:
        session: Whose command it is.
        command: The command.
        reply: What is answered; nothing is told of successes.
        cause: The error behind it, or words; None: the reply says it all.
    """
    if reply.code < _FIRST_REFUSAL or command.verb is None:
        return
    if _is_harmless(command.verb, cause):
        _logger.info("%s ! %s: %s", session, command, reply.lines[0])
        return
    reason = reply.lines[0] if cause is None else str(cause)
    number = errno_name(cause) if isinstance(cause, Exception) else None
    if command.verb not in _LOOKS or number is not None:
        _tell(session, command, reply, reason=reason, errno=number)


def errno_name(error: BaseException | None) -> str | None:
    """Return the system's name and words for the error behind one of ours, or None where there is none."""
    # As many links as any error of ours has, and an end for one that leads back to itself.
    for _ in range(5):
        if error is None:
            return None
        if isinstance(error, OSError) and error.errno is not None:
            name = errno.errorcode.get(error.errno, error.errno)
            return f"{name} ({error.strerror})"
        error = error.__cause__
    return None


def _is_harmless(verb: Verb, cause: Exception | str | None) -> bool:
    """Say whether a client has only asked for what is not there, or made what is there already."""
    if verb is Verb.MKD and isinstance(cause, AlreadyExists):
        return True
    return isinstance(cause, _NOT_THERE) and verb not in _UPLOADS and verb is not Verb.RNTO


def _tell(session: Session, command: Command, reply: Reply, *, reason: str, **more: object) -> None:
    verb = command.verb
    assert verb is not None
    is_transfer = VERBS[verb].opens_data
    if not is_transfer and (verb not in _CHANGES | _LOOKS or reply.code in _WRONG_COMMAND):
        return
    path = None if verb in _ARGUMENTS else _path(session, command)
    record(
        "transfer-refused" if is_transfer else "file-refused",
        peer=session.control.peer_address,
        user=session.user_name,
        verb=command.word,
        path=path,
        argument=command.text if path is None else None,
        source=_source(session) if verb is Verb.RNTO else None,
        reply=reply.code,
        reason=reason.removesuffix(f": {shorten(path or '')}"),
        **more,
    )


def _path(session: Session, command: Command) -> str | None:
    """Return the virtual path that a command means (of STOU the directory), None where it can be none."""
    assert command.verb is not None
    try:
        return paths_meant(command.verb, command, session.parameters.cwd)[-1]
    except RemoteProtocolError:
        return None


def _source(session: Session) -> str | None:
    name = session.control.core.state.rename_from
    return None if name is None else resolve(session.parameters.cwd, name)
