"""argon2id, the hash that Lockgate makes itself: what one costs, making, checking, and a decoy.

Blocking where it hashes, and each hash takes as much memory as its parameters say. Must not know accounts,
and never keeps or logs a password.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass

from lockgate.errors import AccountError

__all__ = [
    "DEFAULT_PARAMETERS",
    "ITERATIONS_LIMIT",
    "MEMORY_LIMIT_KIB",
    "MINIMUM",
    "PARALLELISM_LIMIT",
    "WORK_LIMIT_KIB",
    "HashParameters",
    "check",
    "decoy_hash",
    "hash_octets",
    "parameters_of",
    "problem",
]

PREFIX = "$argon2id$"
MEMORY_LIMIT_KIB = 1024 * 1024
"""1 GiB: a hash that takes more is a mistake, or an attempt to take the server's memory."""
ITERATIONS_LIMIT = 64
PARALLELISM_LIMIT = 16
WORK_LIMIT_KIB = 4 * 1024 * 1024
"""Memory times iterations: some seconds of one processor."""
MINIMUM = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
"""Memory in KiB and iterations that OWASP's password storage cheat sheet calls equal and enough."""

_SALT_BYTES = 16
_DIGEST_BYTES = 32
_FORM = re.compile(
    r"\$argon2id\$v=(?:16|19)\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,10})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class HashParameters:
    """What one argon2id hash costs (RFC 9106 section 3.1).

    The defaults are OWASP's first choice, about 50 ms: less memory would make guessing cheaper, more passes
    would hold up logins longer than a client that sends many small files bears.

    Attributes:
        memory_kib: Memory in KiB; at least 8 for each lane.
        passes: How often the memory is gone over.
        lanes: Degree of parallelism; one, because a server has other logins for its other cores.
    """

    memory_kib: int = 47104
    passes: int = 1
    lanes: int = 1

    def __post_init__(self) -> None:
        if self.lanes < 1 or self.passes < 1 or self.memory_kib < 8 * self.lanes:
            raise AccountError(
                f"argon2 cannot work with memory_kib={self.memory_kib}, passes={self.passes}, "
                f"lanes={self.lanes}; each lane needs 8 KiB, and passes and lanes are 1 or more"
            )

    @property
    def is_enough(self) -> bool:
        """True when a guess costs at least what OWASP asks for."""
        return any(self.memory_kib >= memory and self.passes >= passes for memory, passes in MINIMUM)

    @property
    def is_bearable(self) -> bool:
        """True when a server can compute such a hash for anybody who asks."""
        return (
            self.memory_kib <= MEMORY_LIMIT_KIB
            and self.passes <= ITERATIONS_LIMIT
            and self.lanes <= PARALLELISM_LIMIT
            and self.work_kib <= WORK_LIMIT_KIB
        )

    @property
    def work_kib(self) -> int:
        """KiB gone over in all."""
        return self.memory_kib * self.passes


DEFAULT_PARAMETERS = HashParameters()


def hash_octets(password: bytes, parameters: HashParameters = DEFAULT_PARAMETERS) -> str:
    """Return a new argon2id hash in its usual text form; blocks while it computes."""
    from argon2 import PasswordHasher

    hasher = PasswordHasher(
        time_cost=parameters.passes, memory_cost=parameters.memory_kib, parallelism=parameters.lanes
    )
    return hasher.hash(password)


def check(stored: str, password: bytes) -> bool:
    """Return whether the password fits the stored hash; blocks while it computes.

    Raises:
        AccountError: The stored text is no argon2 hash, or there was no memory to compute it.
    """
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

    try:
        return PasswordHasher().verify(stored, password)
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError) as error:
        raise AccountError(
            "a stored password hash cannot be checked; make a new one with `lockgate account hash`"
        ) from error


def parameters_of(stored: str) -> HashParameters:
    """Return the parameters that a stored hash was made with.

    Raises:
        AccountError: The stored text is no argon2id hash.
    """
    found = _FORM.fullmatch(stored)
    if found is None:
        raise AccountError("a stored password hash is no argon2id hash")
    return HashParameters(int(found[1]), int(found[2]), int(found[3]))


def problem(stored: str) -> str:
    """Return why an argon2id hash cannot be used, with the remedy, or ""; computes nothing."""
    found = _FORM.fullmatch(stored)
    if found is None or not (_is_base64(found[4]) and _is_base64(found[5])):
        return "the argon2id hash is damaged; copy the whole line that `lockgate account hash` prints"
    try:
        parameters = parameters_of(stored)
    except AccountError as error:
        return f"{error}; make a new hash with: lockgate account hash"
    if parameters.is_bearable:
        return ""
    return (
        f"the argon2id hash asks for m={parameters.memory_kib} KiB, t={parameters.passes}, "
        f"p={parameters.lanes}, which every login with this name would take; at most m={MEMORY_LIMIT_KIB}, "
        f"t={ITERATIONS_LIMIT}, p={PARALLELISM_LIMIT} and m times t = {WORK_LIMIT_KIB} are allowed; "
        "make a new one with: lockgate account hash"
    )


def decoy_hash(parameters: HashParameters = DEFAULT_PARAMETERS) -> str:
    """Return a text that takes as long to check as a hash of these parameters and that no password fits.

    Salt and digest are random, so nothing needs to be computed here.
    """
    salt, digest = (_base64(secrets.token_bytes(size)) for size in (_SALT_BYTES, _DIGEST_BYTES))
    cost = f"m={parameters.memory_kib},t={parameters.passes},p={parameters.lanes}"
    return f"{PREFIX}v=19${cost}${salt}${digest}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _is_base64(text: str) -> bool:
    """Return whether the text is what its octets are written as; argon2 takes nothing else."""
    try:
        return _base64(base64.b64decode(text + "=" * (-len(text) % 4), validate=True)) == text
    except binascii.Error:
        return False
