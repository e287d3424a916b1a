"""Every command that FTP and its practice know, in one table: argument rule, phase, room, source and help.

A verb that Lockgate does not serve stands here too, with the code that refuses it, so that none is forgotten.
This module must not decide anything about a session: that is for `gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERBS", "Argument", "Room", "Verb", "VerbRow", "lookup"]


class Verb(StrEnum):
    """A command word as the RFCs spell it."""

    # RFC 959
    USER = "USER"
    PASS = "PASS"  # noqa: S105 - a command word
    ACCT = "ACCT"
    CWD = "CWD"
    CDUP = "CDUP"
    SMNT = "SMNT"
    REIN = "REIN"
    QUIT = "QUIT"
    PORT = "PORT"
    PASV = "PASV"
    TYPE = "TYPE"
    STRU = "STRU"
    MODE = "MODE"
    RETR = "RETR"
    STOR = "STOR"
    STOU = "STOU"
    APPE = "APPE"
    ALLO = "ALLO"
    REST = "REST"
    RNFR = "RNFR"
    RNTO = "RNTO"
    ABOR = "ABOR"
    DELE = "DELE"
    RMD = "RMD"
    MKD = "MKD"
    PWD = "PWD"  # noqa: S105 - a command word
    LIST = "LIST"
    NLST = "NLST"
    SITE = "SITE"
    SYST = "SYST"
    STAT = "STAT"
    HELP = "HELP"
    NOOP = "NOOP"
    # RFC 1123 names, from RFC 775
    XCWD = "XCWD"
    XCUP = "XCUP"
    XPWD = "XPWD"
    XMKD = "XMKD"
    XRMD = "XRMD"
    # RFC 1639
    LPRT = "LPRT"
    LPSV = "LPSV"
    # RFC 2228
    AUTH = "AUTH"
    ADAT = "ADAT"
    PROT = "PROT"
    PBSZ = "PBSZ"
    CCC = "CCC"
    MIC = "MIC"
    CONF = "CONF"
    ENC = "ENC"
    # RFC 2389
    FEAT = "FEAT"
    OPTS = "OPTS"
    # RFC 2428
    EPRT = "EPRT"
    EPSV = "EPSV"
    # RFC 2640
    LANG = "LANG"
    # RFC 3659
    MDTM = "MDTM"
    SIZE = "SIZE"
    MLST = "MLST"
    MLSD = "MLSD"
    # RFC 7151
    HOST = "HOST"
    # Practice
    MFMT = "MFMT"
    MFCT = "MFCT"
    MFF = "MFF"
    HASH = "HASH"
    RANG = "RANG"
    AVBL = "AVBL"
    CLNT = "CLNT"
    CSID = "CSID"
    SSCN = "SSCN"
    CPSV = "CPSV"


class Argument(Enum):
    """Whether a verb takes an argument."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Room(Enum):
    """The handler module that serves a verb (`server/handlers/`)."""

    ACCESS = "access"
    HOSTS = "hosts"
    SECURITY = "security"
    PARAMETERS = "parameters"
    ENDPOINTS = "endpoints"
    TRANSFERS = "transfers"
    LISTINGS = "listings"
    FILES = "files"
    ATTRIBUTES = "attributes"
    DIGESTS = "digests"
    INFORMATION = "information"


@dataclass(frozen=True, slots=True)
class VerbRow:
    """What the table says of one verb.

    Attributes:
        verb: The verb itself.
        room: Who serves it.
        argument: Whether it takes one.
        rfc: Its source.
        help: One line for HELP, with the syntax.
        needs_login: True when a login must come first.
        opens_data: True when it uses a data connection.
        refused: The code that refuses a verb we know and do not serve, or None.
        feature: Its FEAT line (RFC 2389), or None.
        same_as: The verb whose other spelling this is, or None.
        secret: True when the argument must not be shown.
    """

    verb: Verb
    room: Room
    argument: Argument
    rfc: str
    help: str
    needs_login: bool = True
    opens_data: bool = False
    refused: int | None = None
    feature: str | None = None
    same_as: Verb | None = None
    secret: bool = False

    @property
    def canonical(self) -> Verb:
        """The verb that this one is another spelling of, or itself."""
        return self.same_as or self.verb


_NONE, _OPTIONAL, _REQUIRED = Argument.NONE, Argument.OPTIONAL, Argument.REQUIRED
_V, _R = Verb, Room
_RANGE, _HASH, _MFXX = "draft-bryan-ftp-range", "draft-bryan-ftpext-hash", "draft-somers-ftp-mfxx"
_STREAMLINED = "draft-peterson-streamlined-ftp-command-extensions"


