"""The conversations about files and directories that need no data connection. Must not do I/O."""

from __future__ import annotations

from lockgate.errors import (
    FileUnavailable,
    LocalProtocolError,
    NotLoggedIn,
    PermanentReplyError,
    ProtectionRefused,
    RemoteProtocolError,
)
from lockgate.protocol.commands import Command
from lockgate.protocol.facts import Facts, format_time, parse_mlsx_line, parse_time
from lockgate.protocol.paths import parse_257, split
from lockgate.protocol.replies import Reply
from lockgate.protocol.verbs import Verb

from .conversation import Conversation, ask_final, refusal, succeed
from .entries import RemoteEntry, entry_from_facts
from .peer import Peer
from .transfers import remote_size, set_binary

__all__ = [
    "change_directory",
    "ensure_directory",
    "exists",
    "make_directory",
    "modified",
    "noop",
    "quote",
    "remove",
    "remove_directory",
    "rename",
    "set_modified",
    "size",
    "stat",
    "working_directory",
]


_NO_SUCH_COMMAND = frozenset((500, 501, 502, 504))
_NAME_TAKEN = frozenset((450, 500, 521, 550, 553))
_LEADS_OUT_OF_STEP = frozenset((Verb.AUTH, Verb.CCC, Verb.REIN, Verb.QUIT, Verb.ABOR))


def working_directory(peer: Peer) -> Conversation[str]:
    """PWD (RFC 959 Appendix II).

    Raises:
        RemoteProtocolError: The answer carries no path.
    """
    del peer
    reply = yield from succeed(Command("PWD"))
    return parse_257(reply.text)


def change_directory(peer: Peer, path: str) -> Conversation[None]:
    """CWD."""
    del peer
    yield from succeed(_on_path("CWD", path))


def make_directory(peer: Peer, path: str) -> Conversation[None]:
    """MKD."""
    del peer
    yield from succeed(_on_path("MKD", path))


def ensure_directory(peer: Peer, path: str) -> Conversation[None]:
    """MKD, and no error when the directory is there already."""
    command = _on_path("MKD", path)
    reply = yield from ask_final(command)
    if reply.is_success:
        return
    if reply.code in _NAME_TAKEN and (yield from _is_directory(peer, path)):
        return
    raise refusal(reply, command)


def remove_directory(peer: Peer, path: str) -> Conversation[None]:
    """RMD."""
    del peer
    yield from succeed(_on_path("RMD", path))


def remove(peer: Peer, path: str) -> Conversation[None]:
    """DELE."""
    del peer
    yield from succeed(_on_path("DELE", path))


def rename(peer: Peer, source: str, target: str) -> Conversation[None]:
    """RNFR and RNTO."""
    del peer
    first, second = _on_path("RNFR", source), _on_path("RNTO", target)
    reply = yield from ask_final(first)
    if reply.code != 350:
        raise refusal(reply, first)
    yield from succeed(second)


def size(peer: Peer, path: str) -> Conversation[int]:
    """SIZE in TYPE I: the number of bytes (RFC 3659 §4).

    Raises:
        RemoteProtocolError: The answer is no number.
    """
    yield from set_binary(peer)
    reply = yield from succeed(_on_path("SIZE", path))
    digits = reply.lines[0].strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise RemoteProtocolError(f"SIZE was answered {reply}, which is no number of bytes")
    return int(digits)


def modified(peer: Peer, path: str) -> Conversation[float]:
    """MDTM: the time of the last change, seconds since 1970 UTC (RFC 3659 §3)."""
    del peer
    reply = yield from succeed(_on_path("MDTM", path))
    return parse_time(reply.lines[0])


def set_modified(peer: Peer, path: str, timestamp: float) -> Conversation[None]:
    """MFMT: set the time of the last change, in whole seconds."""
    del peer
    yield from succeed(Command("MFMT", f"{format_time(timestamp)} {_needed(path)}"))


