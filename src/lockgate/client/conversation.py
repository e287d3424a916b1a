"""What an operation may ask of its driver: effects as values, and the generators that yield them.

An operation (`sessions`, `transfers`, `files`) is a generator: it yields effects, is sent their results, and
returns a value. `blocking` and `asynchronous` run it. Must not do I/O, and must not know who runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from lockgate.errors import LockgateError, RemoteProtocolError, ReplyError, ServiceNotAvailable
from lockgate.protocol.addresses import HostPort
from lockgate.protocol.commands import Command
from lockgate.protocol.replies import Reply
from lockgate.transfer.outcome import Outcome
from lockgate.transfer.streams import DataStream

__all__ = [
    "Ask",
    "AwaitReply",
    "Close",
    "Conversation",
    "Effect",
    "Listen",
    "Local",
    "OpenData",
    "RunTransfer",
    "StartTls",
    "StopTls",
    "TransferEnd",
    "ask",
    "ask_final",
    "first_final",
    "listen",
    "local",
    "refusal",
    "run_transfer",
    "succeed",
]

_T = TypeVar("_T")

# A server that says 1xx again and again to one command is not going to answer it (RFC 959 §4.2 knows one).
_MOST_PRELIMINARIES = 20


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a command and wait for its first reply, which may be a 1xx. Gives a `Reply`.

    Attributes:
        command: What to send.
        seconds: How long to wait; None is the connection's time limit.
    """

    command: Command
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AwaitReply:
    """Wait for one more reply: the greeting, or what follows a 1xx. Gives a `Reply`."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Run the TLS handshake on the control connection, verified. Gives None (RFC 4217 §4)."""


@dataclass(frozen=True, slots=True)
class StopTls:
    """End TLS on the control connection and keep the connection. Gives None (RFC 4217 §5, §13)."""


@dataclass(frozen=True, slots=True)
class OpenData:
    """Connect to a port of the control connection's host, for the next `RunTransfer`. Gives None."""

    port: int


@dataclass(frozen=True, slots=True)
class Listen:
    """Listen beside the control connection, for the next `RunTransfer`. Gives a `HostPort`."""


@dataclass(frozen=True, slots=True)
class RunTransfer:
    """Send a transfer command, carry the data, take the final reply. Gives a `TransferEnd`.

    Attributes:
        command: RETR, STOR, MLSD and so on.
        task: Moves the data over the stream it is given; runs where blocking is allowed.
        is_protected: TLS on the data connection (level P).
    """

    command: Command
    task: Callable[[DataStream], Outcome]
    is_protected: bool


@dataclass(frozen=True, slots=True)
class Local:
    """Call blocking code that touches this machine only (files, a prompt). Gives its result."""

    work: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Close:
    """Close the control connection, TLS first where it is up. Gives None."""


Effect: TypeAlias = Ask | AwaitReply | StartTls | StopTls | OpenData | Listen | RunTransfer | Local | Close
Conversation: TypeAlias = Generator[Effect, object, _T]


@dataclass(frozen=True, slots=True)
class TransferEnd:
    """How a transfer ended, seen from both connections.

    Attributes:
        outcome: What happened on the data connection; None when the server refused before there was one.
        final: The final reply; None when none came.
        error: Why there is no final reply; the control connection is then given up.
        preliminary: The 1xx replies (STOU says its name there).
        peer_ended: Uploads: the server's own close_notify was seen, so it has read everything.
        session_reused: The data connection resumed the control connection's TLS session.
    """

    outcome: Outcome | None = None
    final: Reply | None = None
    error: LockgateError | None = None
    preliminary: tuple[Reply, ...] = ()
    peer_ended: bool = False
    session_reused: bool = False


def ask(command: Command, *, seconds: float | None = None) -> Conversation[Reply]:
    """Send a command and return its first reply, which may be a refusal or a 1xx."""
    reply = yield Ask(command, seconds)
    assert isinstance(reply, Reply)
    return reply


def ask_final(command: Command, *, seconds: float | None = None) -> Conversation[Reply]:
    """Send a command and return its final reply, which may be a refusal.

    Raises:
        RemoteProtocolError: Preliminary replies without end.
    """
    reply = yield from ask(command, seconds=seconds)
    return (yield from _final(reply))


def succeed(command: Command) -> Conversation[Reply]:
    """Send a command and return its final reply if that is a 2xx; any other is raised.

    Judged by the first digit: servers vary in the other two (RFC 1123 §4.1.2.11).

    Raises:
        ReplyError: The server refused, or wants something that was not expected (3xx).
    """
    reply = yield from ask_final(command)
    if not reply.is_success:
        raise refusal(reply, command)
    return reply


def first_final() -> Conversation[Reply]:
    """Wait for the greeting: 120 may come before it (RFC 959 §5.4)."""
    reply = yield AwaitReply()
    assert isinstance(reply, Reply)
    return (yield from _final(reply))


def _final(reply: Reply) -> Conversation[Reply]:
    for _ in range(_MOST_PRELIMINARIES):
        if not reply.is_preliminary:
            return reply
        answer = yield AwaitReply()
        assert isinstance(answer, Reply)
        reply = answer
    raise RemoteProtocolError(f"the server sends preliminary replies without end ({reply})")


def run_transfer(
    command: Command, task: Callable[[DataStream], Outcome], *, is_protected: bool
) -> Conversation[TransferEnd]:
    """Run a transfer over the data connection that was set up before."""
    end = yield RunTransfer(command, task, is_protected)
    assert isinstance(end, TransferEnd)
    return end


def listen() -> Conversation[HostPort]:
    """Listen for the server's data connection and return where."""
    address = yield Listen()
    assert isinstance(address, HostPort)
    return address


def local(work: Callable[[], _T]) -> Conversation[_T]:
    """Call blocking code that touches this machine only, and return its result."""
    result = yield Local(work)
    return result  # type: ignore[return-value]  # the driver gives back what `work` returned


def refusal(reply: Reply, command: Command | None = None) -> ReplyError:
    """Return the exception for a reply that is not what was hoped for."""
    word = "" if command is None else command.word
    if reply.code == ServiceNotAvailable.codes[0]:
        return ServiceNotAvailable(reply.code, reply.lines, word)
    return ReplyError.lookup(reply.code)(reply.code, reply.lines, word)
