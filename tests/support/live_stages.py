"""Stages for transcripts with real sockets: raw ones against the live server and the live client."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

from live_server import PASSWORD, USER
from raw_client import TIMEOUT, RawClient, read_all
from transcript_play import Event, ReplyStep

__all__ = ["CONTENT", "FILE", "LiveClientStage", "LiveServerStage"]

FILE = "a file.bin"
# Without line ends: the scenarios of section 12 leave the type at its default, A.
CONTENT = bytes(octet for octet in range(256) if octet not in b"\r\n") * 300


class LiveServerStage:
    """Plays the client's part with raw sockets against a running server.

    Args:
        client: Connected, its greeting not read.
        root: The account's folder; the file of a download must be there, that of an upload will be.
    """

    def __init__(self, client: RawClient, root: Path) -> None:
        self._client = client
        self._root = root
        self._listener: socket.socket | None = None
        self._server_port = 0
        self._data: socket.socket | None = None

    def close(self) -> None:
        """Close what a broken play has left open."""
        for sock in (self._listener, self._data):
            if sock is not None:
                sock.close()

    def command(self, line: str) -> str:
        self._client.send(self._fill(line))
        return f"C: {line}"

    def _fill(self, line: str) -> str:
        endpoint = ""
        if self._listener is not None:
            host, port = self._listener.getsockname()
            endpoint = f"{host.replace('.', ',')},{port >> 8},{port & 255}"
        return line.format(user=USER, password=PASSWORD, file=FILE, client=endpoint)

    def reply(self, step: ReplyStep) -> str:
        reply = self._client.read()
        if "{server}" in step.text:
            found = re.search(r"\((?:\d+,){4}(\d+),(\d+)\)", reply)
            if found is None:
                return f"S: {reply}"
            self._server_port = int(found[1]) * 256 + int(found[2])
        return f"S: {reply.code}"

    def event(self, event: Event) -> str:
        getattr(self, f"_{event.name.lower()}")()
        return f"-- {event.value}"

    def state(self, machines: Mapping[str, str]) -> str:
        # A server's states are its own; what follows from them is in the other steps.
        return "== " + " ".join(f"{name}={state}" for name, state in machines.items())

    def end(self) -> str:
        return "" if self._client.at_end() else "more than the transcript"

    def _control_tls(self) -> None:
        self._client.start_tls()

    def _control_clear(self) -> None:
        self._client.stop_tls()

    def _data_listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)

    def _data_accept(self) -> None:
        assert self._listener is not None
        self._data, _ = self._listener.accept()
        self._data.settimeout(TIMEOUT)
        self._listener.close()
        self._listener = None

    def _data_connect(self) -> None:
        self._data = self._client.connect_data(self._server_port)

    def _data_tls(self) -> None:
        assert self._data is not None
        self._data = self._client.protect_data(self._data)

    def _data_send(self) -> None:
        assert self._data is not None
        self._data.sendall(CONTENT)

    def _data_receive(self) -> None:
        assert self._data is not None
        assert read_all(self._data) == CONTENT

    def _data_clear(self) -> None:
        assert isinstance(self._data, ssl.SSLSocket)
        # Both ways: the server answers our close_notify, or has sent its own.
        self._data = self._data.unwrap()

    def _data_close(self) -> None:
        assert self._data is not None
        self._data.close()
        self._data = None


# What a client may ask beside the transcript's lines, and how a server that knows little answers.
_BESIDE = {"TYPE": 200, "OPTS": 200, "NOOP": 200, "CLNT": 200}


class LiveClientStage:
    """Plays the server's part with raw sockets; the live client is to run in another thread.

    A client may ask more than the transcript's lines (TYPE, FEAT, EPSV, SIZE): what does not stand there is
    answered by a server that knows little, so that all lines of the transcript must come, and in its order.

    Args:
        context: The TLS server's.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._passive = socket.create_server(("127.0.0.1", 0))
        for sock in (self._listener, self._passive):
            sock.settimeout(TIMEOUT)
        self.port: int = self._listener.getsockname()[1]
        self._control: socket.socket | None = None
        self._data: socket.socket | None = None
        self._client_endpoint = ("", 0)

    def close(self) -> None:
        """Close everything, so that a client that still waits is told."""
        for sock in (self._listener, self._passive, self._control, self._data):
            if sock is not None:
                sock.close()

    def command(self, line: str) -> str:
        while True:
            received = self._read_line()
            verb, _, argument = received.partition(" ")
            if verb == line.partition(" ")[0]:
                break
            self._write(f"{_BESIDE.get(verb, 502)} Beside the transcript.")
        if verb == "PORT":
            numbers = [int(number) for number in argument.split(",")]
            self._client_endpoint = (".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5])
            return f"C: {line}"
        expected = line.format(user=USER, password=PASSWORD, file=FILE)
        return f"C: {line}" if received == expected else f"C: {received}"

    def reply(self, step: ReplyStep) -> str:
        if self._control is None:
            self._control, _ = self._listener.accept()
            self._control.settimeout(TIMEOUT)
        port = self._passive.getsockname()[1]
        endpoint = f"(127,0,0,1,{port >> 8},{port & 255})"
        self._write(f"{step.code} {step.text.format(server=endpoint)}")
        return f"S: {step.code}"

    def event(self, event: Event) -> str:
        getattr(self, f"_{event.name.lower()}")()
        return f"-- {event.value}"

    def state(self, machines: Mapping[str, str]) -> str:
        return "== " + " ".join(f"{name}={state}" for name, state in machines.items())

    def end(self) -> str:
        return self._read_line()

    def _write(self, line: str) -> None:
        assert self._control is not None
        self._control.sendall(f"{line}\r\n".encode())

    def _read_line(self) -> str:
        """Return a line, or the empty string at the end."""
        assert self._control is not None
        line = b""
        while not line.endswith(b"\n"):
            octet = self._control.recv(1)
            if not octet:
                break
            line += octet
        return line.decode().rstrip("\r\n")

    def _control_tls(self) -> None:
        assert self._control is not None
        self._control = self._wrap(self._control)

    def _wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)

    def _control_clear(self) -> None:
        assert isinstance(self._control, ssl.SSLSocket)
        # What unwrap returns is still an SSLSocket by type.
        self._control = socket.socket(fileno=self._control.unwrap().detach())
        self._control.settimeout(TIMEOUT)

    def _data_listen(self) -> None:
        """The client does that by itself, before its PORT."""

    def _data_accept(self) -> None:
        self._data = socket.create_connection(self._client_endpoint, TIMEOUT)

    def _data_connect(self) -> None:
        self._data, _ = self._passive.accept()
        self._data.settimeout(TIMEOUT)

    def _data_tls(self) -> None:
        assert self._data is not None
        self._data = self._wrap(self._data)

    def _data_send(self) -> None:
        assert self._data is not None
        # In TLS this ends by close_notify; an end without one raises.
        assert read_all(self._data) == CONTENT

    def _data_clear(self) -> None:
        assert isinstance(self._data, ssl.SSLSocket)
        self._data = self._data.unwrap()

    def _data_close(self) -> None:
        assert self._data is not None
        self._data.close()
        self._data = None
