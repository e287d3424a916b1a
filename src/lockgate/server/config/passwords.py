"""`[passwords]`: what a password hash costs, how many are computed at once, and how long a success counts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lockgate.accounts.argon2id import ITERATIONS_LIMIT, MEMORY_LIMIT_KIB, PARALLELISM_LIMIT
from lockgate.accounts.passwords import HashParameters

from .fields import Count, Duration, Section, Whole

__all__ = ["PasswordsConfig"]


class PasswordsConfig(Section):
    """`[passwords]`: the argon2id parameters of new hashes, and limits to computing hashes."""

    memory_kib: Annotated[Count, Field(le=MEMORY_LIMIT_KIB)] = 47104
    iterations: Annotated[Count, Field(le=ITERATIONS_LIMIT)] = 1
    parallelism: Annotated[Count, Field(le=PARALLELISM_LIMIT)] = 1
    hashes_at_once: Annotated[Whole, Field(le=256)] = 0
    remember_seconds: Annotated[Duration, Field(le=86400)] = 300

    def parameters(self) -> HashParameters:
        """Return what a new hash costs.

        Raises:
            AccountError: There is less memory than argon2 needs for so many lanes.
        """
        return HashParameters(self.memory_kib, self.iterations, self.parallelism)
