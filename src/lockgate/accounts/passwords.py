"""Checking passwords: which kind a stored hash is, whom it fits, and successes remembered for some minutes.

A good hash costs tens of milliseconds and tens of megabytes on purpose; a device that logs in for every file
pays once in a while only. How many are computed at a time is for the caller to say. Must not know accounts
beyond name and hash, and never keeps or logs a password.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lockgate.errors import AccountError, shorten

from . import argon2id, foreign
from .argon2id import DEFAULT_PARAMETERS, HashParameters, decoy_hash, parameters_of

__all__ = [
    "DEFAULT_PARAMETERS",
    "HashParameters",
    "PasswordChecker",
    "decoy_hash",
    "hash_password",
    "hash_problem",
    "memory_kib_of",
    "parameters_of",
    "verify_password",
    "weakness",
]

_logger = logging.getLogger(__name__)

_HINTED_LIMIT = 10_000


def hash_password(password: str, parameters: HashParameters = DEFAULT_PARAMETERS) -> str:
    """Return a new argon2id hash in its usual text form; blocks while it computes."""
    return argon2id.hash_octets(_octets(password), parameters)


def verify_password(stored: str, password: str) -> bool:
    """Return whether the password fits the stored hash, of whatever kind; blocks while it computes.

    Wherever the hash comes from, none is computed that `hash_problem` refuses: it could take all memory.

    Raises:
        AccountError: The stored text is no hash that can be checked, or there was no memory to compute it.
    """
    told = hash_problem(stored)
    if told:
        raise AccountError(f"a stored password hash cannot be checked: {told}")
    if foreign.kind_of(stored) is not None:
        return foreign.check(stored, _octets(password))
    return argon2id.check(stored, _octets(password))


def hash_problem(stored: str) -> str:
    """Return why a text cannot be an account's password hash, with the remedy, or ""; computes nothing.

    The text itself is not repeated: it may be a password written there by mistake.
    """
    if stored.startswith(argon2id.PREFIX):
        return argon2id.problem(stored)
    return foreign.problem(stored)


def weakness(stored: str, parameters: HashParameters) -> str:
    """Return in what a usable hash protects its password less than these parameters would, or ""."""
    kind = foreign.kind_of(stored)
    if kind is foreign.ForeignKind.SHA_CRYPT:
        return f"{kind.value} takes no memory to guess, and its checks hold transfers up"
    if kind is not None:
        return f"{kind.value} takes no memory to guess"
    found = parameters_of(stored)
    if found.memory_kib >= parameters.memory_kib and found.work_kib >= parameters.work_kib:
        return ""
    return f"argon2id with {found.memory_kib} KiB and {found.passes} iterations is cheaper to guess"


def memory_kib_of(stored: str) -> int:
    """Return how much memory a check of a usable hash takes, in KiB; next to nothing but for argon2id."""
    return 0 if foreign.kind_of(stored) is not None else parameters_of(stored).memory_kib


def _octets(text: str) -> bytes:
    """Return the octets as they came from the wire, where text that is no UTF-8 is surrogate-escaped."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class _Success:
    """A check that was right: when, and whose."""

    since: float
    name: str
    stored: str


class PasswordChecker:
    """Checks passwords and remembers successes; safe for several threads.

    What is remembered is a keyed digest of name, password and stored hash, under a random key that never
    leaves this object: neither a memory dump of the table alone nor a changed hash opens anything.

    Args:
        parameters: What the check of an unknown name costs, when no like hash is given, and what a hash is
            expected to cost.
        remembered: How many successes are kept; 0 for none.
        remember_seconds: How long each is kept, counted from the real check, however often it is used; 0: not
            at all.
        clock: A monotonic clock in seconds.
        verify: What computes: stored hash and password in, whether they fit out.
    """

    def __init__(
        self,
        parameters: HashParameters = DEFAULT_PARAMETERS,
        *,
        remembered: int = 10_000,
        remember_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        verify: Callable[[str, str], bool] = verify_password,
    ) -> None:
        self._parameters = parameters
        self._decoy = decoy_hash(parameters)
        self._remembered = remembered
        self._remember_seconds = remember_seconds
        self._clock = clock
        self._compute = verify
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, _Success] = OrderedDict()
        self._hinted: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, name: str, password: str, stored: str | None, *, like: str | None = None) -> bool:
        """Return whether the password fits the stored hash; blocks while it computes.

        Args:
            name: The account's name.
            password: What the client sent.
            stored: The account's hash; None for an unknown name or an account without password: then the
                answer is no, after the time that a real check takes (RFC 2577 section 7).
            like: A hash whose kind and parameters the check without `stored` imitates.

        Raises:
            AccountError: The hash could not be computed.
        """
        if stored is None:
            self._compute(like or self._decoy, password)
            return False
        if self.recalls(name, password, stored):
            return True
        fits = self._compute(stored, password)
        if fits:
            self._remember(name, password, stored)
            self._hint(name, stored)
        return fits

    def recalls(self, name: str, password: str, stored: str) -> bool:
        """Return whether this very check was right not long ago; computes no hash and does not block."""
        if not self._known:
            return False
        digest = self._digest(name, password, stored)
        with self._lock:
            found = self._known.get(digest)
            if found is None:
                return False
            if found.since + self._remember_seconds > self._clock():
                return True
            del self._known[digest]
            return False

    def reconfigure(self, parameters: HashParameters, remember_seconds: float) -> None:
        """Take other values; what is remembered already is kept no longer than they say."""
        with self._lock:
            self._parameters = parameters
            self._decoy = decoy_hash(parameters)
            self._remember_seconds = remember_seconds
            if remember_seconds <= 0:
                self._known.clear()

    def keep_only(self, hashes: Mapping[str, str | None]) -> None:
        """Forget every success but those of names that still have the same hash."""
        with self._lock:
            gone = [key for key, one in self._known.items() if hashes.get(one.name) != one.stored]
            for key in gone:
                del self._known[key]

    def _digest(self, name: str, password: str, stored: str) -> bytes:
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in (name, password, stored):
            octets = _octets(part)
            # With its length before it, no part can take octets of its neighbour.
            digest.update(len(octets).to_bytes(8, "big"))
            digest.update(octets)
        return digest.digest()

    def _remember(self, name: str, password: str, stored: str) -> None:
        if self._remembered <= 0 or self._remember_seconds <= 0:
            return
        digest = self._digest(name, password, stored)
        with self._lock:
            # All are kept equally long, so the first in the table is always the first to expire.
            self._known[digest] = _Success(self._clock(), name, stored)
            self._known.move_to_end(digest)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)

    def _hint(self, name: str, stored: str) -> None:
        """Say once for each account that a better hash can be had."""
        try:
            reason = weakness(stored, self._parameters)
        except AccountError:
            return
        with self._lock:
            if not reason or name in self._hinted:
                return
            self._hinted[name] = None
            while len(self._hinted) > _HINTED_LIMIT:
                self._hinted.popitem(last=False)
        _logger.info(
            "account %s: its password hash could be stronger (%s); `lockgate account hash` makes one",
            shorten(name),
            reason,
        )
