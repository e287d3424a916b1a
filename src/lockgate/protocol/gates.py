"""The order in which a server says no: name, predicate, reply, source.

A handler runs only when every gate has let the command through, so no handler checks login or protection.
The first gate that matches refuses. Where two RFCs disagree the source column says which we follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .policy import CccRule, GatePolicy, Requirement, flow_of, paths_meant
from .replies import Reply, ReplyCode
from .states import Control, Login, SessionState, Transfer
from .verbs import Argument, Verb, VerbRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from .commands import Command

__all__ = ["GATES", "CccRule", "Gate", "GatePolicy", "Requirement", "View", "judge"]


@dataclass(frozen=True, slots=True)
class View:
    """All that a gate may look at.

    Attributes:
        command: The command.
        row: What the table says of its verb.
        state: Where the four machines stand.
        policy: What is allowed.
        cwd: The working directory, a virtual path: what a relative argument starts from.
    """

    command: Command
    row: VerbRow
    state: SessionState
    policy: GatePolicy
    cwd: str = "/"

    @property
    def verb(self) -> Verb:
        """The verb, other spellings folded."""
        return self.row.canonical


@dataclass(frozen=True, slots=True)
class Gate:
    """One row: the command is refused with `code` and `text` when the predicate holds.

    Attributes:
        name: For logs and tests.
        matches: True when the gate refuses.
        code: The reply code.
        text: The reply text; {word} stands for the command word.
        rfc: The source.
        verbs: The verbs it looks at; empty for all.
    """

    name: str
    matches: Callable[[View], bool]
    code: ReplyCode
    text: str
    rfc: str
    verbs: frozenset[Verb] = frozenset()

    def reply(self, command: Command) -> Reply:
        """Return the refusal of a command."""
        return Reply.of(self.code, self.text.format(word=command.word))


def _mechanism(view: View) -> str:
    return view.command.text.strip().upper()


_LEGACY_MECHANISMS = frozenset(("TLS-C", "SSL", "TLS-P"))
_MAX_PBSZ = (1 << 32) - 1
_LEVELS = frozenset("CSEP")
_LOGIN_VERBS = frozenset((Verb.USER, Verb.PASS, Verb.ACCT))
_ACTIVE_VERBS = frozenset((Verb.PORT, Verb.EPRT))
_SETUP_VERBS = frozenset((Verb.PORT, Verb.PASV, Verb.EPRT, Verb.LPRT, Verb.LPSV, Verb.CPSV))


def _known_mechanism(view: View) -> bool:
    mechanism = _mechanism(view)
    return mechanism == "TLS" or (view.policy.legacy_auth and mechanism in _LEGACY_MECHANISMS)


def _is_pbsz_number(view: View) -> bool:
    text = view.command.text.strip()
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MAX_PBSZ


def _data_asked(view: View) -> frozenset[Requirement]:
    """RFC 4217 §10.2: judged at the transfer command, by the path it means, not at PORT or PASV."""
    policy = view.policy
    if not policy.rules:
        return frozenset((policy.data,))
    flow = flow_of(view.verb)
    return frozenset(policy.data_for(path, flow) for path in paths_meant(view.verb, view.command, view.cwd))


def _data_level_too_low(view: View) -> bool:
    return not view.state.data.is_private and Requirement.REQUIRED in _data_asked(view)


def _data_level_too_high(view: View) -> bool:
    return view.state.data.is_private and Requirement.FORBIDDEN in _data_asked(view)


def _login_must_be_protected(view: View) -> bool:
    return view.policy.control is Requirement.REQUIRED and not view.state.is_protected


def _prot_denied(view: View) -> bool:
    return not view.policy.may_have_level(private=_mechanism(view) == "P")


def _only(*verbs: Verb) -> frozenset[Verb]:
    return frozenset(verbs)


_C = ReplyCode
GATES: tuple[Gate, ...] = (
    # CCC before everything else that could answer for it, in RFC 4217's own order: 500, 533, 534.
    Gate(
        "ccc-off",
        lambda v: v.policy.ccc is CccRule.OFF,
        _C.UNRECOGNISED,
        "CCC is not supported here.",
        "RFC 4217 §5",
        _only(Verb.CCC),
    ),
    Gate(
        "ccc-in-clear",
        lambda v: not v.state.is_protected,
        _C.LEVEL_DENIED,
        "The control connection is not protected.",
        "RFC 4217 §5",
        _only(Verb.CCC),
    ),
    Gate(
        "ccc-before-login",
        lambda v: not v.state.is_logged_in,
        _C.POLICY_DENIED,
        "Log in first; CCC is allowed after that.",
        "RFC 4217 §5, §15.3",
        _only(Verb.CCC),
    ),
    Gate(
        "adat-without-exchange",
        lambda _: True,
        _C.BAD_SEQUENCE,
        "AUTH TLS needs no ADAT.",
        "RFC 2228 §3, RFC 4217 §4.2",
        _only(Verb.ADAT),
    ),
    Gate(
        "refused-verb",
        lambda v: v.row.refused is not None,
        _C.NOT_IMPLEMENTED,
        "{word} is not implemented.",
        "RFC 959 §4.2",
    ),
    Gate(
        "argument-missing",
        lambda v: v.row.argument is Argument.REQUIRED and not v.command.text.strip(),
        _C.BAD_ARGUMENT,
        "{word} needs an argument.",
        "RFC 959 §4.2",
    ),
    Gate(
        "argument-unwanted",
        lambda v: v.row.argument is Argument.NONE and bool(v.command.text.strip()),
        _C.BAD_ARGUMENT,
        "{word} takes no argument.",
        "RFC 959 §4.2",
    ),
    # AUTH
    Gate(
        "auth-twice",
        lambda v: v.state.control is not Control.CLEAR,
        _C.BAD_SEQUENCE,
        "AUTH has been done already.",
        "RFC 2228 §3",
        _only(Verb.AUTH),
    ),
    Gate(
        "auth-unknown-mechanism",
        lambda v: not _known_mechanism(v),
        _C.PARAMETER_NOT_IMPLEMENTED,
        "Use AUTH TLS.",
        "RFC 2228 §3, RFC 4217 §17",
        _only(Verb.AUTH),
    ),
    Gate(
        "auth-denied",
        lambda v: v.policy.control is Requirement.FORBIDDEN,
        _C.POLICY_DENIED,
        "TLS is not allowed here.",
        "RFC 2228 §3",
        _only(Verb.AUTH),
    ),
    Gate(
        "auth-without-certificate",
        lambda v: not v.policy.has_tls,
        _C.SECURITY_RESOURCE_UNAVAILABLE,
        "TLS cannot be had just now.",
        "RFC 2228 §3",
        _only(Verb.AUTH),
    ),
    # PBSZ and PROT
    Gate(
        "protection-after-ccc",
        lambda v: v.state.data.is_frozen,
        _C.BAD_SEQUENCE,
        "The data protection level cannot change after CCC.",
        "RFC 4217 §5",
        _only(Verb.PBSZ, Verb.PROT),
    ),
    Gate(
        "protection-in-clear",
        lambda v: not v.state.is_protected,
        _C.BAD_SEQUENCE,
        "AUTH TLS comes first.",
        "RFC 4217 §9",
        _only(Verb.PBSZ, Verb.PROT),
    ),
    Gate(
        "pbsz-junk",
        lambda v: not _is_pbsz_number(v),
        _C.BAD_ARGUMENT,
        "PBSZ takes a number below 2^32; 0 is right for TLS.",
        "RFC 2228 §3, RFC 4217 §8",
        _only(Verb.PBSZ),
    ),
    Gate(
        "prot-before-pbsz",
        lambda v: not v.state.data.has_pbsz,
        _C.BAD_SEQUENCE,
        "PBSZ 0 comes first.",
        "RFC 4217 §9",
        _only(Verb.PROT),
    ),
    Gate(
        "prot-unknown-level",
        lambda v: _mechanism(v) not in _LEVELS,
        _C.PARAMETER_NOT_IMPLEMENTED,
        "The levels are C and P.",
        "RFC 2228 §3",
        _only(Verb.PROT),
    ),
    Gate(
        "prot-level-not-in-tls",
        lambda v: _mechanism(v) in ("S", "E"),
        _C.LEVEL_NOT_SUPPORTED,
        "TLS knows the levels C and P only.",
        "RFC 4217 §9",
        _only(Verb.PROT),
    ),
    Gate(
        "prot-denied",
        _prot_denied,
        _C.POLICY_DENIED,
        "The policy of this server does not allow that level.",
        "RFC 2228 §3, RFC 4217 §10.2",
        _only(Verb.PROT),
    ),
    # Login. Who is logged in already hears so first: after CCC "AUTH TLS comes first" would be wrong.
    Gate(
        "login-again",
        lambda v: v.state.is_logged_in,
        _C.BAD_SEQUENCE,
        "Already logged in; REIN ends this login.",
        "RFC 959 §4.1.1",
        _only(Verb.USER, Verb.PASS),
    ),
    Gate(
        "host-after-login",
        lambda v: v.state.is_logged_in,
        _C.BAD_SEQUENCE,
        "HOST comes before the login; REIN ends this one.",
        "RFC 7151 §3",
        _only(Verb.HOST),
    ),
    Gate(
        "login-in-clear",
        _login_must_be_protected,
        _C.NOT_LOGGED_IN,
        "AUTH TLS comes first: this server takes no login in clear.",
        "RFC 4217 §10.1",
        _LOGIN_VERBS,
    ),
    Gate(
        "pass-without-user",
        lambda v: v.state.login is not Login.PASSWORD_NEEDED,
        _C.BAD_SEQUENCE,
        "USER comes first.",
        "RFC 959 §5.4",
        _only(Verb.PASS),
    ),
    Gate(
        "acct-before-login",
        lambda v: v.state.login not in (Login.ACCOUNT_NEEDED, Login.LOGGED_IN),
        _C.BAD_SEQUENCE,
        "USER and PASS come first.",
        "RFC 959 §5.4",
        _only(Verb.ACCT),
    ),
    Gate(
        "not-logged-in",
        lambda v: v.row.needs_login and not v.state.is_logged_in,
        _C.NOT_LOGGED_IN,
        "Log in first.",
        "RFC 959 §4.1.1",
    ),
    # Order of commands
    Gate(
        "rename-without-source",
        lambda v: v.state.rename_from is None,
        _C.BAD_SEQUENCE,
        "RNFR comes first.",
        "RFC 959 §4.1.3",
        _only(Verb.RNTO),
    ),
    Gate(
        "after-epsv-all",
        lambda v: v.state.epsv_all,
        _C.BAD_SEQUENCE,
        "Only EPSV is allowed after EPSV ALL.",
        "RFC 2428 §4",
        _SETUP_VERBS,
    ),
    Gate(
        "active-mode-off",
        lambda v: not v.policy.active_mode,
        _C.NOT_IMPLEMENTED,
        "Active mode is off here; use EPSV or PASV.",
        "RFC 1579, RFC 2577 §3",
        _ACTIVE_VERBS,
    ),
    # Data
    Gate(
        "no-endpoint",
        lambda v: v.row.opens_data and v.state.transfer is not Transfer.ENDPOINT_READY,
        _C.CANNOT_OPEN_DATA,
        "EPSV, PASV, EPRT or PORT comes first.",
        "RFC 959 §3.2",
    ),
    Gate(
        "data-level-too-low",
        lambda v: v.row.opens_data and _data_level_too_low(v),
        _C.DATA_LEVEL_REFUSED,
        "Data connections must be protected for this: PBSZ 0, PROT P.",
        "RFC 4217 §10.2 (§11.4 says 522, RFC 2228 534)",
    ),
    Gate(
        "data-level-too-high",
        lambda v: v.row.opens_data and _data_level_too_high(v),
        _C.DATA_LEVEL_REFUSED,
        "Data connections must be in clear for this: PROT C.",
        "RFC 4217 §10.2",
    ),
)
"""The table, in the order of judgement."""


def judge(view: View) -> Gate | None:
    """Return the first gate that refuses, or None when the command may run."""
    for gate in _GATES_BY_VERB[view.verb]:
        if gate.matches(view):
            return gate
    return None


_GATES_BY_VERB: dict[Verb, tuple[Gate, ...]] = {
    verb: tuple(gate for gate in GATES if not gate.verbs or verb in gate.verbs) for verb in Verb
}
