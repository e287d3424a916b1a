"""Runs conversations on blocking waits, in the caller's thread. Must not know what an operation means."""

from __future__ import annotations

import logging
from typing import TypeVar, assert_never

from lockgate.errors import (
    CertificateRejected,
    ConnectionLost,
    LocalProtocolError,
)
from lockgate.transfer.outcome import NotOpened
from lockgate.transfer.stop import Stop

from .conversation import (
    Ask,
    AwaitReply,
    Close,
    Conversation,
    Effect,
    Listen,
    Local,
    OpenData,
    RunTransfer,
    StartTls,
    StopTls,
    TransferEnd,
)
from .datalink import DataLink, transfer
from .line import ControlLine

__all__ = ["BlockingDriver", "keeps_step"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


def keeps_step(error: BaseException) -> bool:
    """Tell whether the control connection can be used after an effect failed like this.

    Nothing was sent (LocalProtocolError), or only the data connection was concerned.
    """
    return isinstance(error, (LocalProtocolError, NotOpened))


class BlockingDriver:
    """Carries out effects on one connection. Not thread-safe: its owner holds a lock.

    Args:
        line: A connected control connection.
    """

    def __init__(self, line: ControlLine) -> None:
        self.line = line
        self._link = DataLink()
        self._stop = Stop()
        self._closed = False
        self._broken: BaseException | None = None

    @property
    def is_usable(self) -> bool:
        """False after `close`, and after anything that lost the step of commands and replies."""
        return not self._closed and self._broken is None

    def run(self, conversation: Conversation[_T]) -> _T:
        """Run a conversation to its end and return its value. Blocks up to the time limits.

        Raises:
            LockgateError: As the conversation says.
            ConnectionLost: The connection was closed or given up before.
        """
        try:
            effect = next(conversation)
            while True:
                try:
                    result = self._perform(effect)
                except BaseException as error:  # noqa: BLE001 - the conversation cleans up, then it comes out
                    effect = conversation.throw(error)
                else:
                    effect = conversation.send(result)
        except StopIteration as done:
            value: _T = done.value
            return value
        finally:
            self._link.close()

    def abort(self) -> None:
        """End whatever runs on the connection, which is given up with it; for any thread."""
        # The control connection first: a reply that came in between would leave it usable.
        self.line.shut_down()
        self._stop.interrupt()

    def close(self, *, in_order: bool = True) -> None:
        """Close the connection; does not block."""
        if not self._closed:
            self._closed = True
            self._link.close()
            self.line.close(in_order=in_order and self._broken is None)

    def _perform(self, effect: Effect) -> object:
        if isinstance(effect, Local):
            return effect.work()
        if isinstance(effect, Close):
            self.close()
            return None
        if not self.is_usable:
            raise ConnectionLost("the connection is closed") from self._broken
        try:
            result = self._perform_on_line(effect)
        except BaseException as error:
            if not keeps_step(error) and not self._is_up_after(effect, error):
                self._give_up(error)
            raise
        if isinstance(result, TransferEnd) and result.error is not None:
            self._give_up(result.error)
        return result

    def _perform_on_line(
        self, effect: Ask | AwaitReply | StartTls | StopTls | OpenData | Listen | RunTransfer
    ) -> object:
        line = self.line
        match effect:
            case Ask():
                deadline = line.deadline(effect.seconds)
                line.send(effect.command, deadline=deadline)
                return line.reply(deadline=deadline)
            case AwaitReply():
                return line.reply(deadline=line.deadline())
            case StartTls():
                line.start_tls(deadline=line.deadline())
            case StopTls():
                line.stop_tls(deadline=line.deadline())
            case OpenData():
                self._link.connect(line, effect.port, stop=self._stop)
            case Listen():
                return self._link.listen(line)
            case RunTransfer():
                return transfer(line, self._link, effect, stop=self._stop)
            case _:
                assert_never(effect)
        return None

    def _is_up_after(self, effect: Effect, error: BaseException) -> bool:
        """A pin that does not match leaves TLS up, so that QUIT can be said inside it (RFC 4217 §10.3)."""
        is_rejected = isinstance(effect, StartTls) and isinstance(error, CertificateRejected)
        return is_rejected and self.line.channel.protocol.state.is_protected

    def _give_up(self, error: BaseException) -> None:
        _log.debug("! %s given up: %s", self.line.options.address, error)
        self._broken = error
        self._link.close()
        self.line.close(in_order=False)
