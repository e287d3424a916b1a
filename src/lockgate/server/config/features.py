"""`[features]`: which of the commands that no RFC has are served, and what they may cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from lockgate.errors import shorten
from lockgate.transfer.digests import ALGORITHMS

from .fields import Bool, Count, Seconds, Section, Whole
from .text import FromEnvironment

__all__ = ["FeaturesConfig"]


def _algorithms(value: object) -> object:
    if isinstance(value, FromEnvironment):
        value = value.split()
    if not isinstance(value, (list, tuple)):
        raise ValueError('expected a list of algorithms: ["SHA-256"]; [] switches HASH off')  # noqa: TRY004
    names = tuple(name.upper() if isinstance(name, str) else str(name) for name in value)
    for name in names:
        if name not in ALGORITHMS:
            raise ValueError(
                f'"{shorten(name)}" is no algorithm of HASH; write some of: {", ".join(ALGORITHMS)}, '
                "or [] for no HASH"
            )
        if names.count(name) > 1:
            raise ValueError(f'"{name}" stands there twice; write each algorithm once')
    return names


_Algorithms = Annotated[tuple[str, ...], BeforeValidator(_algorithms)]


class FeaturesConfig(Section):
    """`[features]`: HASH and MODE Z.

    Attributes:
        hash_algorithms: Upper-case names; the first is the default, none is no HASH.
    """

    hash_algorithms: _Algorithms = (
        "SHA-256",
        "SHA-512",
        "CRC32",
    )
    hash_jobs: Count = 2
    hash_seconds: Seconds = 300
    compression: Bool = True
    compression_ratio_limit: Whole = 200
