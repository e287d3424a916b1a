"""Names that are no UTF-8, as curl and lftp send and show them: the octets stay what they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import PASSWORD, USER, LiveServer
from programs import run

RAW = b"caf\xe9 \xfe.txt"
QUOTED = "caf%E9%20%FE.txt"


@pytest.fixture
def root(server: LiveServer) -> bytes:
    for name in os.listdir(os.fsencode(server.root)):
        os.unlink(os.path.join(os.fsencode(server.root), name))
    return os.fsencode(server.root)


def test_curl_uploads_lists_and_downloads_any_octets(
    client_program: Callable[[str], str], server: LiveServer, root: bytes, tmp_path: Path
) -> None:
    common = [client_program("curl"), "--disable", "-sS", "--max-time", "50", "--ssl-reqd"]
    common += ["--cacert", str(server.ca_file), "-u", f"{USER}:{PASSWORD}"]
    url = f"ftp://127.0.0.1:{server.port}/"
    run([*common, "-T", "-", url + QUOTED], home=tmp_path, stdin=b"content").ok()
    assert os.listdir(root) == [RAW]
    assert run([*common, url + QUOTED], home=tmp_path).ok().output == b"content"
    assert run([*common, "--list-only", url], home=tmp_path).ok().output.split(b"\n") == [RAW, b""]


def test_lftp_mirrors_any_octets_both_ways(
    client_program: Callable[[str], str], server: LiveServer, root: bytes, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    (Path(os.fsdecode(os.path.join(os.fsencode(there), RAW)))).write_bytes(b"content")
    script = (
        f"set ssl:ca-file {server.ca_file}; set ftp:ssl-force true; set ftp:ssl-protect-data true; "
        "set net:max-retries 1; set ftp:charset ISO-8859-1; set file:charset ISO-8859-1; "
        "set ftp:use-utf8 no; "
        f"set cmd:fail-exit true; open -u '{USER},{PASSWORD}' ftp://127.0.0.1:{server.port}; "
        f"mirror -R {there} /; mirror / {back}"
    )
    run([client_program("lftp"), "--norc", "-c", script], home=tmp_path).ok()
    assert os.listdir(root) == [RAW]
    assert os.listdir(os.fsencode(back)) == [RAW]
