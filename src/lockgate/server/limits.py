"""How many sessions and data endpoints there may be; counts only, must not close anything itself."""

from __future__ import annotations

from collections import Counter

__all__ = ["Admission", "DataBudget"]


class Admission:
    """Counts control connections, in all and by address. Used on the event loop only.

    Args:
        sessions: Most connections at once.
        per_address: Most connections of one address at once.
    """

    __slots__ = ("_by_address", "_count", "per_address", "sessions")

    def __init__(self, sessions: int, per_address: int) -> None:
        self.sessions = sessions
        self.per_address = per_address
        self._count = 0
        self._by_address: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Connections there are."""
        return self._count

    def enter(self, address: str) -> str:
        """Count a connection and return "", or return why it may not stay.

        Those who may not stay are not counted: one address that comes again and again must not fill the house
        with connections that are being closed.
        """
        if self._count >= self.sessions:
            return "Too many sessions; try again later."
        if self._by_address[address] >= self.per_address:
            return "Too many sessions from your address."
        self._count += 1
        self._by_address[address] += 1
        return ""

    def leave(self, address: str) -> None:
        """Count out a connection that was counted."""
        self._count -= 1
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]


class DataBudget:
    """Counts data endpoints: passive listeners and running transfers. Used on the event loop only.

    Args:
        transfers: Most endpoints at once.
    """

    __slots__ = ("count", "transfers")

    def __init__(self, transfers: int) -> None:
        self.transfers = transfers
        self.count = 0

    def take(self) -> bool:
        """Count one endpoint; False when there are too many (it is not counted then)."""
        if self.count >= self.transfers:
            return False
        self.count += 1
        return True

    def give_back(self) -> None:
        """Count one endpoint out."""
        assert self.count > 0
        self.count -= 1
