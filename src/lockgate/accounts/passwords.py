"""Password hashes (argon2id), how many are computed at a time, and successes remembered for some minutes.

A good hash costs tens of milliseconds and tens of megabytes on purpose. So only a few run at once, and a
device that logs in for every file pays once in a while only. Must not know accounts beyond name and hash,
and never keeps or logs a password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from lockgate.errors import AccountError

__all__ = [
    "HashParameters",
    "PasswordChecker",
    "decoy_hash",
    "hash_password",
    "needs_rehash",
    "parameters_of",
    "verify_password",
]

_SALT_BYTES = 16
_DIGEST_BYTES = 32


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


DEFAULT_PARAMETERS = HashParameters()


def hash_password(password: str, parameters: HashParameters = DEFAULT_PARAMETERS) -> str:
    """Return a new argon2id hash in its usual text form; blocks while it computes."""
    from argon2 import PasswordHasher

    hasher = PasswordHasher(
        time_cost=parameters.passes, memory_cost=parameters.memory_kib, parallelism=parameters.lanes
    )
    return hasher.hash(_octets(password))


def verify_password(stored: str, password: str) -> bool:
    """Return whether the password fits the stored hash; blocks while it computes.

    Raises:
        AccountError: The stored text is no argon2 hash, or there was no memory to compute it.
    """
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

    try:
        return PasswordHasher().verify(stored, _octets(password))
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError) as error:
        raise AccountError(
            "a stored password hash cannot be checked; make a new one with `lockgate account hash`"
        ) from error


def needs_rehash(stored: str, parameters: HashParameters = DEFAULT_PARAMETERS) -> bool:
    """Return whether the stored hash was made with other parameters than these, or is no argon2 hash."""
    try:
        return parameters_of(stored) != parameters
    except AccountError:
        return True


def parameters_of(stored: str) -> HashParameters:
    """Return the parameters that a stored hash was made with.

    Raises:
        AccountError: The stored text is no argon2 hash.
    """
    from argon2 import extract_parameters
    from argon2.exceptions import InvalidHashError

    try:
        found = extract_parameters(stored)
    except InvalidHashError as error:
        raise AccountError("a stored password hash is no argon2 hash") from error
    return HashParameters(found.memory_cost, found.time_cost, found.parallelism)


def decoy_hash(parameters: HashParameters = DEFAULT_PARAMETERS) -> str:
    """Return a text that takes as long to check as a hash of these parameters and that no password fits.

    Salt and digest are random, so nothing needs to be computed here.
    """
    salt, digest = (_base64(secrets.token_bytes(size)) for size in (_SALT_BYTES, _DIGEST_BYTES))
    cost = f"m={parameters.memory_kib},t={parameters.passes},p={parameters.lanes}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _octets(text: str) -> bytes:
    """Return the octets as they came from the wire, where text that is no UTF-8 is surrogate-escaped."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _default_at_once() -> int:
    # Each takes 46 MiB: four are 184 MiB, which a small machine can still spare.
    return max(1, min(4, os.cpu_count() or 1))


class PasswordChecker:
    """Checks passwords, a bounded number at a time, and remembers successes; safe for several threads.

    What is remembered is a keyed digest of name, password and stored hash, under a random key that never
    leaves this object: neither a memory dump of the table alone nor a changed hash opens anything.

    Args:
        parameters: What the check of an unknown name costs, when no like hash is given.
        at_once: How many hashes may be computed at the same time.
        wait_seconds: How long a check waits for its turn.
        remembered: How many successes are kept; 0 for none.
        remember_seconds: How long each is kept, counted from the real check, however often it is used.
        clock: A monotonic clock in seconds.
        verify: What computes: stored hash and password in, whether they fit out.
    """

    def __init__(
        self,
        parameters: HashParameters = DEFAULT_PARAMETERS,
        *,
        at_once: int | None = None,
        wait_seconds: float = 30.0,
        remembered: int = 10_000,
        remember_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        verify: Callable[[str, str], bool] = verify_password,
    ) -> None:
        self._decoy = decoy_hash(parameters)
        self._turns = threading.BoundedSemaphore(at_once or _default_at_once())
        self._wait_seconds = wait_seconds
        self._remembered = remembered
        self._remember_seconds = remember_seconds
        self._clock = clock
        self._compute = verify
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, name: str, password: str, stored: str | None, *, like: str | None = None) -> bool:
        """Return whether the password fits the stored hash; blocks while it waits and computes.

        Args:
            name: The account's name.
            password: What the client sent.
            stored: The account's hash; None for an unknown name or an account without password: then the
                answer is no, after the time that a real check takes (RFC 2577 section 7).
            like: A hash whose parameters the check without `stored` imitates.

        Raises:
            AccountError: The turn did not come in time, or the hash could not be computed.
        """
        if stored is None:
            self._verify(like or self._decoy, password)
            return False
        digest = self._digest(name, password, stored)
        if self._recall(digest):
            return True
        fits = self._verify(stored, password)
        if fits:
            self._remember(digest)
        return fits

    def forget(self) -> None:
        """Forget every remembered success."""
        with self._lock:
            self._known.clear()

    def _verify(self, stored: str, password: str) -> bool:
        if not self._turns.acquire(timeout=self._wait_seconds):
            raise AccountError(
                f"no turn to check a password within {self._wait_seconds:g} s: too many logins at once"
            )
        try:
            return self._compute(stored, password)
        finally:
            self._turns.release()

    def _digest(self, name: str, password: str, stored: str) -> bytes:
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in (name, password, stored):
            octets = _octets(part)
            # With its length before it, no part can take octets of its neighbour.
            digest.update(len(octets).to_bytes(8, "big"))
            digest.update(octets)
        return digest.digest()

    def _recall(self, digest: bytes) -> bool:
        with self._lock:
            until = self._known.get(digest)
            if until is None:
                return False
            if until > self._clock():
                return True
            del self._known[digest]
            return False

    def _remember(self, digest: bytes) -> None:
        if self._remembered <= 0:
            return
        with self._lock:
            # All are kept equally long, so the first in the table is always the first to expire.
            self._known[digest] = self._clock() + self._remember_seconds
            self._known.move_to_end(digest)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
