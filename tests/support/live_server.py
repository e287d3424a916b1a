"""A Lockgate server of the test's own: real sockets on loopback, its event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lockgate.accounts.passwords import HashParameters, hash_password
from lockgate.server.config import Config, load_config
from lockgate.server.server import Server
from lockgate.tls.devcert import CertificateAuthority

_T = TypeVar("_T")

USER, PASSWORD = "alice", "correct horse"


@functools.cache
def cheap_hash(password: str) -> str:
    """An argon2id hash that costs next to nothing: tests log in hundreds of times."""
    return hash_password(password, HashParameters(memory_kib=8, passes=1, lanes=1))


@functools.cache
def authority() -> CertificateAuthority:
    """The test run's throw-away CA."""
    return CertificateAuthority()


@dataclass
class LiveServer:
    """A running server.

    Attributes:
        host: Where it listens.
        port: Explicit TLS.
        implicit_port: Implicit TLS.
        clear_port: No TLS at all; 0 when the configuration has no such listener.
        root: The folder of the account `alice`.
        ca_file: What its certificate is verified with.
        server: The server object; touch it through `call` only.
    """

    host: str
    port: int
    implicit_port: int
    clear_port: int
    root: Path
    ca_file: Path
    work: Path
    server: Server
    loop: asyncio.AbstractEventLoop = field(repr=False)

    def call(self, function: Callable[[], _T]) -> _T:
        """Call something on the server's loop and return its result."""

        async def run() -> _T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def drain(self, seconds: float = 5.0) -> None:
        """Drain as SIGTERM does."""
        asyncio.run_coroutine_threadsafe(self.server.drain(seconds), self.loop).result(seconds + 20)


def configuration(
    work: Path,
    *,
    policy: str = "",
    features: str = "",
    limits: str = "",
    passive: str = "",
    active: str = "",
    files: str = "",
    quota: str = "",
    passwords: str = "",
    account: str = "",
    more_accounts: str = "",
    listeners: str = "",
    tls: str = "",
    host: str = "127.0.0.1",
) -> Config:
    """Write a configuration file with what a test wants changed, and load it as an operator's would be.

    Each argument is TOML text that goes into the section of its name.
    """
    authority().write(work)
    authority().issue_server().write(work, "server")
    root = work / "root"
    root.mkdir(exist_ok=True)
    listeners = listeners or "\n".join(
        f'[[listener]]\naddress = "{host}"\nport = 0\ntls = "{kind}"' for kind in ("explicit", "implicit")
    )
    text = f"""
{listeners}
[tls]
certificate = "server.pem"
key = "server.key"
{tls}
[policy]
{policy}
[features]
{features}
[limits]
{limits}
[passive]
{passive}
[active]
{active}
[files]
{files}
[quota]
{quota}
[passwords]
{passwords}
[[account]]
name = "{USER}"
password_hash = "{cheap_hash(PASSWORD)}"
home = "root"
{account}
{more_accounts}
"""
    path = work / "lockgate.toml"
    path.write_text(text)
    return load_config(path, {})


@contextlib.contextmanager
def live_server(work: Path, **changes: str) -> Iterator[LiveServer]:
    """Run a server for the length of a block; it is drained at the end."""
    config = configuration(work, **changes)
    with running(config, work) as server:
        yield server


@contextlib.contextmanager
def running(config: Config, work: Path) -> Iterator[LiveServer]:
    """Run a server with a configuration of the test's own."""
    started: dict[str, Any] = {}
    ready = threading.Event()

    async def main() -> None:
        stop = started["stop"] = asyncio.Event()
        started["loop"] = asyncio.get_running_loop()
        server = started["server"] = Server(config)
        started["bound"] = await server.start()
        ready.set()
        await stop.wait()
        if not server.is_draining:
            await server.drain(1.0)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            started["error"] = error
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="live-server")
    thread.start()
    assert ready.wait(20)
    if "error" in started:
        thread.join(10)
        raise started["error"]
    ports = {bound.tls.value: bound.port for bound in started["bound"]}
    try:
        yield LiveServer(
            host=started["bound"][0].address,
            port=ports.get("explicit", 0),
            implicit_port=ports.get("implicit", 0),
            clear_port=ports.get("none", 0),
            root=work / "root",
            ca_file=work / "ca.pem",
            work=work,
            server=started["server"],
            loop=started["loop"],
        )
    finally:
        started["loop"].call_soon_threadsafe(started["stop"].set)
        thread.join(30)
        assert not thread.is_alive()
