"""One transfer on both connections: the command, the data connection, the final reply. Blocks.

Runs in the caller's thread (blocking driver) or in a worker (asyncio driver), and has the control connection
to itself meanwhile. Must not judge what the end means for the file.

The order is the delicate part (RFC 4217 §10.2, §12.4). The TCP connection stands before the command is sent.
The TLS handshake runs after the command and before its 1xx is awaited: vsftpd, ProFTPD and Pure-FTPd start
theirs only once they have seen the command, others at once, ftplib's servers only after their 150. A refusal
comes on the control connection while the handshake waits on the data connection, so both are watched.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import time
from dataclasses import dataclass, field

from lockgate.errors import (
    CertificateMismatch,
    LockgateError,
    RemoteProtocolError,
)
from lockgate.protocol.addresses import HostPort, same_host
from lockgate.protocol.replies import Reply
from lockgate.transfer import establish, kernel
from lockgate.transfer.ending import PeerEnd
from lockgate.transfer.outcome import Outcome, failure
from lockgate.transfer.stop import Stop
from lockgate.transfer.streams import DataStream

from .conversation import RunTransfer, TransferEnd
from .line import ControlLine

__all__ = ["DataLink", "transfer"]

_log = logging.getLogger(__name__)

_MOST_PRELIMINARIES = 20
# A server whose data connection has just gone answers soon, or not at all.
_AFTER_FAILURE_SECONDS = 10.0


@dataclass(slots=True)
class DataLink:
    """The data connection in the making: connected, or listening, until a transfer takes it."""

    sock: socket.socket | None = None
    listener: socket.socket | None = None

    def connect(self, line: ControlLine, port: int, *, stop: Stop | None = None) -> None:
        """Connect to the control connection's host, whatever a 227 says (RSEC-C-pasv)."""
        self.close()
        self.sock = establish.connect(line.host, port, deadline=line.deadline(), stop=stop)

    def listen(self, line: ControlLine) -> HostPort:
        """Listen on the control connection's local address."""
        self.close()
        self.listener = establish.listen(line.local_host)
        return HostPort(line.local_host, self.listener.getsockname()[1])

    def close(self) -> None:
        """Close what no transfer has taken."""
        for sock in (self.sock, self.listener):
            if sock is not None:
                sock.close()
        self.sock = self.listener = None

    def open(self, line: ControlLine, watch: _Watch, stop: Stop) -> socket.socket:
        """Return the connected socket; in active mode wait for the server to connect."""
        if self.listener is not None:
            return establish.accept(
                self.listener,
                allowed=lambda address: same_host(address, line.host),
                deadline=line.deadline(),
                stop=stop,
                wait=watch,
            )
        sock, self.sock = self.sock, None
        assert sock is not None, "OpenData or Listen comes before RunTransfer"
        return sock


class _Refused(Exception):
    """The server refused while the data connection was being made."""


@dataclass(slots=True)
class _Watch:
    """Waits for the data connection with an eye on the control connection."""

    line: ControlLine
    final: Reply | None = None
    preliminary: list[Reply] = field(default_factory=list)

    def __call__(
        self, sock: socket.socket, events: int, /, *, deadline: float, stop: Stop | None = None
    ) -> bool:
        control = self.line.sock
        while True:
            if stop is not None:
                stop.check()
            self.look()
            poller = select.poll()
            poller.register(sock, events)
            if self.final is None:
                poller.register(control, select.POLLIN)
            ready = poller.poll(max(0, int((deadline - time.monotonic()) * 1000) + 1))
            if not ready or any(descriptor == sock.fileno() for descriptor, _ in ready):
                if stop is not None:
                    stop.check()
                return bool(ready)

    def look(self) -> None:
        """Take the replies that are there; raise when one of them is a refusal."""
        if self.final is None:
            self.line.take_available()
            self._take_all()
        if self.final is None:
            self.line.check_open()
        elif not self.final.is_success:
            raise _Refused

    def _take_all(self) -> None:
        while self.final is None and (reply := self.line.channel.next_reply()) is not None:
            self.take(reply)

    def take(self, reply: Reply) -> None:
        """Note a reply to the transfer command."""
        if not reply.is_preliminary:
            self.final = reply
            return
        self.preliminary.append(reply)
        if len(self.preliminary) > _MOST_PRELIMINARIES:
            raise RemoteProtocolError(f"the server sends preliminary replies without end ({reply})")

    def await_first(self) -> None:
        """Wait until the command was answered at all, be it by a 1xx."""
        deadline = self.line.deadline()
        while self.final is None and not self.preliminary:
            self.take(self.line.reply(deadline=deadline))
        if self.final is not None and not self.final.is_success:
            raise _Refused

    def await_final(self, *, seconds: float | None = None) -> None:
        """Wait for the final reply, a refusal too."""
        deadline = self.line.deadline(seconds)
        while self.final is None:
            self.take(self.line.reply(deadline=deadline))


