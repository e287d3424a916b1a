"""Our client, in both drivers, against other people's servers, each as strict as it can be."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import peers
import pytest

import lockgate

Start = Callable[..., peers.PeerServer]

# Kind, TLS version, how TLS begins, whether a resumed session is demanded on data connections.
MATRIX = [
    pytest.param(kind, version, mode, reuse, id=f"{kind}-{version}-{mode}{'-reuse' if reuse else ''}")
    for kind in peers.KINDS
    for version in ("1.2", "1.3")
    for mode, kinds in (("explicit", peers.EXPLICIT), ("implicit", peers.IMPLICIT))
    if kind in kinds
    for reuse in ((False, True) if kind in peers.CAN_REQUIRE_REUSE else (False,))
]
# A data connection that ends without close_notify cannot be told from one that was cut.
WITHOUT_CLOSE_NOTIFY = frozenset({"aioftp"})


def address(server: peers.PeerServer, mode: str) -> str:
    scheme, port = ("ftpes", server.explicit_port) if mode == "explicit" else ("ftps", server.implicit_port)
    return f"{scheme}://{server.user}:{server.password}@localhost:{port}/"


def arguments(server: peers.PeerServer, version: str) -> dict[str, object]:
    return {
        "ca": server.ca_file,
        "tls_version": version,
        "timeout": 15.0,
        "require_close_notify": server.kind not in WITHOUT_CLOSE_NOTIFY,
    }


@pytest.mark.parametrize(("kind", "version", "mode", "reuse"), MATRIX)
def test_files_go_there_and_back_and_are_managed(
    start_peer: Start, tmp_path: Path, kind: str, version: str, mode: str, reuse: bool
) -> None:
    server = start_peer(
        kind,
        minimum_version=version,
        maximum_version=version,
        require_session_reuse=reuse,
        require_protected_data=mode == "explicit",
    )
    content = os.urandom(700_001)
    local = tmp_path / "up.bin"
    local.write_bytes(content)
    with lockgate.connect(address(server, mode), **arguments(server, version)) as ftp:  # type: ignore[arg-type]
        assert ftp.tls_version == f"TLSv{version}"
        ftp.mkdir("/folder")
        ftp.upload(local, "/folder/a file é.bin")
        (entry,) = ftp.list("/folder")
        assert entry.name == "a file é.bin"
        assert entry.size == len(content)
        assert ftp.stat("/folder/a file é.bin").size == len(content)
        ftp.download("/folder/a file é.bin", tmp_path / "down.bin")
        assert (tmp_path / "down.bin").read_bytes() == content
        ftp.rename("/folder/a file é.bin", "/folder/b.bin")
        assert ftp.exists("/folder/b.bin")
        assert not ftp.exists("/folder/a file é.bin")
        ftp.remove("/folder/b.bin")
        ftp.rmdir("/folder")
        assert "folder" not in [one.name for one in ftp.list("/")]


@pytest.mark.parametrize(("kind", "version", "mode", "reuse"), MATRIX)
def test_fifty_files_in_a_row_by_the_asyncio_client(
    start_peer: Start, tmp_path: Path, kind: str, version: str, mode: str, reuse: bool
) -> None:
    server = start_peer(kind, minimum_version=version, maximum_version=version, require_session_reuse=reuse)
    local = tmp_path / "up.bin"
    local.write_bytes(os.urandom(3000))

    async def run() -> None:
        async with lockgate.aio.connect(address(server, mode), **arguments(server, version)) as ftp:  # type: ignore[arg-type]
            for number in range(25):
                await ftp.upload(local, f"/{number}.bin")
            for number in range(25):
                await ftp.download(f"/{number}.bin", tmp_path / f"{number}.bin")

    asyncio.run(run())
    for number in range(25):
        assert (tmp_path / f"{number}.bin").read_bytes() == local.read_bytes()


@pytest.mark.parametrize("kind", sorted(peers.CAN_REQUIRE_REUSE))
def test_a_demand_for_resumption_is_named_when_no_session_was_offered(
    start_peer: Start, tmp_path: Path, kind: str
) -> None:
    server = start_peer(kind, require_session_reuse=True)
    local = tmp_path / "up.bin"
    local.write_bytes(b"x")
    with (
        lockgate.connect(
            address(server, "explicit"), ca=server.ca_file, offer_session=False, timeout=15.0
        ) as ftp,
        pytest.raises((lockgate.TlsError, lockgate.ReplyError, lockgate.TransferError)),
    ):
        ftp.upload(local, "/refused.bin")


@pytest.mark.parametrize("kind", sorted(peers.EXPLICIT))
def test_a_stranger_as_ca_stops_before_the_password(start_peer: Start, tmp_path: Path, kind: str) -> None:
    server = start_peer(kind)
    other = peers.make_certificates(tmp_path)
    with pytest.raises(lockgate.CertificateRejected):
        lockgate.connect(address(server, "explicit"), ca=other.ca, timeout=15.0)
