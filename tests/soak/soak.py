"""Load a server with everything at once for minutes, then judge what it holds and what lies in its files.

    make soak ARGS="--seconds 600 --seed 1"

The server runs as its command in a process of its own. Honest clients upload, download, resume, abort,
rename, delete and list; hostile ones guess passwords, send garbage and half handshakes; some are killed in
their uploads; some are silent; now and then the configuration is read again. Exit status 1 when a verdict
does not hold. The seed decides what each client does, not when.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from clients import PASSWORD, Client, Honest, Hostile, Place, Prober, Tally, Victim
from raw_client import RawClient, client_context
from server_process import ServerProcess, serving
from watching import Sample, Verdict, file_faults, flatness, log_faults, sample, state_faults

from lockgate.accounts.passwords import hash_password

SHORT_SECONDS = 60.0
SHOWN_FAULTS = 5
USERS = ("alice", "bob", "carol")
ACCOUNTS = """
[[account]]
name = "bob"
password_hash = "{strong}"
home = "bob"
session_upload_rate = "16 MiB"

[[account]]
name = "carol"
password_hash = "{strong}"
home = "carol"
quota_bytes = "2 GiB"

[[account]]
name = "dave"
password_hash = "{strong}"
home = "dave"
"""
LIMITS = """
sessions_per_address = 1000
data_open_seconds = 2
handshake_seconds = 3
stall_seconds = 10
"""
FORK = multiprocessing.get_context("fork")


def run_clients(place: Place, kinds: list[type[Client]], first: int, seed: int, pipe: Connection) -> None:
    """Run some clients in this process until the pipe says that it is enough; send back their tallies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()
    clients = [kind(place, first + number, seed, stop) for number, kind in enumerate(kinds)]
    for client in clients:
        client.start()
    pipe.recv()
    stop.set()
    for client in clients:
        client.join(30)
        if client.is_alive():
            client.tally.faults.append(f"{client.name} hangs")
    pipe.send([client.tally for client in clients])


