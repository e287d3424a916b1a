"""Servers with several certificates, and clients that ask for one by name."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from live_server import authority
from raw_client import RawClient, read_all

__all__ = ["certificate_table", "data_certificate", "names_shown", "shake_hands"]


def certificate_table(folder: Path, stem: str, in_it: list[str], names: list[str] | None = None) -> str:
    """Issue a certificate for the names `in_it` and return its `[[certificate]]` table."""
    files = authority().issue_server(in_it).write(folder, stem)
    listed = ", ".join(f'"{name}"' for name in names or [])
    written = "" if names is None else f"names = [{listed}]\n"
    return f'[[certificate]]\n{written}certificate = "{files.certificate}"\nkey = "{files.key}"\n'


def names_shown(sock: object) -> set[str]:
    """Return the host names in the certificate that a server has shown."""
    assert isinstance(sock, ssl.SSLSocket)
    certificate = sock.getpeercert()
    assert certificate is not None
    return {str(value) for kind, value in certificate["subjectAltName"] if kind == "DNS"}


def shake_hands(
    client: RawClient, server_name: str | None, *, session: ssl.SSLSession | None = None
) -> set[str]:
    """Run the control handshake with a name in SNI, or none; return the names in the certificate."""
    client.context.check_hostname = False
    client.sock = client.context.wrap_socket(
        client.sock, server_hostname=server_name, session=session, suppress_ragged_eofs=False
    )
    return names_shown(client.sock)


def data_certificate(
    client: RawClient, server_name: str | None, *, session: ssl.SSLSession | None = None
) -> tuple[set[str], bool]:
    """List a folder; return the names in the data connection's certificate, and whether it was resumed."""
    sock = client.passive()
    client.send("NLST")
    assert client.read().code == 150
    data = client.context.wrap_socket(
        sock, server_hostname=server_name, session=session, suppress_ragged_eofs=False
    )
    client.closes(data)
    read_all(data)
    found = names_shown(data), bool(data.session_reused)
    with contextlib.suppress(OSError):
        data.unwrap()
    data.close()
    assert client.read().code == 226
    return found
