"""The conversations that use a data connection: listings, downloads, uploads.

Must not do I/O: the pump runs where the driver lets it block. No transfer starts at a lower protection level
than was asked for, and none counts as done before both connections say so (RFC 959 §5.4, RFC 4217 §12.6).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lockgate.errors import (
    LocalProtocolError,
    NoSpace,
    PermanentReplyError,
    TruncatedTransfer,
)
from lockgate.protocol.commands import Command
from lockgate.protocol.facts import parse_time
from lockgate.transfer import pump
from lockgate.transfer.outcome import Outcome
from lockgate.transfer.streams import DataStream

from .conversation import (
    Conversation,
    TransferEnd,
    ask_final,
    local,
    refusal,
    succeed,
)
from .entries import RemoteEntry, entries_from_list, entries_from_mlsd
from .exchange import exchange
from .localfiles import DownloadTarget, SourceFile, StreamTarget, open_target
from .peer import Peer
from .progress import Meter, ProgressCallback

__all__ = ["TransferReport", "download", "list_directory", "remote_size", "set_binary", "upload"]

# What a hostile server can make us hold: an entry of a few bytes takes some hundred in memory.
_LISTING_BYTES = 128 * 1024 * 1024
_LISTING_LINES = 500_000
_NO_SUCH_COMMAND = frozenset((500, 501, 502, 504))
_NO_RESUMING = frozenset((500, 501, 502, 503, 504, 550, 551, 553, 554))


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What a transfer did.

    Attributes:
        path: The remote path.
        bytes_moved: In this attempt.
        offset: Where this attempt began.
        seconds: How long the data took.
        is_end_verified: TLS showed that the receiver's copy is whole, not only the reply.
        is_size_verified: The server's SIZE agrees.
        session_reused: The data connection resumed the control connection's TLS session.
    """

    path: str
    bytes_moved: int
    offset: int = 0
    seconds: float = 0.0
    is_end_verified: bool = False
    is_size_verified: bool = False
    session_reused: bool = False

    @property
    def size(self) -> int:
        """The file's length."""
        return self.offset + self.bytes_moved


# --- listings ---


def list_directory(peer: Peer, path: str = "") -> Conversation[list[RemoteEntry]]:
    """List a directory by MLSD, or by LIST where the server has no MLSD.

    Raises:
        NameRejected: A name in the listing might lead elsewhere.
        TruncatedTransfer: The listing did not end as it should.
        ReplyError: The server refuses.
    """
    if not peer.refuses_mlsd:
        try:
            data = yield from _listing(peer, "MLSD", path)
        except PermanentReplyError as error:
            if error.code not in _NO_SUCH_COMMAND or (peer.has("MLST") and error.code == 501):
                raise
            peer.refuses_mlsd = True
        else:
            return (yield from local(partial(entries_from_mlsd, data, path)))
    # A path that starts with a hyphen would be taken for options of "ls".
    argument = f"./{path}" if path.startswith("-") else path
    data = yield from _listing(peer, "LIST", argument)
    return (yield from local(partial(entries_from_list, data, path, now=time.time())))


def _listing(peer: Peer, word: str, path: str) -> Conversation[bytes]:
    sink = _Sink()
    command = Command(word, path or None)
    task = partial(_receive, sink, require_close_notify=peer.options.require_close_notify)
    yield from exchange(peer, command, task)
    return bytes(sink.data)


class _Sink:
    """Keeps a listing in memory, up to a limit."""

    __slots__ = ("data", "lines")

    def __init__(self) -> None:
        self.data = bytearray()
        self.lines = 0

    def write(self, data: memoryview | bytes, /) -> int:
        if len(self.data) + len(data) > _LISTING_BYTES:
            raise NoSpace(f"the listing is longer than {_LISTING_BYTES} bytes")
        self.data += data
        self.lines += bytes(data).count(b"\n")
        if self.lines > _LISTING_LINES:
            raise NoSpace(f"the listing has more than {_LISTING_LINES} lines")
        return len(data)