def transfer(line: ControlLine, link: DataLink, job: RunTransfer, *, stop: Stop) -> TransferEnd:
    """Carry out one transfer. Blocks; never longer than the time limit without anything moving.

    Args:
        line: The control connection; in step afterwards, unless the result carries an error.
        link: Connected or listening.
        job: What to do.
        stop: Interrupts the data connection.

    Raises:
        LocalProtocolError: The command must not be sent now; nothing was.
        ConnectionLost, TransferTimeout: The command could not be sent.
    """
    line.take_available()
    watch = _Watch(line)
    stream: DataStream | None = None
    outcome: Outcome | None = None
    reused = False
    try:
        line.send(job.command, deadline=line.deadline())
        try:
            stream = _open(line, link, watch, job=job, stop=stop)
            reused = stream.session_reused
            watch.await_first()
            outcome = job.task(stream)
        except _Refused:
            return TransferEnd(final=watch.final, preliminary=tuple(watch.preliminary))
        except (LockgateError, OSError) as error:
            outcome = failure(error)
        if not outcome.is_complete and stream is not None:
            # The server is still sending or waiting: it must see that this has ended.
            stream.close()
        link.close()
        lost = _await_final(watch, is_complete=outcome.is_complete)
        return TransferEnd(
            outcome=outcome,
            final=watch.final,
            error=lost,
            preliminary=tuple(watch.preliminary),
            peer_ended=outcome.verified_end or _peer_has_ended(stream, outcome),
            session_reused=reused,
        )
    finally:
        link.close()
        if stream is not None:
            stream.close()


def _open(line: ControlLine, link: DataLink, watch: _Watch, *, job: RunTransfer, stop: Stop) -> DataStream:
    sock = link.open(line, watch, stop)
    stall_seconds = line.options.timeout
    if not job.is_protected:
        return establish.plain(sock, stall_seconds=stall_seconds, stop=stop)
    session: ssl.SSLSession | None = line.channel.session if line.options.offer_session else None
    # RFC 4217 §7: the FTP client is the TLS client, whoever opened the connection.
    stream = establish.start_tls(
        sock,
        line.context,
        server_side=False,
        deadline=line.deadline(),
        server_hostname=line.options.host,
        session=session,
        stall_seconds=stall_seconds,
        stop=stop,
        wait=watch,
    )
    _log.debug(
        "= data %s %s, session %s",
        stream.version,
        stream.cipher,
        "resumed" if stream.session_reused else "new",
    )
    if stream.peer_certificate != line.channel.certificate:
        stream.close()
        raise CertificateMismatch(
            "the data connection showed another certificate than the control connection: somebody may have "
            "taken the data port; nothing was transferred"
        )
    return stream


def _await_final(watch: _Watch, *, is_complete: bool) -> LockgateError | None:
    """Wait for the final reply; return what kept it from coming."""
    limit = watch.line.options.timeout
    try:
        watch.await_final(seconds=limit if is_complete else min(limit, _AFTER_FAILURE_SECONDS))
    except LockgateError as error:
        _log.debug("! no final reply: %s", error)
        return error
    return None


def _peer_has_ended(stream: DataStream | None, outcome: Outcome) -> bool:
    """Tell whether the server's close_notify has come by now: it has read all of an upload."""
    if stream is None or not outcome.is_complete or not stream.is_tls:
        return False
    with contextlib.suppress(OSError, LockgateError):
        kernel.unblock(stream.raw_socket)
        return stream.read_end() is PeerEnd.ORDERLY
    return False
