"""Fixtures for tests against a live server, in every folder: one shared by a module, others as wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_server import LiveServer, live_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the defaults: everything protected."""
    with live_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start servers with other settings: `start(policy='data = "optional"')`; see `configuration`."""
    with ExitStack() as stack:
        count = 0

        def start_one(**changes: str) -> LiveServer:
            nonlocal count
            count += 1
            work = tmp_path / f"server-{count}"
            work.mkdir()
            return stack.enter_context(live_server(work, **changes))

        yield start_one


@pytest.fixture(params=["1.2", "1.3"])
def tls_version(request: pytest.FixtureRequest) -> str:
    """Both TLS versions, one after the other."""
    version: str = request.param
    return version
