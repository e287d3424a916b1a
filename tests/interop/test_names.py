"""openssl s_client, curl and lftp at a server with several certificates; they check the names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import PASSWORD, USER, LiveServer, live_server
from named_certificates import certificate_table
from programs import Run, run

VERSIONS = {"1.2": ("--tlsv1.2", "--tls-max", "1.2"), "1.3": ("--tlsv1.3", "--tls-max", "1.3")}
IMPLICIT = pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
NAMES = pytest.mark.parametrize(
    ("name", "works"), [("one.example", True), ("a.two.example", True), ("three.example", False)]
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with two certificates beside the default one."""
    folder = tmp_path_factory.mktemp("many")
    more = certificate_table(folder, "one", ["one.example"]) + certificate_table(
        folder, "two", ["*.two.example"]
    )
    with live_server(folder, more_accounts=more, policy='session_reuse = "required"') as running:
        (running.root / "file").write_bytes(b"content")
        yield running


@IMPLICIT
@NAMES
@pytest.mark.requirement("RTLS-j", side="S")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_is_shown_the_certificate_of_its_servername(
    client_program: Callable[[str], str],
    many: LiveServer,
    tmp_path: Path,
    name: str,
    works: bool,
    implicit: bool,
    version: str,
) -> None:
    port = many.implicit_port if implicit else many.port
    words = [client_program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name]
    words += ["-CAfile", str(many.ca_file), "-verify_return_error", "-verify_hostname", name, version]
    done = run([*words, *([] if implicit else ["-starttls", "ftp"])], home=tmp_path, seconds=30)
    assert (done.code == 0) == works
    if works:
        assert "Verify return code: 0 (ok)" in done.text


@IMPLICIT
@NAMES
@pytest.mark.requirement("RTLS-j", "RTLS-i", side="S")
@pytest.mark.parametrize("version", list(VERSIONS))
def test_curl_verifies_each_name_and_transfers_both_ways(
    client_program: Callable[[str], str],
    many: LiveServer,
    tmp_path: Path,
    name: str,
    works: bool,
    implicit: bool,
    version: str,
) -> None:
    port = many.implicit_port if implicit else many.port
    url = f"{'ftps' if implicit else 'ftp'}://{name}:{port}/file"

    def curl(*more: str) -> Run:
        words = ["--disable", "-sS", "-v", "--max-time", "50", "--ssl-reqd", *VERSIONS[version]]
        words += ["--cacert", str(many.ca_file), "-u", f"{USER}:{PASSWORD}"]
        words += ["--resolve", f"{name}:{port}:127.0.0.1"]
        return run([client_program("curl"), *words, *more], home=tmp_path, stdin=b"content")

    download = curl(url)
    upload = curl("-T", "-", url)
    if works:
        assert download.ok().output == b"content"
        upload.ok()
    else:
        assert download.code == upload.code == 60


@IMPLICIT
def test_lftp_says_host_in_tls_and_goes_on(
    client_program: Callable[[str], str], many: LiveServer, tmp_path: Path, implicit: bool
) -> None:
    port = many.implicit_port if implicit else many.port
    url = f"{'ftps' if implicit else 'ftp'}://127.0.0.1:{port}/"
    script = (
        f'set ssl:ca-file "{many.ca_file}"; set ftp:ssl-force true; set ftp:ssl-protect-data true; '
        f"set cmd:fail-exit true; debug 9; open -u {USER},'{PASSWORD}' {url}; cat file"
    )
    done = run([client_program("lftp"), "--norc", "-c", script], home=tmp_path)
    assert b"content" in done.ok().output
    assert "---> HOST 127.0.0.1\n<--- 220 " in done.errors
