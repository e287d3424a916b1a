"""The clients of the soak: honest ones that know what must be on the server, careless and hostile ones.

Each runs in a thread, does one thing after another until the end, and picks it at random from a seed. What
an honest client did not expect is a fault, and so is what a careless one could not get rid of.
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from content import HEADER_BYTES, content
from endings import cut, reset
from raw_client import RawClient, client_context, read_all

__all__ = ["PASSWORD", "Client", "Honest", "Hostile", "Place", "Prober", "State", "Tally", "Victim"]

PASSWORD = "correct horse"
HELLO_BEGIN = bytes.fromhex("16030100c8010000c40303")
State = tuple[int, int] | None
"""Size and seed of a file's content; None: there is no such file."""


@dataclass(frozen=True)
class Place:
    """Where the server is."""

    host: str
    port: int
    implicit_port: int
    ca_file: Path
    users: tuple[str, ...]


@dataclass
class Tally:
    """What a client did, and what must be there for it. `possible` has the states each name may be in."""

    done: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    possible: dict[tuple[str, str], set[State]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


class Client(threading.Thread):
    """Does one thing after another until `stop`.

    Args:
        place: The server.
        number: Its own among all.
        seed: Of the run.
        stop: Ends it.
    """

    def __init__(self, place: Place, number: int, seed: int, stop: threading.Event) -> None:
        super().__init__(name=f"{type(self).__name__}-{number}", daemon=True)
        self.place = place
        self.number = number
        self.random = random.Random(f"{seed}-{self.name}")
        self.stop = stop
        self.tally = Tally()
        self.source = f"127.0.0.{2 + number % 200}"

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self.live()
            except Exception as error:
                self.tally.faults.append(f"{self.name}: {type(error).__name__}: {error}"[:400])
                self.stop.wait(0.2)

    def live(self) -> None:
        raise NotImplementedError

    def count(self, what: str) -> None:
        self.tally.done[what] = self.tally.done.get(what, 0) + 1

    def connect(self, *, version: str | None = None, implicit: bool = False) -> RawClient:
        context = client_context(self.place.ca_file, version=version)
        port = self.place.implicit_port if implicit else self.place.port
        return RawClient(self.place.host, port, context=context, implicit=implicit, source=self.source)


class Honest(Client):
    """Keeps files of its own and knows at any time what must be in them."""

    def live(self) -> None:
        self.user = self.random.choice(self.place.users)
        version, implicit = self.random.choice(["1.2", "1.3"]), self.random.random() < 0.3
        with self.connect(version=version, implicit=implicit) as client:
            client.log_in(self.user, PASSWORD)
            self.count(f"login, TLS {version}, {'implicit' if implicit else 'explicit'}")
            for _ in range(self.random.randrange(3, 25)):
                if self.stop.is_set():
                    break
                action = self.random.choice(self.actions())
                self.count(action.__name__)
                if action(client) is False:
                    return
                for sock in client._opened:
                    sock.close()
                client._opened.clear()
            client.expect("QUIT", 221)

    def actions(self) -> list[Callable[[RawClient], bool | None]]:
        often = [self.small_upload, self.big_upload, self.download, self.listing, self.rename, self.delete]
        return [
            *often,
            *often,
            self.slow_upload,
            self.compressed_upload,
            self.resumed_upload,
            self.resumed_download,
            self.slow_reader,
            self.aborted_upload,
            self.aborted_download,
            self.reset_upload,
            self.cut_upload,
            self.vanish_in_upload,
            self.hash_command,
            self.flood,
            self.passive_without_connect,
            self.silence,
            self.rein,
            self.folders,
        ]

    # --- what must be there ---

    def own_name(self) -> str:
        return f"honest-{self.number}-{self.random.randrange(6)}.bin"

    def fresh(self, most: int) -> tuple[int, int]:
        return self.random.randrange(HEADER_BYTES, most), self.random.randrange(1 << 60)

    def states(self, name: str) -> set[State]:
        return self.tally.possible.setdefault((self.user, name), {None})

    def known(self) -> tuple[str, tuple[int, int]] | None:
        """Return one of our files that is there for sure, and its state."""
        sure = [
            (name, next(iter(states)))
            for (user, name), states in self.tally.possible.items()
            if user == self.user and len(states) == 1
        ]
        found = [(name, state) for name, state in sure if state is not None]
        return self.random.choice(found) if found else None

    def settled(self, name: str, state: State) -> None:
        self.tally.possible[self.user, name] = {state}

    def begin(self, client: RawClient, command: str) -> ssl.SSLSocket:
        data = client.connect_data(
            client.passive_port(self.random.choice(["EPSV", "PASV"])), source=self.source
        )
        client.expect(command, 150)
        return client.protect_data(data)

    def finish(self, client: RawClient, data: ssl.SSLSocket) -> None:
        data.unwrap().close()
        reply = client.read()
        assert reply.code == 226, reply

    # --- uploads ---

    def upload(self, client: RawClient, most: int, pieces: int = 1, pause: float = 0.0) -> None:
        name, (size, seed) = self.own_name(), self.fresh(most)
        data = self.begin(client, f"STOR {name}")
        whole = content(size, seed)
        step = -(-size // pieces)
        for start in range(0, size, step):
            data.sendall(whole[start : start + step])
            self.stop.wait(pause)
        self.states(name).add((size, seed))
        self.finish(client, data)
        self.settled(name, (size, seed))

    def small_upload(self, client: RawClient) -> None:
        self.upload(client, 64 * 1024)

    def big_upload(self, client: RawClient) -> None:
        self.upload(client, 8 << 20)

    def slow_upload(self, client: RawClient) -> None:
        self.upload(client, 256 * 1024, pieces=20, pause=self.random.uniform(0.05, 0.2))

    def compressed_upload(self, client: RawClient) -> None:
        if client.command("MODE Z").code != 200:
            return
        name, (size, seed) = self.own_name(), self.fresh(1 << 20)
        data = self.begin(client, f"STOR {name}")
        data.sendall(zlib.compress(content(size, seed), 1))
        self.states(name).add((size, seed))
        self.finish(client, data)
        self.settled(name, (size, seed))
        client.expect("MODE S", 200)

    def resumed_upload(self, client: RawClient) -> None:
        name, (size, seed) = f"resumed-{self.number}.bin", self.fresh(2 << 20)
        client.expect(f"DELE {name}", 250, 550)
        self.settled(name, None)
        whole = content(size, seed)
        data = self.begin(client, f"STOR {name}")
        data.sendall(whole[: self.random.randrange(size)])
        cut(data)
        reply = client.read()
        assert reply.code == 426, reply
        there = client.expect(f"SIZE {name}", 213, 550)
        offset = int(there.split()[1]) if there.code == 213 else 0
        client.expect(f"REST {offset}", 350)
        data = self.begin(client, f"STOR {name}")
        data.sendall(whole[offset:])
        self.states(name).add((size, seed))
        self.finish(client, data)
        self.settled(name, (size, seed))

    def aborted_upload(self, client: RawClient) -> None:
        data = self.half(client)
        client.send("ABOR")
        first, second = client.read(), client.read()
        assert (first.code, second.code) == (426, 226), (first, second)
        data.close()

    def reset_upload(self, client: RawClient) -> None:
        reset(self.half(client))
        reply = client.read()
        assert reply.code == 426, reply

    def cut_upload(self, client: RawClient) -> None:
        cut(self.half(client))
        reply = client.read()
        assert reply.code == 426, reply

    def vanish_in_upload(self, client: RawClient) -> bool:
        self.half(client)
        reset(client.sock)
        return False

    def half(self, client: RawClient) -> ssl.SSLSocket:
        """Send a part of a file; nothing of it may ever be seen."""
        name, (size, seed) = self.own_name(), self.fresh(1 << 20)
        data = self.begin(client, f"STOR {name}")
        data.sendall(content(size, seed)[: self.random.randrange(1, size)])
        return data

    # --- downloads ---

    def download(self, client: RawClient) -> None:
        self.fetch(client, 0, 0.0)

    def resumed_download(self, client: RawClient) -> None:
        self.fetch(client, self.random.randrange(HEADER_BYTES), 0.0)

    def slow_reader(self, client: RawClient) -> None:
        self.fetch(client, 0, 0.02)

    def fetch(self, client: RawClient, offset: int, pause: float) -> None:
        if (known := self.known()) is None:
            return
        name, (size, seed) = known
        if offset:
            client.expect(f"REST {offset}", 350)
        data = self.begin(client, f"RETR {name}")
        pieces = []
        while piece := data.recv(1 << 16):
            pieces.append(piece)
            if pause and len(pieces) < 100:
                self.stop.wait(pause)
        data.unwrap().close()
        reply = client.read()
        assert reply.code == 226, reply
        assert b"".join(pieces) == content(size, seed)[offset:], f"{name} came otherwise than it was sent"

    def aborted_download(self, client: RawClient) -> None:
        if (known := self.known()) is None:
            return
        data = self.begin(client, f"RETR {known[0]}")
        data.recv(1)
        reset(data)
        reply = client.read()
        assert reply.code in (226, 426), reply  # a small file may have gone out before

    def listing(self, client: RawClient) -> None:
        data = self.begin(client, self.random.choice(["MLSD", "LIST", "NLST"]))
        text = read_all(data).decode()
        data.unwrap().close()
        reply = client.read()
        assert reply.code == 226, reply
        if (known := self.known()) is not None:
            assert known[0] in text, f"{known[0]} is missing in the listing"

    # --- names ---

    def rename(self, client: RawClient) -> None:
        if (known := self.known()) is None:
            return
        old, state = known
        new = self.own_name()
        if new == old:
            return
        client.expect(f"RNFR {old}", 350)
        client.expect(f"RNTO {new}", 250)
        self.settled(old, None)
        self.settled(new, state)

    def delete(self, client: RawClient) -> None:
        if (known := self.known()) is not None:
            client.expect(f"DELE {known[0]}", 250)
            self.settled(known[0], None)

    def folders(self, client: RawClient) -> None:
        name = f"folder-{self.number}"
        for line, code in ((f"MKD {name}", 257), (f"CWD {name}", 250), ("CDUP", 250), (f"RMD {name}", 250)):
            client.expect(line, code)

    # --- the rest ---

    def hash_command(self, client: RawClient) -> None:
        if (known := self.known()) is not None:
            client.expect(f"HASH {known[0]}", 213, 500, 502)

    def flood(self, client: RawClient) -> None:
        count = 500
        client.write(b"NOOP\r\n" * count)
        for _ in range(count):
            reply = client.read()
            assert reply.code == 200, reply

    def passive_without_connect(self, client: RawClient) -> None:
        for verb in ("PASV", "EPSV"):
            client.passive_port(verb)

    def silence(self, client: RawClient) -> None:
        self.stop.wait(self.random.uniform(0.5, 2.0))

    def rein(self, client: RawClient) -> bool:
        client.expect("REIN", 220)
        return False


class Victim(Client):
    """Uploads until its process is killed; nobody knows what came of its last file but that it is whole."""

    def live(self) -> None:
        with self.connect(version="1.3") as client:
            client.log_in(self.place.users[0], PASSWORD)
            while not self.stop.is_set():
                size = self.random.randrange(HEADER_BYTES, 4 << 20)
                whole = content(size, self.random.randrange(1 << 60))
                data = client.connect_data(client.passive_port(), source=self.source)
                client.expect(f"STOR victim-{self.number}-{self.random.randrange(4)}.bin", 150)
                protected = client.protect_data(data)
                for start in range(0, size, 1 << 16):
                    protected.sendall(whole[start : start + (1 << 16)])
                protected.unwrap().close()
                client.read()


class Hostile(Client):
    """Does what attackers, scanners and broken programs do; the server may refuse it as it likes."""

    def live(self) -> None:
        self.source = f"127.0.{self.random.randrange(1, 9)}.{self.random.randrange(1, 250)}"
        action = self.random.choice(
            [
                self.wrong_password,
                self.garbage,
                self.web_request,
                self.half_handshake,
                self.hello_in_clear,
                self.nothing,
                self.long_line,
                self.commands_after_auth,
                self.unread_replies,
                self.half_data_handshake,
            ]
        )
        self.count(action.__name__)
        # Being thrown out is what this client is for.
        with contextlib.suppress(OSError, EOFError, AssertionError):
            action()
        self.stop.wait(self.random.uniform(0.0, 0.2))

    def raw(self, *, implicit: bool = False) -> socket.socket:
        port = self.place.implicit_port if implicit else self.place.port
        return socket.create_connection((self.place.host, port), 10, source_address=(self.source, 0))

    def wrong_password(self) -> None:
        with self.connect() as client:
            client.auth()
            # Not the honest clients' names: a locked name lets nobody in from a new address.
            user = self.random.choice(["dave", "root", "admin"])
            for _ in range(3):
                client.expect(f"USER {user}", 331)
                client.expect(f"PASS guess-{self.random.random()}", 530)

    def garbage(self) -> None:
        with self.raw(implicit=self.random.random() < 0.5) as sock:
            sock.sendall(self.random.randbytes(self.random.randrange(1, 5000)))
            sock.recv(1000)

    def web_request(self) -> None:
        with self.raw() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
            sock.recv(1000)

    def half_handshake(self) -> None:
        with self.connect() as client:
            client.expect("AUTH TLS", 234)
            client.write(HELLO_BEGIN)
            self.stop.wait(1.0)

    def hello_in_clear(self) -> None:
        with self.raw() as sock:
            sock.sendall(HELLO_BEGIN + bytes(200))
            sock.recv(1000)

    def nothing(self) -> None:
        with self.raw() as sock:
            reset(sock)

    def long_line(self) -> None:
        with self.connect() as client:
            client.write(b"USER " + b"a" * 100_000 + b"\r\n")
            client.read()

    def commands_after_auth(self) -> None:
        with self.connect() as client:
            client.write(b"AUTH TLS\r\nUSER alice\r\n")
            client.read()
            client.read()

    def unread_replies(self) -> None:
        with self.connect() as client:
            client.sock.settimeout(1.0)
            client.write(b"HELP\r\n" * 20_000)

    def half_data_handshake(self) -> None:
        with self.connect() as client:
            client.log_in(self.place.users[0], PASSWORD)
            data = client.connect_data(client.passive_port(), source=self.source)
            client.expect("STOR never.bin", 150)
            data.sendall(HELLO_BEGIN)
            self.stop.wait(0.5)


class Prober(Client):
    """Asks NOOP all the while and takes the time."""

    def live(self) -> None:
        with self.connect(version="1.3") as client:
            client.log_in(self.place.users[0], PASSWORD)
            while not self.stop.wait(0.05):
                began = time.perf_counter()
                client.expect("NOOP", 200)
                self.tally.seconds.append(time.perf_counter() - began)
