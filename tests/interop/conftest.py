"""Fixtures for tests against other people's programs; every test in this folder counts as interop.

A program that is missing skips the test with the reason, unless LOCKGATE_REQUIRE_PEERS=1: then it fails.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, Protocol

import peers
import pytest
from live_server import LiveServer

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder, so that no test is counted as needing nothing by mistake."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)


def unavailable(reason: str) -> NoReturn:
    """Skip the running test, or fail it where the peers are required."""
    if os.environ.get("LOCKGATE_REQUIRE_PEERS", "") not in ("", "0"):
        pytest.fail(f"{reason} (LOCKGATE_REQUIRE_PEERS is set)", pytrace=False)
    pytest.skip(reason)


class StartPeer(Protocol):
    """What the fixture `start_peer` is: call it to start a server."""

    def __call__(
        self,
        kind: str,
        *,
        minimum_version: str = "1.2",
        maximum_version: str = "1.3",
        require_session_reuse: bool = False,
        require_protected_data: bool = False,
    ) -> peers.PeerServer: ...


@pytest.fixture(scope="session")
def peer_certificates(tmp_path_factory: pytest.TempPathFactory) -> peers.Certificates:
    """A throw-away authority and the certificate of every peer that `start_peer` starts."""
    return peers.make_certificates(tmp_path_factory.mktemp("peer-certificates"))


@pytest.fixture
def start_peer(peer_certificates: peers.Certificates) -> Iterator[StartPeer]:
    """Start servers that are stopped when the test ends; their logs are shown when it failed."""
    running: list[peers.PeerServer] = []

    def start(kind: str, **options: object) -> peers.PeerServer:
        reason = peers.missing(kind)
        if reason is not None:
            unavailable(reason)
        server = peers.start(kind, peer_certificates, peers.PeerOptions(**options))
        running.append(server)
        return server

    try:
        yield start
    finally:
        for server in reversed(running):
            print(f"=== {server.kind}\n{server.log()}")
            server.stop()


@pytest.fixture(scope="session")
def client_program() -> Callable[[str], str]:
    """Return the path of a client by name: `client_program("curl")`."""

    def find(name: str) -> str:
        return shutil.which(name) or unavailable(f"{name} is not installed: run make peers")

    return find


@pytest.fixture(scope="session")
def peers_python() -> str:
    """The Python that has aioftp and pyftpdlib, for scripts that use them as clients."""
    if not peers.PEERS_PYTHON.is_file():
        unavailable("aioftp and pyftpdlib are not installed: run make peers")
    return str(peers.PEERS_PYTHON)


@pytest.fixture(params=["explicit", "implicit"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both ways for TLS to begin, one after the other."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def folder(server: LiveServer) -> Iterator[Path]:
    """A new folder of the test's own below the root of the shared server."""
    path = Path(tempfile.mkdtemp(prefix="t", dir=server.root))
    yield path
    shutil.rmtree(path)
