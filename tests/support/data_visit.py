"""The data connections of a random session: what may pass, and what did (RFC 4217 sections 10.2 and 15.2).

It opens them as a client would, right or wrong, and holds what comes of it against the level, the session,
the certificate and the TLS parameters that docs/policy.md asks for.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from dataclasses import dataclass

from client_faces import Face, Wardrobe
from drawn_policies import Configuration, Person, Port
from live_server import LiveServer
from raw_client import RawClient, read_all
from reference_model import UPLOADS

__all__ = ["NEW", "Bond", "DataSide", "control_session"]

NEW = b"new content"


@dataclass
class Bond:
    """What the control connection's TLS has shown, which its data connections are measured against.

    Attributes:
        face: How the client showed itself.
        certificate: Whose certificate the server has seen, or "".
        session: The newest session, kept past CCC.
        resumed: A data connection has resumed the session.
        has_ticket: And the last one left the client with a ticket to resume with again.
    """

    face: Face
    certificate: str
    session: ssl.SSLSession | None = None
    resumed: bool = False
    has_ticket: bool = False


def control_session(server: LiveServer, port: Port, context: ssl.SSLContext) -> ssl.SSLSession | None:
    """Return the session of another control connection, which opens nothing on this one."""
    implicit = port.kind == "implicit"
    number = server.implicit_port if implicit else server.port
    with RawClient(server.host, number, context=context, implicit=implicit) as other:
        if not implicit:
            other.auth()
        other.expect("NOOP", 200)
        return other.session


class DataSide:
    """Sets endpoints up and moves data over them."""

    def __init__(
        self,
        server: LiveServer,
        wardrobe: Wardrobe,
        configuration: Configuration,
        port: Port,
        client: RawClient,
    ) -> None:
        self.server, self.wardrobe, self.client = server, wardrobe, client
        self.configuration, self.port = configuration, port
        self.sock: socket.socket | None = None
        self.is_listening = False

    def drop(self) -> None:
        """Forget the endpoint."""
        if self.sock is not None:
            self.sock.close()
        self.sock, self.is_listening = None, False

    def line(self, verb: str, argument: str) -> str:
        """Write PORT or EPRT with our own address, or with one that must be refused."""
        listening = socket.create_server((self.server.host, 0))
        listening.settimeout(15)
        self.client.closes(listening)
        self._next = listening
        host = "127.0.0.9" if argument == "bounce" else "127.0.0.1"
        number = 21 if argument == "low" else listening.getsockname()[1]
        if verb == "EPRT":
            return f"EPRT |1|{host}|{number}|"
        return f"PORT {host.replace('.', ',')},{number // 256},{number % 256}"

    def set_up(self, verb: str, reply: str) -> None:
        """Take a new endpoint in place of the old one."""
        self.drop()
        if verb in ("PORT", "EPRT"):
            self.sock, self.is_listening = self._next, True
            return
        if verb == "EPSV":
            number = int(reply.split("|")[3])
        else:
            high, low = re.findall(r"\d+", reply[4:])[4:6]
            number = int(high) * 256 + int(low)
        self.sock = self.client.connect_data(number)

    def take(self) -> socket.socket:
        """Return the TCP connection of the transfer that has begun."""
        sock, self.sock = self.sock, None
        assert sock is not None
        if self.is_listening:
            self.is_listening = False
            sock = sock.accept()[0]
            sock.settimeout(15)
            self.client.closes(sock)
        return sock

    def move(
        self, verb: str, *, bond: Bond | None, person: Person, way: str, other: Face
    ) -> tuple[bool, bytes]:
        """Move data one way; return whether it must be refused, and what came.

        Args:
            verb: The transfer command, its 150 read.
            bond: The control connection's TLS at level P; None at level C.
            person: Who is logged in.
            way: "resume", "full", "foreign" (another control connection's session), "clear" (no TLS at all),
                "other" (another face).
            other: The other face.
        """
        sock = self.take()
        if bond is None:
            return False, self._pass(verb, sock)
        if way == "clear":
            return True, self._attempt(verb, sock)
        face = other if way == "other" else bond.face
        context = self.wardrobe.context(face)
        session = bond.session if way == "resume" or (way == "other" and face == bond.face) else None
        if way == "foreign":
            session = control_session(self.server, self.port, context)
        try:
            data = context.wrap_socket(
                sock, server_hostname="localhost", session=session, suppress_ragged_eofs=False
            )
        except (OSError, EOFError):
            assert not self.shakes_hands(face)
            return True, b""
        self.client.closes(data)
        refused = self.is_refused(face, data, bond, person)
        if way == "foreign":
            assert not data.session_reused, "a session of another control connection was resumed"
        if refused:
            received = self._attempt(verb, data)
            return True, received
        bond.resumed |= bool(data.session_reused)  # gone once TLS has ended
        received = self._pass(verb, data)
        bond.has_ticket = face.version == "1.2" or verb not in UPLOADS
        return False, received

    def shakes_hands(self, face: Face) -> bool:
        """Is there a handshake at all: a version that is offered, a certificate that is trusted."""
        trusted = face.certificate != "self" or not self.configuration.has_ca
        return trusted and self.configuration.speaks(self.port, face.version)

    def is_refused(self, face: Face, data: ssl.SSLSocket, bond: Bond, person: Person) -> bool:
        """docs/policy.md: its certificate, its session, its version and suite; 522 is the answer."""
        certificate = face.certificate if self.configuration.has_ca else ""
        if data.session_reused:
            certificate = bond.certificate
        if not self.shakes_hands(face) or (bond.certificate and certificate != bond.certificate):
            return True
        rule = self.configuration.word(self.port, person)["session_reuse"]
        must = rule == "required" or (rule == "auto" and bond.resumed and bond.has_ticket)
        if must and not data.session_reused:
            return True
        made = {"version": face.version, "cipher": (data.cipher() or ("",))[0]}
        return not all(self.configuration.accepts(self.port, one, **made) for one in (None, person))

    def _pass(self, verb: str, sock: socket.socket) -> bytes:
        """Move what nothing forbids; ends in order."""
        received = b""
        if verb in UPLOADS:
            sock.sendall(NEW)
            if isinstance(sock, ssl.SSLSocket):
                sock = sock.unwrap()
        else:
            received = read_all(sock)
        sock.close()
        return received

    def _attempt(self, verb: str, sock: socket.socket) -> bytes:
        """Try to move what must be refused; return what came all the same."""
        received = b""
        with contextlib.suppress(OSError):
            if verb in UPLOADS:
                sock.sendall(NEW)
            if isinstance(sock, ssl.SSLSocket):
                if verb in UPLOADS:
                    sock = sock.unwrap()
            else:
                sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(1 << 16):
                received += piece
        sock.close()
        return b"" if received[:1] == b"\x15" else received  # an alert
