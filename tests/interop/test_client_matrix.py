"""Our client, blocking, asyncio and command line, against the servers that are in use."""

from __future__ import annotations

import asyncio
import random
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers
import pytest
from programs import Run, run

import lockgate
from conftest import unavailable
from lockgate.errors import FileUnavailable, TransferError


@dataclass(frozen=True, slots=True)
class Case:
    """A server, the one TLS version that it speaks, how TLS begins, and whether it demands session reuse."""

    kind: str
    version: str
    mode: str

    @property
    def demands_reuse(self) -> bool:
        """True where the server can be told to."""
        return self.kind in peers.CAN_REQUIRE_REUSE

    def __str__(self) -> str:
        return f"{self.kind}-{self.version}-{self.mode}" + ("-reuse" if self.demands_reuse else "")


CASES = [
    Case(kind, version, mode)
    for kind in peers.KINDS
    for version in ("1.2", "1.3")
    for mode in ("explicit", "implicit")
    if kind in (peers.EXPLICIT if mode == "explicit" else peers.IMPLICIT)
]


@dataclass(frozen=True, slots=True)
class Peer:
    """A running server and how our client reaches it."""

    case: Case
    server: peers.PeerServer

    @property
    def url(self) -> str:
        scheme = "ftpes" if self.case.mode == "explicit" else "ftps"
        port = self.server.explicit_port if self.case.mode == "explicit" else self.server.implicit_port
        return f"{scheme}://{self.server.user}@{self.server.host}:{port}"

    @property
    def arguments(self) -> dict[str, Any]:
        return {"password": self.server.password, "ca": self.server.ca_file, "timeout": 20.0}

    def connect(self, **more: Any) -> lockgate.Client:
        return lockgate.connect(self.url, **(self.arguments | more))


@pytest.fixture(scope="module", params=CASES, ids=str)
def peer(request: pytest.FixtureRequest, peer_certificates: peers.Certificates) -> Iterator[Peer]:
    case: Case = request.param
    reason = peers.missing(case.kind)
    if reason is not None:
        unavailable(reason)
    options = peers.PeerOptions(
        minimum_version=case.version,
        maximum_version=case.version,
        require_session_reuse=case.demands_reuse,
        require_protected_data=True,
    )
    server = peers.start(case.kind, peer_certificates, options)
    try:
        yield Peer(case, server)
    finally:
        server.stop()


@pytest.fixture
def folder(peer: Peer) -> str:
    """A new directory of the test's own on the server."""
    name = f"t{secrets.token_hex(4)}"
    with peer.connect() as client:
        client.mkdir(f"/{name}")
    return f"/{name}"


def content(size: int, seed: int = 4217) -> bytes:
    return random.Random(seed).randbytes(size)


def on_disk(peer: Peer, path: str) -> Path:
    return peer.server.root / path.lstrip("/")


def put_there(peer: Peer, path: str, data: bytes) -> None:
    """Put a file on the server past FTP, readable for whatever user it works under."""
    target = on_disk(peer, path)
    target.write_bytes(data)
    target.chmod(0o666)


