"""The ways in which a data connection of a raw client ends other than in order, and finding half files."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

__all__ = ["cut", "hidden_files", "reset"]


def cut(sock: socket.socket) -> None:
    """End with FIN and no close_notify, as the kernel does for a process that dies."""
    socket.socket.shutdown(sock, socket.SHUT_WR)


def reset(sock: socket.socket) -> None:
    """End with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def hidden_files(root: Path) -> list[str]:
    """Return the storage's own files below a root: uploads under way and interrupted ones."""
    return sorted(path.name for path in root.rglob(".lockgate-*"))
