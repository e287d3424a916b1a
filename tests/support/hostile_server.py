"""An FTP server on loopback that behaves, except where a test tells it not to: real sockets, real TLS.

It starts the data handshake only after the transfer command and its 150, as vsftpd does.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 20.0
LISTING = "type=file;size=5; a.txt\r\ntype=dir; sub\r\n"
CONTENT = b"12345"


class Gone(Exception):
    """The client has gone, or this server has: the session ends."""


@dataclass
class HostileServer:
    """A server whose single steps a test replaces.

    Attributes:
        on: By verb, what to do instead of the default; also "CONNECT" (before the greeting), "GREETING",
            "HANDSHAKE" (between 234 and the handshake), "DATA HANDSHAKE" and "DATA" (instead of the content).
        context: TLS of the control connection.
        data_context: TLS of data connections.
        clear_lines: What clients sent in clear.
        tls_lines: What clients sent in TLS.
        uploads: What clients uploaded, and whether TLS showed its end.
        resumed: For each TLS data connection, whether it resumed.
        content: What RETR gives.
        listing: What MLSD gives.
        released: Set at the end, for steps that hang.
    """

    context: ssl.SSLContext
    data_context: ssl.SSLContext
    on: dict[str, Callable[[Session, str], object]] = field(default_factory=dict)
    clear_lines: list[str] = field(default_factory=list)
    tls_lines: list[str] = field(default_factory=list)
    uploads: list[tuple[bytes, bool]] = field(default_factory=list)
    resumed: list[bool] = field(default_factory=list)
    content: bytes = CONTENT
    listing: str = LISTING
    implicit: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)
    port: int = 0

    def hang(self, session: Session, argument: str) -> None:
        """A step that never comes."""
        self.released.wait(SECONDS)
        raise Gone

    def close(self, session: Session, argument: str) -> None:
        """A step at which the connection is closed."""
        raise Gone


class Session:
    """One control connection."""

    def __init__(self, server: HostileServer, sock: socket.socket) -> None:
        self.server = server
        self.sock: Any = sock
        self.raw = sock
        self.in_tls = False
        self.buffer = b""
        self.listener: socket.socket | None = None
        self.target: tuple[str, int] | None = None
        self.data: Any = None
        self.private = server.implicit
        self.offset = 0
        self.open: list[Any] = [sock]

    def send(self, text: str) -> None:
        self.send_bytes(f"{text}\r\n".encode())

    def send_bytes(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def start_tls(self) -> None:
        try:
            self.sock.getpeername()  # wrap_socket leaves a socket that is gone unclosed
            self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        except OSError as error:
            raise Gone from error
        self.in_tls = True
        self.open.append(self.sock)

    def stop_tls(self) -> None:
        try:
            self.sock = self.sock.unwrap()
        except (OSError, ValueError) as error:  # ValueError: the socket was closed meanwhile
            raise Gone from error
        self.in_tls = False
        self.open.append(self.sock)

    def line(self) -> str:
        while b"\r\n" not in self.buffer:
            try:
                data = self.sock.recv(4096)
            except OSError as error:
                raise Gone from error
            if not data:
                raise Gone
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        text = line.decode()
        (self.server.tls_lines if self.in_tls else self.server.clear_lines).append(text)
        return text

    def run(self) -> None:
        try:
            self.step("CONNECT")
            if self.server.implicit:
                self.start_tls()
            self.step("GREETING", default=lambda: self.send("220 Hello"))
            while True:
                word, _, argument = self.line().partition(" ")
                self.step(word, argument, default=lambda: self.answer(word, argument))  # noqa: B023
        except Gone:
            pass
        finally:
            self.close()

    def step(self, name: str, argument: str = "", *, default: Callable[[], object] | None = None) -> None:
        override = self.server.on.get(name)
        if override is not None:
            override(self, argument)
        elif default is not None:
            default()

    def answer(self, word: str, argument: str) -> None:
        handler = getattr(self, f"do_{word.lower()}", None)
        if handler is not None:
            handler(argument)
        else:
            self.send(_REPLIES.get(word, "500 What"))

    def do_auth(self, argument: str) -> None:
        self.send("234 Go")
        self.step("HANDSHAKE")
        self.start_tls()

    def do_prot(self, argument: str) -> None:
        self.private = argument == "P"
        self.send("200 ok")

    def do_quit(self, argument: str) -> None:
        self.send("221 Bye")
        if self.in_tls:
            with contextlib.suppress(OSError, ValueError):
                self.sock.unwrap()
        raise Gone

    def do_ccc(self, argument: str) -> None:
        self.send("200 Clear")
        self.stop_tls()

    def do_rein(self, argument: str) -> None:
        self.send("220 Again")
        self.stop_tls()
        self.private = False

    def do_epsv(self, argument: str) -> None:
        self.send(f"229 ok (|||{self.listen()}|)")

    def do_pasv(self, argument: str) -> None:
        port = self.listen()
        self.send(f"227 ok (203,0,113,9,{port >> 8},{port & 255})")

    def do_eprt(self, argument: str) -> None:
        _, _, host, port, _ = argument.split("|")
        self.target = (host, int(port))
        self.send("200 ok")

    def do_port(self, argument: str) -> None:
        numbers = argument.split(",")
        self.target = (".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5]))
        self.send("200 ok")

    def do_rest(self, argument: str) -> None:
        self.offset = int(argument)
        self.send("350 ok")

    def do_size(self, argument: str) -> None:
        self.send(f"213 {len(self.server.content)}")

    def do_retr(self, argument: str) -> None:
        offset, self.offset = self.offset, 0
        self.give(self.server.content[offset:])

    def do_mlsd(self, argument: str) -> None:
        self.give(self.server.listing.encode())

    def do_stor(self, argument: str) -> None:
        self.send("150 Here")
        data = self.open_data()
        received, ended = b"", False
        with contextlib.suppress(OSError):
            while True:
                piece = data.recv(65536)
                if not piece:
                    ended = True
                    break
                received += piece
        self.server.uploads.append((received, ended))
        self.end_data()
        self.send("226 Done")

    def give(self, content: bytes) -> None:
        self.send("150 Here")
        data = self.open_data()
        override = self.server.on.get("DATA")
        if override is not None:
            override(self, "")
            return
        with contextlib.suppress(OSError):
            data.sendall(content)
        self.end_data()
        self.send("226 Done")

    def listen(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(SECONDS)
        self.open.append(self.listener)
        return self.listener.getsockname()[1]

    def open_data(self) -> Any:
        if self.listener is not None:
            sock, _ = self.listener.accept()
        else:
            assert self.target is not None
            sock = socket.create_connection(self.target, timeout=SECONDS)
        sock.settimeout(SECONDS)
        self.open.append(sock)
        self.data = sock
        if self.private:
            self.step("DATA HANDSHAKE")
            try:
                sock.getpeername()  # wrap_socket leaves a socket that is gone unclosed
                self.data = self.server.data_context.wrap_socket(
                    sock, server_side=True, suppress_ragged_eofs=False
                )
            except OSError:
                self.send("425 No TLS")
                raise Gone from None
            self.open.append(self.data)
            self.server.resumed.append(bool(self.data.session_reused))
        return self.data

    def end_data(self, *, in_order: bool = True) -> None:
        if in_order and isinstance(self.data, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self.data = self.data.unwrap()
                self.open.append(self.data)
        with contextlib.suppress(OSError):
            self.data.shutdown(socket.SHUT_RDWR)
        self.data.close()

    def close(self) -> None:
        for sock in reversed(self.open):
            sock.close()


_REPLIES = {
    "USER": "331 Password",
    "PASS": "230 Welcome",
    "PBSZ": "200 ok",
    "FEAT": "211-Features\r\n MLST type*;\r\n SIZE\r\n211 End",
    "TYPE": "200 ok",
    "NOOP": "200 ok",
    "PWD": '257 "/"',
    "MDTM": "213 20240101000000",
    "MLST": "250-Here\r\n type=dir; /\r\n250 End",
    "MKD": '257 "x"',
}


def server_context(certificate: Path, key: Path, *, version: str) -> ssl.SSLContext:
    """Return a TLS context for one version, "1.2" or "1.3"."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    chosen = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    context.minimum_version = context.maximum_version = chosen
    context.set_alpn_protocols(["ftp"])
    return context


@contextlib.contextmanager
def hostile_server(
    context: ssl.SSLContext, *, data_context: ssl.SSLContext | None = None, implicit: bool = False
) -> Iterator[HostileServer]:
    """Run a server for the length of a block; what went wrong inside it comes out at the end."""
    server = HostileServer(context, data_context or context, implicit=implicit)
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    threads: list[threading.Thread] = []
    sessions: list[Session] = []

    def serve(session: Session) -> None:
        try:
            session.run()
        except BaseException as error:  # shown when the block ends
            server.errors.append(error)

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(SECONDS)
            session = Session(server, sock)
            sessions.append(session)
            thread = threading.Thread(target=serve, args=(session,), name="hostile-session")
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, name="hostile-server")
    acceptor.start()
    try:
        yield server
    finally:
        server.released.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(SECONDS)
        for session in sessions:
            for sock in session.open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        if server.errors:
            raise server.errors[0]
