"""Many slow uploads at once, and how soon another session is answered meanwhile: `make bench-crowd`.

Each upload runs on a session of its own, over TLS with the control connection's session resumed, and sends
its pieces at an even rate. Client and server share the machine, so the uploading processes run at a lower
priority (nice), and what they could not send in time is shown too. A session in a process of its own asks
NOOP all the while.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import re
import shutil
import socket
import ssl
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from idle import TIMEOUT_SECONDS, Client, context_for
from servers import Lockgate, machine, memory_kib, peers, threads

LIMITS = """\
sessions = 20000
sessions_per_address = 20000
connections_per_minute = 0
transfers = 5000
idle_seconds = 3600
"""
NICENESS = 10
NOOP_EVERY_SECONDS = 0.02
CONTENT = os.urandom(1 << 20)


class Upload:
    """One session and its upload, sent piece by piece without ever blocking."""

    def __init__(self, server: peers.ServerProcess, context: ssl.SSLContext, name: str) -> None:
        self._client = Client(server, context, "127.0.0.1")
        self._client.command("TYPE I", "200")
        reply = self._client.ask("EPSV", "229")
        found = re.search(r"\|(\d+)\|\)", reply)
        assert found, reply
        raw = socket.create_connection((server.host, int(found[1])), TIMEOUT_SECONDS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.command(f"STOR {name}", "150")
        self._data = context.wrap_socket(
            raw, server_hostname="localhost", session=self._client.session, suppress_ragged_eofs=False
        )
        assert self._data.session_reused
        self._data.setblocking(False)
        self._left = memoryview(b"")
        self._position = 0
        self.sent_bytes = 0

    def send(self, count: int) -> bool:
        """Send the next piece; False when the last one is not wholly out, so that this one is left out."""
        if not self._left:
            if self._position + count > len(CONTENT):
                self._position = 0
            self._left = memoryview(CONTENT)[self._position : self._position + count]
            self._position += count
            is_late = False
        else:
            is_late = True
        with suppress(ssl.SSLWantWriteError):
            while self._left:
                sent = self._data.send(self._left)
                self._left = self._left[sent:]
                self.sent_bytes += sent
        return not is_late

    def end(self) -> None:
        """Send what is left and the end."""
        self._data.settimeout(TIMEOUT_SECONDS)
        self._data.sendall(self._left)
        self.sent_bytes += len(self._left)
        self._data.unwrap().close()

    def await_reply(self) -> None:
        self._client.await_reply("226")
        self._client.close()


@dataclass(frozen=True, slots=True)
class Sent:
    """What one uploading process did."""

    bytes: int
    seconds: float
    pieces: int
    late: int


def upload_many(
    server: peers.ServerProcess, version: str, names: list[str], piece: int, rate: int, pipe: Connection
) -> None:
    """Open the uploads, send evenly from the first word in the pipe to the second, end. Runs in a process."""
    os.nice(NICENESS)
    context = context_for(server, version)
    uploads = [Upload(server, context, name) for name in names]
    pipe.send(len(uploads))
    pipe.recv()
    began = due = time.perf_counter()
    step = piece / rate / len(uploads)
    pieces = late = 0
    for upload in itertools.cycle(uploads):
        if (wait := due - time.perf_counter()) > 0:
            time.sleep(wait)
        due += step
        pieces += 1
        late += not upload.send(piece)
        if pieces % 64 == 0 and pipe.poll():
            break
    pipe.recv()
    seconds = time.perf_counter() - began
    sent = sum(upload.sent_bytes for upload in uploads)
    for upload in uploads:
        upload.end()
    for upload in uploads:
        upload.await_reply()
    pipe.send(Sent(sent, seconds, pieces, late))


def probe(server: peers.ServerProcess, version: str, pipe: Connection) -> None:
    """Ask NOOP from the first word in the pipe to the second, and send the times. Runs in a process."""
    client = Client(server, context_for(server, version), "127.0.0.1")
    pipe.send(True)
    pipe.recv()
    taken = []
    while not pipe.poll(NOOP_EVERY_SECONDS):
        taken.append(client.noop_seconds())
    pipe.send(taken)


def spread(values: list[float]) -> str:
    """Return p50, p99 and the maximum of some seconds, in milliseconds."""
    ordered = sorted(values)
    shown = (statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])
    return " / ".join(f"{1000 * each:.1f}" for each in shown) + " ms"


def measure(server: peers.ServerProcess, options: argparse.Namespace) -> None:
    def start(target: object, *arguments: object) -> Connection:
        ours, theirs = multiprocessing.Pipe()
        fork = multiprocessing.get_context("fork")
        fork.Process(target=target, args=(*arguments, theirs), daemon=True).start()  # type: ignore[arg-type]
        theirs.close()
        return ours

    prober = start(probe, server, options.tls_version)
    prober.recv()
    before = memory_kib(server)
    share = -(-options.uploads // options.processes)
    names = [f"crowd-{number}" for number in range(options.uploads)]
    crowd = [
        start(
            upload_many,
            server,
            options.tls_version,
            names[first : first + share],
            options.piece_bytes,
            options.rate,
        )
        for first in range(0, options.uploads, share)
    ]
    running = sum(pipe.recv() for pipe in crowd)
    for pipe in crowd:
        pipe.send("go")
    time.sleep(options.warm_seconds)
    cpu, began = server.cpu_seconds(), time.perf_counter()
    prober.send("go")
    time.sleep(options.seconds)
    cpu_share = (server.cpu_seconds() - cpu) / (time.perf_counter() - began)
    prober.send("enough")
    noops = prober.recv()
    held, thread_count = memory_kib(server), threads(server)
    for pipe in crowd:
        pipe.send("enough")
    sent = [pipe.recv() for pipe in crowd]
    total = sum(one.bytes for one in sent)
    stored = sum(file.stat().st_size for file in server.root.iterdir() if not file.name.startswith("."))
    rate = sum(one.bytes / one.seconds for one in sent)
    late, pieces = sum(one.late for one in sent), sum(one.pieces for one in sent)
    print(f"{machine()}; load average {os.getloadavg()[0]:.1f}")
    print(f"\n{running} uploads of {options.rate // 1024} KiB/s in pieces of {options.piece_bytes} bytes")
    print(f"TLS                  {options.tls_version}, sessions resumed")
    print(f"answered 226         {running} of {running}; {total / 2**20:.0f} MiB sent, stored all: ", end="")
    print("yes" if stored >= total else f"NO ({stored} bytes)")
    print(f"rate                 {rate / 2**20:.1f} MiB/s of {running * options.rate / 2**20:.1f}; ", end="")
    print(f"{100 * late / pieces:.2f} % of the pieces late")
    print(f"server's CPU         {100 * cpu_share:.0f} % of one core, {cpu_share / rate * 2**30:.2f} s/GiB")
    print(f"server's memory      {before / 1024:.0f} -> {held / 1024:.0f} MiB, ", end="")
    print(f"{(held - before) / running:.0f} KiB an upload; {thread_count} threads")
    print(f"NOOP p50 / p99 / max {spread(noops)} ({len(noops)} in {options.seconds:.0f} s)")


def main() -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=64 * 1024, help="bytes a second, each")
    parser.add_argument("--piece-bytes", type=int, default=16 * 1024)
    parser.add_argument("--processes", type=int, default=2, help="processes that upload")
    parser.add_argument("--warm-seconds", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--tls-version", choices=["1.2", "1.3"], default="1.3")
    options = parser.parse_args()
    room = options.uploads * options.rate * (options.seconds + options.warm_seconds) * 2
    if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > room:
        tempfile.tempdir = "/dev/shm"  # so that no disk is measured
    sys.setswitchinterval(0.0005)
    with tempfile.TemporaryDirectory(prefix="lockgate-crowd-") as folder:
        Path(folder).chmod(0o755)
        server = Lockgate(peers.make_certificates(Path(folder)), limits=LIMITS)
        try:
            server.start()
            measure(server, options)
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
