"""Start, serve, drain, stop, in that order; and what all sessions of a process share.

Must not know commands: a session is `control.ControlConnection`'s from the first byte on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockgate._version import __version__
from lockgate.errors import LockgateError
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.transfer.ports import PortRange
from lockgate.transfer.turnstile import Turnstile
from lockgate.transfer.workers import Workers

from .audit import record
from .certificates import CertificateKeeper
from .cleaning import PartialCleaner
from .config import Config, ListenerTls, accounts, load_config, remarks
from .control import ControlConnection
from .digesting import Digesters
from .door import Door
from .hashing import PasswordChecks
from .homes import Homes
from .limits import DataBudget
from .listener import ListenerState, place_of
from .listening import Acceptor, open_sockets, raise_descriptor_limit
from .quotas import Quotas
from .rates import Rates

if TYPE_CHECKING:
    from lockgate.accounts.base import AccountStore
    from lockgate.tls.contexts import ServerContexts

    from .endpoint import PassiveEndpoint
    from .jobs import Job

__all__ = ["BoundListener", "Server", "run"]

_logger = logging.getLogger(__name__)

# Blocking file and account work that answers a command; transfers have threads of their own.
_HELPER_THREADS = 16
_HELPER_QUEUE = 20_000
# Small, so that what one client sends at once does not hold up the others.
_READ_BYTES = 16 * 1024
_LAST_WORDS_SECONDS = 3.0
# A thread that computes in pure Python holds up those that move data for this long at a time.
_SWITCH_INTERVAL_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class BoundListener:
    """Where the server can be reached.

    Attributes:
        address: A numeric address.
        port: The port, also where the configuration said 0.
        tls: How TLS is spoken there.
    """

    address: str
    port: int
    tls: ListenerTls


class Server:
    """A server in this event loop.

    Args:
        config: The configuration.

    Attributes:
        config: The configuration in force.
        greeting: The 220.
        helpers: Threads for blocking work that answers a command.
        passwords: Checks passwords.
        digesters: Hash files for HASH.
        read_buffer: What sessions read into, one after the other; its content means nothing between reads.
        workers: Threads for transfers.
        turnstile: Where the threads of slow uploads wait.
        cleaner: Removes old partial uploads.
        certificates: Takes certificates that have changed into use.
        quotas: Limit what may be in homes.
        name_key: With it unknown names are told whom to imitate; it stays the same across reloads.
        homes: The files of the accounts that have logged in.
        rates: How fast transfers may be.
        is_draining: True once no new session is taken.

    Raises:
        ConfigError: Certificate or key cannot be used.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.loop = asyncio.get_running_loop()
        self.greeting = Reply.of(ReplyCode.READY, "Lockgate ready.")
        # Hashing passwords takes long on purpose: a flood of logins may wait, nobody else for it.
        self.passwords = PasswordChecks(config)
        self.accounts: AccountStore = accounts(config, self.passwords.checker)
        self.name_key = secrets.token_bytes(16)
        self.door = Door(config.limits, clock=self.loop.time)
        self.data_budget: DataBudget[PassiveEndpoint] = DataBudget(config.limits.transfers)
        self.passive_ports = PortRange.parse(config.passive.ports)
        # The budget bounds the work; the queue is for the moment until a thread that is done says so.
        transfers = config.limits.transfers
        self.workers = Workers(transfers, queue_limit=transfers, name="lockgate-transfer")
        self.turnstile = Turnstile()
        self.helpers = Workers(_HELPER_THREADS, queue_limit=_HELPER_QUEUE, name="lockgate-helper")
        # Hashing files takes long, and only those who ask for it shall wait.
        self.digesters = Digesters(config.features.hash_jobs)
        self.read_buffer = bytearray(_READ_BYTES)
        self.cleaner = PartialCleaner(self)
        self.quotas = Quotas(self)
        self.homes = Homes(config.files, self.cleaner, self.quotas)
        self.rates = Rates(config.limits)
        self.certificates = CertificateKeeper(self)
        self.is_draining = False
        self._listeners = [ListenerState(config, entry) for entry in config.listeners]
        self._acceptors: list[Acceptor] = []
        self._controls: set[ControlConnection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leave_hook: asyncio.Event | None = None
        self._interrupted: set[Job] = set()

    # --- for the sessions ---

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task that is kept until it ends and whose failure is logged."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("a session's task failed", exc_info=error)

    def knows_host(self, name: str, listener: ListenerState) -> bool:
        """Return whether a name is a certificate's: of the listener, or of any where it has no TLS."""
        states = [listener] if listener.contexts is not None else self._listeners
        return any(one.contexts is not None and one.contexts.knows(name) for one in states)

    def tls_contexts(self) -> list[ServerContexts]:
        """Return the TLS contexts of all listeners that have some."""
        return [state.contexts for state in self._listeners if state.contexts is not None]

    def enter(self, control: ControlConnection) -> str:
        """Count a new connection; return why it may not stay, or ""."""
        self._controls.add(control)
        return "The server is shutting down." if self.is_draining else self.door.enter(control)

    def leave(self, control: ControlConnection) -> None:
        """Count a connection out."""
        self._controls.discard(control)
        if self._leave_hook is not None:
            self._leave_hook.set()
        if control.is_admitted:
            self.door.leave(control)

    def has(self, control: ControlConnection) -> bool:
        """Return whether a connection is still there."""
        return control in self._controls

    # --- start, reload, drain ---

    async def start(self) -> list[BoundListener]:
        """Open the listeners.

        Raises:
            OSError: An address cannot be used; nothing stays open.
        """
        bound: list[BoundListener] = []
        try:
            for state in self._listeners:
                bound += await self._listen(state)
        except BaseException:
            self._close_listeners()
            raise
        self.cleaner.start()
        self.certificates.start()
        self.quotas.start()
        places = ", ".join(f"{one.address} port {one.port} ({one.tls})" for one in bound)
        record("started", version=__version__, listeners=places)
        return bound

    async def _listen(self, state: ListenerState) -> list[BoundListener]:
        entry = state.entry
        opened = await open_sockets(entry.address, entry.port)
        names = [sock.getsockname() for sock in opened]
        for sock in opened:
            self._acceptors.append(Acceptor(sock, lambda: ControlConnection(self, state), self.spawn))
        return [BoundListener(name[0], name[1], entry.tls) for name in names]

    def reload(self) -> None:
        """Read configuration and certificates again, for connections and logins to come. Blocks shortly.

        Listeners keep their addresses; a change of those needs a restart. When anything is wrong, everything
        stays as it was and the log says why.
        """
        try:
            config = load_config(self.config.source) if self.config.source is not None else self.config
            store = accounts(config, self.passwords.checker)
            installs = [state.prepare(config) for state in self._listeners]
        except LockgateError as error:
            _logger.warning("reload failed, nothing was changed: %s", error)
            return
        for install in installs:
            install()
        self._tell_of_listeners(config)
        self.config = config
        self.accounts = store
        self.homes.replace(config.files)
        self.rates.replace(config.limits, [entry.account() for entry in config.accounts])
        self.passwords.reconfigure(config)
        # What is remembered of a password that was changed, or of an account that is gone.
        store.forget_others()
        self.passive_ports = PortRange.parse(config.passive.ports)
        self.door.reconfigure(config.limits)
        transfers = config.limits.transfers
        self.data_budget.resize(transfers)
        self.workers.resize(transfers, queue_limit=transfers)
        self.digesters.resize(config.features.hash_jobs)
        self.certificates.start()
        found = remarks(config)
        for remark in found:
            _logger.warning("%s", remark.shown(str(config.source or "the configuration")))
        record("reload", accounts=len(config.accounts), warnings=len(found))

    def _tell_of_listeners(self, config: Config) -> None:
        """Warn of what a reload leaves as it is: a listener is opened and closed by a restart only."""
        old = {place_of(state.entry) for state in self._listeners}
        new = {place_of(entry) for entry in config.listeners}
        for place in sorted(new - old):
            _logger.warning("reload: a new or changed listener needs a restart: %s port %d, tls %s", *place)
        for place in sorted(old - new):
            _logger.warning(
                "reload: a listener that is gone from the configuration stays open until a restart: "
                "%s port %d, tls %s",
                *place,
            )

    async def drain(self, seconds: float | None = None) -> None:
        """Take no more sessions, let running transfers end for a while, interrupt the rest, close.

        Args:
            seconds: How long transfers may go on; None: as `[limits]` says.
        """
        self.is_draining = True
        began, sessions = self.loop.time(), len(self._controls)
        self.cleaner.stop()
        self.certificates.stop()
        self.quotas.stop()
        self._close_listeners()
        self.passwords.refuse_all()
        self.digesters.refuse_all()
        for control in list(self._controls):
            if control.session.job is None:
                control.shut_down()
        limit = self.config.limits.drain_seconds if seconds is None else seconds
        await self._jobs_end(self.loop.time() + limit)
        self.interrupt_transfers()
        deadline = self.loop.time() + _LAST_WORDS_SECONDS
        # Each interrupted transfer says its 426 before its session says 421.
        await self._jobs_end(deadline)
        for control in list(self._controls):
            control.shut_down()
        self._leave_hook = asyncio.Event()
        while self._controls and self.loop.time() < deadline:
            self._leave_hook.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leave_hook.wait(), deadline - self.loop.time())
        await self.loop.run_in_executor(None, self._stop_threads)
        self.homes.close()
        seconds_taken = self.loop.time() - began
        record("stopped", sessions=sessions, interrupted=len(self._interrupted), seconds=seconds_taken)

    def interrupt_transfers(self) -> None:
        """End every running transfer as interrupted: a drain that shall not take its time."""
        for job in self._running_jobs():
            self._interrupted.add(job)
            job.abort()

    async def _jobs_end(self, deadline: float) -> None:
        while (jobs := self._running_jobs()) and self.loop.time() < deadline:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(jobs[0].finished.wait(), deadline - self.loop.time())

    def _running_jobs(self) -> list[Job]:
        return [control.session.job for control in self._controls if control.session.job is not None]

    def _close_listeners(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()

    def _stop_threads(self) -> None:
        self.workers.close(seconds=_LAST_WORDS_SECONDS)
        self.turnstile.close()
        self.helpers.close(seconds=_LAST_WORDS_SECONDS)
        self.digesters.close(seconds=_LAST_WORDS_SECONDS)
        self.passwords.close(seconds=_LAST_WORDS_SECONDS)


def run(config: Config, *, on_ready: Callable[[list[BoundListener]], None]) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. Blocks. Call from the main thread.

    The first signal lets running transfers end for a while, a second one interrupts them.

    Args:
        config: The configuration.
        on_ready: Called once when connections are taken.

    Returns:
        The exit status, 0.

    Raises:
        ConfigError: A certificate or a key cannot be used.
        OSError: An address cannot be used.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    raise_descriptor_limit()
    asyncio.run(_serve(config, on_ready))
    return 0


async def _serve(config: Config, on_ready: Callable[[list[BoundListener]], None]) -> None:
    server = Server(config)
    stop = asyncio.Event()

    def end() -> None:
        if stop.is_set():
            server.interrupt_transfers()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        server.loop.add_signal_handler(number, end)
    server.loop.add_signal_handler(signal.SIGHUP, server.reload)
    on_ready(await server.start())
    await stop.wait()
    record("stop")
    await server.drain()
