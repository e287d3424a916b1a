"""What one client's session holds: who it is, its parameters, its data endpoint and its running job.

Handlers read and change it; it must not send anything and must not know verbs.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from lockgate.protocol.extensions import DEFAULT_LEVEL
from lockgate.protocol.facts import FACT_NAMES
from lockgate.protocol.paths import resolve
from lockgate.tls.binding import ControlBinding
from lockgate.transfer.deflate import Deflater

if TYPE_CHECKING:
    import ssl

    from lockgate.accounts.base import Account
    from lockgate.protocol.commands import Command
    from lockgate.storage.base import Storage
    from lockgate.tls.acceptance import Acceptance
    from lockgate.tls.choice import CertificateChoice, ControlTls
    from lockgate.tls.engine import TlsEngine
    from lockgate.tls.identity import Identity
    from lockgate.transfer.rates import Throttle
    from lockgate.transfer.stop import Stop

    from .config import Config, PolicyConfig
    from .control import ControlConnection
    from .endpoint import Endpoint
    from .jobs import Job
    from .rates import SessionRates
    from .server import Server

__all__ = ["Direction", "Parameters", "Representation", "Session"]

_T = TypeVar("_T")
_numbers = itertools.count(1)


class Representation(Enum):
    """TYPE (RFC 959 §3.1.1)."""

    ASCII = "A"
    IMAGE = "I"


class Direction(Enum):
    """Which way a session's last transfer went, seen from the server."""

    NONE = "none"
    IN = "in"
    OUT = "out"


@dataclass(slots=True)
class Parameters:
    """What AUTH and REIN put back to its default (RFC 4217 §4.2, §13)."""

    representation: Representation = Representation.ASCII
    cwd: str = "/"
    mlst_facts: tuple[str, ...] = FACT_NAMES
    is_compressed: bool = False
    """MODE Z (draft-preston-ftpext-deflate)."""
    compression_level: int = DEFAULT_LEVEL
    hash_algorithm: str = ""
    """What OPTS HASH has picked; "" is the server's first."""


@dataclass(slots=True)
class LoginState:
    """Who the client says it is, and who it is."""

    user_name: str = ""
    account: Account | None = None
    storage: Storage | None = None
    rates: SessionRates | None = None


