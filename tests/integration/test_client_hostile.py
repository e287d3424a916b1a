"""The client against a server that cheats, hangs or goes: typed errors, nothing in clear, no half files."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hostile_server import CONTENT, Gone, HostileServer, hostile_server, server_context

import lockgate
from lockgate.errors import (
    CannotOpenData,
    CertificateMismatch,
    CertificateRejected,
    ConnectionLost,
    DataTlsRefused,
    FileUnavailable,
    HandshakeFailed,
    LockgateError,
    NameRejected,
    ProtectionRefused,
    RemoteProtocolError,
    ServiceNotAvailable,
    SessionReuseRequired,
    TransferTimeout,
    TruncatedTransfer,
)
from lockgate.tls.devcert import CertificateAuthority

PASSWORD = "correct-horse"
Call = tuple[Any, ...]
Run = Callable[..., list[Any]]


def run_blocking(server: HostileServer, calls: list[Call], **arguments: Any) -> list[Any]:
    with lockgate.connect("localhost", **arguments) as ftp:
        return [getattr(ftp, name)(*values) for name, *values in calls]


def run_on_asyncio(server: HostileServer, calls: list[Call], **arguments: Any) -> list[Any]:
    async def main() -> list[Any]:
        async with lockgate.aio.connect("localhost", **arguments) as ftp:
            return [await getattr(ftp, name)(*values) for name, *values in calls]

    return asyncio.run(main())


@pytest.fixture(params=[run_blocking, run_on_asyncio], ids=["blocking", "asyncio"])
def run(request: pytest.FixtureRequest, certificates: Path) -> Run:
    """Connect with one of the two drivers, make calls, and return their results."""

    def call(server: HostileServer, *calls: Call, **arguments: Any) -> list[Any]:
        arguments.setdefault("timeout", 20)
        arguments.setdefault("ca", certificates / "ca.pem")
        arguments.setdefault("tls", "implicit" if server.implicit else "explicit")
        return request.param(
            server, list(calls), user="alice", password=PASSWORD, port=server.port, **arguments
        )

    return call


@pytest.fixture
def blocking_client(certificates: Path) -> Callable[[HostileServer], lockgate.Client]:
    """Connect the blocking client and keep it, to go on after a failure."""

    def connect_one(server: HostileServer) -> lockgate.Client:
        return lockgate.connect(
            "localhost",
            port=server.port,
            user="alice",
            password=PASSWORD,
            ca=certificates / "ca.pem",
            timeout=20,
        )

    return connect_one


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a certificate for localhost, another one for localhost, and one for another name."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = CertificateAuthority()
    authority.write(folder)
    authority.issue_server().write(folder, "server")
    authority.issue_server().write(folder, "second")
    authority.issue_server(["other.example"]).write(folder, "other")
    CertificateAuthority("Unknown CA").issue_server().write(folder, "unknown")
    return folder


@pytest.fixture
def start(certificates: Path, tls_version: str) -> Iterator[Callable[..., HostileServer]]:
    """Start a server that behaves until it is told otherwise."""
    with ExitStack() as stack:

        def start_one(name: str = "server", *, data: str = "", implicit: bool = False) -> HostileServer:
            def context(stem: str) -> Any:
                return server_context(
                    certificates / f"{stem}.pem", certificates / f"{stem}.key", version=tls_version
                )

            data_context = context(data) if data else None
            return stack.enter_context(
                hostile_server(context(name), data_context=data_context, implicit=implicit)
            )

        yield start_one


def assert_nothing_secret(server: HostileServer) -> None:
    said = " ".join(server.clear_lines)
    assert PASSWORD not in said
    assert "USER" not in said
    assert "alice" not in said


# --- it behaves ---


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.requirement("R4217-10.2-h", "RTLS-a", "R003-2.3-a", "R4217-14-c", "R4217-12.6-b")
def test_files_go_there_and_back_with_the_session_resumed(start, run, tmp_path, implicit):
    server = start(implicit=implicit)
    (tmp_path / "up").write_bytes(b"abc" * 100_000)
    calls = [("upload", tmp_path / "up", "/up"), ("download", "/a", tmp_path / "a"), ("list", "/")] * 3
    run(server, *calls)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.uploads == [(b"abc" * 100_000, True)] * 3
    assert server.resumed == [True] * 9
    assert server.clear_lines == ([] if implicit else ["AUTH TLS"])
    assert server.tls_lines[-1] == "QUIT"


@pytest.mark.requirement("R4217-10.2-h")
def test_the_session_is_not_offered_where_the_user_says_so(start, run, tmp_path):
    server = start()
    run(server, ("list", "/"), offer_session=False)
    assert server.resumed == [False]


@pytest.mark.requirement("R4217-7-c", "R1579-a")
def test_in_active_mode_the_client_is_the_tls_client_too(start, run, tmp_path):
    server = start()
    run(server, ("download", "/a", tmp_path / "a"), active=True)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert any(line.startswith("PORT 127,0,0,1,") for line in server.tls_lines)


@pytest.mark.requirement("R4217-5-h")
def test_after_ccc_commands_are_in_clear_and_data_is_not(start, run, tmp_path):
    server = start()
    _, _, report = run(server, ("ccc",), ("noop",), ("download", "/a", tmp_path / "a"))
    assert report.is_end_verified
    assert report.session_reused
    assert server.clear_lines[:2] == ["AUTH TLS", "NOOP"]
    assert server.resumed == [True]


@pytest.mark.requirement("R4217-5-h")
def test_a_server_that_says_no_close_notify_after_ccc_is_borne_with(start, run, monkeypatch):
    server = start()

    def ccc(session, argument):
        session.send("200 Clear")
        # Reads the client's close_notify away, and answers none.
        session.in_tls = False
        session.sock = socket.socket(fileno=session.sock.detach())
        session.open.append(session.sock)
        session.sock.settimeout(20)
        session.sock.recv(4096)

    server.on["CCC"] = ccc
    monkeypatch.setattr("lockgate.client.line._STOP_TLS_SECONDS", 0.05)
    monkeypatch.setattr("lockgate.client.asynchronous._STOP_TLS_SECONDS", 0.05)
    run(server, ("ccc",), ("noop",))
    assert "NOOP" in server.clear_lines


@pytest.mark.requirement("R4217-13-e")
def test_after_rein_the_session_can_be_secured_again(start, run, tmp_path):
    server = start()
    run(server, ("rein",), ("auth",), ("login",), ("protect",), ("download", "/a", tmp_path / "a"))
    assert server.clear_lines == ["AUTH TLS", "AUTH TLS"]
    assert (tmp_path / "a").read_bytes() == CONTENT


# --- it cheats ---


@pytest.mark.requirement("RTLS-l")
def test_replies_injected_behind_234_are_noticed(start, run):
    server = start()

    def auth(session, argument):
        session.send_bytes(b"234 Go\r\n230 You are in\r\n")
        session.start_tls()

    server.on["AUTH"] = auth
    with pytest.raises((RemoteProtocolError, HandshakeFailed)):
        run(server)
    assert_nothing_secret(server)


@pytest.mark.requirement("R4217-4.2-h", "R4217-10.3-d", "RSEC-C-pass")
def test_a_334_is_no_success(start, run):
    server = start()
    server.on["AUTH"] = lambda session, argument: session.send("334 ADAT=")
    with pytest.raises(ProtectionRefused):
        run(server)
    assert server.clear_lines == ["AUTH TLS", "QUIT"]


@pytest.mark.parametrize("name", ["other", "unknown"])
@pytest.mark.requirement("R4217-15.1-e", "RTLS-n", "R003-4-a", "R4217-10.3-f")
def test_a_certificate_that_does_not_verify_stops_before_user(start, run, name):
    server = start(name)
    with pytest.raises(CertificateRejected):
        run(server)
    assert_nothing_secret(server)
    assert server.tls_lines == []


@pytest.mark.requirement("R4217-10.3-e", "RTLS-n")
def test_a_certificate_that_is_not_the_pinned_one_gets_quit_inside_tls(start, run):
    server = start()
    with pytest.raises(CertificateRejected):
        run(server, ca=None, pin="00" * 32)
    assert server.clear_lines == ["AUTH TLS"]
    assert server.tls_lines == ["QUIT"]


@pytest.mark.requirement("R4217-9-k")
def test_a_refused_prot_p_transfers_nothing(start, run, tmp_path):
    server = start()
    server.on["PROT"] = lambda session, argument: session.send("534 No")
    with pytest.raises(ProtectionRefused):
        run(server, ("download", "/a", tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []
    assert not any(line.startswith("PASS") for line in server.tls_lines)


@pytest.mark.requirement("R4217-15.1-f")
def test_another_certificate_on_data_is_noticed(start, run, tmp_path):
    server = start(data="second")
    (tmp_path / "up").write_bytes(b"secret content")
    with pytest.raises(CertificateMismatch):
        run(server, ("upload", tmp_path / "up", "/up"))
    assert all(content == b"" for content, _ in server.uploads)


@pytest.mark.requirement("RTLS-m", "R4217-12.6-b", "R959-C-b")
def test_a_download_that_is_cut_is_an_error_though_226_follows(start, run, tmp_path):
    server = start()
    server.content = b"x" * 100_000

    def cut(session, argument):
        session.data.sendall(b"x" * 50_000)
        session.end_data(in_order=False)
        session.send("226 Done")

    server.on["DATA"] = cut
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TruncatedTransfer):
        run(server, ("download", "/a", tmp_path / "a"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_the_connection_is_in_step_after_a_cut_download(start, blocking_client, tmp_path):
    server = start()

    def cut(session, argument):
        session.end_data(in_order=False)
        session.send("226 Done")
        del server.on["DATA"]

    server.on["DATA"] = cut
    with blocking_client(server) as ftp:
        with pytest.raises(TruncatedTransfer):
            ftp.download("/a", tmp_path / "a")
        ftp.download("/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.requirement("RTLS-m")
def test_a_listing_that_is_cut_is_an_error(start, run):
    server = start()

    def cut(session, argument):
        session.data.sendall(b"type=file; a\r\n")
        session.end_data(in_order=False)
        session.send("226 Done")

    server.on["DATA"] = cut
    with pytest.raises(TruncatedTransfer):
        run(server, ("list", "/"))


def test_less_than_size_said_is_an_error(start, run, tmp_path):
    server = start()
    server.on["SIZE"] = lambda session, argument: session.send("213 6")
    with pytest.raises(TruncatedTransfer):
        run(server, ("download", "/a", tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("RSEC-C-pasv")
def test_the_address_in_227_is_not_used(start, run, tmp_path):
    server = start()
    server.on["EPSV"] = lambda session, argument: session.send("500 What")
    run(server, ("download", "/a", tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "sub/../../evil", "..", "."])
@pytest.mark.requirement("RSEC-C-path")
def test_names_from_a_listing_write_nothing_outside_the_folder(start, run, tmp_path, name):
    server = start()
    server.listing = f"type=file;size=5; {name}\r\ntype=file;size=5; fine\r\n"
    local = tmp_path / "deep" / "local"
    with suppress(NameRejected, LockgateError):
        run(server, ("download_tree", "/in", local))
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert names <= {"deep", "deep/local", "deep/local/fine"}


@pytest.mark.requirement("RSEC-C-path")
def test_a_name_that_leads_out_is_an_error_of_its_own(start, run):
    server = start()
    server.listing = "type=file;size=5; ../evil\r\n"
    with pytest.raises(NameRejected):
        run(server, ("list", "/in"))


def test_an_endless_reply_is_given_up(start, run):
    server = start()

    def endless(session, argument):
        while True:
            session.send_bytes(b"200-more and more\r\n" * 1000)

    server.on["NOOP"] = endless
    with pytest.raises(RemoteProtocolError):
        run(server, ("noop",))


@pytest.mark.requirement("R959-C-e")
def test_an_endless_line_is_given_up(start, run):
    server = start()

    def endless(session, argument):
        while True:
            session.send_bytes(b"x" * 10_000)

    server.on["NOOP"] = endless
    with pytest.raises(RemoteProtocolError):
        run(server, ("noop",))


def test_preliminary_replies_without_end_are_given_up(start, run, tmp_path):
    server = start()

    def endless(session, argument):
        while True:
            session.send("150 soon")

    server.on["RETR"] = endless
    with pytest.raises(LockgateError):
        run(server, ("download", "/a", tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []


# --- it refuses, promptly noticed though a handshake waits ---


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("550 No such file", FileUnavailable),
        ("425 No data", CannotOpenData),
        ("522 TLS failed", DataTlsRefused),
        ("522 SSL connection failed; session reuse required", SessionReuseRequired),
        ("421 Going", ServiceNotAvailable),
    ],
)
@pytest.mark.requirement("R4217-10.4-c")
def test_a_refusal_is_noticed_while_the_data_handshake_waits(start, run, tmp_path, reply, error):
    server = start()
    # The data port stays open and silent: only the control connection tells.
    server.on["RETR"] = lambda session, argument: session.send(reply)
    began = time.monotonic()
    with pytest.raises(error):
        run(server, ("download", "/a", tmp_path / "a"))
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("R4217-10.4-c")
def test_a_522_after_the_handshake_began_is_the_error_and_the_session_goes_on(
    start, blocking_client, tmp_path
):
    server = start()

    def refuse(session, argument):
        session.send("150 Here")
        session.listener.accept()[0].close()
        session.send("522 not acceptable")

    server.on["RETR"] = refuse
    with blocking_client(server) as ftp:
        with pytest.raises(DataTlsRefused):
            ftp.download("/a", tmp_path / "a")
        ftp.noop()
        assert ftp.is_usable


def test_a_226_that_comes_before_the_data_ends_counts(start, run, tmp_path):
    server = start()

    def early(session, argument):
        session.send("226 Done")
        session.data.sendall(server.content)
        session.end_data()

    server.on["DATA"] = early
    run(server, ("download", "/a", tmp_path / "a"), ("noop",))
    assert (tmp_path / "a").read_bytes() == CONTENT


# --- it hangs or goes, at each step ---

STEPS = [
    "CONNECT",
    "GREETING",
    "AUTH",
    "HANDSHAKE",
    "PBSZ",
    "PROT",
    "USER",
    "PASS",
    "FEAT",
    "TYPE",
    "SIZE",
    "EPSV",
    "RETR",
    "DATA HANDSHAKE",
    "DATA",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.requirement("R959-C-e")
def test_a_server_that_hangs_is_given_up_in_time(start, run, tmp_path, step):
    server = start()
    server.on[step] = server.hang
    began = time.monotonic()
    with pytest.raises((TransferTimeout, HandshakeFailed)):
        run(server, ("download", "/a", tmp_path / "a"), timeout=0.3)
    assert time.monotonic() - began < 8
    assert list(tmp_path.iterdir()) == []
    assert_nothing_secret(server)


@pytest.mark.parametrize("step", [*STEPS, "AFTER DATA"])
@pytest.mark.requirement("R959-C-b")
def test_a_server_that_goes_is_noticed_at_once(start, run, tmp_path, step):
    server = start()

    def after_data(session, argument):
        session.data.sendall(server.content)
        session.end_data()
        raise Gone

    server.on["DATA" if step == "AFTER DATA" else step] = after_data if step == "AFTER DATA" else server.close
    began = time.monotonic()
    with pytest.raises((ConnectionLost, HandshakeFailed, TruncatedTransfer)):
        run(server, ("download", "/a", tmp_path / "a"))
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []
    assert_nothing_secret(server)


def test_an_upload_that_is_cut_by_the_server_is_an_error(start, run, tmp_path):
    server = start()
    (tmp_path / "up").write_bytes(b"x" * 3_000_000)

    def cut(session, argument):
        session.send("150 Here")
        session.open_data().recv(10)
        session.end_data(in_order=False)
        session.send("452 Full")

    server.on["STOR"] = cut
    with pytest.raises(LockgateError):
        run(server, ("upload", tmp_path / "up", "/up"))


def test_a_timeout_makes_the_connection_unusable_and_connect_makes_a_new_one(start, run, tmp_path):
    server = start()
    server.on["NOOP"] = server.hang
    ca = next(cell.cell_contents for cell in run.__closure__ if isinstance(cell.cell_contents, Path))
    ftp = lockgate.connect(
        "localhost", port=server.port, user="alice", password=PASSWORD, ca=ca / "ca.pem", timeout=0.5
    )
    with ftp:
        with pytest.raises(TransferTimeout):
            ftp.noop()
        assert not ftp.is_usable
        with pytest.raises(ConnectionLost):
            ftp.pwd()
        ftp.connect()
        assert ftp.pwd() == "/"