class Crew:
    """A process with clients in it."""

    def __init__(self, place: Place, kinds: list[type[Client]], first: int, seed: int) -> None:
        self._pipe, theirs = FORK.Pipe()
        self._process = FORK.Process(
            target=run_clients, args=(place, kinds, first, seed, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    def tell(self) -> None:
        self._pipe.send(None)

    def tallies(self) -> list[Tally]:
        tallies: list[Tally] = self._pipe.recv()
        self._process.join()
        return tallies

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def watch(
    server: ServerProcess, place: Place, roots: dict[str, Path], seconds: float, seed: int
) -> tuple[list[Sample], list[str]]:
    """Let the load go on: take samples, look at the files, kill clients, have the configuration read."""
    chance = random.Random(seed)
    began = time.monotonic()
    samples: list[Sample] = []
    faults: list[str] = []
    victims, generation = Crew(place, [Victim] * 3, 900, seed), 0
    every = {"kill": min(3.0, seconds / 4), "reload": seconds / 8, "files": max(seconds / 20, 2.0)}
    due = dict.fromkeys(every, began + 1.0)
    while (now := time.monotonic()) < began + seconds:
        samples.append(sample(server.process.pid, began))
        for what in [one for one, at in due.items() if now >= at]:
            due[what] = now + every[what] * chance.uniform(0.7, 1.3)
            if what == "kill":
                victims.kill()
                generation += 1
                victims = Crew(place, [Victim] * 3, 900 + 3 * generation % 90, seed + generation)
            elif what == "reload":
                server.process.send_signal(signal.SIGHUP)
            else:
                faults += file_faults(roots)
        time.sleep(min(0.25 if seconds < SHORT_SECONDS else 2.0, seconds / 20))
    victims.kill()
    return samples, faults


def settle(server: ServerProcess, start: Sample, homes: int, longest: float) -> Sample:
    """Wait until what a load leaves behind for a while is gone, or has had its time."""
    began = time.monotonic()
    while True:
        last = sample(server.process.pid, began)
        calm = last.sockets <= start.sockets and last.threads <= start.threads + 26
        if (calm and last.descriptors <= start.descriptors + 2 * homes + 6) or last.at_seconds >= longest:
            return last
        time.sleep(0.25)


def idle_sessions(place: Place, count: int) -> list[RawClient]:
    context = client_context(place.ca_file)
    return [
        RawClient(place.host, place.port, context=context, source="127.0.0.250").log_in(USERS[0], PASSWORD)
        for _ in range(count)
    ]


def soak(server: ServerProcess, options: argparse.Namespace) -> list[Verdict]:
    """Run the whole of it and return the verdicts."""
    place = Place(server.host, server.port, server.implicit_port, server.ca_file, USERS)
    roots = {"alice": server.root, **{name: server.root.parent / name for name in USERS[1:]}}
    with RawClient(server.host, server.port, context=client_context(server.ca_file)) as client:
        client.log_in(USERS[0], PASSWORD)
        client.expect("QUIT", 221)
    start = settle(server, Sample(0, 0, 0, 10_000, 4, 10_000), len(roots), options.settle_seconds)
    idle = idle_sessions(place, options.idle)
    share = max(options.clients // 2, 1)
    crews = [Crew(place, [Prober], 1, options.seed)]
    for number in range(2):
        kinds = [Honest] * share + [Hostile] * max(share // 3, 1)
        crews.append(Crew(place, kinds, 10 + 100 * number, options.seed))
    samples, torn = watch(server, place, roots, options.seconds, options.seed)
    for crew in crews:
        crew.tell()
    probed, *rest = [crew.tallies() for crew in crews]
    tallies = [tally for crew in rest for tally in crew]
    for session in idle:
        session.expect("NOOP", 200)
        session.close()
    settled = settle(server, start, len(roots), options.settle_seconds)
    torn += file_faults(roots)
    lost = state_faults(roots, {key: value for tally in tallies for key, value in tally.possible.items()})
    faults = [text for tally in [*tallies, *probed] for text in tally.faults]
    show_work(tallies)
    short = options.seconds < SHORT_SECONDS
    verdicts = flatness(samples, settled, start, homes=len(roots), short=short)
    for name, found in (
        ("no partial file", torn),
        ("every file as told", lost),
        ("no client surprised", faults),
        ("a clean log", log_faults(server.log)),
    ):
        shown = "\n".join([f"{len(found)}", *found[:SHOWN_FAULTS]]) if found else "none"
        verdicts.append(Verdict(name, not found, shown))
    verdicts.append(Verdict("it still runs", server.process.poll() is None, f"{server.process.poll()}"))
    verdicts.append(latency(probed[0].seconds, options.noop_limit))
    return verdicts


def latency(seconds: list[float], limit: float) -> Verdict:
    ordered = sorted(seconds) or [float("inf")]
    p99 = ordered[int(len(ordered) * 0.99)]
    shown = " / ".join(f"{1000 * each:.1f}" for each in (statistics.median(ordered), p99, ordered[-1]))
    return Verdict("NOOP p50 / p99 / max", p99 <= limit, f"{shown} ms in {len(seconds)}")


def show_work(tallies: list[Tally]) -> None:
    done: dict[str, int] = {}
    for tally in tallies:
        for what, count in tally.done.items():
            done[what] = done.get(what, 0) + count
    print("what was done, and how often")
    for what, count in sorted(done.items()):
        print(f"  {what:30} {count:7}")


def show_verdicts(verdicts: list[Verdict]) -> None:
    print("\nverdicts")
    for one in verdicts:
        first, *more = one.shown.splitlines() or [""]
        print(f"  {'ok  ' if one.holds else 'FAIL'} {one.name:24} {first}")
        for line in more:
            print(f"       {line}")


def main() -> int:
    """Read the command line, run, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long the load lasts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--clients", type=int, default=12, help="honest clients; a third as many hostile ones"
    )
    parser.add_argument("--idle", type=int, default=50, help="sessions that do nothing all the while")
    parser.add_argument(
        "--noop-limit", type=float, default=1.0, help="seconds that 99 of 100 NOOPs may take at most"
    )
    parser.add_argument(
        "--settle-seconds", type=float, default=45.0, help="how long the server has to fall quiet at most"
    )
    parser.add_argument(
        "--prelude", type=Path, help="Python that the server's process runs first: a fault, to see it found"
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockgate-soak-")))
        accounts = ACCOUNTS.format(strong=hash_password(PASSWORD))
        prelude = options.prelude.read_text() if options.prelude else ""
        # The silent sessions are to be there to the end.
        limits = f"{LIMITS}\nidle_seconds = {options.seconds + 120:.0f}"
        server = stack.enter_context(serving(work, prelude=prelude, limits=limits, more_accounts=accounts))
        verdicts = soak(server, options)
    show_verdicts(verdicts)
    return 0 if all(one.holds for one in verdicts) else 1


if __name__ == "__main__":
    raise SystemExit(main())
