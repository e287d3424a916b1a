"""Python's ftplib against our server, as it is and with the session offering that people add to it."""

from __future__ import annotations

import contextlib
import ftplib
import io
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import PASSWORD, USER, LiveServer
from raw_client import client_context

pytestmark = pytest.mark.parametrize("mode", ["explicit", "implicit"], indirect=True)


class Client(ftplib.FTP_TLS):
    """ftplib with what it cannot do by itself: implicit TLS, and offering the control session on data."""

    implicit = False
    offers_session = False
    data_versions: list[tuple[str | None, bool | None]]

    def connect(self, *args, **kwargs):
        self.data_versions = []
        if not self.implicit:
            return super().connect(*args, **kwargs)
        self.host, self.port, self.timeout = kwargs["host"], kwargs["port"], kwargs["timeout"]
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=self.host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def ntransfercmd(self, cmd, rest=None):
        if not self.offers_session:
            return super().ntransfercmd(cmd, rest)
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        wrapped = self.context.wrap_socket(connection, server_hostname=self.host, session=self.sock.session)
        self.data_versions.append((wrapped.version(), wrapped.session_reused))
        return wrapped, size


@pytest.fixture
def login(tls_version: str, mode: str) -> Iterator[Callable[..., Client]]:
    """Log in: `login(server)`, `login(server, offers_session=True)`."""
    with contextlib.ExitStack() as stack:

        def log_in(server: LiveServer, *, offers_session: bool = False) -> Client:
            client = Client(context=client_context(server.ca_file, version=tls_version), encoding="utf-8")
            client.implicit, client.offers_session = mode == "implicit", offers_session
            stack.callback(client.close)
            port = server.implicit_port if client.implicit else server.port
            client.connect(host="127.0.0.1", port=port, timeout=15)
            client.login(USER, PASSWORD, secure=not client.implicit)
            client.prot_p()
            return client

        yield log_in


@pytest.fixture
def client(login: Callable[..., Client], server: LiveServer, folder: Path) -> Client:
    client = login(server)
    client.cwd(folder.name)
    return client


def content(size: int, seed: int = 4217) -> bytes:
    return random.Random(seed).randbytes(size)


def fetch(client: Client, name: str, rest: int | None = None) -> bytes:
    parts: list[bytes] = []
    assert client.retrbinary(f"RETR {name}", parts.append, rest=rest).startswith("226 ")
    return b"".join(parts)


def test_files_go_up_and_come_down_unchanged(client, folder):
    for number, size in enumerate((0, 1, 65_537, 3_000_000)):
        data = content(size, number)
        assert client.storbinary(f"STOR file {number}", io.BytesIO(data)).startswith("226 ")
        assert (folder / f"file {number}").read_bytes() == data
        assert fetch(client, f"file {number}") == data
    assert client.quit().startswith("221")


def test_text_has_network_line_ends_on_the_wire_only(client, folder):
    assert client.storlines("STOR text", io.BytesIO(b"one\ntwo\r\nthree")).startswith("226 ")
    assert (folder / "text").read_bytes() == b"one\ntwo\nthree\n"
    lines: list[str] = []
    client.retrlines("RETR text", lines.append)
    assert lines == ["one", "two", "three"]


def test_listings_of_every_kind_name_the_files(client, folder):
    (folder / "grüße").write_bytes(b"12345")
    (folder / "directory").mkdir()
    assert sorted(client.nlst()) == ["directory", "grüße"]
    facts = dict(client.mlsd())
    assert facts["grüße"]["size"] == "5"
    assert facts["grüße"]["type"] == "file"
    assert facts["directory"]["type"] == "dir"
    rows: list[str] = []
    client.dir(rows.append)
    assert any(row.endswith(" grüße") for row in rows)


def test_transfers_start_where_rest_says(client, folder):
    data = content(100_000)
    (folder / "some").write_bytes(data)
    client.voidcmd("TYPE I")
    assert fetch(client, "some", rest=60_001) == data[60_001:]
    client.storbinary("STOR some", io.BytesIO(b"tail"), rest=60_001)
    assert (folder / "some").read_bytes() == data[:60_001] + b"tail"
    client.storbinary("APPE some", io.BytesIO(b"more"))
    assert (folder / "some").read_bytes() == data[:60_001] + b"tailmore"


def test_names_are_made_changed_and_removed(client, folder):
    assert client.mkd('a "b"') == f'/{folder.name}/a "b"'
    assert client.pwd() == f"/{folder.name}"
    (folder / "old").write_bytes(b"123")
    client.rename("old", 'a "b"/new')
    client.voidcmd("TYPE I")
    assert client.size('a "b"/new') == 3
    client.delete('a "b"/new')
    client.rmd('a "b"')
    assert list(folder.iterdir()) == []


@pytest.mark.requirement("R959-4.1-j", "R4217-14-a")
def test_a_transfer_is_aborted_and_the_session_goes_on(client, folder):
    with (folder / "big").open("wb") as file:
        file.truncate(200_000_000)
    client.voidcmd("TYPE I")
    data = client.transfercmd("RETR big")
    assert data.recv(1000)
    assert client.abort().startswith("426")
    data.close()
    assert client.voidresp().startswith("226")
    (folder / "small").write_bytes(b"small")
    assert fetch(client, "small") == b"small"


@pytest.mark.requirement("R4217-7-a", "R4217-12.4-a")
def test_active_mode_moves_files_both_ways(client, folder):
    client.set_pasv(False)
    data = content(300_000)
    client.storbinary("STOR there", io.BytesIO(data))
    assert (folder / "there").read_bytes() == data
    assert fetch(client, "there") == data


@pytest.mark.requirement("R4217-5-d", "R4217-5-e", "R4217-5-g")
def test_the_command_channel_is_cleared_and_data_stays_protected(login, start):
    server = start(policy='clear_command_channel = "after-login"')
    client = login(server)
    client.ccc()
    assert client.sock.version() is None
    client.file.close()  # ftplib goes on reading through the TLS socket's file
    client.file = client.sock.makefile("r", encoding="utf-8")
    client.storbinary("STOR there", io.BytesIO(content(70_000)))
    assert fetch(client, "there") == content(70_000)
    client.quit()


@pytest.mark.requirement("R4217-10.2-f", "R4217-10.2-e", "RTLS-i")
def test_without_session_offering_a_demanding_server_answers_522(login, start):
    server = start(policy='session_reuse = "required"')
    (server.root / "some").write_bytes(b"secret")
    client = login(server)
    for _ in range(2):
        with pytest.raises(ftplib.error_perm, match=r"^522 "):
            fetch(client, "some")
    assert client.voidcmd("NOOP").startswith("200")


@pytest.mark.requirement("R4217-10.2-f", "R4217-18-a")
def test_with_session_offering_a_demanding_server_serves(login, start, tls_version):
    client = login(start(policy='session_reuse = "required"'), offers_session=True)
    client.voidcmd("NOOP")  # TLS 1.3 tickets come after the handshake: something must have been read
    for number in range(12):
        data = content(number * 30_000, number)
        client.storbinary(f"STOR {number}", io.BytesIO(data))
        assert fetch(client, str(number)) == data
    assert len(client.nlst()) == 12
    assert set(client.data_versions) == {(f"TLSv{tls_version}", True)}
