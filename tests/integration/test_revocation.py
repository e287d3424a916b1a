"""Client certificates that were revoked, and lists that are missing, old or new."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live_server import LiveServer
from named_certificates import data_certificate
from raw_client import RawClient, client_context
from revocation import Holder, holder, revocation_list
from waiting import until

IMPLICIT = pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
REFUSED = (ssl.SSLError, ConnectionError, EOFError)


class Clients:
    """A CA with a good and a revoked client, and the files that a server is configured with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = holder("clients' CA", ca=True)
        self.good, self.bad = holder("good", self.ca), holder("bad", self.ca)
        (folder / "clients.pem").write_bytes(self.ca.pem)
        self.list_file = folder / "crl.pem"
        self.list_file.write_bytes(revocation_list(self.ca, self.bad))

    @property
    def keys(self) -> str:
        """What stands in [tls]."""
        return f'client_ca = "{self.folder}/clients.pem"\ncrl = "{self.list_file}"\n'


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path)


@pytest.fixture
def enter(tls_version: str, tmp_path: Path) -> Iterator[Callable[..., RawClient]]:
    """Connect with a certificate and say NOOP in TLS: `enter(server, clients.good, implicit=True)`."""
    with ExitStack() as stack:

        def one(
            server: LiveServer, shown: Holder | None, *chain: Holder, implicit: bool = False
        ) -> RawClient:
            files = None if shown is None else shown.write(tmp_path, "shown", *chain)
            context = client_context(server.ca_file, version=tls_version, certificate=files)
            port = server.implicit_port if implicit else server.port
            client = stack.enter_context(RawClient(server.host, port, context=context, greet=not implicit))
            if implicit:
                client.start_tls()
                client.greeting = client.read()
            else:
                client.auth()
            client.expect("NOOP", 200)
            return client

        yield one


@IMPLICIT
@pytest.mark.parametrize("rule", ["optional", "required"])
def test_a_revoked_certificate_fails_the_control_handshake(start, enter, clients, caplog, rule, implicit):
    server = start(tls=clients.keys, policy=f'client_certificate = "{rule}"')
    enter(server, clients.good, implicit=implicit).log_in().download("NLST")
    caplog.set_level(logging.INFO, "lockgate.audit")
    with pytest.raises(REFUSED):
        enter(server, clients.bad, implicit=implicit)
    until(lambda: "its CA has revoked it" in caplog.text)


@IMPLICIT
def test_a_revoked_certificate_fails_the_data_handshake(start, enter, clients, implicit):
    server = start(tls=clients.keys, policy='client_certificate = "optional"\nsession_reuse = "off"')
    client = enter(server, None, implicit=implicit).log_in()
    own = client.context
    for shown, code in ((clients.bad, 522), (clients.good, 226)):
        client.context = client_context(
            server.ca_file,
            version=own.maximum_version.name[-3:].replace("_", "."),
            certificate=shown.write(clients.folder, "data"),
        )
        sock = client.passive()
        client.expect("NLST", 150)
        try:
            data = client.protect_data(sock, reuse=False)
            while data.recv(1000):
                pass
            data.unwrap()
        except (ssl.SSLError, ConnectionError):
            assert code == 522
        assert client.read().code == code


@pytest.mark.parametrize("case", ["expired", "of another CA", "forged"])
def test_without_a_list_that_holds_nobody_with_a_certificate_is_let_in(start, enter, clients, caplog, case):
    stranger = holder("somebody else's CA", ca=True)
    clients.list_file.write_bytes(
        {
            "expired": revocation_list(clients.ca, days=-1),
            "of another CA": revocation_list(stranger),
            "forged": revocation_list(Holder(clients.ca.certificate, stranger.key)),
        }[case]
    )
    server = start(tls=clients.keys, policy='client_certificate = "optional"')
    caplog.set_level(logging.INFO, "lockgate.audit")
    with pytest.raises(REFUSED):
        enter(server, clients.good)
    told = {"expired": "nobody is let in", "of another CA": "no list of one", "forged": "signature"}
    until(lambda: told[case] in caplog.text)
    enter(server, None).log_in()  # who shows none has nothing to be revoked


@pytest.mark.parametrize("missing", ["root", "intermediate", None])
def test_every_ca_of_the_chain_needs_a_list(start, enter, tmp_path, missing):
    root = holder("root", ca=True)
    middle = holder("intermediate", root, ca=True)
    client = holder("client", middle)
    (tmp_path / "root.pem").write_bytes(root.pem)
    lists = {"root": revocation_list(root), "intermediate": revocation_list(middle)}
    (tmp_path / "crl.pem").write_bytes(b"".join(one for name, one in lists.items() if name != missing))
    server = start(tls=f'client_ca = "{tmp_path}/root.pem"\ncrl = "{tmp_path}/crl.pem"')
    if missing is None:
        enter(server, client, middle).log_in()
    else:
        with pytest.raises(REFUSED):
            enter(server, client, middle)


def test_a_revoked_intermediate_lets_nobody_in(start, enter, tmp_path):
    root = holder("root", ca=True)
    middle = holder("intermediate", root, ca=True)
    (tmp_path / "root.pem").write_bytes(root.pem)
    (tmp_path / "crl.pem").write_bytes(revocation_list(root, middle) + revocation_list(middle))
    server = start(tls=f'client_ca = "{tmp_path}/root.pem"\ncrl = "{tmp_path}/crl.pem"')
    with pytest.raises(REFUSED):
        enter(server, holder("client", middle), middle)


def test_a_new_list_counts_for_new_sessions_and_the_old_verdict_ends_with_its_session(start, enter, clients):
    server = start(
        tls=f"{clients.keys}reload_seconds = 0.02",
        policy='client_certificate = "required"\nsession_reuse = "required"',
    )
    running = enter(server, clients.good).log_in()
    session, context = running.session, running.context
    data_certificate(running, "localhost", session=session)
    before = server.call(server.server.tls_contexts)[0].shared
    clients.list_file.write_bytes(revocation_list(clients.ca, clients.good))
    until(lambda: server.call(server.server.tls_contexts)[0].shared is not before)
    # The session that runs keeps its verdict, on data connections too.
    assert data_certificate(running, "localhost", session=session)[1]
    with pytest.raises(REFUSED):
        enter(server, clients.good)
    # Its TLS session opens no other control connection: there the certificate is judged anew.
    with RawClient(server.host, server.port, context=context) as again:
        again.expect("AUTH TLS", 234)
        with pytest.raises(REFUSED):
            _resume(again, session)


def _resume(client, session):
    client.sock = client.context.wrap_socket(client.sock, server_hostname="localhost", session=session)
    client.command("NOOP")


def test_a_list_that_ends_soon_or_has_ended_is_told(start, clients, caplog):
    clients.list_file.write_bytes(revocation_list(clients.ca, days=0.2))
    start(tls=clients.keys)
    until(lambda: "the revocation list of CN=clients' CA" in caplog.text)
    assert "expires in 0 days" in caplog.text
