"""curl against our server: explicit and implicit TLS, 1.2 and 1.3, as scripts in the field use it.

curl sends AUTH SSL before AUTH TLS, EPSV, and its data ClientHello before the transfer command; it resumes
the control connection's TLS session on data. Measured with curl 7.88.1.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from live_server import PASSWORD, USER, LiveServer, authority
from programs import Run, run

from lockgate.tls.devcert import CertificateAuthority

VERSIONS = {"1.2": ("--tlsv1.2", "--tls-max", "1.2"), "1.3": ("--tlsv1.3", "--tls-max", "1.3")}


@dataclass(frozen=True)
class Curl:
    """curl with a server's certificate, account, TLS mode and version already said."""

    program: str
    server: LiveServer
    home: Path
    version: str
    mode: str = "explicit"

    def url(self, path: str | Path = "") -> str:
        """Return the URL of a path below the account's root."""
        if isinstance(path, Path):
            path = quote(path.relative_to(self.server.root).as_posix())
        if self.mode == "implicit":
            return f"ftps://127.0.0.1:{self.server.implicit_port}/{path}"
        return f"ftp://127.0.0.1:{self.server.port}/{path}"

    def __call__(
        self,
        *arguments: str | Path,
        ca: Path | None = None,
        login: str = f"{USER}:{PASSWORD}",
        stdin: bytes = b"",
        level: str = "--ssl-reqd",
    ) -> Run:
        """Run curl; -v is on, so that what it said can be looked at in `errors`."""
        common = ["--disable", "-sS", "-v", "--max-time", "50", level, *VERSIONS[self.version]]
        common += ["--cacert", str(ca or self.server.ca_file), "-u", login]
        return run([self.program, *common, *arguments], home=self.home, stdin=stdin)


@pytest.fixture
def make_curl(client_program: Callable[[str], str], tmp_path: Path) -> Callable[..., Curl]:
    def make(server: LiveServer, version: str, mode: str = "explicit") -> Curl:
        return Curl(client_program("curl"), server, tmp_path, version, mode)

    return make


@pytest.fixture
def every_curl(make_curl: Callable[..., Curl], server: LiveServer, tls_version: str, mode: str) -> Curl:
    """curl for the shared server, in every mode and version."""
    return make_curl(server, tls_version, mode)


@pytest.fixture(params=[("1.2", "implicit"), ("1.3", "explicit")], ids="-".join)
def curl(make_curl: Callable[..., Curl], server: LiveServer, request: pytest.FixtureRequest) -> Curl:
    """curl for the shared server, in each mode and each version, for what does not depend on both."""
    return make_curl(server, *request.param)


def content(size: int, seed: int = 4217) -> bytes:
    return random.Random(seed).randbytes(size)


def test_a_file_goes_up_and_comes_down_unchanged(every_curl, folder, tmp_path):
    data = content(3_000_001)
    local = tmp_path / "up.bin"
    local.write_bytes(data)
    sent = every_curl("-T", local, every_curl.url(folder / "up.bin")).ok()
    assert f"TLSv{every_curl.version} (IN), TLS handshake" in sent.errors
    assert (folder / "up.bin").read_bytes() == data
    assert every_curl(every_curl.url(folder / "up.bin")).ok().output == data


def test_a_listing_shows_names_and_sizes(curl, folder):
    (folder / "seven").write_bytes(b"1234567")
    (folder / "directory").mkdir()
    lines = curl(curl.url(folder) + "/").ok().text.splitlines()
    assert sorted(line.split()[-1] for line in lines) == ["directory", "seven"]
    (row,) = (line for line in lines if line.endswith(" seven"))
    assert row.startswith("-rw")
    assert "7" in row.split()
    assert curl("--list-only", curl.url(folder) + "/").ok().text.split() in (
        ["directory", "seven"],
        ["seven", "directory"],
    )


def test_a_download_is_resumed_where_it_stopped(curl, folder, tmp_path):
    data = content(400_000)
    (folder / "long").write_bytes(data)
    part = tmp_path / "part"
    part.write_bytes(data[:123_457])
    resumed = curl("-C", "-", "-o", part, curl.url(folder / "long")).ok()
    assert "> REST 123457" in resumed.errors
    assert part.read_bytes() == data


