"""TYPE, STRU, MODE, REST, ALLO, OPTS (RFC 959 §4.1.2, RFC 2389, RFC 3659 §5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lockgate.protocol.extensions import UnknownOption, parse_mode_z_options, parse_rang
from lockgate.protocol.features import format_opts_mlst, parse_opts, parse_opts_mlst, parse_opts_utf8
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.server.session import Representation

if TYPE_CHECKING:
    from lockgate.protocol.commands import Command
    from lockgate.server.session import Session

__all__ = ["allo", "mode", "opts", "rang", "rest", "stru", "type_"]

_C = ReplyCode
_ALLO = re.compile(r"([0-9]{1,20})(?: R [0-9]{1,20})?", re.IGNORECASE | re.ASCII)
_OFFSET = re.compile(r"[0-9]{1,19}", re.ASCII)
_NOT_IN_THIS_FORM = 551  # draft-bryan-ftp-range §5
_TYPES = {
    "A": Representation.ASCII,
    "A N": Representation.ASCII,
    "I": Representation.IMAGE,
    "L 8": Representation.IMAGE,
}


async def type_(session: Session, command: Command) -> Reply:
    """Choose between line ends on the wire and bytes as they are."""
    wanted = " ".join(command.text.upper().split())
    representation = _TYPES.get(wanted)
    if representation is None:
        known = wanted[:1] in ("A", "E", "I", "L") and wanted[1:2] in ("", " ")
        code = _C.PARAMETER_NOT_IMPLEMENTED if known else _C.BAD_ARGUMENT
        return Reply.of(code, "TYPE A, I and L 8 are implemented.")
    session.parameters.representation = representation
    return Reply.of(_C.OK, f"Type is {representation.value}.")


async def stru(session: Session, command: Command) -> Reply:
    """File structure only."""
    return _choice(command, chosen="F", known="FRP")


async def mode(session: Session, command: Command) -> Reply:
    """Stream mode, or compressed by zlib (draft-preston-ftpext-deflate)."""
    offered = session.server.config.features.compression
    if offered and command.text.strip().upper() == "Z":
        session.parameters.is_compressed = True
        return Reply.of(_C.OK, "MODE is Z.")
    reply = _choice(command, chosen="S", known="SBCZ")
    if reply.is_success:
        session.parameters.is_compressed = False
    return reply


def _choice(command: Command, *, chosen: str, known: str) -> Reply:
    wanted = command.text.strip().upper()
    if wanted == chosen:
        return Reply.of(_C.OK, f"{command.word} is {chosen}.")
    code = _C.PARAMETER_NOT_IMPLEMENTED if len(wanted) == 1 and wanted in known else _C.BAD_ARGUMENT
    return Reply.of(code, f"{command.word} {chosen} is implemented.")


async def rest(session: Session, command: Command) -> Reply:
    """Note where the next transfer starts; the state keeps the offset (RFC 3659 §5)."""
    text = command.text.strip()
    if not _OFFSET.fullmatch(text) or int(text) >= 1 << 63:
        return Reply.of(_C.BAD_ARGUMENT, "REST takes a number of bytes.")
    return Reply.of(_C.PENDING, f"The next transfer starts at {int(text)}.")


async def rang(session: Session, command: Command) -> Reply:
    """Note the part that the next RETR or HASH is about; the state keeps it (draft-bryan-ftp-range)."""
    bounds = parse_rang(command.text)
    if bounds is None:
        return Reply.of(_C.PENDING, "No range is set.")
    if session.is_ascii or session.parameters.is_compressed:
        return Reply.of(_NOT_IN_THIS_FORM, "RANG needs TYPE I and MODE S.")
    return Reply.of(_C.PENDING, f"The next RETR or HASH covers bytes {bounds[0]} to {bounds[1]}.")


async def allo(session: Session, command: Command) -> Reply:
    """Nothing needs to be allocated; what would not fit anyway is better refused now than in the middle."""
    wanted = _ALLO.fullmatch(command.text.strip())
    if wanted is None:
        return Reply.of(_C.BAD_ARGUMENT, "ALLO takes a number of bytes.")
    storage = session.storage
    free = await session.in_worker(lambda: storage.free_bytes("/"))
    if free is not None and int(wanted[1]) > free:
        return Reply.of(_C.STORAGE_EXCEEDED, "There is not so much room.")
    return Reply.of(_C.SUPERFLUOUS, "No allocation is needed.")


async def opts(session: Session, command: Command) -> Reply:
    """Options of listed features only (RFC 2389 §4)."""
    name, options = parse_opts(command.text)
    if name == "MLST":
        session.parameters.mlst_facts = parse_opts_mlst(options)
        return Reply.of(_C.OK, format_opts_mlst(session.parameters.mlst_facts))
    if name in ("UTF8", "UTF-8"):
        if parse_opts_utf8(options):
            return Reply.of(_C.OK, "UTF8 is on.")
        return Reply.of(_C.PARAMETER_NOT_IMPLEMENTED, "UTF8 is always on.")
    if name == "HASH":
        return _hash_options(session, options)
    if name == "MODE" and session.server.config.features.compression:
        return _mode_options(session, options)
    return Reply.of(_C.BAD_ARGUMENT, "There are no such options.")


def _hash_options(session: Session, options: str) -> Reply:
    """Say or change the algorithm of HASH (draft-bryan-ftpext-hash §3.2)."""
    wanted = options.strip().upper()
    if wanted and wanted not in session.server.config.features.hash_algorithms:
        # The draft says 501; 504 tells an algorithm that is not served from a line that cannot be read.
        return Reply.of(
            _C.PARAMETER_NOT_IMPLEMENTED, "FEAT lists the algorithms; the choice stays as it was."
        )
    if wanted:
        session.parameters.hash_algorithm = wanted
    chosen = session.hash_algorithm
    if chosen is None:
        return Reply.of(_C.BAD_ARGUMENT, "There are no such options.")
    return Reply.of(_C.OK, chosen)


def _mode_options(session: Session, options: str) -> Reply:
    """Choose how MODE Z compresses; the mode itself stays (draft-preston-ftpext-deflate §3.4)."""
    mode_name, _, pairs = options.strip().partition(" ")
    if mode_name.upper() != "Z":
        return Reply.of(_C.BAD_ARGUMENT, "Only MODE Z has options.")
    try:
        level = parse_mode_z_options(pairs)
    except UnknownOption:
        return Reply.of(_C.BAD_ARGUMENT, "MODE Z has ENGINE ZLIB, METHOD 8 and LEVEL 0 to 9.")
    session.parameters.compression_level = level
    return Reply.of(_C.OK, f"MODE Z LEVEL {level} ENGINE ZLIB METHOD 8")
