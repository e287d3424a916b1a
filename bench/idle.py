"""What an idle session costs: open thousands of them, logged in and protected: `make bench-idle`.

The clients come from several addresses (127.0.0.2 and on), log in and then do nothing; their ends keep the
socket only, so that this program's own memory stays small. Meanwhile one more session asks NOOP, and the
server's CPU time is counted. When they have gone as many come again: memory that stayed with the server must
serve them. With `--peers` other servers take part; they get `--peer-sessions` each, for
most of them have a process a session.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import socket
import ssl
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from servers import Lockgate, machine, memory_kib, open_descriptors, peers, threads

TIMEOUT_SECONDS = 60.0
SESSIONS_PER_ADDRESS = 500
LIMITS = """\
sessions = 20000
sessions_per_address = 20000
connections_per_minute = 0
idle_seconds = 3600
"""
SETTLE_SECONDS = 2.0


class Client:
    """A control connection, protected and logged in."""

    def __init__(self, server: peers.ServerProcess, context: ssl.SSLContext, source: str) -> None:
        place = server.host, server.explicit_port or 0
        self._raw = socket.create_connection(place, TIMEOUT_SECONDS, source_address=(source, 0))
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock: socket.socket = self._raw
        self.await_reply("220")
        self.command("AUTH TLS", "234")
        self._sock = self._tls = context.wrap_socket(self._raw, server_hostname="localhost")
        self.command(f"USER {server.user}", "331")
        self.command(f"PASS {server.password}", "230")
        self.command("PBSZ 0", "200")
        self.command("PROT P", "200")

    def command(self, line: str, code: str) -> None:
        self.ask(line, code)

    def ask(self, line: str, code: str) -> str:
        """Send a command and return its reply, which must have this code."""
        self._sock.sendall(f"{line}\r\n".encode())
        return self.await_reply(code)

    def await_reply(self, code: str) -> str:
        """Return the next reply, which must have this code."""
        data = b""
        # The last line of a reply has a space after its code.
        while not re.search(rb"(?:^|\n)\d{3} [^\n]*\n$", data):
            piece = self._sock.recv(65536)
            if not piece:
                raise EOFError(f"closed, expected {code}; so far {data!r}")
            data += piece
        if not data.startswith(code.encode()):
            raise RuntimeError(f"{data!r}, expected {code}")
        return data.decode()

    @property
    def session(self) -> ssl.SSLSession | None:
        """The newest TLS session."""
        return self._tls.session

    def noop_seconds(self) -> float:
        started = time.perf_counter()
        self.command("NOOP", "200")
        return time.perf_counter() - started

    def fall_silent(self) -> socket.socket:
        """Let everything go but the socket."""
        return socket.socket(fileno=self._tls.detach())

    def close(self) -> None:
        self._sock.close()


def context_for(server: peers.ServerProcess, version: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.ca_file)
    context.minimum_version = context.maximum_version = {
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }[version]
    return context


def hold(server: peers.ServerProcess, version: str, first: int, count: int, pipe: Connection) -> None:
    """Open sessions, say so, and hold them until the pipe says that it is enough. Runs in a process."""
    context = context_for(server, version)
    held = []
    for number in range(first, first + count):
        source = f"127.0.0.{2 + number // SESSIONS_PER_ADDRESS}"
        held.append(Client(server, context, source).fall_silent())
    pipe.send(len(held))
    pipe.recv()
    for sock in held:
        sock.close()


class Crowd:
    """Idle sessions, held by processes of their own; they are open once it is made.

    Attributes:
        opened: How many there are.
    """

    def __init__(self, server: peers.ServerProcess, version: str, sessions: int, processes: int) -> None:
        share = -(-sessions // processes)
        self._holders = []
        for first in range(0, sessions, share):
            ours, theirs = multiprocessing.Pipe()
            arguments = (server, version, first, min(share, sessions - first), theirs)
            process = multiprocessing.get_context("fork").Process(target=hold, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._holders.append((process, ours))
        self.opened = sum(pipe.recv() for _, pipe in self._holders)

    def leave(self) -> None:
        """Close all of them, and wait until the server has settled."""
        for process, pipe in self._holders:
            pipe.send(None)
            process.join()
        time.sleep(SETTLE_SECONDS)


@dataclass(frozen=True, slots=True)
class Result:
    """What one server needed."""

    kind: str
    version: str
    sessions: int
    before_kib: int
    after_kib: int
    closed_kib: int
    again_kib: int
    open_seconds: float
    open_cpu_seconds: float
    idle_cpu_share: float
    noop_seconds: list[float]
    descriptors: int
    threads: int


def measure(
    server: peers.ServerProcess, version: str, sessions: int, processes: int, idle_seconds: float
) -> Result:
    warm = Client(server, context_for(server, version), "127.0.0.1")
    warm.noop_seconds()
    before, cpu, began = memory_kib(server), server.cpu_seconds(), time.perf_counter()
    crowd = Crowd(server, version, sessions, processes)
    open_seconds, open_cpu = time.perf_counter() - began, server.cpu_seconds() - cpu
    time.sleep(SETTLE_SECONDS)
    cpu, began = server.cpu_seconds(), time.perf_counter()
    noops = []
    while time.perf_counter() - began < idle_seconds:
        noops.append(warm.noop_seconds())
        time.sleep(0.05)
    idle_share = (server.cpu_seconds() - cpu) / (time.perf_counter() - began)
    after, descriptors, running = memory_kib(server), open_descriptors(server), threads(server)
    crowd.leave()
    closed = memory_kib(server)
    second = Crowd(server, version, sessions, processes)
    time.sleep(SETTLE_SECONDS)
    again = memory_kib(server)
    second.leave()
    warm.close()
    return Result(
        kind=server.kind,
        version=version,
        sessions=crowd.opened,
        before_kib=before,
        after_kib=after,
        closed_kib=closed,
        again_kib=again,
        open_seconds=open_seconds,
        open_cpu_seconds=open_cpu,
        idle_cpu_share=idle_share,
        noop_seconds=noops,
        descriptors=descriptors,
        threads=running,
    )


def show(results: list[Result]) -> None:
    print(machine())
    print("\n| server | TLS | sessions | before | with them | KiB a session | after them | again | ", end="")
    print("opened in | CPU ms to open one | idle CPU | NOOP p50 / max | descriptors | threads |")
    print("| --- | --- |" + " ---: |" * 12)
    for one in results:
        each = (one.after_kib - one.before_kib) / one.sessions
        print(
            f"| {one.kind} | {one.version} | {one.sessions} | {one.before_kib / 1024:.0f} MiB "
            f"| {one.after_kib / 1024:.0f} MiB | {each:.1f} | {one.closed_kib / 1024:.0f} MiB "
            f"| {one.again_kib / 1024:.0f} MiB | {one.open_seconds:.1f} s "
            f"| {1000 * one.open_cpu_seconds / one.sessions:.2f} "
            f"| {100 * one.idle_cpu_share:.1f} % | {1000 * statistics.median(one.noop_seconds):.2f} / "
            f"{1000 * max(one.noop_seconds):.1f} ms | {one.descriptors} | {one.threads} |"
        )


def main() -> int:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=4, help="client processes that open them")
    parser.add_argument("--idle-seconds", type=float, default=10.0, help="how long idleness is watched")
    parser.add_argument("--tls-version", nargs="*", choices=["1.2", "1.3"], default=["1.3", "1.2"])
    parser.add_argument("--peers", nargs="*", choices=sorted(peers.EXPLICIT), default=[])
    parser.add_argument("--peer-sessions", type=int, default=150)
    options = parser.parse_args()
    results = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lockgate-idle-"))
        Path(folder).chmod(0o755)
        certificates = peers.make_certificates(Path(folder))
        for version in options.tls_version:
            with closing(Stopping(Lockgate(certificates, limits=LIMITS))) as subject:
                subject.server.start()
                results.append(
                    measure(
                        subject.server, version, options.sessions, options.processes, options.idle_seconds
                    )
                )
            for kind in options.peers:
                if reason := peers.missing(kind):
                    print(f"left out: {reason}", file=sys.stderr)
                    continue
                with closing(Stopping(peers.start(kind, certificates))) as subject:
                    results.append(
                        measure(subject.server, version, options.peer_sessions, 2, options.idle_seconds)
                    )
    show(results)
    return 0


class Stopping:
    """Stops a server at the end of a block."""

    def __init__(self, server: peers.ServerProcess) -> None:
        self.server = server

    def close(self) -> None:
        self.server.stop()


if __name__ == "__main__":
    raise SystemExit(main())