def test_an_upload_is_resumed_where_it_stopped(curl, folder, tmp_path):
    data = content(400_000)
    local = tmp_path / "long"
    local.write_bytes(data)
    (folder / "long").write_bytes(data[:123_457])
    resumed = curl("-C", "-", "-T", local, curl.url(folder / "long")).ok()
    assert "> APPE long" in resumed.errors
    assert (folder / "long").read_bytes() == data


def test_append_adds_to_what_is_there(curl, folder):
    (folder / "log").write_bytes(b"first\n")
    curl("--append", "-T", "-", curl.url(folder / "log"), stdin=b"second\n").ok()
    assert (folder / "log").read_bytes() == b"first\nsecond\n"


def test_a_range_is_what_was_asked_for(curl, folder):
    data = content(100_000)
    (folder / "some").write_bytes(data)
    got = curl("-r", "1000-1999", curl.url(folder / "some"))
    # curl ends a range by closing the data connection; what it makes of the 426 is its affair.
    assert got.output == data[1000:2000]


def test_quoted_commands_rename_delete_and_make_directories(curl, folder):
    name = folder.name
    (folder / "a").write_bytes(b"a")
    (folder / "b").write_bytes(b"b")
    commands = [
        f"MKD {name}/new",
        f"RNFR {name}/a",
        f"RNTO {name}/new/a",
        f"DELE {name}/b",
        f"SITE CHMOD 600 {name}/new/a",
    ]
    curl(*(word for command in commands for word in ("-Q", command)), curl.url()).ok()
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == ["new", "new/a"]
    assert (folder / "new" / "a").stat().st_mode & 0o777 == 0o600


def test_missing_directories_are_made_on_the_way(curl, folder):
    curl("--ftp-create-dirs", "-T", "-", curl.url(folder / "x/y y/ü/log"), stdin=b"deep").ok()
    assert (folder / "x" / "y y" / "ü" / "log").read_bytes() == b"deep"