def _receive(writer: pump.Writer, stream: DataStream, *, require_close_notify: bool) -> Outcome:
    return pump.receive(stream, writer, require_close_notify=require_close_notify)


# --- files ---


def download(
    peer: Peer,
    remote: str,
    path: Path,
    *,
    progress: ProgressCallback | None = None,
    resume: bool = False,
    expected_size: int | None = None,
    modified: float | None = None,
) -> Conversation[TransferReport]:
    """Download a file beside its target and replace the target at a verified end.

    What `path` may be stands at `localfiles.open_target`: devices and pipes are written to as the bytes come.

    Args:
        peer: The server.
        remote: The remote path.
        path: The local file.
        progress: Called now and then.
        resume: Keep what came if the transfer is cut, and go on there next time; what came of another state
            of the remote file (by SIZE and MDTM) is not used.
        expected_size: The size a listing has told, which saves asking for it.
        modified: The time to give the file.

    Raises:
        TruncatedTransfer: It ended before its end; there is no partial file.
        ReplyError: The server refuses.
        StorageError: The local file cannot be written.
    """
    yield from set_binary(peer)
    size = expected_size if expected_size is not None else (yield from remote_size(peer, remote))
    key = (yield from _content_key(peer, remote, size)) if resume else None
    target = yield from local(partial(open_target, path, random=peer.options.random, resume_key=key))
    try:
        if target.offset and (size is None or target.offset > size):
            yield from local(target.restart)
        offset = target.offset
        meter = Meter(progress, remote, total=size, offset=offset)
        task = partial(_store, target, meter, require_close_notify=peer.options.require_close_notify)
        end = yield from exchange(peer, Command("RETR", remote), task, offset=offset)
        report = yield from _check_download(peer, remote, end, offset=offset, size=size)
        meter.finish()
        yield from local(partial(target.commit, modified=modified))
    except BaseException as error:
        yield from local(target.discard)
        if target.part is not None:
            error.add_note(f"what came is kept in {target.part}; resuming goes on there")
        raise
    return report


def _store(
    target: DownloadTarget | StreamTarget, meter: Meter, stream: DataStream, *, require_close_notify: bool
) -> Outcome:
    return pump.receive(stream, target, progress=meter.on_piece, require_close_notify=require_close_notify)


def _content_key(peer: Peer, remote: str, size: int | None) -> Conversation[str]:
    reply = yield from ask_final(Command("MDTM", remote))
    time_text = reply.lines[0].strip() if reply.code == 213 else ""
    modified = int(parse_time(time_text)) if time_text else 0
    return f"{-1 if size is None else size:x}-{modified:x}"


def _check_download(
    peer: Peer, remote: str, end: TransferEnd, *, offset: int, size: int | None
) -> Conversation[TransferReport]:
    """Hold what came against what the server says the file has."""
    outcome = end.outcome
    assert outcome is not None
    got = offset + outcome.bytes_moved
    if size is not None and got != size:
        # A file that changes while it is read has no one size; what counts is what it has now.
        size = yield from remote_size(peer, remote)
    if size is not None and got < size:
        raise TruncatedTransfer(f"{remote}: {got} bytes came and the server says it has {size}; try again")
    if size is None and not outcome.verified_end and peer.state.data.is_private:
        raise TruncatedTransfer(
            f"{remote}: the data ended without close_notify, and the server tells no size to compare"
        )
    return TransferReport(
        path=remote,
        bytes_moved=outcome.bytes_moved,
        offset=offset,
        seconds=outcome.seconds,
        is_end_verified=outcome.verified_end,
        is_size_verified=size == got,
        session_reused=end.session_reused,
    )


