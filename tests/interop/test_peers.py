"""The peers themselves: each starts as asked, so that a failing test elsewhere is about Lockgate."""

from __future__ import annotations

import socket
import ssl

import peers
import pytest

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def protected(server: peers.PeerServer, version: str) -> ssl.SSLSocket:
    """Connect as a client would, up to a finished TLS handshake."""
    context = ssl.create_default_context(cafile=server.ca_file)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    port = server.explicit_port or server.implicit_port
    connection = socket.create_connection((server.host, port), timeout=10)
    try:
        if server.explicit_port is not None:
            with connection.makefile("rb", buffering=0) as replies:
                while not replies.readline().startswith(b"220 "):
                    pass
                connection.sendall(b"AUTH TLS\r\n")
                assert replies.readline().startswith(b"234 ")
        return context.wrap_socket(connection, server_hostname=server.host)
    except BaseException:
        connection.close()
        raise


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("kind", peers.KINDS)
def test_a_peer_speaks_the_one_tls_version_that_it_was_given(start_peer, kind, version):
    server = start_peer(kind, minimum_version=version, maximum_version=version)
    other = "1.3" if version == "1.2" else "1.2"
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        protected(server, other)
    with protected(server, version) as connection:
        assert connection.version() == f"TLSv{version}"


@pytest.mark.parametrize("kind", peers.KINDS)
def test_a_stopped_peer_leaves_neither_process_nor_file(start_peer, kind):
    server = start_peer(kind)
    folder, port = server.root.parent, server.explicit_port or server.implicit_port
    assert server.pids
    assert folder.is_dir()
    server.stop()
    assert not server.pids
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, port), timeout=10)


def test_a_peer_that_cannot_require_session_reuse_says_so(peer_certificates):
    with pytest.raises(ValueError, match="pyftpdlib cannot require"):
        peers.start("pyftpdlib", peer_certificates, peers.PeerOptions(require_session_reuse=True))
