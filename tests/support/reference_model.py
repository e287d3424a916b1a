"""What the RFCs let a server answer, written straight from their text and sharing nothing with Lockgate.

A few booleans instead of machines, and one function that reads like the RFCs' paragraphs. It judges the first
reply to a command, given the policy; it is told the outcome and keeps its own account.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Reference"]

DATA = ("RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD")
OPEN_TO_ALL = (
    *("USER", "PASS", "ACCT", "REIN", "QUIT", "ABOR", "HELP", "SYST", "NOOP"),
    *("AUTH", "ADAT", "PBSZ", "PROT", "CCC", "MIC", "CONF", "ENC"),
    *("FEAT", "OPTS", "CLNT", "LANG", "HOST", "CSID", "SSCN"),
)


@dataclass
class Reference:
    """The session as the RFCs tell it.

    Attributes:
        control: "required", "optional" or "forbidden": TLS for the login (RFC 4217 section 10.1).
        data: The same for data connections (section 10.2).
        ccc: May CCC be used after the login.
        legacy: Are the mechanisms of the 1997 draft taken.
        implicit: TLS from the start.
    """

    control: str
    data: str
    ccc: bool
    legacy: bool
    implicit: bool

    def __post_init__(self) -> None:
        self.tls = self.implicit
        self._reset(level="P" if self.implicit else "C")

    def _reset(self, *, level: str) -> None:
        self.cleared = False
        self.level = level
        self.pbsz = False
        self.named = False
        self.account_wanted = False
        self.logged_in = False
        self.endpoint = False
        self.epsv_all = False
        self.renaming = False

    def allowed(self, verb: str, argument: str) -> bool:  # noqa: C901 - the RFCs' paragraphs
        """Say whether the command may run at all; nothing is said about paths."""
        value = argument.strip().upper()
        if verb not in OPEN_TO_ALL and not self.logged_in:
            return False  # RFC 959 section 5.4: 530
        if verb in ("USER", "PASS", "ACCT") and self.control == "required" and not self.tls:
            return False  # RFC 4217 section 10.1
        match verb:
            case "USER":
                return not self.logged_in
            case "PASS":
                return self.named
            case "HOST":
                return not self.logged_in  # RFC 7151 section 3
            case "ACCT":
                return self.account_wanted or self.logged_in
            case "AUTH":
                # RFC 4217 section 4; no second layer, none after CCC, none where policy forbids it.
                known = value == "TLS" or (self.legacy and value in ("TLS-C", "SSL", "TLS-P"))
                return known and not self.tls and not self.cleared and self.control != "forbidden"
            case "PBSZ":
                # Section 9: not without TLS; section 5: not after CCC, which is not in TLS either.
                return self.tls and value.isdigit() and int(value) < 2**32
            case "PROT":
                # Section 9: PBSZ first; C and P only. Section 10.2: as the policy says.
                forbidden = {"required": "C", "forbidden": "P"}.get(self.data)
                return self.tls and self.pbsz and value in ("C", "P") and value != forbidden
            case "CCC":
                return self.ccc and self.tls and self.logged_in  # section 5
            case "ADAT":
                return False  # RFC 2228: only between AUTH and its end, and TLS needs none
            case "RNTO":
                return self.renaming
            case "PASV" | "PORT" | "EPRT":
                return not self.epsv_all  # RFC 2428 section 4
            case _ if verb in DATA:
                # Section 10.2: judged now, whatever the level was at PASV.
                wrong = {"required": "C", "forbidden": "P"}.get(self.data)
                return self.endpoint and self.level != wrong
            case _:
                return True

    def happened(self, verb: str, argument: str, code: int) -> None:  # noqa: C901 - the RFCs' paragraphs
        """Take note of the final reply."""
        value = argument.strip().upper()
        self.renaming = verb == "RNFR" and code == 350
        match verb, code:
            case "USER", 331:
                self.named, self.account_wanted, self.logged_in = True, False, False
            case "USER", 230 | 232:
                self.named, self.account_wanted, self.logged_in = False, False, True
            case "PASS", 230:
                self.named, self.logged_in = False, True
            case "PASS", 332:
                self.named, self.account_wanted = False, True
            case (("PASS" | "USER"), 530):
                self.named = self.account_wanted = False
            case "ACCT", 230:
                self.account_wanted, self.logged_in = False, True
            case "AUTH", 234:
                self._reset(level="P" if value in ("SSL", "TLS-P") else "C")
                self.tls = True
            case "REIN", 220:
                # Section 13; on the implicit port as right after connecting there, unless CCC has ended TLS.
                self.tls = self.implicit and self.tls
                self._reset(level="P" if self.tls else "C")
            case "HOST", 220:
                # RFC 7151: a login that was begun starts anew; TLS, PBSZ and PROT stay.
                self.named = self.account_wanted = self.logged_in = False
                self.endpoint = self.epsv_all = False
            case "PBSZ", 200:
                self.pbsz = True
            case "PROT", 200:
                self.level = value
            case "CCC", 200:
                self.tls, self.cleared, self.pbsz = False, True, False
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
