"""What a command with its reply means to the machines of `states`: one `Input`, or nothing.

Must not know the states: what an input leads to is for the tables.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from .verbs import VERBS, Verb

if TYPE_CHECKING:
    from .commands import Command
    from .replies import Reply

__all__ = ["Input", "classify", "is_epsv_all"]


class Input(Enum):
    """What a command with its reply means to the machines."""

    AUTH_CLEAR = auto()
    """AUTH TLS or TLS-C accepted: data starts Clear (RFC 4217 §9)."""
    AUTH_PRIVATE = auto()
    """AUTH SSL or TLS-P accepted: data starts Private (1997 draft, §6)."""
    HANDSHAKE_DONE = auto()
    CCC = auto()
    REIN = auto()
    HOST = auto()
    """As REIN for login and transfers; TLS, and what was agreed in it, stays (RFC 7151 §3)."""
    PBSZ = auto()
    PROT_C = auto()
    PROT_P = auto()
    PASSWORD_WANTED = auto()
    ACCOUNT_WANTED = auto()
    USER_SUFFICED = auto()
    """USER answered 230 or 232: no password is needed (RFC 4217 §12.2)."""
    LOGIN_DONE = auto()
    LOGIN_REFUSED = auto()
    ENDPOINT_SET = auto()
    TRANSFER_STARTED = auto()
    TRANSFER_ENDED = auto()
    ENDPOINT_DROPPED = auto()

    __hash__ = object.__hash__  # members are single; each step looks them up, and Enum hashes names in Python


_ENDPOINT_CODES = {Verb.PASV: 227, Verb.CPSV: 227, Verb.EPSV: 229, Verb.PORT: 200, Verb.EPRT: 200}
_PRIVATE_MECHANISMS = frozenset(("SSL", "TLS-P"))


def classify(command: Command, reply: Reply) -> Input | None:
    """Say what a reply to a command means to the machines; None when it moves none of them."""
    verb = command.verb
    if verb is None:
        return None
    if VERBS[verb].opens_data:
        return Input.TRANSFER_STARTED if reply.is_preliminary else Input.TRANSFER_ENDED
    if verb in (Verb.USER, Verb.PASS, Verb.ACCT):
        return _classify_login(verb, reply)
    if verb in _ENDPOINT_CODES:
        is_set = reply.code == _ENDPOINT_CODES[verb] and not is_epsv_all(command)
        return Input.ENDPOINT_SET if is_set else None
    if not reply.is_success:
        return None
    match verb:
        case Verb.HOST if reply.code == 220:
            return Input.HOST
        case Verb.AUTH if reply.code == 234:
            return Input.AUTH_PRIVATE if _parameter(command) in _PRIVATE_MECHANISMS else Input.AUTH_CLEAR
        case Verb.PROT:
            return {"C": Input.PROT_C, "P": Input.PROT_P}.get(_parameter(command))
        case _:
            return _PLAIN.get(verb)


# x0z: syntax, unknown, out of order (RFC 959 §4.2). The login was not tried, so it stands where it stood:
# a second USER that is refused with 503 logs nobody out.
_NOT_CONSIDERED = range(500, 510)
_PLAIN = {
    Verb.CCC: Input.CCC,
    Verb.REIN: Input.REIN,
    Verb.PBSZ: Input.PBSZ,
    Verb.ABOR: Input.ENDPOINT_DROPPED,
}


def _classify_login(verb: Verb, reply: Reply) -> Input | None:
    match reply.code:
        case 331 if verb is Verb.USER:
            return Input.PASSWORD_WANTED
        case 332 if verb is not Verb.ACCT:
            return Input.ACCOUNT_WANTED
        case 230 | 232:
            return Input.USER_SUFFICED if verb is Verb.USER else Input.LOGIN_DONE
        case 202 if verb is not Verb.USER:
            # ACCT (and PASS) that were not needed (RFC 959 §4.2).
            return Input.LOGIN_DONE
        case code if reply.is_refusal and code not in _NOT_CONSIDERED and verb is not Verb.ACCT:
            return Input.LOGIN_REFUSED
        case _:
            return None


def _parameter(command: Command) -> str:
    """Return a parameter value as it counts: in any case, spaces around it or not (RFC 959 §5.3)."""
    return command.text.strip().upper()


def is_epsv_all(command: Command) -> bool:
    """Return whether this is EPSV ALL, which sets nothing up (RFC 2428 §4)."""
    return command.verb is Verb.EPSV and _parameter(command) == "ALL"
