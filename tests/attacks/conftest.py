"""Raw clients for the attacks; the servers are in `live_fixtures`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from live_server import LiveServer
from raw_client import RawClient, client_context


@pytest.fixture
def connect() -> Iterator[Callable[..., RawClient]]:
    """Connect raw clients: `connect(server)`, `connect(server, source="127.0.0.2", version="1.2")`."""
    with ExitStack() as stack:

        def connect_one(
            server: LiveServer, *, implicit: bool = False, version: str | None = None, **more: object
        ) -> RawClient:
            context = client_context(server.ca_file, version=version)
            port = server.implicit_port if implicit else server.port
            client = RawClient(server.host, port, context=context, implicit=implicit, **more)  # type: ignore[arg-type]
            return stack.enter_context(client)

        yield connect_one
