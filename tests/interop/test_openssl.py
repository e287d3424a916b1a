"""openssl s_client against our server: what a TLS handshake may and may not be."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer
from programs import Run, run

SClient = Callable[..., Run]


@pytest.fixture
def arguments(client_program: Callable[[str], str], server: LiveServer, mode: str) -> list[str]:
    """s_client as it connects to the shared server, certificate and name verified."""
    port = server.implicit_port if mode == "implicit" else server.port
    words = [client_program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}"]
    words += ["-CAfile", str(server.ca_file), "-verify_return_error", "-verify_ip", "127.0.0.1"]
    return words + ([] if mode == "implicit" else ["-starttls", "ftp"])


@pytest.fixture
def s_client(arguments: list[str], tmp_path: Path) -> SClient:
    def call(*more: str, stdin: bytes = b"") -> Run:
        return run([*arguments, *more], home=tmp_path, stdin=stdin, seconds=30)

    return call


@pytest.mark.requirement("R4217-4.2-b", "R4217-15.1-a")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_handshake_is_verified_and_commands_work(s_client, version):
    flag = f"-tls{version.replace('.', '_')}"
    done = s_client(flag, "-quiet", "-crlf", "-ign_eof", stdin=b"NOOP\nQUIT\n")
    assert "\n221 " in f"\n{done.text}"
    shown = s_client(flag).ok().text
    assert f"TLSv{version}, Cipher is" in shown
    assert "Verify return code: 0 (ok)" in shown
    assert "Compression: NONE" in shown


@pytest.mark.requirement("RTLS-j")
def test_alpn_ftp_is_chosen(s_client):
    assert "ALPN protocol: ftp" in s_client("-alpn", "ftp").ok().text


@pytest.mark.requirement("RTLS-j")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_alpn_without_ftp_is_refused(s_client, version):
    refused = s_client("-alpn", "h2,http/1.1", version)
    assert refused.code != 0
    assert "Cipher is (NONE)" in refused.text


@pytest.mark.requirement("R4217-1-a", "RTLS-a")
def test_tls_1_1_is_refused(s_client):
    refused = s_client("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    assert refused.code != 0
    assert "alert protocol version" in refused.errors


@pytest.mark.requirement("R4217-15.1-c", "RTLS-b")
@pytest.mark.parametrize("suites", ["aNULL", "eNULL", "kRSA", "SHA1"])
def test_weak_suites_are_refused(s_client, suites):
    refused = s_client("-tls1_2", "-cipher", f"{suites}:@SECLEVEL=0")
    assert refused.code != 0
    assert "Cipher is (NONE)" in refused.text


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_reconnecting_with_the_session_does_no_harm(s_client, version):
    again = s_client(version, "-reconnect").ok()
    # A control connection's tickets open under its own context only: each handshake is a whole one.
    assert again.text.count("New, TLSv1.") == 6
    assert "Reused, " not in again.text


@pytest.mark.requirement("RTLS-d")
def test_renegotiation_is_refused(arguments, s_client, mode):
    process = subprocess.Popen(
        [*arguments, "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    deadline = threading.Timer(30, process.kill)
    deadline.start()
    with process:
        try:
            seen = b""
            while mode == "implicit" and b"\n220 " not in seen:
                # The greeting in the middle of its renegotiation would be what s_client fails for.
                line = process.stdout.readline()
                assert line, seen
                seen += line
            process.stdin.write(b"R\n")
            process.stdin.flush()
            # Standard input stays open: s_client ends because of the refusal, not at an end of file.
            output = (seen + process.stdout.read()).decode(errors="replace")
            assert process.wait() == 1, output
        finally:
            deadline.cancel()
            process.kill()
    assert "RENEGOTIATING" in output
    assert "no renegotiation" in output
    assert "Verify return code: 0 (ok)" in s_client("-tls1_2").ok().text
