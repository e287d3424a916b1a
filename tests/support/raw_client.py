"""A client that does exactly what a test says, right or wrong: raw lines, raw TLS, raw data connections.

It shares no code with Lockgate's own client, so that a mistake there cannot hide one in the server.
"""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

__all__ = ["RawClient", "Reply", "client_context"]

TIMEOUT = 15.0


class Reply(str):
    """A whole reply as text, lines joined by newlines."""

    __slots__ = ()

    @property
    def code(self) -> int:
        """The three digits."""
        return int(self[:3])


def client_context(
    ca_file: Path | None = None, *, version: str | None = None, certificate: tuple[Path, Path] | None = None
) -> ssl.SSLContext:
    """A context that verifies against `ca_file`; `version` is "1.2" or "1.3" and nothing else then."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca_file)
    if version is not None:
        number = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = number
    if certificate is not None:
        context.load_cert_chain(*certificate)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


class RawClient:
    """One control connection, and what it needs to open data connections."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None = None,
        implicit: bool = False,
        greet: bool = True,
        source: str | None = None,
    ) -> None:
        self.host = host
        self.context = context or client_context()
        address = (source, 0) if source else None
        self.sock: socket.socket = socket.create_connection((host, port), TIMEOUT, source_address=address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._opened: list[socket.socket] = []
        self.greeting = Reply()
        if implicit:
            self.start_tls()
        if greet:
            self.greeting = self.read()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- control connection ---

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def send(self, line: str) -> None:
        """Send one command line."""
        self.write(line.encode("utf-8", "surrogateescape") + b"\r\n")

    def unread(self, data: bytes) -> None:
        """Put bytes that were read elsewhere in front of what comes next."""
        self._buffer = data + self._buffer

    def read_line(self) -> bytes:
        """Return one line without its end; raises EOFError when the server has closed."""
        while b"\n" not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self._buffer)
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def read(self) -> Reply:
        """Return the next reply."""
        lines = [self.read_line().decode("utf-8", "surrogateescape")]
        if lines[0][3:4] == "-":
            while not lines[-1].startswith(lines[0][:3] + " "):
                lines.append(self.read_line().decode("utf-8", "surrogateescape"))
        return Reply("\n".join(lines))

    def command(self, line: str) -> Reply:
        """Send a command and return the next reply."""
        self.send(line)
        return self.read()

    def expect(self, line: str, *codes: int) -> Reply:
        """Send a command whose reply must have one of these codes."""
        reply = self.command(line)
        assert reply.code in codes, f"{line[:4]}: {reply!r}, expected {codes}"
        return reply

    def at_end(self) -> bool:
        """True when the server closes the connection without another byte."""
        if self._buffer:
            return False
        try:
            return self.sock.recv(1) == b""
        except (ConnectionError, ssl.SSLEOFError):
            return True

    def close(self) -> None:
        """Close without a word, data connections too."""
        self.sock.close()
        for sock in self._opened:
            sock.close()

    def closes(self, sock: socket.socket) -> None:
        """Take over a socket: it is closed with the client."""
        self._opened.append(sock)

    # --- TLS on control ---

    def start_tls(self, *, server_hostname: str = "localhost") -> ssl.SSLSocket:
        """Run the handshake."""
        self.sock = self.context.wrap_socket(
            self.sock, server_hostname=server_hostname, suppress_ragged_eofs=False
        )
        return self.sock

    def auth(self, mechanism: str = "TLS") -> None:
        """AUTH and the handshake."""
        self.expect(f"AUTH {mechanism}", 234)
        self.start_tls()

    def stop_tls(self) -> None:
        """Answer and await close_notify, then go on in clear."""
        assert isinstance(self.sock, ssl.SSLSocket)
        # What unwrap returns is still an SSLSocket by type.
        self.sock = socket.socket(fileno=self.sock.unwrap().detach())
        self.sock.settimeout(TIMEOUT)

    @property
    def session(self) -> ssl.SSLSession | None:
        """The control connection's newest TLS session."""
        return self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None

    def log_in(
        self, user: str = "alice", password: str = "correct horse", *, protect: bool = True, tls: bool = True
    ) -> RawClient:
        """AUTH (unless in TLS), USER, PASS, PBSZ, PROT P, TYPE I."""
        if tls and not isinstance(self.sock, ssl.SSLSocket):
            self.auth()
        self.expect(f"USER {user}", 331)
        self.expect(f"PASS {password}", 230)
        if protect:
            self.expect("PBSZ 0", 200)
            self.expect("PROT P", 200)
        self.expect("TYPE I", 200)
        return self

    # --- data connections ---

    def passive(self, verb: str = "EPSV") -> socket.socket:
        """Ask for a passive endpoint and connect to it."""
        return self.connect_data(self.passive_port(verb))

    def passive_port(self, verb: str = "EPSV") -> int:
        """Ask for a passive endpoint and return its port."""
        if verb == "EPSV":
            found = re.search(r"\(\|\|\|(\d+)\|\)", self.expect("EPSV", 229))
            assert found
            return int(found[1])
        found = re.search(r"(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)", self.expect("PASV", 227))
        assert found
        return int(found[5]) * 256 + int(found[6])

    def connect_data(self, port: int, *, source: str | None = None) -> socket.socket:
        """Connect a data connection in TCP."""
        address = (source, 0) if source else None
        sock = socket.create_connection((self.host, port), TIMEOUT, source_address=address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened.append(sock)
        return sock

    def protect_data(self, sock: socket.socket, *, reuse: bool = True) -> ssl.SSLSocket:
        """Run the data connection's handshake, offering the control session unless told otherwise."""
        protected = self.context.wrap_socket(
            sock,
            server_hostname="localhost",
            session=self.session if reuse else None,
            suppress_ragged_eofs=False,
        )
        self._opened.append(protected)
        return protected

    def download(self, command: str, *, protect: bool = True) -> bytes:
        """Run a transfer command that sends data, and return the data; the final reply must be 226."""
        data = self.passive()
        self.expect(command, 150)
        if protect:
            data = self.protect_data(data)
        received = read_all(data)
        if isinstance(data, ssl.SSLSocket):
            data.unwrap()
        data.close()
        reply = self.read()
        assert reply.code == 226, reply
        return received

    def upload(self, command: str, content: bytes, *, protect: bool = True) -> Reply:
        """Run a transfer command that takes data, end it in order, and return the final reply."""
        data = self.passive()
        self.expect(command, 150)
        if protect:
            data = self.protect_data(data)
        data.sendall(content)
        if isinstance(data, ssl.SSLSocket):
            data = data.unwrap()
        data.close()
        return self.read()


def read_all(sock: socket.socket) -> bytes:
    """Read to the end; a TLS end without close_notify raises `ssl.SSLEOFError`."""
    pieces = []
    while piece := sock.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)
