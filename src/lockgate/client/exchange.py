"""One exchange over a data connection: set it up, run the transfer, join both connections' verdicts.

Must not do I/O. No transfer starts at a lower protection level than was asked for, and none counts as done
before both connections say so (RFC 959 §5.4, RFC 4217 §12.6).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lockgate.errors import (
    CertificateMismatch,
    CertificateRejected,
    ConnectionLost,
    LockgateError,
    ProtectionRefused,
    SessionReuseRequired,
    TransferError,
    TruncatedTransfer,
)
from lockgate.protocol.addresses import NetworkFamily, format_eprt, format_port, parse_227, parse_229
from lockgate.protocol.commands import Command
from lockgate.protocol.replies import Reply
from lockgate.protocol.verbs import Verb
from lockgate.transfer.outcome import Outcome, OutcomeStatus
from lockgate.transfer.streams import DataStream

from .conversation import (
    Conversation,
    OpenData,
    TransferEnd,
    ask_final,
    listen,
    refusal,
    run_transfer,
    succeed,
)
from .peer import Peer

__all__ = ["exchange"]

# RFC 4217 §10.2: "the 522 then says so"; vsftpd, FileZilla Server and others use other codes too.
_REUSE_TEXT = re.compile(
    r"(re-?us|resum).{0,40}(session|tls|ssl)|(session|tls|ssl).{0,60}(re-?us|resum)", re.IGNORECASE
)
_REUSE_CODES = frozenset((425, 426, 450, 451, 521, 522, 530, 534))
_RECEIVING = frozenset((Verb.RETR, Verb.MLSD, Verb.LIST))
_EPSV_IS_KNOWN = frozenset((421, 530))
_Task = Callable[[DataStream], Outcome]


def exchange(peer: Peer, command: Command, task: _Task, *, offset: int = 0) -> Conversation[TransferEnd]:
    """Set up a data connection, run a transfer over it, and raise unless all of it went well."""
    is_protected = peer.state.data.is_private
    if peer.wants_private and not is_protected:
        raise ProtectionRefused(
            f"{command.word}: data connections are in clear just now, and protection was asked for: "
            "call protect(), or protect(private=False) if clear will do"
        )
    yield from _set_up(peer)
    if offset:
        # RFC 959 §4.1.3: nothing may come between REST and the transfer command.
        rest = Command("REST", str(offset))
        reply = yield from ask_final(rest)
        if reply.code != 350:
            raise refusal(reply, rest)
    end = yield from run_transfer(command, task, is_protected=is_protected)
    _raise_unless_complete(end, command)
    return end


def _set_up(peer: Peer) -> Conversation[None]:
    if peer.options.active:
        address = yield from listen()
        if address.family is NetworkFamily.IPV6:
            yield from succeed(Command("EPRT", format_eprt(address)))
        else:
            yield from succeed(Command("PORT", format_port(address)))
        return
    port = yield from _passive_port(peer)
    yield OpenData(port)


def _passive_port(peer: Peer) -> Conversation[int]:
    """EPSV, or PASV where EPSV was refused once (RFC 2428 §3); the address in 227 is not used."""
    if not peer.refuses_epsv:
        command = Command("EPSV")
        reply = yield from ask_final(command)
        if reply.code == 229:
            return parse_229(reply.text)
        if reply.code < 500 or reply.code in _EPSV_IS_KNOWN:
            raise refusal(reply, command)
        peer.refuses_epsv = True
    command = Command("PASV")
    reply = yield from ask_final(command)
    if reply.code != 227:
        raise refusal(reply, command)
    return parse_227(reply.text).port


def _raise_unless_complete(end: TransferEnd, command: Command) -> None:
    """Join what both connections say into one verdict."""
    outcome, final = end.outcome, end.final
    if outcome is not None and outcome.status in (OutcomeStatus.STORAGE_FAILED, OutcomeStatus.ABORTED):
        assert outcome.error is not None
        raise outcome.error
    if outcome is not None and isinstance(outcome.error, _OUR_VERDICTS):
        raise outcome.error
    if final is not None and not final.is_success:
        raise _refused(final, command) from (None if outcome is None else outcome.error)
    if outcome is not None and not outcome.is_complete:
        raise _incomplete(outcome, command, final)
    if end.error is not None:
        raise end.error
    if final is None or outcome is None:
        raise TransferError(f"{command.word}: the transfer has no end that can be trusted")


_OUR_VERDICTS = (CertificateRejected, CertificateMismatch)
"""What we found wrong; the server's reply to our hanging up says nothing about it."""


def _refused(reply: Reply, command: Command) -> LockgateError:
    """Return the error for a refusal; one about session reuse has its own kind."""
    error = refusal(reply, command)
    if reply.code in _REUSE_CODES and _REUSE_TEXT.search(reply.text):
        wanted = SessionReuseRequired(
            f"the server wants the data connection to resume the control connection's TLS session ({error}): "
            "leave offer_session on; a server that restarts or keeps few sessions may need its limits raised"
        )
        wanted.__cause__ = error
        return wanted
    return error


def _incomplete(outcome: Outcome, command: Command, final: Reply | None) -> LockgateError:
    said = f", though the server says {final}" if final is not None else ""
    # A peer that has closed answers the alert that OpenSSL sends at a ragged end with a reset: both mean that
    # the end mark is missing.
    is_cut = final is not None and command.verb in _RECEIVING and isinstance(outcome.error, ConnectionLost)
    if is_cut or outcome.status is OutcomeStatus.TRUNCATED:
        error: LockgateError = TruncatedTransfer(
            f"{command}: the data ended after {outcome.bytes_moved} bytes without TLS's end mark{said}: "
            "what came may not be all, and does not count"
        )
        error.__cause__ = outcome.error
        return error
    if isinstance(outcome.error, LockgateError):
        return outcome.error
    return TransferError(f"{command}: {outcome.detail}{said}")
