"""Runs conversations on asyncio. Must not know what an operation means, and never carries file data.

Commands and replies move on the loop; data transfers, look-ups and files run in worker threads, each of which
has the connection to itself meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import TypeVar, assert_never

from lockgate.errors import CertificateRejected, ConnectionLost, LockgateError
from lockgate.protocol.replies import Reply
from lockgate.transfer.stop import Stop

from .blocking import keeps_step
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
from .dialing import dial, workers
from .line import RECEIVE_BYTES, ControlLine, no_answer
from .options import Options

__all__ = ["AsyncDriver", "in_worker"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_STOP_TLS_SECONDS = 3.0


async def in_worker(work: Callable[[], _T], *, interrupt: Callable[[], None] | None = None) -> _T:
    """Run blocking work in a thread and wait for it, also when the waiting task is cancelled.

    Args:
        work: What to run.
        interrupt: Makes the work end soon; called on cancellation. Without it the work is waited for.
    """
    future = asyncio.wrap_future(workers.submit(work))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if interrupt is not None:
            interrupt()
        # Sockets and files must not be closed under a thread that uses them.
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise


class AsyncDriver:
    """Carries out effects on one connection, for one task at a time.

    Args:
        line: A connected control connection.
    """

    def __init__(self, line: ControlLine) -> None:
        self.line = line
        self._link = DataLink()
        self._closed = False
        self._broken: BaseException | None = None

    @classmethod
    async def dial(cls, options: Options) -> AsyncDriver:
        """Connect, in a worker thread."""
        dialled: list[ControlLine] = []

        def work() -> ControlLine:
            dialled.append(dial(options))
            return dialled[0]

        try:
            return cls(await in_worker(work))
        except asyncio.CancelledError:
            for line in dialled:
                line.close(in_order=False)
            raise

    @property
    def is_usable(self) -> bool:
        """False after `close`, and after anything that lost the step of commands and replies."""
        return not self._closed and self._broken is None

    async def run(self, conversation: Conversation[_T]) -> _T:
        """Run a conversation to its end and return its value.

        Cancelling gives the connection up, unless nothing was under way on it.
        """
        try:
            effect = next(conversation)
            while True:
                try:
                    result = await self._perform(effect)
                except BaseException as error:  # noqa: BLE001 - the conversation cleans up, then it comes out
                    effect = conversation.throw(error)
                else:
                    effect = conversation.send(result)
        except StopIteration as done:
            value: _T = done.value
            return value
        finally:
            self._link.close()

    def close(self, *, in_order: bool = True) -> None:
        """Close the connection; does not block."""
        if not self._closed:
            self._closed = True
            self._link.close()
            self.line.close(in_order=in_order and self._broken is None)

    async def _perform(self, effect: Effect) -> object:
        if isinstance(effect, Local):
            return await in_worker(effect.work)
        if isinstance(effect, Close):
            self.close()
            return None
        if not self.is_usable:
            raise ConnectionLost("the connection is closed") from self._broken
        try:
            result = await self._perform_on_line(effect)
        except BaseException as error:
            if not keeps_step(error) and not self._is_up_after(effect, error):
                self._give_up(error)
            raise
        if isinstance(result, TransferEnd) and result.error is not None:
            self._give_up(result.error)
        return result

    async def _perform_on_line(
        self, effect: Ask | AwaitReply | StartTls | StopTls | OpenData | Listen | RunTransfer
    ) -> object:
        line, link = self.line, self._link
        match effect:
            case Ask():
                line.channel.send(effect.command)
                return await self._limited(self._exchange, seconds=effect.seconds)
            case AwaitReply():
                return await self._limited(self._exchange)
            case StartTls():
                line.begin_tls()
                await self._limited(self._handshake)
            case StopTls():
                await self._limited(self._stop_tls)
            case OpenData():
                stop, port = Stop(), effect.port
                await in_worker(lambda: link.connect(line, port, stop=stop), interrupt=stop.interrupt)
            case Listen():
                return link.listen(line)
            case RunTransfer():
                return await self._transfer(effect)
            case _:
                assert_never(effect)
        return None

    async def _transfer(self, job: RunTransfer) -> TransferEnd:
        stop = Stop()

        def interrupt() -> None:
            self.line.shut_down()
            stop.interrupt()

        return await in_worker(lambda: transfer(self.line, self._link, job, stop=stop), interrupt=interrupt)

    # --- the control connection on the loop ---

    async def _limited(
        self, work: Callable[[], Coroutine[object, object, _T]], *, seconds: float | None = None
    ) -> _T:
        options = self.line.options
        try:
            async with asyncio.timeout(options.timeout if seconds is None else seconds):
                return await work()
        except TimeoutError as error:
            raise no_answer(options, self.line.channel) from error

    async def _exchange(self) -> Reply:
        await self._flush()
        while (reply := self.line.channel.next_reply()) is None:
            self.line.check_open()
            await self._receive()
        return reply

    async def _handshake(self) -> None:
        channel = self.line.channel
        try:
            while not channel.handshake():
                await self._flush()
                await self._receive()
        except LockgateError:
            # The alert that tells the server why.
            with contextlib.suppress(ConnectionLost):
                await self._flush()
            raise
        await self._flush()

    async def _stop_tls(self) -> None:
        channel = self.line.channel
        try:
            async with asyncio.timeout(_STOP_TLS_SECONDS):
                while not channel.stop_tls():
                    await self._flush()
                    await self._receive()
        except TimeoutError:
            _log.debug("! %s: no close_notify of the server's", self.line.options.address)
        channel.leave_tls()
        await self._flush()

    async def _flush(self) -> None:
        if data := self.line.channel.data_to_send():
            try:
                await asyncio.get_running_loop().sock_sendall(self.line.sock, data)
            except OSError as error:
                raise self.line.lost(error) from error

    async def _receive(self) -> None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self.line.sock, RECEIVE_BYTES)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise self.line.lost(error) from error
        if data:
            self.line.channel.feed(data)
        else:
            self.line.channel.feed_eof()

    def _is_up_after(self, effect: Effect, error: BaseException) -> bool:
        is_rejected = isinstance(effect, StartTls) and isinstance(error, CertificateRejected)
        return is_rejected and self.line.channel.protocol.state.is_protected

    def _give_up(self, error: BaseException) -> None:
        _log.debug("! %s given up: %s", self.line.options.address, error)
        self._broken = error
        self._link.close()
        self.line.close(in_order=False)