def upload(
    peer: Peer, path: Path, remote: str, *, progress: ProgressCallback | None = None, resume: bool = False
) -> Conversation[TransferReport]:
    """Upload a file; done when the server has said so and the size agrees.

    Args:
        peer: The server.
        path: The local file; `/dev/stdin` is read to its end.
        remote: The remote path.
        progress: Called now and then.
        resume: Go on behind what SIZE tells of an earlier, interrupted upload (REST and STOR, RFC 3659 §5.4).
            Nothing shows whether that is the beginning of this file: the caller has to know.

    Raises:
        TruncatedTransfer: The server says it has another number of bytes.
        ReplyError: The server refuses.
        StorageError: The local file cannot be read.
    """
    source = yield from local(partial(SourceFile.open, path))
    try:
        yield from set_binary(peer)
        offset = (yield from _uploaded(peer, remote, source)) if resume else 0
        try:
            return (yield from _upload_from(peer, source, remote, progress=progress, offset=offset))
        except PermanentReplyError as error:
            if not offset or error.code not in _NO_RESUMING:
                raise
        # The server does not go on with what it has: from the beginning, then.
        return (yield from _upload_from(peer, source, remote, progress=progress))
    finally:
        yield from local(source.close)


def _uploaded(peer: Peer, remote: str, source: SourceFile) -> Conversation[int]:
    """Say how much of a file the server has, as far as this can be the beginning of the source."""
    if source.size is None:
        raise LocalProtocolError("what is read from a pipe cannot be resumed")
    size = yield from remote_size(peer, remote)
    return size if size is not None and size <= source.size else 0


def _upload_from(
    peer: Peer, source: SourceFile, remote: str, *, progress: ProgressCallback | None, offset: int = 0
) -> Conversation[TransferReport]:
    if source.size is not None:
        yield from local(partial(source.seek, offset))
    meter = Meter(progress, remote, total=source.size, offset=offset)
    end = yield from exchange(peer, Command("STOR", remote), partial(_send, source, meter), offset=offset)
    report = yield from _check_upload(peer, remote, end, offset=offset)
    meter.finish()
    return report


def _send(source: SourceFile, meter: Meter, stream: DataStream) -> Outcome:
    # The final reply is the proof of delivery, and the socket stays open until it has come: a server that
    # never answers our close_notify must not cost each file a wait.
    return pump.send(source, stream, progress=meter.on_piece, await_peer=False)


def _check_upload(peer: Peer, remote: str, end: TransferEnd, *, offset: int) -> Conversation[TransferReport]:
    outcome = end.outcome
    assert outcome is not None
    is_size_verified = False
    # What an earlier upload brought was told by SIZE, and only SIZE can tell that it was gone on with.
    if offset or not end.peer_ended:
        size = yield from remote_size(peer, remote)
        sent = offset + outcome.bytes_moved
        if size is not None and size != sent:
            raise TruncatedTransfer(
                f"{remote}: {sent} bytes were sent and the server has {size}; upload it again"
            )
        is_size_verified = size is not None
    return TransferReport(
        path=remote,
        bytes_moved=outcome.bytes_moved,
        offset=offset,
        seconds=outcome.seconds,
        is_end_verified=end.peer_ended,
        is_size_verified=is_size_verified,
        session_reused=end.session_reused,
    )


def set_binary(peer: Peer) -> Conversation[None]:
    """TYPE I, where it is not set already."""
    if peer.type != "I":
        yield from succeed(Command("TYPE", "I"))
        peer.type = "I"


def remote_size(peer: Peer, remote: str) -> Conversation[int | None]:
    """SIZE, or None where the server does not tell (RFC 3659 §4).

    Raises:
        ReplyError: The session ended.
    """
    if peer.features and not peer.has("SIZE"):
        return None
    yield from set_binary(peer)
    command = Command("SIZE", remote)
    reply = yield from ask_final(command)
    if reply.code == 421:
        raise refusal(reply, command)
    digits = reply.lines[0].strip()
    is_number = reply.code == 213 and digits.isascii() and digits.isdigit() and len(digits) < 20
    return int(digits) if is_number else None
