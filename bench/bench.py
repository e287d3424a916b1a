"""Measure this server beside other people's on one machine, in one run: `make bench`.

Bulk is one file each way on one session; small files are many of 1 KiB, one after another. All of it goes
over TLS with the control connection's session offered on data. What counts is the server's CPU time, because
two ends that share a machine disturb each other's rate. Figures of different runs do not compare: servers
take turns within a round, in an order that moves on with each round, and the table shows medians. "best peer"
is the least CPU time that another server used for the same work.
"""

from __future__ import annotations

import argparse
import ftplib
import os
import shutil
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from servers import Lockgate, peers

MIB = 1 << 20
BLOCK_BYTES = 256 << 10
SMALL_BYTES = 1024
TIMEOUT_SECONDS = 60
# aioftp's server speaks implicit TLS only, without the PROT that every client of this program sends.
PEERS = tuple(kind for kind in peers.KINDS if kind in peers.EXPLICIT)


class Session(ftplib.FTP_TLS):
    """ftplib with what it lacks: the control connection's TLS session is offered on data connections."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection = socket.create_connection(self.makepasv(), timeout=self.timeout)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reply = self.sendcmd(cmd)
            if not reply.startswith("1"):
                raise ftplib.error_reply(reply)
            return self.context.wrap_socket(
                connection, server_hostname=self.host, session=self.sock.session
            ), None
        except BaseException:
            connection.close()
            raise


class Pattern:
    """A file object of a given size that costs next to nothing to read, and the sink that counts it."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.block = os.urandom(BLOCK_BYTES)

    def read(self, size: int) -> bytes:
        piece = self.block[: min(size, self.left)]
        self.left -= len(piece)
        return piece

    def take(self, piece: bytes) -> None:
        self.left -= len(piece)


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work: how it is done, and in which unit its results are shown."""

    name: str
    run: Callable[[Session], None]
    amount: float
    rate_unit: str
    cpu_unit: str
    cpu_factor: float


def upload(session: Session, name: str, size: int) -> None:
    session.storbinary(f"STOR {name}", Pattern(size), blocksize=BLOCK_BYTES)


def download(session: Session, name: str, size: int) -> None:
    sink = Pattern(size)
    session.retrbinary(f"RETR {name}", sink.take, blocksize=BLOCK_BYTES)
    if sink.left:
        raise RuntimeError(f"{name}: {sink.left} of {size} bytes are missing")


def works(bulk_mib: int, files: int) -> list[Work]:
    """Return the kinds of work in the order in which they must run: what is fetched was sent before."""

    def each_file(move: Callable[[Session, str, int], None]) -> Callable[[Session], None]:
        def run(session: Session) -> None:
            for number in range(files):
                move(session, f"small-{number}", SMALL_BYTES)

        return run

    bulk = bulk_mib * MIB
    gib = bulk_mib / 1024
    return [
        Work("up, bulk", lambda s: upload(s, "bulk", bulk), bulk_mib, "MiB/s", "CPU s/GiB", 1 / gib),
        Work("down, bulk", lambda s: download(s, "bulk", bulk), bulk_mib, "MiB/s", "CPU s/GiB", 1 / gib),
        Work("up, 1 KiB", each_file(upload), files, "files/s", "CPU ms/file", 1000 / files),
        Work("down, 1 KiB", each_file(download), files, "files/s", "CPU ms/file", 1000 / files),
    ]


def log_in(server: peers.ServerProcess, version: str) -> Session:
    context = ssl.create_default_context(cafile=server.ca_file)
    context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    session = Session(context=context, timeout=TIMEOUT_SECONDS)
    session.connect(server.host, server.explicit_port)
    session.login(server.user, server.password)
    session.prot_p()
    session.voidcmd("TYPE I")
    return session


def measure(server: peers.ServerProcess, work: Work, version: str) -> tuple[float, float]:
    """Return the rate and the server's CPU seconds for one piece of work on a session of its own."""
    with log_in(server, version) as session:
        cpu, started = server.cpu_seconds(), time.perf_counter()
        work.run(session)
        seconds = time.perf_counter() - started
        return work.amount / seconds, (server.cpu_seconds() - cpu) * work.cpu_factor


Results = dict[tuple[str, str], list[tuple[float, float]]]


def run_rounds(servers: list[peers.ServerProcess], todo: list[Work], rounds: int, version: str) -> Results:
    results: Results = {}
    for number in range(rounds):
        turn = number % len(servers)
        for work in todo:
            for server in servers[turn:] + servers[:turn]:
                print(
                    f"\rround {number + 1}/{rounds}: {work.name:12} {server.kind:10}", end="", file=sys.stderr
                )
                try:
                    result = measure(server, work, version)
                except (OSError, EOFError, RuntimeError, *ftplib.all_errors) as error:
                    print(f"\n{server.kind}, {work.name}: {error!r}", file=sys.stderr)
                else:
                    results.setdefault((work.name, server.kind), []).append(result)
    print(file=sys.stderr)
    return results


def show(results: Results, todo: list[Work], kinds: list[str]) -> None:
    """Print one line a work and server: median rate, median CPU, and ours by the best peer's."""
    print("| work | server | rate | server CPU | CPU, ours / this |")
    print("| --- | --- | ---: | ---: | ---: |")
    for work in todo:
        cpu = {
            kind: statistics.median(each for _, each in results[work.name, kind])
            for kind in kinds
            if (work.name, kind) in results
        }
        others = {kind: each for kind, each in cpu.items() if kind != "lockgate"}
        best = min(others, key=others.__getitem__, default=None)
        for kind, each in cpu.items():
            rate = statistics.median(rate for rate, _ in results[work.name, kind])
            ratio = f"{cpu['lockgate'] / each:.2f}" if kind in others and "lockgate" in cpu and each else ""
            marked = f"{ratio} (best peer)" if kind == best else ratio
            shown = f"{rate:.4g} {work.rate_unit} | {each:.3g} {work.cpu_unit} | {marked}"
            print(f"| {work.name} | {kind} | {shown} |")


def main() -> int:
    """Read the command line, run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, default=list(PEERS), help="default: all installed"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bulk-mib", type=int, default=256)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--tls-version", choices=["1.2", "1.3"], default="1.3")
    options = parser.parse_args()
    if (
        Path("/dev/shm").is_dir()
        and shutil.disk_usage("/dev/shm").free > 4 * len(PEERS) * options.bulk_mib * MIB
    ):
        tempfile.tempdir = "/dev/shm"  # so that no disk is measured
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lockgate-bench-"))
        Path(folder).chmod(0o755)
        certificates = peers.make_certificates(Path(folder))
        servers: list[peers.ServerProcess] = [Lockgate(certificates)]
        stack.callback(servers[0].stop)
        servers[0].start()
        for kind in options.peers:
            reason = peers.missing(kind)
            if reason is None:
                servers.append(peers.start(kind, certificates))
                stack.callback(servers[-1].stop)
            else:
                print(f"left out: {reason}", file=sys.stderr)
        todo = works(options.bulk_mib, options.files)
        results = run_rounds(servers, todo, options.rounds, options.tls_version)
    print(
        f"TLS {options.tls_version}, {options.bulk_mib} MiB, {options.files} files, {options.rounds} rounds\n"
    )
    show(results, todo, [server.kind for server in servers])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
