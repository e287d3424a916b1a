"""What the RFCs let a server answer, written straight from their text and sharing nothing with Lockgate.

A few booleans instead of machines, and functions that read like the RFCs' paragraphs. It says with which
code, and about what, a command must be refused, given the policy; it is told the outcome and keeps its own
account.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

__all__ = ["ALLOWED", "DATA", "OPEN_TO_ALL", "Asked", "PathRule", "Reference", "Refused"]

DOWNLOADS, UPLOADS, LISTINGS = ("RETR",), ("STOR", "APPE", "STOU"), ("LIST", "NLST", "MLSD")
DATA = DOWNLOADS + UPLOADS + LISTINGS
OPEN_TO_ALL = (
    *("USER", "PASS", "ACCT", "REIN", "QUIT", "ABOR", "HELP", "SYST", "NOOP"),
    *("AUTH", "ADAT", "PBSZ", "PROT", "CCC", "MIC", "CONF", "ENC"),
    *("FEAT", "OPTS", "CLNT", "LANG", "HOST", "CSID", "SSCN"),
)
NOT_SERVED = ("SMNT", "MIC", "CONF", "ENC", "SSCN", "LANG", "LPRT", "LPSV", "CPSV", "MFCT", "CSID")
NO_ARGUMENT = (
    *("REIN", "QUIT", "CCC", "PASV", "LPSV", "CPSV", "ABOR", "CDUP", "XCUP", "PWD", "XPWD"),
    *("FEAT", "SYST", "NOOP"),
)
MAY_HAVE_NONE = (
    *("PASS", "ADAT", "MIC", "CONF", "ENC", "SSCN", "ALLO", "LANG", "EPSV", "STOU", "HELP"),
    *("LIST", "NLST", "MLSD", "MLST", "STAT", "AVBL"),
)


@dataclass(frozen=True)
class Refused:
    """A refusal; `code` 0 stands for none. `about` is in its text."""

    code: int = 0
    about: str = ""


ALLOWED = Refused()


@dataclass(frozen=True)
class PathRule:
    """The level that a path asks for; `kind` is "upload", "download", "list" or "any"."""

    path: str
    data: str
    kind: str = "any"
    by_name: bool = False


@dataclass(frozen=True)
class Asked:
    """A policy, in the words of RFC 4217 sections 5, 10.1 and 10.2.

    Attributes:
        control: "required", "optional" or "forbidden": TLS for the login.
        data: The same for data connections, where no rule says otherwise.
        ccc: May CCC be used after the login.
        legacy: Are the mechanisms of the 1997 draft taken.
        has_tls: Is there a certificate.
        active: Are PORT and EPRT taken.
        rules: The levels that paths ask for.
    """

    control: str = "required"
    data: str = "required"
    ccc: bool = False
    legacy: bool = True
    has_tls: bool = True
    active: bool = True
    rules: tuple[PathRule, ...] = ()

    def level_rule(self, path: str, kind: str) -> str:
        """Go up from the path until somebody says something of it; of several, the one said to fewest."""
        while True:
            here = [rule for rule in self.rules if rule.path == path and rule.kind in (kind, "any")]
            for by_name, own in ((True, kind), (True, "any"), (False, kind), (False, "any")):
                for rule in here:
                    if (rule.by_name, rule.kind) == (by_name, own):
                        return rule.data
            if path == "/":
                return self.data
            path = posixpath.dirname(path)


@dataclass
class Reference:
    """The session as the RFCs tell it.

    Attributes:
        listener: What holds before the login.
        accounts: What holds for users of these names after it; the listener's for others.
        implicit: TLS from the start.
    """

    listener: Asked
    implicit: bool
    accounts: dict[str, Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tls = self.implicit
        self.user = ""
        self.cleared = False
        self._reset(level="P" if self.implicit else "C")

    def _reset(self, *, level: str) -> None:
        self.cleared = False
        self.level = level
        self.pbsz = False
        self._log_out()

    def _log_out(self) -> None:
        self.named = False
        self.account_wanted = False
        self.logged_in = False
        self.endpoint = False
        self.epsv_all = False
        self.renaming = False
        self.cwd = "/"

    @property
    def asked(self) -> Asked:
        """The policy that holds now."""
        return self.accounts.get(self.user, self.listener) if self.logged_in else self.listener

    def refusal(self, verb: str, argument: str) -> Refused:
        """Say whether and how the command must be refused before anything is looked at, paths too."""
        value = argument.strip().upper()
        if verb == "CCC":
            refused = self._ccc()
        elif verb == "ADAT":
            return Refused(503, "AUTH TLS")  # RFC 2228: only between AUTH and its end, and TLS needs none
        else:
            refused = ALLOWED
        if refused is ALLOWED:
            refused = self._form(verb, value)
        if refused is ALLOWED and verb == "AUTH":
            refused = self._auth(value)
        if refused is ALLOWED and verb in ("PBSZ", "PROT"):
            refused = self._protection(verb, value)
        if refused is ALLOWED:
            refused = self._login(verb)
        return self._order(verb, argument) if refused is ALLOWED else refused

    def _ccc(self) -> Refused:
        """Section 5, in this order."""
        if not self.asked.ccc:
            return Refused(500)
        if not self.tls:
            return Refused(533)
        return ALLOWED if self.logged_in else Refused(534)

    def _form(self, verb: str, value: str) -> Refused:
        """RFC 959 section 4.2."""
        if verb in NOT_SERVED:
            return Refused(502)
        if verb in NO_ARGUMENT:
            return Refused(501, "no argument") if value else ALLOWED
        if verb in MAY_HAVE_NONE or value:
            return ALLOWED
        return Refused(501, "needs an argument")

    def _auth(self, value: str) -> Refused:
        """Section 4; no second layer, none after CCC, none where policy forbids it."""
        if self.tls or self.cleared:
            return Refused(503)
        both = (self.listener, self.asked)
        legacy = value in ("TLS-C", "SSL", "TLS-P") and all(asked.legacy for asked in both)
        if value != "TLS" and not legacy:
            return Refused(504)
        if "forbidden" in {asked.control for asked in both}:
            return Refused(534)
        return ALLOWED if self.asked.has_tls else Refused(431)

    def _protection(self, verb: str, value: str) -> Refused:
        """Section 5: not after CCC. Section 9: not without TLS; PBSZ first; C and P only. Then 10.2."""
        if self.cleared:
            return Refused(503, "CCC")
        if not self.tls:
            return Refused(503, "AUTH TLS")
        if verb == "PBSZ":
            return ALLOWED if value.isdigit() and int(value) < 2**32 else Refused(501)
        if not self.pbsz:
            return Refused(503, "PBSZ")
        if value in ("S", "E"):
            return Refused(536)
        if value not in ("C", "P"):
            return Refused(504)
        against = {"C": "required", "P": "forbidden"}[value]
        said = {self.asked.data, *(rule.data for rule in self.asked.rules)}
        return Refused(534) if said == {against} else ALLOWED

    def _login(self, verb: str) -> Refused:
        """RFC 959 section 5.4, RFC 4217 section 10.1, RFC 7151 section 3."""
        if verb in ("USER", "PASS", "HOST") and self.logged_in:
            return Refused(503, "ogged in" if verb != "HOST" else "before the login")
        if verb in ("USER", "PASS", "ACCT") and self.asked.control == "required" and not self.tls:
            return Refused(530, "AUTH TLS")
        if verb == "PASS" and not self.named:
            return Refused(503, "USER comes first")
        if verb == "ACCT" and not (self.account_wanted or self.logged_in):
            return Refused(503, "USER and PASS")
        return ALLOWED if verb in OPEN_TO_ALL or self.logged_in else Refused(530, "Log in")

    def _order(self, verb: str, argument: str) -> Refused:
        if verb == "RNTO" and not self.renaming:
            return Refused(503, "RNFR")
        if verb in ("PASV", "PORT", "EPRT") and self.epsv_all:
            return Refused(503, "EPSV ALL")  # RFC 2428 section 4
        if verb in ("PORT", "EPRT") and not self.asked.active:
            return Refused(502, "ctive mode")
        if verb in DATA and not self.endpoint:
            return Refused(425)
        # Section 10.2: judged now, by the path that is meant, whatever the level was at PASV.
        against = {"C": "required", "P": "forbidden"}[self.level]
        if verb in DATA and against in self.levels_asked(verb, argument):
            return Refused(521, {"C": "PROT P", "P": "PROT C"}[self.level])
        return ALLOWED

    def levels_asked(self, verb: str, argument: str) -> set[str]:
        """Say what is asked of the data connection of a transfer command."""
        if verb in LISTINGS:
            meant, kind = [argument], "list"
            words = argument.split(" ")
            if verb != "MLSD" and words[0].startswith("-"):
                while words and words[0].startswith("-"):
                    del words[0]
                meant.append(" ".join(words))
        else:
            meant, kind = [argument], "download" if verb in DOWNLOADS else "upload"
            if verb == "STOU":
                meant = [f"{argument}/.." if argument else ""]
        return {self.asked.level_rule(self.seen(path), kind) for path in meant}

    def seen(self, argument: str) -> str:
        """Say which virtual path an argument means."""
        path = posixpath.normpath(posixpath.join(self.cwd, argument))
        return "/" + path.lstrip("/")

    def happened(self, verb: str, argument: str, code: int) -> None:  # noqa: C901 - the RFCs' paragraphs
        """Take note of the final reply."""
        value = argument.strip().upper()
        self.renaming = verb == "RNFR" and code == 350
        match verb, code:
            case "USER", 331:
                self.named, self.account_wanted, self.logged_in = True, False, False
                self.user = argument
            case "USER", 230 | 232:
                self.named, self.account_wanted, self.logged_in = False, False, True
                self.user, self.cwd = argument, "/"
            case "PASS", 230:
                self.named, self.logged_in, self.cwd = False, True, "/"
            case "PASS", 332:
                self.named, self.account_wanted = False, True
            case (("PASS" | "USER"), (530 | 534)):
                self.named = self.account_wanted = False
            case "ACCT", 230:
                self.account_wanted, self.logged_in, self.cwd = False, True, "/"
            case "AUTH", 234:
                self._reset(level="P" if value in ("SSL", "TLS-P") else "C")
                self.tls = True
            case "REIN", 220:
                # Section 13; on the implicit port as right after connecting there, unless CCC has ended TLS.
                self.tls = self.implicit and self.tls
                self._reset(level="P" if self.tls else "C")
            case "HOST", 220:
                # RFC 7151: a login that was begun starts anew; TLS, PBSZ and PROT stay.
                self._log_out()
            case "PBSZ", 200:
                self.pbsz = True
            case "PROT", 200:
                self.level = value
            case "CCC", 200:
                self.tls, self.cleared, self.pbsz = False, True, False
            case (("CWD" | "XCWD"), (200 | 250)):
                self.cwd = self.seen(argument)
            case (("CDUP" | "XCUP"), (200 | 250)):
                self.cwd = self.seen("..")
            case "EPSV", 200:
                self.epsv_all = True
            case ("PASV", 227) | ("EPSV", 229) | ("PORT" | "EPRT", 200):
                self.endpoint = True
            case "ABOR", 226:
                self.endpoint = False
            case _, 226:
                self.endpoint = False
            case _:
                pass