@pytest.mark.requirement("R4217-10.2-h", "R4217-12.6-b")
def test_files_of_many_sizes_go_up_and_come_down(peer, folder, tmp_path):
    with peer.connect() as client:
        assert client.tls_version == f"TLSv{peer.case.version}"
        for size in (0, 1, 65_537, 3_000_001):
            (tmp_path / "local").write_bytes(content(size, size))
            assert client.upload(tmp_path / "local", f"{folder}/{size}").bytes_moved == size
            assert on_disk(peer, f"{folder}/{size}").read_bytes() == content(size, size)
            client.download(f"{folder}/{size}", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == content(size, size)


def test_names_are_listed_changed_and_removed(peer, folder, tmp_path):
    (tmp_path / "local").write_bytes(content(1234))
    with peer.connect() as client:
        client.upload(tmp_path / "local", f"{folder}/a name")
        client.mkdir(f"{folder}/sub")
        entries = {entry.name: entry for entry in client.list(folder)}
        assert set(entries) == {"a name", "sub"}
        assert (entries["a name"].kind, entries["a name"].size) == ("file", 1234)
        assert entries["sub"].is_dir
        client.rename(f"{folder}/a name", f"{folder}/sub/grüße")
        found = client.stat(f"{folder}/sub/grüße")
        assert (found.kind, found.size) == ("file", 1234)
        assert client.stat(f"{folder}/sub").is_dir
        client.remove(f"{folder}/sub/grüße")
        assert not client.exists(f"{folder}/sub/grüße")
        client.rmdir(f"{folder}/sub")
        assert client.list(folder) == []


def test_a_missing_file_is_told_and_the_session_goes_on(peer, folder, tmp_path):
    with peer.connect() as client:
        with pytest.raises(FileUnavailable):
            client.download(f"{folder}/none", tmp_path / "none")
        assert not (tmp_path / "none").exists()
        assert client.list(folder) == []


@pytest.mark.requirement("R4217-10.2-h", "R4217-18-a")
def test_fifty_files_go_over_one_session(peer, folder, tmp_path):
    with peer.connect() as client:
        for number in range(25):
            (tmp_path / "local").write_bytes(content(number * 997, number))
            client.upload(tmp_path / "local", f"{folder}/{number}")
            client.download(f"{folder}/{number}", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == content(number * 997, number)
        assert len(client.list(folder)) == 25


@pytest.mark.requirement("R4217-7-c")
def test_active_mode_moves_files_both_ways(peer, folder, tmp_path):
    if peer.case.kind in peers.WITHOUT_ACTIVE:
        pytest.skip(f"{peer.case.kind} has neither PORT nor EPRT")
    (tmp_path / "local").write_bytes(content(300_000))
    with peer.connect(active=True) as client:
        client.upload(tmp_path / "local", f"{folder}/active")
        client.download(f"{folder}/active", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content(300_000)


def test_a_cut_download_is_resumed(peer, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lockgate.client.progress._INTERVAL_SECONDS", 0.0)  # told of each piece: no race
    data = content(8_000_000)
    put_there(peer, f"{folder}/big", data)
    client = peer.connect()

    def cut(progress: lockgate.Progress) -> None:
        if progress.done > 1_000_000:
            client.abort()

    with client, pytest.raises(TransferError):
        client.download(f"{folder}/big", tmp_path / "big", resume=True, progress=cut)
    assert not (tmp_path / "big").exists()
    with peer.connect() as again:
        report = again.download(f"{folder}/big", tmp_path / "big", resume=True)
    assert (tmp_path / "big").read_bytes() == data
    # A server that tells neither size nor time cannot say that the file is still the same: all of it again.
    assert (0 < report.bytes_moved < len(data)) == (peer.case.kind not in peers.WITHOUT_SIZE)


def test_the_asyncio_client_does_the_same(peer, folder, tmp_path):
    data = content(700_000)
    (tmp_path / "local").write_bytes(data)

    async def session() -> list[str]:
        async with lockgate.aio.connect(peer.url, **peer.arguments) as client:
            await client.mkdir(f"{folder}/sub")
            for number in range(5):
                await client.upload(tmp_path / "local", f"{folder}/sub/{number}")
            await client.download(f"{folder}/sub/3", tmp_path / "back")
            await client.rename(f"{folder}/sub/3", f"{folder}/sub/moved")
            await client.remove(f"{folder}/sub/4")
            assert (await client.stat(f"{folder}/sub/moved")).size == len(data)
            return [entry.name for entry in await client.list(f"{folder}/sub")]

    assert sorted(asyncio.run(session())) == ["0", "1", "2", "moved"]
    assert (tmp_path / "back").read_bytes() == data


@pytest.fixture
def command_line(peer: Peer, tmp_path: Path) -> Callable[..., Run]:
    """Run `lockgate` against the peer."""

    def call(*words: str | Path) -> Run:
        program = [sys.executable, "-c", "from lockgate.cli.main import main; raise SystemExit(main())"]
        variables = {"LOCKGATE_PASSWORD": peer.server.password}
        command = [*program, words[0], "--ca", peer.server.ca_file, *words[1:]]
        return run(command, home=tmp_path, environment=variables)

    return call


def test_the_command_line_puts_lists_and_gets_a_tree(peer, folder, command_line, tmp_path):
    files = {"a file": content(100_000, 1), "sub/empty": b"", "sub/grüße": content(1_000_000, 2)}
    tree = tmp_path / "tree"
    for name, data in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    command_line("put", "-r", tree, f"{peer.url}{folder}/tree").ok()
    assert "a file" in command_line("ls", f"{peer.url}{folder}/tree").ok().text
    command_line("get", "-r", f"{peer.url}{folder}/tree", tmp_path / "copy").ok()
    found = (path for path in (tmp_path / "copy").rglob("*") if path.is_file())
    assert {path.relative_to(tmp_path / "copy").as_posix(): path.read_bytes() for path in found} == files