@dataclass(slots=True)
class TlsState:
    """What the control connection's TLS runs with, and what it has shown."""

    context: ssl.SSLContext | None = None
    choice: CertificateChoice | None = None
    binding: ControlBinding | None = None
    identity: Identity | None = None
    version: str = ""
    cipher: str = ""
    last_direction: Direction = field(default=Direction.NONE)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What an account is held to, under one configuration."""

    config: Config
    account: Account | None
    policy: PolicyConfig
    acceptances: tuple[Acceptance, ...]


class Session:
    """One client's session. Used on the event loop only, except where a method says otherwise.

    Args:
        control: The connection it belongs to.
    """

    __slots__ = (
        "_counted",
        "_known_rules",
        "control",
        "endpoint",
        "failed_logins",
        "host",
        "is_greeted",
        "job",
        "login",
        "long_work",
        "number",
        "parameters",
        "tls",
    )

    def __init__(self, control: ControlConnection) -> None:
        self.control = control
        self.number = next(_numbers)
        self.parameters = Parameters()
        self.login = LoginState()
        self._counted: Account | None = None
        self._known_rules: _Rules | None = None
        self.tls = TlsState()
        self.endpoint: Endpoint | None = None
        self.job: Job | None = None
        self.long_work: Stop | None = None
        self.failed_logins = 0
        self.host = ""
        self.is_greeted = False

    def __str__(self) -> str:
        return f"[{self.number} {self.control.peer_address}]"

    # --- who and where ---

    @property
    def server(self) -> Server:
        """What all sessions share."""
        return self.control.server

    @property
    def user_name(self) -> str | None:
        """The name of the account that is logged in, or None."""
        return self.login.account.name if self.login.account else None

    @property
    def is_blind(self) -> bool:
        """True when the account must not learn what is there; see `Account.is_blind`."""
        return self.login.account is not None and self.login.account.is_blind

    @property
    def account(self) -> Account:
        """The account; a gate has made sure that there is one."""
        assert self.login.account is not None
        return self.login.account

    @property
    def storage(self) -> Storage:
        """The account's files; a gate has made sure that there are some."""
        assert self.login.storage is not None
        return self.login.storage

    @property
    def policy(self) -> PolicyConfig:
        """The policy that holds for this session now: the listener's, and the account's once logged in."""
        return self._rules().policy

    def data_tls_problem(self, version: str, cipher: str) -> str:
        """Return why TLS with these parameters is not acceptable on a data connection, or ""; any thread."""
        problems = (one.problem(version, cipher) for one in self._rules().acceptances)
        return next(filter(None, problems), "")

    def _rules(self) -> _Rules:
        """Return what holds now: laid together once, until a login or a reload changes it; any thread."""
        # The configuration is read first: what was laid together while it changed does not last.
        listener, account, known = self.control.listener, self.login.account, self._known_rules
        config = listener.config
        if known is None or known.config is not config or known.account is not account:
            policy = listener.policy_for(account)
            acceptances = (policy.acceptance(), listener.policy_for(None).acceptance())
            known = self._known_rules = _Rules(config, account, policy, acceptances)
        return known

    @property
    def is_private(self) -> bool:
        """True when data connections are to be protected (PROT P)."""
        return self.control.core.state.data.is_private

    @property
    def is_ascii(self) -> bool:
        """True in TYPE A."""
        return self.parameters.representation is Representation.ASCII

    @property
    def hash_algorithm(self) -> str | None:
        """The algorithm of HASH: the client's choice, else the server's; None when HASH is off."""
        allowed = self.server.config.features.hash_algorithms
        chosen = self.parameters.hash_algorithm
        return chosen if chosen in allowed else next(iter(allowed), None)

    def throttle(self, direction: Direction) -> Throttle | None:
        """Return what a transfer that begins now has to wait for; None where nothing limits it."""
        return None if self.login.rates is None else self.login.rates.throttle(direction)

    def deflater(self) -> Deflater | None:
        """Return what compresses a transfer that the server sends; None outside MODE Z."""
        parameters = self.parameters
        return Deflater(parameters.compression_level) if parameters.is_compressed else None

    def path(self, command: Command) -> str:
        """Return the virtual path that a command's argument means; without argument the working directory.

        Raises:
            RemoteProtocolError: The argument cannot be a path.
        """
        return resolve(self.parameters.cwd, command.text)

    async def in_worker(self, work: Callable[[], _T]) -> _T:
        """Run blocking storage or account work in a worker thread and return its result."""
        return await asyncio.wrap_future(self.server.helpers.submit(work))

    # --- changes ---

    def reset(self) -> None:
        """Forget login and parameters: AUTH and REIN (RFC 4217 §4.2, §13). TLS is for the corridor."""
        self.drop_endpoint()
        self.parameters = Parameters()
        self._count_out()
        was_inside, self.login = self.login.account is not None, LoginState()
        if was_inside:
            # Not for every REIN: a client that never logs in shall gain no time by it.
            self.control.await_login()
        if not self.control.core.state.is_protected:
            # After CCC the old TLS counts for data until here; on what is in clear it names nobody.
            self.tls = TlsState()
        self.control.core.policy = self.control.listener.gate_policy

    def log_in(self, account: Account, storage: Storage) -> None:
        """Take an account, its files and its policy."""
        self._counted = account
        self.login.account = account
        self.login.storage = storage
        self.login.rates = self.server.rates.for_session(account)
        self.parameters.cwd = "/"
        self.failed_logins = 0
        self.control.core.policy = self.control.listener.gate_policy_for(account)
        if self.tls.binding is not None:
            self.tls.binding.reuse_policy = self.control.listener.session_reuse_for(account)

    def _count_out(self) -> None:
        counted, self._counted = self._counted, None
        if counted is not None:
            self.server.door.log_out(counted)

    def choose_host(self, name: str) -> None:
        """Take the host that HOST named; a login that was begun starts anew (RFC 7151 §3)."""
        self.reset()
        self.host = name

    def begin_tls(self, control_tls: ControlTls) -> None:
        """Note what a TLS handshake is about to use."""
        self.tls = TlsState(control_tls.context, control_tls.choice)

    def tls_established(self, engine: TlsEngine) -> None:
        """Note what the control connection's handshake has shown."""
        assert self.tls.context is not None
        self.tls.version = engine.version or ""
        self.tls.cipher = engine.cipher or ""
        self.tls.binding = ControlBinding(
            peer_address=self.control.peer_address,
            peer_certificate=engine.peer_certificate,
            context=self.tls.context,
            reuse_policy=self.control.listener.session_reuse_for(None),
        )
        if engine.peer_certificate is not None:
            from lockgate.tls.identity import from_certificate

            self.tls.identity = from_certificate(engine.peer_certificate)

    def tls_ended(self) -> None:
        """TLS has ended on the control connection: after REIN nothing of it counts, after CCC all of it."""
        if not self.control.core.state.data.is_frozen:
            # RFC 4217 §13: after REIN a new AUTH starts from nothing.
            self.tls = TlsState()

    def set_endpoint(self, endpoint: Endpoint) -> None:
        """Take a new data endpoint in place of the old one."""
        self.drop_endpoint()
        self.endpoint = endpoint

    def claim_endpoint(self) -> str:
        """Take a place for a transfer with the endpoint that was set up; return why there is none, or ""."""
        if self.endpoint is None:
            return "There is no data port; ask for one."
        return self.endpoint.claim()

    def release_endpoint(self) -> None:
        """Give the place back if no transfer has begun; the endpoint stays."""
        if self.endpoint is not None:
            self.endpoint.release()

    def take_endpoint(self) -> Endpoint | None:
        """Hand the endpoint over to a transfer.

        A gate has made sure that there was one; None when the client left while the file was being opened.
        """
        endpoint, self.endpoint = self.endpoint, None
        return endpoint

    def drop_endpoint(self) -> None:
        """Close the data endpoint, if there is one."""
        if self.endpoint is not None:
            self.endpoint.close()
            self.endpoint = None

    def end(self) -> None:
        """The control connection is gone: end the transfer and give everything back."""
        if self.job is not None:
            self.job.abort()
        self.drop_endpoint()
        # The login itself stays: a job that is ending still tells whose it was.
        self._count_out()

    def forget(self) -> None:
        """Let go of files and TLS: nothing works with them any more."""
        self.login = LoginState()
        self.tls = TlsState()
        self._known_rules = None
