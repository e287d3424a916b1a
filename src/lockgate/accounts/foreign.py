"""Password hashes of other servers, so that their users can move without new passwords.

bcrypt (`$2a$`, `$2b$`, `$2y$`), SHA-512-crypt (`$6$`) and SHA-256-crypt (`$5$`) are checked; the others are
named, each with its remedy. Blocking where it hashes. Must not make such hashes, know accounts, or keep a
password.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import threading
from enum import Enum

from lockgate.errors import AccountError

__all__ = ["BCRYPT_COST_LIMIT", "SHA_ROUNDS_LIMIT", "ForeignKind", "check", "kind_of", "problem"]

BCRYPT_COST_LIMIT = 15
"""About two seconds of one processor."""
SHA_ROUNDS_LIMIT = 1_000_000
"""About a second of one processor, and of the interpreter: it is computed in Python."""

_BCRYPT_OCTETS = 72
# As libxcrypt has it; the time of a SHA-crypt hash grows with the password.
_SHA_OCTETS = 512
_SHA_ROUNDS_DEFAULT = 5000
_SHA_ROUNDS_LEAST = 1000

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII)
_SHA = re.compile(
    r"\$[56]\$(?:rounds=([1-9]\d{0,8})\$)?[./0-9A-Za-z]{0,16}\$(?:[./0-9A-Za-z]{43}|[./0-9A-Za-z]{86})",
    re.ASCII,
)
_SHA_DIGEST_LENGTHS = {"$5$": 43, "$6$": 86}
_NEW = "let the user choose a new password and write what `lockgate account hash` prints"

# The beginning of what is refused, and why.
_REFUSED = (
    ("$1$", f"md5-crypt can be guessed by the billion; {_NEW}"),
    ("$apr1$", f"Apache's MD5 can be guessed by the billion; {_NEW}"),
    (
        "$2x$",
        f"$2x$ is bcrypt as a faulty program made it, which lets different passwords in; {_NEW}",
    ),
    ("$2$", f"$2$ is bcrypt's first version, which nobody computes any more; {_NEW}"),
    ("$y$", f"yescrypt is not supported; {_NEW}"),
    ("$7$", f"scrypt is not supported; {_NEW}"),
    ("$argon2", f"of argon2 only argon2id is supported; {_NEW}"),
    ("$pbkdf2", f"PBKDF2 is not supported; {_NEW}"),
    ("$P$", f"phpass is not supported; {_NEW}"),
    ("$H$", f"phpass is not supported; {_NEW}"),
    ("_", f"DES hashes can be guessed by the billion; {_NEW}"),
    ("!", "the hash is locked; to lock an account out, leave its [[account]] away"),
    ("*", "the hash is locked; to lock an account out, leave its [[account]] away"),
)
_DES = re.compile(r"[./0-9A-Za-z]{13}")
_BRACES = re.compile(r"\{([A-Za-z0-9.-]{1,24})\}(.*)", re.DOTALL)


# Computed in Python: two at once are no faster, and hold up everybody else eight times as much.
_one_sha_at_a_time = threading.Lock()


class ForeignKind(Enum):
    """A kind of hash that other servers make and Lockgate checks."""

    BCRYPT = "bcrypt"
    SHA_CRYPT = "SHA-crypt"


def kind_of(stored: str) -> ForeignKind | None:
    """Return which foreign kind a stored hash is, judged by its beginning alone; None for any other."""
    if stored.startswith(("$2a$", "$2b$", "$2y$")):
        return ForeignKind.BCRYPT
    return ForeignKind.SHA_CRYPT if stored.startswith(("$5$", "$6$")) else None


def problem(stored: str) -> str:
    """Return why a hash that is not argon2id cannot be used, with the remedy, or ""; computes nothing.

    The hash itself is not in the text: it may be a password written there by mistake.
    """
    match kind_of(stored):
        case ForeignKind.BCRYPT:
            return _bcrypt_problem(stored) or _missing("bcrypt", "bcrypt")
        case ForeignKind.SHA_CRYPT:
            return _sha_problem(stored) or _missing("passlib", "SHA-crypt")
        case None:
            return _other_problem(stored)


def check(stored: str, password: bytes) -> bool:
    """Return whether the password fits a bcrypt or SHA-crypt hash; blocks while it computes.

    What no C string can hold, a NUL, was nobody's password on those servers: it fits nothing, after the same
    work. Nor does one of more than 512 octets fit SHA-crypt. bcrypt sees the first 72 octets only, as on the
    servers that the hashes come from.

    Raises:
        AccountError: The hash is of another kind or damaged, or what checks it is not installed.
    """
    is_text = b"\0" not in password
    octets = password if is_text else b""
    try:
        match kind_of(stored):
            case ForeignKind.BCRYPT:
                import bcrypt

                return bcrypt.checkpw(octets[:_BCRYPT_OCTETS], stored.encode("ascii")) and is_text
            case ForeignKind.SHA_CRYPT:
                from passlib.hash import sha256_crypt, sha512_crypt

                scheme = sha512_crypt if stored.startswith("$6$") else sha256_crypt
                with _one_sha_at_a_time:
                    fits = bool(scheme.verify(octets[:_SHA_OCTETS], stored))
                return fits and is_text and len(octets) <= _SHA_OCTETS
    except (ImportError, ValueError) as error:
        raise AccountError(
            "a stored password hash cannot be checked; `lockgate config check` says more"
        ) from error
    raise AccountError("a stored password hash is of no kind that can be checked")


def _bcrypt_problem(stored: str) -> str:
    found = _BCRYPT.fullmatch(stored)
    if found is None:
        return "the bcrypt hash is damaged; copy all of its 60 characters"
    cost = int(found[1])
    if 4 <= cost <= BCRYPT_COST_LIMIT:
        return ""
    return (
        f"the bcrypt hash has cost {cost}, which every login with this name would take; "
        f"4 to {BCRYPT_COST_LIMIT} are allowed; {_NEW}"
    )


def _sha_problem(stored: str) -> str:
    found = _SHA.fullmatch(stored)
    if found is None or len(stored.rpartition("$")[2]) != _SHA_DIGEST_LENGTHS[stored[:3]]:
        return "the SHA-crypt hash is damaged; copy the whole field, without the colons around it"
    rounds = int(found[1] or _SHA_ROUNDS_DEFAULT)
    if _SHA_ROUNDS_LEAST <= rounds <= SHA_ROUNDS_LIMIT:
        return ""
    return (
        f"the SHA-crypt hash has {rounds} rounds, which every login with this name would take; "
        f"{_SHA_ROUNDS_LEAST} to {SHA_ROUNDS_LIMIT} are allowed; {_NEW}"
    )


def _other_problem(stored: str) -> str:
    if braces := _BRACES.fullmatch(stored):
        if kind_of(braces[2]) is not None or braces[2].startswith("$argon2id$"):
            return f"write what follows {{{braces[1]}}}, without the word in braces"
        return f"{{{braces[1]}}} stands for a hash that is too quickly guessed or not supported; {_NEW}"
    for beginning, reason in _REFUSED:
        if stored.startswith(beginning):
            return reason
    if _DES.fullmatch(stored):
        return f"this looks like a DES hash, which can be guessed by the billion; {_NEW}"
    return (
        'expected an argon2id hash ("$argon2id$...") or one of another server '
        '("$2b$...", "$6$...", "$5$..."), never the password itself; make one with: lockgate account hash'
    )


def _missing(module: str, what: str) -> str:
    if _is_installed(module):
        return ""
    return f"{what} hashes are checked by a library that is not installed: pip install 'lockgate[migration]'"


@functools.cache
def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
