"""The server on IPv6: explicit and implicit TLS, passive and active."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from live_server import LiveServer, live_server
from raw_client import RawClient, read_all

Connect = Callable[..., RawClient]
CONTENT = bytes(range(256)) * 500


def has_ipv6() -> bool:
    """True where this machine's loopback speaks IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 on its loopback")


@pytest.fixture(scope="module")
def server6(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server on ::1."""
    with live_server(tmp_path_factory.mktemp("server6"), host="::1") as running:
        yield running


@pytest.mark.requirement("R2428-c", "R3659-5-a", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("line", ["EPSV", "EPSV 2"])
def test_epsv_works_on_ipv6(server6: LiveServer, connect: Connect, implicit: bool, line: str) -> None:
    client = connect(server6, implicit=implicit).log_in()
    assert client.upload("STOR six.bin", CONTENT).code == 226
    assert client.download("RETR six.bin") == CONTENT
    client.expect(line, 229)


@pytest.mark.requirement("R2428-c", side="S")
def test_pasv_and_epsv_1_are_refused_on_ipv6(server6: LiveServer, connect: Connect) -> None:
    client = connect(server6).log_in()
    client.expect("PASV", 500, 501, 502, 504, 522, 425)
    assert "(2)" in client.expect("EPSV 1", 522)
    client.expect("EPSV ALL", 200)
    client.expect("EPSV", 229)


@pytest.mark.requirement("R2428-a", "R4217-7-a", side="S")
@pytest.mark.parametrize("address", ["::1", "0:0:0:0:0:0:0:1", "::"])
def test_eprt_works_on_ipv6(server6: LiveServer, connect: Connect, address: str) -> None:
    (server6.root / "active6.bin").write_bytes(CONTENT)
    client = connect(server6).log_in()
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        listener.settimeout(15)
        client.expect(f"EPRT |2|{address}|{listener.getsockname()[1]}|", 200)
        client.expect("RETR active6.bin", 150)
        with client.protect_data(listener.accept()[0]) as data:
            assert read_all(data) == CONTENT
            data.unwrap()
    assert client.read().code == 226


@pytest.mark.requirement("R2577-2-a", "R2577-2-b", "R2428-a", side="S")
@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("EPRT |2|2001:db8::1|51400|", {500, 501, 504}),
        ("EPRT |2|::1|21|", {504}),
        ("EPRT |1|127.0.0.1|51400|", {522}),
        ("EPRT |2|::ffff:127.0.0.1|51400|", {500, 501, 504, 522}),
        ("PORT 127,0,0,1,200,200", {500, 501, 502, 504, 522}),
        ("PORT 0,0,0,0,200,200", {500, 501, 502, 504, 522}),
    ],
)
def test_other_addresses_are_refused_on_ipv6(
    server6: LiveServer, connect: Connect, line: str, codes: set[int]
) -> None:
    client = connect(server6).log_in()
    client.expect(line, *codes)
    client.expect("NLST", 425)
