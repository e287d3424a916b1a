"""Bytes on the wrong side of TLS's edge: what came in clear never runs inside TLS, nor the reverse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from live_server import LiveServer
from raw_client import RawClient, read_all
from tls_bytes import TlsBytes, enter, open_bytes

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]

INJECTED = [b"MKD injected\r\n", b"MKD injected", b"\r\n", b"\0", b"\xff\xf1", b"\n"]
NAMES = ["line", "half-a-line", "empty-line", "nul", "telnet-nop", "lf"]


@pytest.fixture
def clearing(start: Start) -> LiveServer:
    """A server where an injected command could do most: clear or protected, with CCC."""
    return start(policy='control = "optional"\ndata = "optional"\nclear_command_channel = "after-login"')


def clear_rest(client: RawClient) -> bytes:
    """Read the clear connection to its end."""
    try:
        return read_all(client.sock)
    except ConnectionResetError:
        return b""


@pytest.mark.requirement("RTLS-e", "R4217-10.1-b", "RD97-9-a", side="S")
@pytest.mark.parametrize("injected", INJECTED, ids=NAMES)
def test_clear_bytes_behind_auth_in_the_same_segment_end_the_session(
    clearing: LiveServer, connect: Connect, injected: bytes
) -> None:
    client = enter(connect(clearing))
    client.write(b"AUTH TLS\r\n" + injected)
    # TLS cannot be begun, so the refusal comes in clear (RFC 4217 §10.1).
    assert client.read().code == 421
    assert client.at_end()
    assert not (clearing.root / "injected").exists()


@pytest.mark.requirement("RTLS-e", "R4217-10.1-d", side="S")
@pytest.mark.parametrize("injected", [b"MKD injected\r\n", b"USER mallory\r\nPASS x\r\n", b"\r\n", b"\0"])
def test_clear_bytes_between_234_and_the_handshake_end_the_session(
    clearing: LiveServer, connect: Connect, injected: bytes
) -> None:
    client = enter(connect(clearing))
    client.expect("AUTH TLS", 234)
    tls = TlsBytes(client.sock, client.context)
    _, hello = tls.step()
    client.write(injected + hello)
    received = clear_rest(client)
    assert b"\r\n" not in received  # an alert at most
    assert not (clearing.root / "injected").exists()


@pytest.mark.requirement("RTLS-e", side="S")
def test_a_hello_in_the_same_segment_as_auth_ends_the_session(clearing: LiveServer, connect: Connect) -> None:
    # A client that does not wait for the 234 could not know whom it greets.
    client = connect(clearing)
    _, hello = TlsBytes(client.sock, client.context).step()
    client.write(b"AUTH TLS\r\n" + hello)
    assert client.read().code == 421
    assert client.at_end()


@pytest.mark.requirement("RTLS-e", side="S")
def test_a_command_split_around_auth_is_not_put_together(clearing: LiveServer, connect: Connect) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client)
    tls.sendall(b"MKD inj")
    client.expect("ected", 257)  # the halves of one line, both inside TLS, do belong together
    assert (clearing.root / "injected").is_dir()
    (clearing.root / "injected").rmdir()
    other = connect(clearing)
    other.write(b"NOOP\r\nAUTH TLS\r\nMKD inj")
    assert [other.read().code, other.read().code] == [200, 421]
    assert other.at_end()


@pytest.mark.requirement("RTLS-e", side="S")
def test_commands_pipelined_before_auth_are_answered_in_clear_and_count_no_more(
    clearing: LiveServer, connect: Connect
) -> None:
    client = connect(clearing)
    client.write(b"USER alice\r\nPASS correct horse\r\nCWD /\r\nAUTH TLS\r\n")
    assert [client.read().code for _ in range(4)] == [331, 230, 250, 234]
    client.start_tls()
    client.expect("PWD", 530)


@pytest.mark.requirement("RTLS-e", side="S")
@pytest.mark.parametrize("verb", ["CCC", "REIN"])
@pytest.mark.parametrize("same_record", [True, False], ids=["one-record", "two-records"])
def test_commands_inside_tls_behind_ccc_or_rein_end_the_session(
    clearing: LiveServer, connect: Connect, verb: str, same_record: bool
) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client)
    first, second = f"{verb}\r\n".encode(), b"MKD injected\r\n"
    tls.plain.sendall(tls.seal(first + second) if same_record else tls.seal(first) + tls.seal(second))
    assert client.read().code == 421  # inside TLS: it can still be read
    assert client.sock.recv(1) == b""
    assert not (clearing.root / "injected").exists()


@pytest.mark.requirement("RTLS-e", side="S")
@pytest.mark.parametrize("verb", ["CCC", "REIN"])
def test_a_command_inside_tls_after_the_last_reply_is_not_run(
    clearing: LiveServer, connect: Connect, verb: str
) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client)
    assert client.command(verb).code in (200, 220)
    late = tls.seal(b"MKD injected\r\n")
    tls.plain.sendall(late + tls.close_notify() + b"MKD injected\r\n")
    assert tls.recv(1) == b""
    client.sock = tls.plain
    assert b"\r\n" not in tls.rest() + clear_rest(client)
    assert not (clearing.root / "injected").exists()


@pytest.mark.requirement("RTLS-e", side="S")
@pytest.mark.parametrize("verb", ["CCC", "REIN"])
def test_clear_bytes_in_the_segment_of_ccc_or_rein_are_not_run(
    clearing: LiveServer, connect: Connect, verb: str
) -> None:
    # Nobody in the middle may speak before the client has ended TLS with its own close_notify.
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client)
    tls.plain.sendall(tls.seal(f"{verb}\r\n".encode()) + b"MKD injected\r\n")
    client.sock = tls.plain
    assert b"257 " not in clear_rest(client)
    assert not (clearing.root / "injected").exists()


@pytest.mark.requirement("RTLS-e", "RSEC-line-a", side="S")
def test_clear_bytes_in_the_midst_of_tls_break_the_session(clearing: LiveServer, connect: Connect) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client)
    tls.plain.sendall(b"MKD injected\r\n")
    client.sock = tls.plain
    assert b"257 " not in clear_rest(client)
    assert not (clearing.root / "injected").exists()


@pytest.mark.requirement("RTLS-e", side="S")
@pytest.mark.parametrize("verb", ["CCC", "REIN"])
def test_a_replayed_record_is_not_run_again(clearing: LiveServer, connect: Connect, verb: str) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client)
    record = tls.seal(b"MKD injected\r\n")
    tls.plain.sendall(record)
    assert client.read().code == 257
    (clearing.root / "injected").rmdir()
    tls.plain.sendall(record)
    client.sock = tls.plain
    clear_rest(client)
    assert not (clearing.root / "injected").exists()


@pytest.mark.requirement("RTLS-e", side="S")
def test_nothing_of_the_clear_session_leaks_behind_rein_and_a_second_auth(
    clearing: LiveServer, connect: Connect
) -> None:
    client = connect(clearing)
    tls = open_bytes(client)
    enter(client).expect("REIN", 220)
    # Clear bytes behind close_notify are the clear session's; AUTH among them may have none behind it.
    tls.plain.sendall(tls.close_notify() + b"NOOP\r\nAUTH TLS\r\nMKD injected\r\n")
    assert tls.recv(1) == b""
    client.sock = tls.plain
    client.unread(tls.rest())
    assert [client.read().code, client.read().code] == [200, 421]
    assert client.at_end()
