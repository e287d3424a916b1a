"""FEAT, HELP, SYST, NOOP, CLNT (RFC 959 §4.1.3, RFC 2389, practice)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockgate.protocol.extensions import format_hash_feature
from lockgate.protocol.features import format_feat, mlst_feature
from lockgate.protocol.gates import CccRule, Requirement
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.protocol.verbs import VERBS, Verb, VerbRow, lookup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session

__all__ = ["clnt", "feat", "help_", "noop", "syst"]

_C = ReplyCode
_TLS_VERBS = frozenset((Verb.AUTH, Verb.PBSZ, Verb.PROT))
_VERBS_A_LINE = 8


async def feat(session: Session, command: Command) -> Reply:
    """List what works here and now, before the login too (RFC 2389 §3, RFC 4217 §6)."""
    return Reply(_C.SYSTEM_STATUS, format_feat(_features(session)))


def _features(session: Session) -> Iterator[str]:
    policy = session.control.core.policy
    offered = session.server.config.features
    has_tls = policy.has_tls and policy.control is not Requirement.FORBIDDEN
    for row in VERBS.values():
        if row.feature is None or not _is_served(row, session) or (row.verb in _TLS_VERBS and not has_tls):
            continue
        match row.verb:
            case Verb.MLST:
                yield mlst_feature(session.parameters.mlst_facts)
            case Verb.HASH:
                yield format_hash_feature(offered.hash_algorithms, session.hash_algorithm or "")
            case Verb.MODE if not offered.compression:
                continue
            case Verb.EPRT if not policy.active_mode:
                continue
            case _:
                yield row.feature
        if row.verb is Verb.AUTH and policy.legacy_auth:
            yield "AUTH SSL"
    if has_tls and policy.ccc is not CccRule.OFF:
        yield "CCC"
    yield "TVFS"
    yield "UTF8"


def _is_served(row: VerbRow, session: Session) -> bool:
    return row.refused is None and (row.verb is not Verb.HASH or session.hash_algorithm is not None)


async def help_(session: Session, command: Command) -> Reply:
    """List the verbs, or explain one."""
    word = command.text.strip()
    if word:
        row = lookup(word)
        if row is None or not _is_served(row, session):
            return Reply.of(_C.BAD_ARGUMENT, "There is no such command here.")
        return Reply.of(_C.HELP, f"Syntax: {row.help}")
    words = sorted(row.verb.value for row in VERBS.values() if _is_served(row, session))
    lines = (
        " " + " ".join(f"{word:<4}" for word in words[start : start + _VERBS_A_LINE])
        for start in range(0, len(words), _VERBS_A_LINE)
    )
    return Reply.of(_C.HELP, "These commands are implemented:", *lines, "HELP <verb> explains one.")


async def syst(session: Session, command: Command) -> Reply:
    """Say what clients take as: listings look like `ls -l`."""
    return Reply.of(_C.SYSTEM_TYPE, "UNIX Type: L8")


async def noop(session: Session, command: Command) -> Reply:
    """Do nothing."""
    return Reply.of(_C.OK, "Nothing done.")


async def clnt(session: Session, command: Command) -> Reply:
    """Take note of the client's name."""
    return Reply.of(_C.OK, "Noted.")