def stat(peer: Peer, path: str) -> Conversation[RemoteEntry]:
    """Say what a path is: by MLST, or else by SIZE, MDTM and CWD.

    Raises:
        FileUnavailable: There is nothing, or nothing that the user may see.
    """
    if not peer.refuses_mlst:
        # Without an argument MLST is about the working directory.
        command = Command("MLST", path or None)
        reply = yield from ask_final(command)
        if reply.is_success:
            return _from_mlst(reply, path)
        if reply.code not in _NO_SUCH_COMMAND or peer.has("MLST"):
            raise refusal(reply, command)
        peer.refuses_mlst = True
    return (yield from _stat_without_mlst(peer, path))


def _from_mlst(reply: Reply, path: str) -> RemoteEntry:
    if len(reply.lines) < 3:
        raise RemoteProtocolError(f"MLST was answered {reply}, without a line of facts")
    facts, _ = parse_mlsx_line(reply.lines[1].removeprefix(" "))
    # The name in the reply is the server's word; the caller's path is what was asked about.
    return entry_from_facts(Facts.from_mapping(facts), _name(path), path)


def _stat_without_mlst(peer: Peer, path: str) -> Conversation[RemoteEntry]:
    # CWD before SIZE: some servers tell a SIZE for directories.
    if not path or (yield from _can_enter(peer, path)):
        return RemoteEntry(_name(path), path, "dir")
    length = yield from remote_size(peer, path)
    command = Command("MDTM", path)
    reply = yield from ask_final(command)
    if reply.code == 213:
        return RemoteEntry(_name(path), path, "file", size=length, modified=parse_time(reply.lines[0]))
    if length is not None:
        return RemoteEntry(_name(path), path, "file", size=length)
    raise refusal(reply, command) if reply.code == 550 else FileUnavailable(550, reply.lines, "MDTM")


def _can_enter(peer: Peer, path: str) -> Conversation[bool]:
    """Tell whether CWD takes a path; the working directory stays."""
    before = yield from working_directory(peer)
    command = Command("CWD", path)
    reply = yield from ask_final(command)
    if reply.is_success:
        yield from succeed(Command("CWD", before))
        return True
    if reply.code in (421, 530):
        raise refusal(reply, command)
    return False


def _is_directory(peer: Peer, path: str) -> Conversation[bool]:
    try:
        found = yield from stat(peer, path)
    except NotLoggedIn:
        raise
    except PermanentReplyError:
        return False
    return found.is_dir


def exists(peer: Peer, path: str) -> Conversation[bool]:
    """Tell whether there is something at a path that the user may see."""
    try:
        yield from stat(peer, path)
    except FileUnavailable:
        return False
    return True


def noop(peer: Peer) -> Conversation[None]:
    """NOOP: keep the connection awake, and see whether it is."""
    del peer
    yield from succeed(Command("NOOP"))


def quote(peer: Peer, line: str) -> Conversation[Reply]:
    """Send a command as it stands and return its final reply, a refusal too (RFC 4217 §10.3).

    Raises:
        LocalProtocolError: The command has a method of its own, because more follows from it.
        ProtectionRefused: It holds a secret, and the connection is in clear though TLS was asked for.
    """
    word, space, argument = line.strip(" ").partition(" ")
    command = Command(word.upper(), argument if space else None)
    row = command.row
    if command.verb in _LEADS_OUT_OF_STEP or (row is not None and row.opens_data):
        raise LocalProtocolError(f"{command.word}: use the method for it; quote would lose the step")
    is_login = command.is_secret or command.verb is Verb.USER
    if is_login and peer.options.wants_tls and not peer.state.is_protected:
        raise ProtectionRefused(f"{command.word} would go out in clear: call auth() first")
    reply = yield from ask_final(command)
    if command.verb is Verb.TYPE:
        peer.type = ""
    return reply


def _on_path(word: str, path: str) -> Command:
    return Command(word, _needed(path))


def _needed(path: str) -> str:
    if not path:
        raise LocalProtocolError("the remote path is empty")
    return path


def _name(path: str) -> str:
    return split(path.rstrip("/"))[1] or path
