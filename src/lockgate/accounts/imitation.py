"""Whom an unknown name imitates, so that no answer tells it from an account (RFC 2577 section 7).

Where accounts are answered differently before their password is asked for, an unknown name must be answered
like one of them: always the same way, and in no way that others can foretell. Does no I/O.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["imitated"]

_T = TypeVar("_T")


def imitated(name: str, ways: Iterable[_T], *, key: bytes) -> _T:
    """Return the one of several ways in which a name that nobody has is treated.

    A way that is added or taken away moves only the names that come to it or leave it: who asks again after
    a change of the accounts does not learn from that which names are real.

    Args:
        name: The argument of USER.
        ways: What there is to choose from, each with a text of its own; at least one.
        key: A secret of the process, 16 to 64 bytes.
    """

    def score(way: _T) -> bytes:
        text = f"{way}\0{name}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=key, digest_size=16).digest()

    return max(ways, key=score)
