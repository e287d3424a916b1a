"""Which local ports passive data connections may use; must not open sockets."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from lockgate.errors import shorten
from lockgate.transfer.outcome import NotOpened

__all__ = ["ANY_PORT", "PortRange", "PortsExhausted"]

_HIGHEST_PORT = 65535
_RANDOM = secrets.SystemRandom()


class PortsExhausted(NotOpened):
    """Every port of the range is in use."""


@dataclass(frozen=True, slots=True)
class PortRange:
    """A range of ports, both ends included; `PortRange(0, 0)` leaves the choice to the system.

    Raises:
        ValueError: The ends are out of order or out of range; the message says what to write instead.
    """

    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        if self.first == self.last == 0:
            return
        if not 1 <= self.first <= _HIGHEST_PORT or not 1 <= self.last <= _HIGHEST_PORT:
            raise ValueError(
                f"ports must lie between 1 and {_HIGHEST_PORT}, and {self} does not: "
                'write "0" for any port, or a range like "50000-50100"'
            )
        if self.first > self.last:
            raise ValueError(
                f'the port range {self} ends before it begins: write "{self.last}-{self.first}" instead'
            )

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and (self.is_any or self.first <= port <= self.last)

    @property
    def is_any(self) -> bool:
        """Whether the system may choose."""
        return self.first == 0

    @classmethod
    def parse(cls, text: str) -> PortRange:
        """Read "0", "50000" or "50000-50100".

        Raises:
            ValueError: It is none of these; the message says what to write instead.
        """
        first, dash, last = (part.strip() for part in text.partition("-"))
        ends = (first, last) if dash else (first, first)
        if not all(end.isascii() and end.isdigit() and len(end) <= 5 for end in ends):
            raise ValueError(
                f'"{shorten(text)}" is not a port range: write "0" for any port, or one like "50000-50100"'
            )
        return cls(int(ends[0]), int(ends[1]))

    def in_random_order(self) -> Iterator[int]:
        """Yield every port once, in an order nobody can foresee (RFC 2577 section 8).

        Yields 0 once when the system may choose. Lazy (a shuffle one step at a time), because the first port
        tried of a wide range is mostly free.
        """
        moved: dict[int, int] = {}
        for left in range(len(self), 0, -1):
            index = _RANDOM.randrange(left)
            yield self.first + moved.get(index, index)
            moved[index] = moved.get(left - 1, left - 1)


ANY_PORT = PortRange()
"""Leaves the choice of port to the system."""
