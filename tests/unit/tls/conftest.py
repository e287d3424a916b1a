"""Certificates, contexts and two engines joined in memory."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lockgate.errors import TlsError
from lockgate.tls.contexts import ServerContexts, client_context
from lockgate.tls.devcert import CertificateAuthority, CertificateFiles
from lockgate.tls.engine import TlsEngine
from lockgate.tls.policy import ClientCertificate, TlsPolicy, TrustPolicy


@dataclass(frozen=True)
class Pki:
    folder: Path
    ca: Path
    server: CertificateFiles
    client: CertificateFiles
    other_ca: Path
    stranger: CertificateFiles

    def policy(self, version: str, asks: ClientCertificate = ClientCertificate.OFF) -> TlsPolicy:
        return TlsPolicy(
            certificate=self.server.certificate,
            key=self.server.key,
            client_ca=self.ca,
            client_certificate=asks,
            minimum_version=version,
            maximum_version=version,
        )

    def trust(self, shown: CertificateFiles | None = None) -> TrustPolicy:
        trust = TrustPolicy(ca_file=self.ca)
        return replace(trust, certificate=shown.certificate, key=shown.key) if shown else trust


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    ca, other = CertificateAuthority(), CertificateAuthority("another CA")
    return Pki(
        folder=folder,
        ca=ca.write(folder),
        server=ca.issue_server().write(folder, "server"),
        client=ca.issue_client("CN=alice,O=Example").write(folder, "client"),
        other_ca=other.write(folder, "other"),
        stranger=other.issue_client("CN=alice,O=Example").write(folder, "stranger"),
    )


@dataclass
class Pair:
    """Two engines joined in memory; `carry` moves what they say, `handshake` until both are silent."""

    client: TlsEngine
    server: TlsEngine
    errors: dict[str, TlsError] = field(default_factory=dict)

    def carry(self) -> int:
        to_server, to_client = self.client.data_to_send(), self.server.data_to_send()
        self.server.feed(to_server)
        self.client.feed(to_client)
        return len(to_server) + len(to_client)

    def handshake(self) -> Pair:
        carried = 1
        while carried:
            for name, engine in (("client", self.client), ("server", self.server)):
                try:
                    engine.do_handshake()
                except TlsError as error:
                    self.errors[name] = error
            carried = self.carry()
        return self

    @property
    def is_up(self) -> bool:
        return not self.errors and self.client.handshake_done and self.server.handshake_done


@pytest.fixture
def join() -> Callable[..., Pair]:
    def joined(
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        *,
        name: str | None = "localhost",
        session: ssl.SSLSession | None = None,
        **server_options: bool,
    ) -> Pair:
        if name is None:
            client.check_hostname = False
        return Pair(
            client=TlsEngine(client, server_side=False, server_hostname=name, session=session),
            server=TlsEngine(server, server_side=True, **server_options),
        ).handshake()

    return joined


@pytest.fixture(params=["1.2", "1.3"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(pki: Pki, version: str, join: Callable[..., Pair]) -> Pair:
    """A connection that is up, its tickets read."""
    made = join(ServerContexts(pki.policy(version)).for_control().context, client_context(pki.trust()))
    assert made.is_up
    assert made.client.read() == b""
    return made
