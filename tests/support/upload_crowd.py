"""Many uploads at various stages at the same time, and what must be true of their files however it ended."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from raw_client import RawClient, client_context
from server_process import ServerProcess

__all__ = ["Part", "check_files", "crowd"]

THREADS = 8
OLD_BYTES = 20_000
PIECE_BYTES = 16 * 1024


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Part:
    """One upload of the crowd.

    Attributes:
        number: Its place; what it does follows from it.
        sent: How many bytes have gone out.
        reply: The code of its final reply; None while there is none, and when the server went without one.
    """

    number: int
    content: bytes = field(repr=False)
    sent: int = 0
    reply: int | None = None
    client: RawClient = field(init=False, repr=False)
    data: ssl.SSLSocket = field(init=False, repr=False)

    @property
    def name(self) -> str:
        return f"upload-{self.number:03}.bin"

    @property
    def verb(self) -> str:
        """Every tenth goes on with a file that is there."""
        return "APPE" if self.number % 10 == 4 else "STOR"

    @property
    def old(self) -> bytes | None:
        """What is there before: for every second name nothing."""
        return bytes([self.number]) * OLD_BYTES if self.number % 2 == 0 else None

    @property
    def whole(self) -> bytes:
        """What must be there after a 226."""
        before = self.old if self.verb == "APPE" else None
        return (before or b"") + self.content

    def open(self, server: ServerProcess) -> None:
        """Log in and begin, on the explicit or the implicit port; nothing is sent yet."""
        is_implicit = self.number % 3 == 0
        port = server.implicit_port if is_implicit else server.port
        version = "1.2" if self.number % 4 < 2 else "1.3"
        context = client_context(server.ca_file, version=version)
        self.client = RawClient(server.host, port, context=context, implicit=is_implicit)
        self.client.log_in()
        data = self.client.passive()
        self.client.expect(f"{self.verb} {self.name}", 150)
        self.data = self.client.protect_data(data)

    def send(self, upto: int) -> None:
        """Send until so many bytes have gone out; the server may be gone meanwhile."""
        try:
            while self.sent < upto:
                piece = self.content[self.sent : min(self.sent + PIECE_BYTES, upto)]
                self.data.sendall(piece)
                self.sent += len(piece)
        except OSError:
            self.hear()

    def end(self) -> None:
        """Send the rest, end in order, and wait for the final reply; does nothing when there is one."""
        if self.reply is not None:
            return
        self.send(len(self.content))
        if self.sent == len(self.content):
            with suppress(OSError):
                self.data.unwrap().close()
        self.hear()

    def hear(self) -> None:
        """Read the final reply, if one comes."""
        if self.reply is None:
            try:
                self.reply = self.client.read().code
            except (EOFError, OSError):
                return


@contextmanager
def crowd(
    server: ServerProcess, count: int, size_bytes: int = 120_000
) -> Iterator[tuple[Sequence[Part], Callable[[Callable[[Part], object]], None]]]:
    """Begin so many uploads over what is there before, and yield them with a way to do something with all."""
    parts = [Part(number, os.urandom(size_bytes + number)) for number in range(count)]
    for part in parts:
        if part.old is not None:
            (server.root / part.name).write_bytes(part.old)
    with ExitStack() as stack, ThreadPoolExecutor(THREADS) as threads:

        def each(work: Callable[[Part], object]) -> None:
            list(threads.map(work, parts))

        each(lambda part: part.open(server))
        for part in parts:
            stack.callback(part.client.close)
        yield parts, each


def check_files(root: Path, parts: Sequence[Part]) -> dict[str, int]:
    """Check that every 226 is kept, and that what got none is as before or, its reply lost, whole.

    Returns:
        How many were answered 226, refused, left without a reply; and how many of the last are whole.
    """
    counts = {"226": 0, "refused": 0, "silent": 0, "silent but whole": 0}
    for part in parts:
        path = root / part.name
        found = digest(path.read_bytes()) if path.exists() else None
        before = digest(part.old) if part.old is not None else None
        whole = digest(part.whole)
        if part.reply == 226:
            assert found == whole, part
            counts["226"] += 1
        elif part.reply is not None:
            assert found == before, part
            counts["refused"] += 1
        else:
            # The 226 may have been lost on its way; half a file is what must not be.
            assert found in (before, whole), part
            counts["silent"] += 1
            counts["silent but whole"] += found == whole
    return counts
