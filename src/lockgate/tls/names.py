"""Host names as SNI, HOST and certificates have them, and a table that finds what serves a name.

Pure: no file, no certificate is read here. Must not decide what an unknown name means.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["NameTable", "is_address", "normal_name"]

_V = TypeVar("_V")

# RFC 1035 §2.3.4; in presentation format, without the final dot.
_NAME_CHARACTERS = 253
# Letters, digits and hyphens (RFC 5890 §2.3.1), and the underscore that machines in the field have in their
# names.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_WILDCARD = "*."


def normal_name(text: str, *, wildcard: bool = False) -> str | None:
    """Return a host name or IP address in the one spelling that is compared, or None for what is neither.

    Names come out in lower case, as A-labels (RFC 5890), without a final dot; addresses without brackets.

    Args:
        text: As somebody wrote it; names may have letters beyond ASCII.
        wildcard: Whether "*." may stand for the leftmost label.
    """
    if not text or len(text) > _NAME_CHARACTERS + 1 or "%" in text:
        return None
    if (address := _address(text)) is not None:
        return address
    prefix = _WILDCARD if wildcard and text.startswith(_WILDCARD) else ""
    name = text.removeprefix(prefix).removesuffix(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii").lower()
        except UnicodeError:
            return None
    if len(prefix) + len(name) > _NAME_CHARACTERS or not _NAME.fullmatch(name):
        return None
    # RFC 952 has no name whose last label is a number: 10.1 and 300.0.0.1 are broken addresses.
    return None if name.rpartition(".")[2].isdigit() else prefix + name


def is_address(text: str) -> bool:
    """Return whether a text is an IP address, without brackets or a zone."""
    return _address(text) is not None


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


class NameTable(Generic[_V]):
    """Finds what serves a name: the name itself before a wildcard, what was added first before the rest."""

    __slots__ = ("_exact", "_wildcard")

    def __init__(self) -> None:
        self._exact: dict[str, _V] = {}
        self._wildcard: dict[str, _V] = {}

    def add(self, names: Iterable[str], value: _V) -> None:
        """Let a value serve these names, each unless another has it already.

        Args:
            names: As `normal_name` returns them; "*.example.org" serves every name of one more label.
            value: What to find.
        """
        for name in names:
            if name.startswith(_WILDCARD):
                self._wildcard.setdefault(name.removeprefix(_WILDCARD), value)
            else:
                self._exact.setdefault(name, value)

    def find(self, text: str) -> _V | None:
        """Return what serves a name in any spelling, or None; does not block."""
        name = normal_name(text)
        if name is None:
            return None
        found = self._exact.get(name)
        if found is not None or _address(name) is not None:
            return found
        # RFC 6125 §6.4.3: a wildcard stands for one label.
        return self._wildcard.get(name.partition(".")[2])
