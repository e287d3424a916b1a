"""PBSZ and PROT on a live server: order, arguments, what a level means on the wire, when it is judged."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient, read_all
from tls_bytes import enter, silence

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

DATA_COMMANDS = ["LIST", "NLST", "MLSD", "RETR kept.bin", "STOR kept.bin", "APPE kept.bin", "STOU"]


@pytest.fixture
def choice(start: Start) -> LiveServer:
    """A server where the client chooses the level."""
    return start(policy='data = "optional"')


def ready(client: RawClient) -> RawClient:
    """AUTH, login and PBSZ 0, but no PROT."""
    client.auth()
    enter(client).expect("PBSZ 0", 200)
    return client


@pytest.mark.requirement("R4217-9-c", "R4217-9-b", side="S")
def test_pbsz_and_prot_need_tls_first(server: LiveServer, connect: Connect) -> None:
    client = connect(server)
    client.expect("PBSZ 0", 503)
    client.expect("PROT P", 503)
    client.auth()
    # What was refused in clear has left nothing behind.
    client.expect("PROT P", 503)


@pytest.mark.requirement("R4217-9-b", "R2228-3-d", side="S")
@pytest.mark.parametrize("level", ["P", "C", "S", "E", "X"])
def test_prot_needs_pbsz_first(server: LiveServer, connect: Connect, level: str) -> None:
    client = connect(server)
    client.auth()
    client.expect(f"PROT {level}", 503)
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 200)


@pytest.mark.requirement("R4217-9-g", "RD97-B-a", "R2228-3-c", "R003-3.3-a", side="S")
@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("0", 200),
        ("1", 200),
        ("16384", 200),
        ("4294967295", 200),
        ("00", 200),
        ("4294967296", 501),
        ("99999999999999999999", 501),
        ("-1", 501),
        ("+0", 501),
        ("0x10", 501),
        ("1.5", 501),
        ("zero", 501),
        ("0 0", 501),
        ("٣", 501),
        ("", 501),
    ],
)
def test_pbsz_takes_numbers_of_32_bits_and_answers_0(
    server: LiveServer, connect: Connect, argument: str, code: int
) -> None:
    client = connect(server)
    client.auth()
    reply = client.expect(f"PBSZ {argument}", code)
    if code == 200:
        assert "PBSZ=0" in reply
    client.expect("PROT P", 200 if code == 200 else 503)


@pytest.mark.requirement("R4217-9-d", "R2228-3-d", "RD97-B-b", "R959-4-d", side="S")
@pytest.mark.parametrize(
    ("argument", "code"),
    [
        *[("P", 200), ("p", 200), ("C", 200), ("c", 200)],
        *[("S", 536), ("E", 536), ("e", 536), ("X", 504), ("PP", 504), ("P C", 504), ("", 501)],
    ],
)
def test_prot_takes_c_and_p(choice: LiveServer, connect: Connect, argument: str, code: int) -> None:
    client = ready(connect(choice))
    client.expect(f"PROT {argument}", code)
    client.download("NLST", protect=argument.upper() == "P")


@pytest.mark.requirement("R4217-9-i", side="S")
@pytest.mark.parametrize("level", ["P", "C"])
def test_a_refused_prot_leaves_the_level(choice: LiveServer, connect: Connect, level: str) -> None:
    client = ready(connect(choice))
    client.expect(f"PROT {level}", 200)
    for refused in ("PROT S", "PROT E", "PROT X", "PROT", "PBSZ junk"):
        assert client.command(refused).code >= 500
        client.download("NLST", protect=level == "P")


@pytest.mark.requirement("R4217-9-a", "R4217-9-e", "R4217-9-f", "R4217-8-b", "RD97-6-c", side="S")
def test_the_level_holds_for_all_transfers_until_the_next_prot(choice: LiveServer, connect: Connect) -> None:
    client = ready(connect(choice))
    client.expect("TYPE I", 200)
    content = os.urandom(100_000)
    for turn, level in enumerate("CPPCPC"):
        client.expect(f"PROT {level}", 200)
        protect = level == "P"
        for _ in range(2):
            assert client.upload(f"STOR {turn}.bin", content, protect=protect).code == 226
            assert client.download(f"RETR {turn}.bin", protect=protect) == content


@pytest.mark.requirement("R4217-9-e", side="S")
def test_at_level_c_the_data_is_plain_on_the_wire(choice: LiveServer, connect: Connect) -> None:
    client = ready(connect(choice))
    client.expect("PROT C", 200)
    (choice.root / "plain.txt").write_bytes(b"to be read by all")
    assert client.download("RETR plain.txt", protect=False) == b"to be read by all"


@pytest.mark.requirement("R4217-9-f", "R003-2.3-a", side="S")
def test_at_level_p_the_server_sends_nothing_before_the_handshake_and_nothing_in_clear(
    choice: LiveServer, connect: Connect
) -> None:
    client = ready(connect(choice))
    client.expect("PROT P", 200)
    (choice.root / "secret.txt").write_bytes(b"not to be read by all")
    data = client.passive()
    client.expect("RETR secret.txt", 150)
    assert silence(data)
    data.sendall(b"\r\n")  # no hello: the handshake fails, and no byte of the file has passed
    assert client.read().code == 522
    with contextlib.suppress(ConnectionResetError):  # what we sent was not read
        assert b"read" not in read_all(data)


@pytest.mark.requirement("R4217-8-b", "R4217-10.2-b", side="S")
@pytest.mark.parametrize("level", ["P", "C"])
def test_prot_may_come_between_pasv_and_the_transfer(
    choice: LiveServer, connect: Connect, level: str
) -> None:
    client = ready(connect(choice))
    client.expect("PROT C" if level == "P" else "PROT P", 200)
    port = client.passive_port()
    client.expect(f"PROT {level}", 200)
    data = client.connect_data(port)
    client.expect("NLST", 150)
    if level == "P":
        data = client.protect_data(data)
    read_all(data)
    data.close()
    assert client.read().code == 226


@pytest.mark.requirement("R4217-10.2-b", side="S")
def test_prot_after_the_data_connection_stands_still_counts(choice: LiveServer, connect: Connect) -> None:
    client = ready(connect(choice))
    data = client.passive()
    client.expect("PROT P", 200)
    client.expect("NLST", 150)
    data = client.protect_data(data)
    read_all(data)
    data.close()
    assert client.read().code == 226


@pytest.mark.requirement("R4217-10.2-b", "R4217-10.2-e", side="S")
def test_a_handshake_begun_under_p_does_not_serve_a_transfer_at_c(
    choice: LiveServer, connect: Connect
) -> None:
    client = ready(connect(choice))
    client.expect("PROT P", 200)
    data = client.protect_data(client.passive())
    client.expect("PROT C", 200)
    client.expect("NLST", 150)
    assert client.read().code == 425
    data.close()
    client.download("NLST", protect=False)


@pytest.mark.requirement("R4217-10.2-b", "R4217-10.2-c", "R4217-11-a+", side="S")
@pytest.mark.parametrize("command", DATA_COMMANDS)
@pytest.mark.parametrize("level", [None, "C"])
def test_a_level_too_low_is_521_at_the_transfer_command(
    start: Start, connect: Connect, command: str, level: str | None
) -> None:
    # The account demands what the listener leaves open, so that PROT C can be said before the login.
    server = start(policy='data = "optional"', account='data = "required"')
    (server.root / "kept.bin").write_bytes(b"kept")
    client = connect(server)
    client.auth()
    if level:
        client.expect("PBSZ 0", 200)
        client.expect("PROT C", 200)
    enter(client)
    data = client.passive()  # PASV and EPSV are not where the level is judged
    client.expect(command, 521)
    assert (server.root / "kept.bin").read_bytes() == b"kept"
    assert [entry.name for entry in server.root.iterdir()] == ["kept.bin"]
    # The endpoint is still there for the same command at the right level.
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 200)
    client.expect("NLST", 150)
    data = client.protect_data(data)
    assert read_all(data) == b"kept.bin\r\n"
    data.close()
    assert client.read().code == 226


@pytest.mark.requirement("R4217-10.2-d", side="S")
def test_the_150_does_not_wait_for_the_data_handshake(server: LiveServer, connect: Connect) -> None:
    client = connect(server).log_in()
    data = client.passive()
    client.expect("NLST", 150)  # no byte has gone over the data connection
    data = client.protect_data(data)
    read_all(data)
    data.close()
    assert client.read().code == 226


@pytest.mark.requirement("R4217-12.1-a", side="S")
@pytest.mark.parametrize("login_first", [True, False])
def test_pbsz_and_prot_may_come_before_or_after_the_login(
    server: LiveServer, connect: Connect, login_first: bool
) -> None:
    client = connect(server)
    client.auth()
    if login_first:
        enter(client)
    client.expect("PBSZ 0", 200)
    client.expect("PROT P", 200)
    if not login_first:
        enter(client)
    client.download("NLST")


@pytest.mark.requirement("R4217-15.1-b", "R4217-15.1-a", side="S")
def test_data_and_control_show_the_same_certificate_with_the_host_in_it(
    server: LiveServer, connect: Connect
) -> None:
    client = connect(server).log_in()  # its context verifies the name "localhost"
    assert isinstance(client.sock, ssl.SSLSocket)
    expected = client.sock.getpeercert(binary_form=True)
    names = client.sock.getpeercert()["subjectAltName"]  # type: ignore[index]
    assert ("DNS", "localhost") in names
    assert ("IP Address", "127.0.0.1") in names
    sock = client.passive()
    client.expect("NLST", 150)
    data = client.protect_data(sock, reuse=False)
    assert data.getpeercert(binary_form=True) == expected
    read_all(data)
    data.close()
    assert client.read().code == 226
