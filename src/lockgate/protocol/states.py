"""The four machines of an FTP session as tables; the same for server and client.

State moves only on (command, final reply) - the transfer machine also on a 1xx - and on the end of a TLS
handshake. Both ends see both, so they never disagree. Nothing here knows which end it is.

| machine | states | moved by |
| --- | --- | --- |
| `Control` | CLEAR, NEGOTIATING, PROTECTED, CLEARED | AUTH, the handshake, CCC, REIN (RFC 4217 §4, §5, §13) |
| `Data` | level C or P, with or without PBSZ, frozen | AUTH, PBSZ, PROT, CCC, REIN (RFC 4217 §9) |
| `Login` | NONE, PASSWORD_NEEDED, ACCOUNT_NEEDED, LOGGED_IN | USER, PASS, ACCT, AUTH, REIN, HOST (RFC 959) |
| `Transfer` | IDLE, ENDPOINT_READY, STARTED | PASV and others, transfer commands, ABOR, AUTH, REIN, HOST |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Generic, TypeVar

from lockgate.errors import LocalProtocolError

from .extensions import accepted_range
from .meanings import Input, classify, is_epsv_all
from .verbs import VERBS, Verb

if TYPE_CHECKING:
    from .commands import Command
    from .replies import Reply

__all__ = [
    "Control",
    "Data",
    "Login",
    "SessionState",
    "Transfer",
    "apply",
    "handshake_done",
    "initial",
]


class Control(Enum):
    """Protection of the control connection."""

    CLEAR = auto()
    NEGOTIATING = auto()
    PROTECTED = auto()
    CLEARED = auto()
    """In clear again after CCC."""


class Data(Enum):
    """Protection of the data connections to come (RFC 4217 §9)."""

    CLEAR_NO_PBSZ = auto()
    CLEAR = auto()
    PRIVATE_NO_PBSZ = auto()
    """Private by default: the implicit port, AUTH SSL and AUTH TLS-P (1997 draft, §6 and §8)."""
    PRIVATE = auto()
    FROZEN_CLEAR = auto()
    FROZEN_PRIVATE = auto()
    """After CCC the level stays as it was (RFC 4217 §5)."""

    @property
    def is_private(self) -> bool:
        """True at level P: data connections are TLS."""
        return self in _PRIVATE

    @property
    def has_pbsz(self) -> bool:
        """True when PROT may come: PBSZ was accepted, and no CCC since."""
        return self in (Data.CLEAR, Data.PRIVATE)

    @property
    def is_frozen(self) -> bool:
        """True after CCC."""
        return self in (Data.FROZEN_CLEAR, Data.FROZEN_PRIVATE)


_PRIVATE = frozenset((Data.PRIVATE_NO_PBSZ, Data.PRIVATE, Data.FROZEN_PRIVATE))


class Login(Enum):
    """How far the login is (RFC 959 §5.4)."""

    NONE = auto()
    PASSWORD_NEEDED = auto()
    ACCOUNT_NEEDED = auto()
    LOGGED_IN = auto()


class Transfer(Enum):
    """Where data connections stand."""

    IDLE = auto()
    ENDPOINT_READY = auto()
    """PASV, EPSV, PORT or EPRT was accepted and no transfer has used it."""
    STARTED = auto()
    """A transfer command was answered 1xx and not yet finally."""


_I = Input
_S = TypeVar("_S")


class _Machine(Generic[_S]):
    """A table of (state, input) -> state. Inputs that the table never names do not concern the machine."""

    __slots__ = ("_inputs", "_table")

    def __init__(self, table: dict[tuple[_S, Input], _S]) -> None:
        self._table = table
        self._inputs = frozenset(known for _, known in table)

    def step(self, state: _S, meaning: Input) -> _S:
        """Return the next state; raises LocalProtocolError where the table has none."""
        if meaning not in self._inputs:
            return state
        try:
            return self._table[state, meaning]
        except KeyError:
            raise LocalProtocolError(f"{meaning.name} does not fit in state {state}") from None


_CONTROL = _Machine(
    {
        (Control.CLEAR, _I.AUTH_CLEAR): Control.NEGOTIATING,
        (Control.CLEAR, _I.AUTH_PRIVATE): Control.NEGOTIATING,
        (Control.NEGOTIATING, _I.HANDSHAKE_DONE): Control.PROTECTED,
        (Control.PROTECTED, _I.CCC): Control.CLEARED,
        (Control.CLEAR, _I.REIN): Control.CLEAR,
        (Control.PROTECTED, _I.REIN): Control.CLEAR,
        (Control.CLEARED, _I.REIN): Control.CLEAR,
    }
)

_DATA = _Machine(
    {
        **{(state, _I.AUTH_CLEAR): Data.CLEAR_NO_PBSZ for state in Data},
        **{(state, _I.AUTH_PRIVATE): Data.PRIVATE_NO_PBSZ for state in Data},
        **{(state, _I.REIN): Data.CLEAR_NO_PBSZ for state in Data},
        (Data.CLEAR_NO_PBSZ, _I.PBSZ): Data.CLEAR,
        (Data.PRIVATE_NO_PBSZ, _I.PBSZ): Data.PRIVATE,
        (Data.CLEAR, _I.PBSZ): Data.CLEAR,
        (Data.PRIVATE, _I.PBSZ): Data.PRIVATE,
        (Data.CLEAR, _I.PROT_C): Data.CLEAR,
        (Data.CLEAR, _I.PROT_P): Data.PRIVATE,
        (Data.PRIVATE, _I.PROT_C): Data.CLEAR,
        (Data.PRIVATE, _I.PROT_P): Data.PRIVATE,
        (Data.CLEAR_NO_PBSZ, _I.CCC): Data.FROZEN_CLEAR,
        (Data.CLEAR, _I.CCC): Data.FROZEN_CLEAR,
        (Data.PRIVATE_NO_PBSZ, _I.CCC): Data.FROZEN_PRIVATE,
        (Data.PRIVATE, _I.CCC): Data.FROZEN_PRIVATE,
    }
)

_RESETS = (_I.AUTH_CLEAR, _I.AUTH_PRIVATE, _I.REIN, _I.HOST)
_LOGIN = _Machine(
    {
        **{(state, reset): Login.NONE for state in Login for reset in _RESETS},
        # USER may come at any time (RFC 959 §4.1.1) and starts the login anew.
        **{(state, _I.PASSWORD_WANTED): Login.PASSWORD_NEEDED for state in Login},
        **{(state, _I.ACCOUNT_WANTED): Login.ACCOUNT_NEEDED for state in Login},
        **{(state, _I.USER_SUFFICED): Login.LOGGED_IN for state in Login},
        # A PASS or ACCT without a USER logs nobody in, whatever the reply.
        (Login.PASSWORD_NEEDED, _I.LOGIN_DONE): Login.LOGGED_IN,
        (Login.ACCOUNT_NEEDED, _I.LOGIN_DONE): Login.LOGGED_IN,
        (Login.LOGGED_IN, _I.LOGIN_DONE): Login.LOGGED_IN,
        **{(state, _I.LOGIN_REFUSED): Login.NONE for state in Login},
    }
)

_TRANSFER = _Machine(
    {
        **{(state, reset): Transfer.IDLE for state in Transfer for reset in _RESETS},
        (Transfer.IDLE, _I.ENDPOINT_SET): Transfer.ENDPOINT_READY,
        (Transfer.ENDPOINT_READY, _I.ENDPOINT_SET): Transfer.ENDPOINT_READY,
        (Transfer.ENDPOINT_READY, _I.ENDPOINT_DROPPED): Transfer.IDLE,
        (Transfer.IDLE, _I.ENDPOINT_DROPPED): Transfer.IDLE,
        # ABOR answered before the transfer it ends.
        (Transfer.STARTED, _I.ENDPOINT_DROPPED): Transfer.STARTED,
        (Transfer.ENDPOINT_READY, _I.TRANSFER_STARTED): Transfer.STARTED,
        # Without an endpoint a client may rely on RFC 959's default ports, and a server answer 1xx to that.
        (Transfer.IDLE, _I.TRANSFER_STARTED): Transfer.STARTED,
        # Some servers send 125 after 150.
        (Transfer.STARTED, _I.TRANSFER_STARTED): Transfer.STARTED,
        # 226 without a 1xx before it has used the endpoint up all the same.
        **{(state, _I.TRANSFER_ENDED): Transfer.IDLE for state in Transfer},
    }
)


@dataclass(frozen=True, slots=True)
class SessionState:
    """The states of the four machines, and what holds for one command only.

    Attributes:
        implicit: True on a port where TLS comes first; REIN keeps TLS there (RFC 959, 1997 draft).
        restart_offset: Where the next RETR, STOR or APPE (REST), or RETR or HASH (RANG) starts, in bytes.
        range_end: The last byte of the next RETR or HASH (RANG), or None for all there is.
        rename_from: The name that RNTO will rename, or None.
        epsv_all: True after EPSV ALL (RFC 2428 §4).
    """

    control: Control = Control.CLEAR
    data: Data = Data.CLEAR_NO_PBSZ
    login: Login = Login.NONE
    transfer: Transfer = Transfer.IDLE
    implicit: bool = False
    restart_offset: int = 0
    range_end: int | None = None
    rename_from: str | None = None
    epsv_all: bool = False

    @property
    def is_protected(self) -> bool:
        """True while the control connection is in TLS."""
        return self.control is Control.PROTECTED

    @property
    def is_logged_in(self) -> bool:
        """True after a login that nothing has reset."""
        return self.login is Login.LOGGED_IN


def initial(*, implicit: bool = False) -> SessionState:
    """Return the state right after connecting; on an implicit port TLS is about to be negotiated."""
    if implicit:
        return SessionState(Control.NEGOTIATING, Data.PRIVATE_NO_PBSZ, implicit=True)
    return SessionState()


def handshake_done(state: SessionState) -> SessionState:
    """Return the state after the control connection's TLS handshake.

    Raises:
        LocalProtocolError: No handshake was going on.
    """
    return replace(state, control=_CONTROL.step(state.control, _I.HANDSHAKE_DONE))


def apply(state: SessionState, command: Command, reply: Reply) -> SessionState:
    """Return the state after `command` was answered by `reply`.

    Raises:
        LocalProtocolError: The tables have no such step; the end that sent the reply is wrong.
    """
    moved = _apply_values(state, command, reply)
    meaning = classify(command, reply)
    if meaning is None:
        return moved
    if meaning is _I.TRANSFER_ENDED and state.transfer is not Transfer.STARTED and reply.is_refusal:
        # Refused before any 1xx: the endpoint, if there is one, stays (RFC 959 §3.2 names no such end).
        return moved
    if meaning in _RESETS:
        return _reset(state, meaning)
    return replace(
        moved,
        control=_CONTROL.step(moved.control, meaning),
        data=_DATA.step(moved.data, meaning),
        login=_LOGIN.step(moved.login, meaning),
        transfer=_TRANSFER.step(moved.transfer, meaning),
    )


def _reset(state: SessionState, meaning: Input) -> SessionState:
    """AUTH, REIN and HOST put everything back to its default (RFC 4217 §4.2 and §13, RFC 7151 §3).

    The tables of control and data leave out HOST: TLS, PBSZ and PROT stay.
    """
    if state.implicit and meaning is _I.REIN and state.control is Control.PROTECTED:
        # Right after connecting to an implicit port means: in TLS, data Private.
        return SessionState(Control.PROTECTED, Data.PRIVATE_NO_PBSZ, implicit=True)
    return SessionState(
        control=_CONTROL.step(state.control, meaning),
        data=_DATA.step(state.data, meaning),
        login=_LOGIN.step(state.login, meaning),
        transfer=_TRANSFER.step(state.transfer, meaning),
        implicit=state.implicit,
    )


def _apply_values(state: SessionState, command: Command, reply: Reply) -> SessionState:
    """Move what holds for one command: REST's offset, RNFR's name; and EPSV ALL."""
    verb = command.verb
    if verb is None:
        return state
    if verb is Verb.REST and reply.code == 350:
        offset = _offset(command.text.strip())
        return replace(state, restart_offset=offset, range_end=None, rename_from=None)
    if verb is Verb.RANG and not reply.is_preliminary:
        # draft-bryan-ftp-range §3: a refused RANG stands for the whole file, as "RANG 1 0" does.
        first, last = accepted_range(command.text) if reply.code == 350 else (0, None)
        return replace(state, restart_offset=first, range_end=last, rename_from=None)
    if verb is Verb.RNFR and reply.code == 350:
        return replace(state, rename_from=command.text)
    if reply.is_preliminary:
        return state
    changed = state
    if state.rename_from is not None:
        changed = replace(changed, rename_from=None)
    has_range = state.range_end is not None
    if (state.restart_offset or has_range) and (
        VERBS[verb].opens_data
        or (verb is Verb.TYPE and reply.is_success)
        # A range is for HASH too, and for MODE S only (draft-bryan-ftp-range §3, §6).
        or (has_range and (verb is Verb.HASH or (verb is Verb.MODE and reply.is_success)))
    ):
        # An offset counts bytes of the type it was given in (RFC 3659 §5), for one transfer.
        changed = replace(changed, restart_offset=0, range_end=None)
    if is_epsv_all(command) and reply.is_success:
        changed = replace(changed, epsv_all=True)
    return changed


def _offset(digits: str) -> int:
    # Bounded: Python refuses to convert thousands of digits, and no file is that long.
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else 0
