"""Stages for transcripts with real sockets: a raw client against the live server."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

from live_server import PASSWORD, USER
from raw_client import TIMEOUT, RawClient, read_all
from transcript_play import Event, ReplyStep

__all__ = ["CONTENT", "FILE", "LiveServerStage"]

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