def test_many_files_come_over_one_session(curl, folder, tmp_path):
    names = [f"file-{number}" for number in range(12)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(content(number * 1000, number))
    got = curl("--remote-name-all", *(curl.url(folder / name) for name in names)).ok()
    assert got.errors.count("> PASS ") == 1
    assert [digest(tmp_path / name) for name in names] == [digest(folder / name) for name in names]


def test_many_files_go_over_one_session(curl, folder, tmp_path):
    names = [f"file-{number}" for number in range(6)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(content(number * 100_000, number))
    sent = curl("-T", f"{tmp_path}/file-[0-5]", curl.url(folder) + "/").ok()
    assert sent.errors.count("> PASS ") == 1
    assert [digest(tmp_path / name) for name in names] == [digest(folder / name) for name in names]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_text_comes_in_text_mode(curl, folder):
    (folder / "text").write_bytes(b"one\ntwo\n")
    # curl turns the network's line ends into its own again.
    got = curl("--use-ascii", curl.url(folder / "text")).ok()
    assert "> TYPE A" in got.errors
    assert got.output == b"one\ntwo\n"


def test_only_the_head_of_a_file_tells_its_size_and_time(curl, folder):
    (folder / "some").write_bytes(b"12345")
    head = curl("--head", curl.url(folder / "some")).ok().text
    assert "Content-Length: 5" in head
    assert "Last-Modified: " in head


def test_a_missing_file_is_a_refusal_and_no_file(curl, folder, tmp_path):
    missing = curl("-o", tmp_path / "none", curl.url(folder / "none"))
    assert missing.code == 78
    assert not (tmp_path / "none").exists()


@pytest.mark.requirement("R4217-10.2-f", "R4217-18-a")
@pytest.mark.parametrize("reuse", ["required", "auto"])
def test_every_data_connection_resumes_the_session(make_curl, start, tls_version, mode, tmp_path, reuse):
    # OpenSSL's client cache uses a TLS 1.3 session once, so each data connection must bring the next ticket.
    server = start(policy=f'session_reuse = "{reuse}"')
    curl = make_curl(server, tls_version, mode)
    (tmp_path / "big").write_bytes(content(5_000_000))
    (tmp_path / "small").write_bytes(b"small")
    sent = curl("-T", f"{tmp_path}/{{big,small}}", curl.url() + "[1-2]/", "--ftp-create-dirs").ok()
    names = ["1/big", "2/small", "2/big", "1/small"]
    got = curl(*map(curl.url, names)).ok()
    assert sent.errors.count("> PASS ") == got.errors.count("> PASS ") == 1
    big = content(5_000_000)
    assert got.output == big + b"small" + big + b"small"


@pytest.mark.requirement("R4217-10.2-e")
def test_session_reuse_that_curl_does_not_offer_is_told_with_522(make_curl, start, tls_version):
    curl = make_curl(start(policy='session_reuse = "required"'), tls_version)
    refused = curl("--no-sessionid", curl.url())
    assert refused.code != 0
    assert "< 522 " in refused.errors
    assert "left intact" in refused.errors  # the control connection


@pytest.mark.requirement("R4217-5-d", "R4217-5-e", "R4217-5-g")
@pytest.mark.parametrize("ccc_mode", ["passive", "active"])
def test_the_command_channel_is_cleared_and_data_stays_protected(make_curl, start, tls_version, ccc_mode):
    server = start(policy='clear_command_channel = "after-login"')
    curl = make_curl(server, tls_version)
    (server.root / "some").write_bytes(content(70_000))
    got = curl("--ftp-ssl-ccc", "--ftp-ssl-ccc-mode", ccc_mode, curl.url("some")).ok()
    assert "> CCC" in got.errors
    assert re.search(r"> PROT P\b", got.errors)
    assert got.output == content(70_000)


def test_a_refused_ccc_is_not_taken_for_success(make_curl, server, tls_version):
    curl = make_curl(server, tls_version)
    got = curl("--ftp-ssl-ccc", curl.url())
    assert "< 500 " in got.errors


@pytest.mark.requirement("R4217-12.1-b", "R4217-4.2-d")
def test_a_client_certificate_logs_in_with_232(make_curl, start, tls_version, mode, tmp_path):
    server = start(
        tls='client_ca = "ca.pem"',
        policy='client_certificate = "sufficient"',
        account='certificate_subject = "CN=alice"',
    )
    curl = make_curl(server, tls_version, mode)
    files = authority().issue_client("CN=alice,O=Example").write(tmp_path, "alice")
    (server.root / "some").write_bytes(b"mine")
    got = curl("-E", files.certificate, "--key", files.key, curl.url("some"), login=f"{USER}:").ok()
    assert "< 232 " in got.errors
    assert "> PASS" not in got.errors
    assert got.output == b"mine"


def test_a_server_of_another_authority_is_refused_before_the_password(every_curl, tmp_path):
    other = CertificateAuthority("Somebody else").write(tmp_path, "other")
    refused = every_curl(every_curl.url(), ca=other)
    assert refused.code == 60
    assert "> USER" not in refused.errors


def test_a_wrong_password_is_refused(curl):
    refused = curl(curl.url(), login=f"{USER}:wrong")
    assert refused.code == 67
    assert "< 530 " in refused.errors


def test_active_mode_moves_files_both_ways(curl, folder, tmp_path):
    if (7, 87) <= curl_version(curl) < (8,):
        # "sa_addr inet_ntop() failed with errno 97", then no ClientHello on the connection that it accepted:
        # so with vsftpd, ProFTPD, Pure-FTPd and pyftpdlib too.
        pytest.skip("curl 7.87 and 7.88 cannot do active mode over TLS with any server")
    data = content(300_000)
    (folder / "down").write_bytes(data)
    (tmp_path / "up").write_bytes(data)
    assert curl("-P", "127.0.0.1", curl.url(folder / "down")).ok().output == data
    curl("-P", "127.0.0.1", "-T", tmp_path / "up", curl.url(folder / "up")).ok()
    assert (folder / "up").read_bytes() == data


@pytest.mark.requirement("R4217-9-e")
@pytest.mark.parametrize("command", [(), ("--disable-eprt",)], ids=["EPRT", "PORT"])
def test_active_mode_works_with_data_in_clear_where_that_is_allowed(
    make_curl, start, tls_version, command, tmp_path
):
    server = start(policy='data = "optional"')
    curl = make_curl(server, tls_version)
    data = content(300_000)
    (server.root / "down").write_bytes(data)
    (tmp_path / "up").write_bytes(data)
    active = ("-P", "127.0.0.1", *command)
    assert curl(*active, curl.url("down"), level="--ftp-ssl-control").ok().output == data
    curl(*active, "-T", tmp_path / "up", curl.url("up"), level="--ftp-ssl-control").ok()
    assert (server.root / "up").read_bytes() == data


def curl_version(curl: Curl) -> tuple[int, ...]:
    text = run([curl.program, "--version"], home=curl.home).ok().text
    return tuple(map(int, text.split()[1].split(".")))
