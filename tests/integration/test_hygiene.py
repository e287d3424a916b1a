"""What TLS a live server speaks and refuses: versions, suites, ALPN, SNI, renegotiation."""

from __future__ import annotations

import contextlib
import queue
import shutil
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Callable

import pytest
from hellos import padded_hello
from live_server import LiveServer
from raw_client import RawClient, client_context, read_all
from tls_bytes import TlsBytes, enter, protect_with, silence

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

OPENSSL = shutil.which("openssl")


def old_context(server: LiveServer, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that would speak a version of old, with everything that OpenSSL still has."""
    context = client_context(server.ca_file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    return context


def handshake_fails(client: RawClient) -> bool:
    """True when the server ends the handshake."""
    client.expect("AUTH TLS", 234)
    tls = TlsBytes(client.sock, client.context)
    try:
        tls.handshake()
        tls.sendall(b"NOOP\r\n")
        tls.recv(1)
    except (ssl.SSLError, ConnectionError):
        with contextlib.suppress(OSError):
            tls.plain.sendall(tls.alert())
        return client.at_end()
    return False


@pytest.mark.requirement("RTLS-a", "R4217-1-a", side="S")
def test_tls_1_2_and_1_3_are_spoken(server: LiveServer, connect: Connect, tls_version: str) -> None:
    client = connect(server).log_in()
    assert isinstance(client.sock, ssl.SSLSocket)
    assert client.sock.version() == f"TLSv{tls_version}"
    assert client.sock.compression() is None
    sock = client.passive()
    client.expect("NLST", 150)
    data = client.protect_data(sock)
    assert data.version() == f"TLSv{tls_version}"
    assert data.compression() is None
    read_all(data)
    data.close()
    assert client.read().code == 226


@pytest.mark.requirement("RTLS-a", "R4217-10.1-a", side="S")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_1_0_and_1_1_are_refused(server: LiveServer, version: ssl.TLSVersion) -> None:
    with RawClient(server.host, server.port, context=old_context(server, version)) as client:
        assert handshake_fails(client)


@pytest.mark.requirement("R4217-10.1-a", side="S")
def test_tls_1_2_can_be_refused_too(start: Start) -> None:
    server = start(tls='minimum_version = "1.3"')
    for version, fails in (("1.2", True), ("1.3", False)):
        context = client_context(server.ca_file, version=version)
        with RawClient(server.host, server.port, context=context) as client:
            assert handshake_fails(client) is fails


@pytest.mark.requirement("RTLS-c", side="S")
def test_forward_secrecy_is_chosen_whatever_the_client_prefers(server: LiveServer) -> None:
    context = client_context(server.ca_file, version="1.2")
    context.set_ciphers("AES128-GCM-SHA256:AES256-SHA:ECDHE+AESGCM:DHE")
    with RawClient(server.host, server.port, context=context) as client:
        client.auth()
        assert isinstance(client.sock, ssl.SSLSocket)
        name, _, bits = client.sock.cipher() or ("", "", 0)
        assert name.startswith(("ECDHE", "DHE"))
        assert bits >= 128


@pytest.mark.requirement("RTLS-j", side="S")
@pytest.mark.parametrize("offered", [["ftp"], ["h2", "ftp"], ["ftp", "http/1.1"], None])
def test_alpn_with_ftp_or_none_is_taken(
    server: LiveServer, connect: Connect, offered: list[str] | None
) -> None:
    client = connect(server)
    if offered:
        client.context.set_alpn_protocols(offered)
    client.auth()
    assert isinstance(client.sock, ssl.SSLSocket)
    assert client.sock.selected_alpn_protocol() == ("ftp" if offered else None)
    client.log_in()
    client.download("NLST")


@pytest.mark.requirement("RTLS-j", side="S")
@pytest.mark.parametrize("offered", [["h2"], ["http/1.1", "h2"], ["imap"], ["FTP"], ["ftp-data"]])
def test_alpn_without_ftp_is_refused_on_control(
    server: LiveServer, connect: Connect, offered: list[str]
) -> None:
    client = connect(server)
    client.context.set_alpn_protocols(offered)
    client.expect("AUTH TLS", 234)
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        TlsBytes(client.sock, client.context).handshake()


@pytest.mark.requirement("RTLS-j", "R4217-10.2-e", side="S")
@pytest.mark.parametrize("early", [True, False], ids=["hello-before-command", "hello-after-150"])
def test_alpn_without_ftp_is_refused_on_data_with_522(
    server: LiveServer, connect: Connect, early: bool
) -> None:
    client = connect(server).log_in()
    browser = client_context(server.ca_file)
    browser.set_alpn_protocols(["h2", "http/1.1"])
    sock = client.passive()
    _, hello = TlsBytes(sock, browser).step()
    if early:
        sock.sendall(hello)
    client.expect("NLST", 150)
    if not early:
        sock.sendall(hello)
    assert client.read().code == 522
    client.download("NLST")


@pytest.mark.requirement("RTLS-j", "R4217-10.2-e", side="S")
@pytest.mark.parametrize("early", [True, False], ids=["hello-before-command", "hello-after-150"])
@pytest.mark.parametrize("length", [17_000, 60_000, 65_100])
def test_a_long_data_hello_hides_no_alpn(
    server: LiveServer, connect: Connect, early: bool, length: int
) -> None:
    client = connect(server).log_in()
    browser = client_context(server.ca_file)
    browser.set_alpn_protocols(["http/1.1"])
    hello = padded_hello(browser, length)
    sock = client.passive()
    if early:
        sock.sendall(hello)
    client.expect("NLST", 150)
    if not early:
        sock.sendall(hello)
    assert client.read().code == 522
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = sock.recv(1)
    assert answer == b""
    client.download("NLST")


def test_a_long_data_hello_with_ftp_is_answered(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    context = client_context(server.ca_file)
    context.set_alpn_protocols(["ftp"])
    sock = client.passive()
    client.expect("NLST", 150)
    hello = padded_hello(context, 60_000)
    # Begun, and gone on with: what is there already must not be taken for all of it.
    sock.sendall(hello[:20_000])
    assert silence(sock)
    sock.sendall(hello[20_000:])
    assert sock.recv(1) == b"\x16"
    sock.close()
    assert client.read().code == 522


def test_half_a_hello_and_an_end_are_answered_at_once(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    sock = client.passive()
    client.expect("NLST", 150)
    sock.sendall(padded_hello(client_context(server.ca_file), 60_000)[:20_000])
    sock.shutdown(socket.SHUT_WR)
    began = time.monotonic()
    assert client.read().code == 522
    # The handshake's time limit is 15 seconds.
    assert time.monotonic() - began < 7.5


@pytest.mark.requirement("RTLS-j", side="S")
@pytest.mark.parametrize("name", ["localhost", "nobody.example", "xn--bcher-kva.example", None])
def test_any_server_name_and_none_is_served(server: LiveServer, tls_version: str, name: str | None) -> None:
    context = client_context(version=tls_version)  # a client that does not verify may name what it likes
    with RawClient(server.host, server.port, context=context) as client:
        client.expect("AUTH TLS", 234)
        client.sock = context.wrap_socket(client.sock, server_hostname=name, suppress_ragged_eofs=False)
        enter(client)
        client.expect("PBSZ 0", 200)
        client.expect("PROT P", 200)
        sock = client.passive()
        client.expect("NLST", 150)
        data = protect_with(client, sock, client.session)
        assert data.session_reused
        read_all(data)
        data.close()
        assert client.read().code == 226


@pytest.mark.requirement("RTLS-d", side="S")
@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed; nothing else here can renegotiate")
def test_client_initiated_renegotiation_is_refused(server: LiveServer) -> None:
    assert OPENSSL is not None
    command = [OPENSSL, "s_client", "-connect", f"{server.host}:{server.implicit_port}", "-tls1_2"]
    with subprocess.Popen(
        [*command, "-CAfile", str(server.ca_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin
        assert process.stdout
        output = _Output(process.stdout)
        try:
            output.until("220 ")
            process.stdin.write(b"NOOP\n")  # a bare LF: refused, and the session goes on
            process.stdin.flush()
            output.until("500 ")
            process.stdin.write(b"R\n")  # s_client's word for "renegotiate"
            process.stdin.flush()
            output.until("RENEGOTIATING")
            assert "no renegotiation" in output.rest()
        finally:
            process.kill()
    with RawClient(server.host, server.port, context=client_context(server.ca_file)) as client:
        client.log_in()


class _Output:
    """A process's output, read in a thread so that every wait has an end."""

    def __init__(self, stream: object) -> None:
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: object) -> None:
        for line in iter(stream.readline, b""):  # type: ignore[attr-defined]
            self._lines.put(line)
        self._lines.put(b"")

    def until(self, text: str) -> None:
        """Read up to the line that has this text."""
        while text.encode() not in (line := self._lines.get(timeout=10)):
            assert line, f"the output ended before {text!r}"

    def rest(self) -> str:
        """Read to the end."""
        text = b""
        while line := self._lines.get(timeout=10):
            text += line
        return text.decode()


@pytest.mark.requirement("R4217-13-c", "R4217-18-a", side="S")
def test_a_new_control_connection_may_offer_an_old_session_and_gets_a_full_handshake(
    server: LiveServer, connect: Connect
) -> None:
    first = connect(server).log_in()
    first.download("NLST")
    old = first.session
    first.expect("QUIT", 221)
    second = connect(server)
    second.context = first.context
    second.expect("AUTH TLS", 234)
    second.sock = protect_with(second, second.sock, old)
    second.log_in()
    second.download("NLST")
