"""The transcripts against the live client: its own methods, a raw server that plays the other part."""

from __future__ import annotations

import contextlib
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest
from live_server import PASSWORD, USER, authority
from live_stages import CONTENT, FILE, LiveClientStage
from transcript_play import FILES, CommandStep, parse, play, read

import lockgate

REQUIREMENTS = {
    "rfc4217-12.1-protected-session": ("R4217-4.1-a", "R4217-4.2-i", "R4217-8-c", "R4217-9-j", "R4217-17-c"),
    "rfc4217-12.2-no-password": ("R4217-4.2-g", "R4217-12.1-c"),
    "rfc4217-12.3-ccc": ("R4217-5-h",),
    "rfc4217-12.4-active-clear": ("R4217-10.4-a",),
    "rfc4217-12.5-passive-clear": ("R4217-10.4-a",),
    "rfc4217-12.6-active-private": ("R4217-7-c", "R4217-12.6-b"),
    "rfc4217-12.7-passive-private": ("R4217-7-c", "R4217-12.6-b"),
    "rein-and-again": ("R4217-13-e",),
}
# The one that is left out uses an endpoint twice, which our client never does.
SCENES = [
    pytest.param(read(path), id=path.stem, marks=pytest.mark.requirement(*REQUIREMENTS[path.stem], side="C"))
    for path in FILES
    if path.stem in REQUIREMENTS
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    authority().write(folder)
    files = authority().issue_server().write(folder, "server")
    return files, folder / "ca.pem"


@contextlib.contextmanager
def stage(certificate, version):
    files, _ = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    number = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    context.minimum_version = context.maximum_version = number
    with contextlib.closing(LiveClientStage(context)) as live:
        yield live


def run(transcript, port, ca_file, file):
    """Do with the client's methods what the transcript's lines want."""
    lines = [step.line for step in transcript.steps if isinstance(step, CommandStep)]
    client = lockgate.connect(
        f"ftpes://{USER}@127.0.0.1:{port}",
        password=PASSWORD,
        ca=ca_file,
        secure=False,
        login=False,
        protect="PROT C" not in lines,
        active="PORT {client}" in lines,
        timeout=15,
    )
    methods = {
        "AUTH TLS": client.auth,
        "PROT P": client.protect,
        "PROT C": lambda: client.protect(private=False),
        "USER {user}": client.login,
        "CCC": client.ccc,
        "REIN": client.rein,
        "NOOP": client.noop,
        "STOR {file}": lambda: client.upload(file, FILE),
        "QUIT": client.quit,
    }
    with contextlib.closing(client):
        for line in lines:
            # PBSZ, PASS and the endpoints belong to the methods of their neighbours.
            if line in methods:
                methods[line]()
        return lines


@pytest.mark.parametrize("transcript", SCENES)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_transcript_plays_against_the_live_client(transcript, version, certificate, tmp_path):
    file = tmp_path / "local"
    file.write_bytes(CONTENT)
    with stage(certificate, version) as live, ThreadPoolExecutor(1) as threads:
        client = threads.submit(run, transcript, live.port, certificate[1], file)
        try:
            play(transcript, live)
        except BaseException:
            live.close()
            client.exception(30)
            raise
        client.result(30)


def test_a_transcript_that_is_not_so_fails_on_the_live_client_too(certificate, tmp_path):
    transcript = parse("S: 220\nC: AUTH TLS\nS: 234\n-- control tls\nC: USER bob\nS: 331\n", "wrong")
    asked = parse("S: 220\nC: AUTH TLS\nS: 234\n-- control tls\nC: USER {user}\nS: 331\n", "asked")
    with stage(certificate, "1.3") as live, ThreadPoolExecutor(1) as threads:
        client = threads.submit(run, asked, live.port, certificate[1], tmp_path)
        with pytest.raises(AssertionError, match=rf"\+ C: USER {USER}"):
            play(transcript, live)
        live.close()
        assert client.exception(30) is not None
