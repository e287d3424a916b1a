"""Raw clients for the integration tests; the servers are in `live_fixtures`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_server import LiveServer, authority
from log_lines import Told, read_lines
from raw_client import RawClient, client_context

from lockgate.tls.devcert import CertificateAuthority, IssuedCertificate


@pytest.fixture
def connect(tls_version: str) -> Iterator[Callable[..., RawClient]]:
    """Connect raw clients in both TLS versions: `connect(server)`, `connect(server, implicit=True)`."""
    with ExitStack() as stack:

        def connect_one(server: LiveServer, *, implicit: bool = False, **more: object) -> RawClient:
            context = client_context(server.ca_file, version=tls_version)
            port = server.implicit_port if implicit else server.port
            client = RawClient(server.host, port, context=context, implicit=implicit, **more)  # type: ignore[arg-type]
            return stack.enter_context(client)

        yield connect_one


@pytest.fixture
def show(tls_version: str, tmp_path: Path) -> Iterator[Callable[..., RawClient]]:
    """Connect with a client certificate: `show(server, "CN=alice")`; with None, without one.

    A certificate that the test has issued itself may take the subject's place.
    """
    with ExitStack() as stack:

        def connect(
            server: LiveServer,
            subject: str | IssuedCertificate | None = "CN=alice,O=Example",
            *,
            implicit: bool = False,
            ca: CertificateAuthority | None = None,
            days: int = 30,
        ) -> RawClient:
            certificate = None
            if subject is not None:
                if isinstance(subject, str):
                    subject = (ca or authority()).issue_client(subject, days=days)
                files = subject.write(tmp_path, "client")
                certificate = (files.certificate, files.key)
            context = client_context(server.ca_file, version=tls_version, certificate=certificate)
            port = server.implicit_port if implicit else server.port
            return stack.enter_context(RawClient(server.host, port, context=context, implicit=implicit))

        yield connect


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """The fields of the audit lines of an event, as they are written by default."""
    caplog.set_level(logging.INFO, "lockgate.audit")

    def lines(event: str) -> list[dict[str, str]]:
        records = [one.getMessage() for one in caplog.records if one.name == "lockgate.audit"]
        return read_lines(records, event)

    return lines