def _rows() -> tuple[VerbRow, ...]:
    r = VerbRow
    return (
        r(_V.USER, _R.ACCESS, _REQUIRED, "RFC 959 §4.1.1", "USER <name>", needs_login=False),
        r(_V.PASS, _R.ACCESS, _OPTIONAL, "RFC 959 §4.1.1", "PASS <password>", needs_login=False, secret=True),
        r(_V.ACCT, _R.ACCESS, _REQUIRED, "RFC 959 §4.1.1", "ACCT <account>", needs_login=False, secret=True),
        r(_V.REIN, _R.ACCESS, _NONE, "RFC 959 §4.1.1", "REIN", needs_login=False),
        r(_V.QUIT, _R.ACCESS, _NONE, "RFC 959 §4.1.1", "QUIT", needs_login=False),
        r(_V.HOST, _R.HOSTS, _REQUIRED, "RFC 7151 §3", "HOST <name>", needs_login=False, feature="HOST"),
        r(_V.SMNT, _R.ACCESS, _REQUIRED, "RFC 959 §4.1.1", "SMNT <path>", refused=502),
        r(_V.AUTH, _R.SECURITY, _REQUIRED, "RFC 4217 §4", "AUTH TLS", needs_login=False, feature="AUTH TLS"),
        r(_V.ADAT, _R.SECURITY, _OPTIONAL, "RFC 2228 §3", "ADAT <data>", needs_login=False, secret=True),
        r(_V.PBSZ, _R.SECURITY, _REQUIRED, "RFC 4217 §8", "PBSZ 0", needs_login=False, feature="PBSZ"),
        r(_V.PROT, _R.SECURITY, _REQUIRED, "RFC 4217 §9", "PROT C|P", needs_login=False, feature="PROT"),
        r(_V.CCC, _R.SECURITY, _NONE, "RFC 4217 §5", "CCC", needs_login=False),
        r(_V.MIC, _R.SECURITY, _OPTIONAL, "RFC 2228 §3", "MIC <data>", needs_login=False, refused=502),
        r(_V.CONF, _R.SECURITY, _OPTIONAL, "RFC 2228 §3", "CONF <data>", needs_login=False, refused=502),
        r(_V.ENC, _R.SECURITY, _OPTIONAL, "RFC 2228 §3", "ENC <data>", needs_login=False, refused=502),
        r(_V.SSCN, _R.SECURITY, _OPTIONAL, "practice", "SSCN [ON|OFF]", refused=502),
        r(_V.TYPE, _R.PARAMETERS, _REQUIRED, "RFC 959 §4.1.2", "TYPE A|I|L 8"),
        r(_V.STRU, _R.PARAMETERS, _REQUIRED, "RFC 959 §4.1.2", "STRU F"),
        r(_V.MODE, _R.PARAMETERS, _REQUIRED, "RFC 959 §4.1.2", "MODE S|Z", feature="MODE Z"),
        r(_V.REST, _R.PARAMETERS, _REQUIRED, "RFC 3659 §5", "REST <offset>", feature="REST STREAM"),
        r(_V.ALLO, _R.PARAMETERS, _OPTIONAL, "RFC 959 §4.1.3", "ALLO <bytes> [R <bytes>]"),
        r(_V.OPTS, _R.PARAMETERS, _REQUIRED, "RFC 2389 §4", "OPTS <verb> [<options>]", needs_login=False),
        r(_V.RANG, _R.PARAMETERS, _REQUIRED, _RANGE, "RANG <first> <last>", feature="RANG STREAM"),
        r(_V.LANG, _R.PARAMETERS, _OPTIONAL, "RFC 2640 §4", "LANG [<tag>]", needs_login=False, refused=502),
        r(_V.PASV, _R.ENDPOINTS, _NONE, "RFC 959 §4.1.2", "PASV"),
        r(_V.PORT, _R.ENDPOINTS, _REQUIRED, "RFC 959 §4.1.2", "PORT h1,h2,h3,h4,p1,p2"),
        r(_V.EPSV, _R.ENDPOINTS, _OPTIONAL, "RFC 2428 §3", "EPSV [1|2|ALL]", feature="EPSV"),
        r(_V.EPRT, _R.ENDPOINTS, _REQUIRED, "RFC 2428 §2", "EPRT |1|address|port|", feature="EPRT"),
        r(_V.LPRT, _R.ENDPOINTS, _REQUIRED, "RFC 1639", "LPRT <address>", refused=502),
        r(_V.LPSV, _R.ENDPOINTS, _NONE, "RFC 1639", "LPSV", refused=502),
        r(_V.CPSV, _R.ENDPOINTS, _NONE, "practice", "CPSV", refused=502),
        r(_V.RETR, _R.TRANSFERS, _REQUIRED, "RFC 959 §4.1.3", "RETR <path>", opens_data=True),
        r(_V.STOR, _R.TRANSFERS, _REQUIRED, "RFC 959 §4.1.3", "STOR <path>", opens_data=True),
        r(_V.APPE, _R.TRANSFERS, _REQUIRED, "RFC 959 §4.1.3", "APPE <path>", opens_data=True),
        r(_V.STOU, _R.TRANSFERS, _OPTIONAL, "RFC 1123 §4.1.2.9", "STOU", opens_data=True),
        r(_V.ABOR, _R.TRANSFERS, _NONE, "RFC 959 §4.1.3", "ABOR", needs_login=False),
        r(_V.LIST, _R.LISTINGS, _OPTIONAL, "RFC 959 §4.1.3", "LIST [<path>]", opens_data=True),
        r(_V.NLST, _R.LISTINGS, _OPTIONAL, "RFC 1123 §4.1.2.7", "NLST [<path>]", opens_data=True),
        r(_V.MLSD, _R.LISTINGS, _OPTIONAL, "RFC 3659 §7", "MLSD [<path>]", opens_data=True),
        # The server builds the MLST line itself: it marks the facts that are active.
        r(_V.MLST, _R.LISTINGS, _OPTIONAL, "RFC 3659 §7", "MLST [<path>]", feature="MLST"),
        r(_V.STAT, _R.LISTINGS, _OPTIONAL, "RFC 959 §4.1.3", "STAT [<path>]"),
        r(_V.CWD, _R.FILES, _REQUIRED, "RFC 959 §4.1.1", "CWD <path>"),
        r(_V.CDUP, _R.FILES, _NONE, "RFC 959 §4.1.1", "CDUP"),
        r(_V.PWD, _R.FILES, _NONE, "RFC 959 §4.1.3", "PWD"),
        r(_V.MKD, _R.FILES, _REQUIRED, "RFC 959 §4.1.3", "MKD <path>"),
        r(_V.RMD, _R.FILES, _REQUIRED, "RFC 959 §4.1.3", "RMD <path>"),
        r(_V.DELE, _R.FILES, _REQUIRED, "RFC 959 §4.1.3", "DELE <path>"),
        r(_V.RNFR, _R.FILES, _REQUIRED, "RFC 959 §4.1.3", "RNFR <path>"),
        r(_V.RNTO, _R.FILES, _REQUIRED, "RFC 959 §4.1.3", "RNTO <path>"),
        r(_V.SIZE, _R.FILES, _REQUIRED, "RFC 3659 §4", "SIZE <path>", feature="SIZE"),
        r(_V.MDTM, _R.FILES, _REQUIRED, "RFC 3659 §3", "MDTM <path>", feature="MDTM"),
        r(_V.MFMT, _R.ATTRIBUTES, _REQUIRED, _MFXX, "MFMT <time> <path>", feature="MFMT"),
        r(_V.MFCT, _R.ATTRIBUTES, _REQUIRED, _MFXX, "MFCT <time> <path>", refused=502),
        r(
            _V.MFF,
            _R.ATTRIBUTES,
            _REQUIRED,
            _MFXX,
            "MFF <fact>=<value>; <path>",
            feature="MFF modify;UNIX.mode;",
        ),
        # The server builds the HASH line itself: it marks the algorithm that is chosen.
        r(_V.HASH, _R.DIGESTS, _REQUIRED, _HASH, "HASH <path>", feature="HASH"),
        r(_V.AVBL, _R.ATTRIBUTES, _OPTIONAL, _STREAMLINED, "AVBL [<path>]", feature="AVBL"),
        r(_V.SITE, _R.ATTRIBUTES, _REQUIRED, "RFC 959 §4.1.3", "SITE HELP|CHMOD|UTIME <arguments>"),
        r(_V.FEAT, _R.INFORMATION, _NONE, "RFC 2389 §3", "FEAT", needs_login=False),
        r(_V.HELP, _R.INFORMATION, _OPTIONAL, "RFC 959 §4.1.3", "HELP [<verb>]", needs_login=False),
        r(_V.SYST, _R.INFORMATION, _NONE, "RFC 959 §4.1.3", "SYST", needs_login=False),
        r(_V.NOOP, _R.INFORMATION, _NONE, "RFC 959 §4.1.3", "NOOP", needs_login=False),
        r(_V.CLNT, _R.INFORMATION, _REQUIRED, "practice", "CLNT <name>", needs_login=False, feature="CLNT"),
        r(_V.CSID, _R.INFORMATION, _REQUIRED, "practice", "CSID <facts>", needs_login=False, refused=502),
        r(_V.XCWD, _R.FILES, _REQUIRED, "RFC 775", "XCWD <path>", same_as=_V.CWD),
        r(_V.XCUP, _R.FILES, _NONE, "RFC 775", "XCUP", same_as=_V.CDUP),
        r(_V.XPWD, _R.FILES, _NONE, "RFC 775", "XPWD", same_as=_V.PWD),
        r(_V.XMKD, _R.FILES, _REQUIRED, "RFC 775", "XMKD <path>", same_as=_V.MKD),
        r(_V.XRMD, _R.FILES, _REQUIRED, "RFC 775", "XRMD <path>", same_as=_V.RMD),
    )


VERBS: Mapping[Verb, VerbRow] = MappingProxyType({row.verb: row for row in _rows()})
"""The table: a row for every member of `Verb`."""


def lookup(word: str) -> VerbRow | None:
    """Return the row of a command word in any case (RFC 959 §5.3), or None for an unknown word."""
    found = _BY_WORD.get(word)
    return found if found is not None else _BY_WORD.get(word.upper())


_BY_WORD: dict[str, VerbRow] = {verb.value: row for verb, row in VERBS.items()}
