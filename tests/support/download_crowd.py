"""Many downloads at the same time, and what must be true of what came however they ended."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from raw_client import RawClient, client_context
from server_process import ServerProcess

__all__ = ["Download", "check_downloads", "downloads"]

NAME = "big.bin"
# More than the sockets' buffers hold: a server that is not read from cannot be done.
BIG_BYTES = 24 * 1024 * 1024


class Download:
    """One client that has read the beginning of a big file.

    Attributes:
        ended_in_order: Whether the data connection ended with close_notify; None before its end.
        reply: The code of the final reply; None while there is none, and when the server went without one.
    """

    def __init__(self, server: ServerProcess, number: int) -> None:
        is_implicit = number % 2 == 0
        version = "1.2" if number % 4 < 2 else "1.3"
        port = server.implicit_port if is_implicit else server.port
        context = client_context(server.ca_file, version=version)
        self.client = RawClient(server.host, port, context=context, implicit=is_implicit)
        self.client.log_in()
        data = self.client.passive()
        self.client.expect(f"RETR {NAME}", 150)
        self._data = self.client.protect_data(data)
        self._digest = hashlib.sha256()
        self.received_bytes = 0
        self.ended_in_order: bool | None = None
        self.reply: int | None = None
        self._take()

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()

    def _take(self) -> bool:
        piece = self._data.recv(1 << 18)
        self._digest.update(piece)
        self.received_bytes += len(piece)
        return bool(piece)

    def end(self) -> None:
        """Read all that comes, and the final reply if there is one."""
        try:
            while self._take():
                pass
            self.ended_in_order = True
        except (ssl.SSLError, ConnectionError):
            self.ended_in_order = False
        self._data.close()
        try:
            self.reply = self.client.read().code
        except (EOFError, OSError):
            return


@contextmanager
def downloads(server: ServerProcess, count: int) -> Iterator[Sequence[Download]]:
    """Begin so many downloads of one big file."""
    (server.root / NAME).write_bytes(os.urandom(BIG_BYTES))
    with ExitStack() as stack:
        found = []
        for number in range(count):
            found.append(Download(server, number))
            stack.callback(found[-1].client.close)
        yield found


def check_downloads(server: ServerProcess, ended: Sequence[Download]) -> dict[str, int]:
    """Check that what looks complete is, by TLS's end and by the reply alike.

    Returns:
        How many were whole, refused, and left without a reply.
    """
    whole = hashlib.sha256((server.root / NAME).read_bytes()).hexdigest()
    counts = {"226": 0, "426": 0, "silent": 0}
    for one in ended:
        assert (one.checksum == whole) == (one.received_bytes == BIG_BYTES)
        if one.received_bytes < BIG_BYTES:
            assert one.ended_in_order is False
            assert one.reply in (426, None)
        if one.ended_in_order:
            assert one.checksum == whole
        counts[str(one.reply) if one.reply is not None else "silent"] += 1
    return counts
