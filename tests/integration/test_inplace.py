"""`uploads = "in-place"` on a live server: what shows when, what stays, who waits for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from endings import cut, hidden_files, reset
from live_server import LiveServer, live_server
from raw_client import RawClient
from waiting import until

Connect = Callable[..., RawClient]
# The server writes pieces of this size, or what has come when a quarter of a second has passed.
PIECE = bytes(range(256)) * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that writes uploads under their own names."""
    with live_server(tmp_path_factory.mktemp("in-place"), files='uploads = "in-place"\nfsync = true') as one:
        yield one


def test_what_has_come_can_be_read_and_the_end_is_verified(server: LiveServer, connect: Connect) -> None:
    path = server.root / "tail.log"
    path.unlink(missing_ok=True)
    client, reader = connect(server).log_in(), connect(server).log_in()
    data = client.passive()
    client.expect("STOR tail.log", 150)
    protected = client.protect_data(data)
    protected.sendall(PIECE)
    until(lambda: path.read_bytes() == PIECE)
    assert reader.download("RETR tail.log") == PIECE
    assert reader.expect("SIZE tail.log", 213) == f"213 {len(PIECE)}"
    protected.sendall(b"+rest")
    protected.unwrap().close()
    assert client.read().code == 226
    assert (path.read_bytes(), hidden_files(server.root)) == (PIECE + b"+rest", [])


@pytest.mark.parametrize("ending", ["cut", "reset", "ABOR"])
@pytest.mark.parametrize(
    ("before", "line", "left"),
    [
        (None, "STOR part.bin", PIECE),
        (b"old and long", "STOR part.bin", PIECE),
        (b"old", "APPE part.bin", b"old" + PIECE),
    ],
)
def test_an_upload_that_is_cut_is_426_and_leaves_what_came(
    server: LiveServer, connect: Connect, ending: str, before: bytes | None, line: str, left: bytes
) -> None:
    path = server.root / "part.bin"
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)
    client = connect(server).log_in()
    data = client.passive()
    client.expect(line, 150)
    protected = client.protect_data(data)
    protected.sendall(PIECE)
    until(lambda: path.read_bytes() == left)
    if ending == "ABOR":
        client.expect("ABOR", 426)
        assert client.read().code == 226
    else:
        (cut if ending == "cut" else reset)(protected)
        assert client.read().code == 426
    assert (path.read_bytes(), hidden_files(server.root)) == (left, [])
    size = len(left)
    assert client.expect("SIZE part.bin", 213) == f"213 {size}"
    client.expect(f"REST {size}", 350)
    assert client.upload("STOR part.bin", b"+rest").code == 226
    assert path.read_bytes() == left + b"+rest"


@pytest.mark.parametrize("name", ["there.bin", "new.bin"])
def test_a_data_connection_that_never_comes_leaves_no_trace(
    server: LiveServer, connect: Connect, name: str
) -> None:
    (server.root / "there.bin").write_bytes(b"old")
    (server.root / "new.bin").unlink(missing_ok=True)
    client = connect(server).log_in()
    client.passive()
    client.expect(f"STOR {name}", 150)
    client.expect("ABOR", 426)
    assert client.read().code == 226
    assert (server.root / "there.bin").read_bytes() == b"old"
    assert not (server.root / "new.bin").exists()


def test_a_second_writer_is_refused_with_450(server: LiveServer, connect: Connect) -> None:
    (server.root / "busy.bin").write_bytes(b"old")
    first, second = connect(server).log_in(), connect(server).log_in()
    data = first.passive()
    first.expect("APPE busy.bin", 150)
    second.passive()
    for line in ("STOR busy.bin", "APPE busy.bin"):
        second.expect(line, 450)
    protected = first.protect_data(data)
    protected.sendall(b"+new")
    protected.unwrap().close()
    assert first.read().code == 226
    assert second.upload("APPE busy.bin", b"+again").code == 226
    assert (server.root / "busy.bin").read_bytes() == b"old+new+again"


def test_a_file_that_is_written_is_neither_removed_nor_renamed(server: LiveServer, connect: Connect) -> None:
    client, other = connect(server).log_in(), connect(server).log_in()
    data = client.passive()
    client.expect("STOR kept.bin", 150)
    other.expect("DELE kept.bin", 450)
    other.expect("RNFR kept.bin", 350)
    other.expect("RNTO elsewhere.bin", 450)
    protected = client.protect_data(data)
    protected.sendall(b"new")
    protected.unwrap().close()
    assert client.read().code == 226
    other.expect("DELE kept.bin", 250)


def test_a_directory_with_an_upload_under_way_stays(server: LiveServer, connect: Connect) -> None:
    client, other = connect(server).log_in(), connect(server).log_in()
    client.expect("MKD box", 257)
    data = client.passive()
    reply = client.expect("STOU box/report", 150)
    other.expect("RMD box", 550)
    protected = client.protect_data(data)
    protected.sendall(b"unique")
    protected.unwrap().close()
    assert client.read().code == 226
    name = reply.partition("FILE: ")[2]
    assert (server.root / "box" / name).read_bytes() == b"unique"
    client.expect(f"DELE box/{name}", 250)
    client.expect("RMD box", 250)
