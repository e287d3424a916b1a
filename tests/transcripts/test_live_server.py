"""The transcripts against a running server, in both TLS versions."""

from __future__ import annotations

import contextlib

import pytest
from live_server import authority, live_server
from live_stages import CONTENT, FILE, LiveServerStage
from raw_client import RawClient, client_context
from transcript_play import FILES, CommandStep, parse, play, read

POLICY = {"control": "control", "data": "data", "ccc": "clear_command_channel"}

REQUIREMENTS = {
    "rfc4217-12.1-protected-session": ("R4217-4-a", "R4217-4.2-b", "R4217-12.1-a"),
    "rfc4217-12.2-no-password": ("R4217-12.1-b",),
    "rfc4217-12.3-ccc": ("R4217-5-d", "R4217-5-e"),
    "rfc4217-12.4-active-clear": ("R4217-9-e", "R4217-12.4-a"),
    "rfc4217-12.5-passive-clear": ("R4217-9-e", "R4217-12.4-a"),
    "rfc4217-12.6-active-private": ("R4217-7-a", "R4217-9-f", "R4217-12.4-a", "R4217-12.6-a"),
    "rfc4217-12.7-passive-private": ("R4217-7-a", "R4217-9-f", "R4217-12.4-a", "R4217-12.6-a"),
    "rein-and-again": ("R4217-13-a", "R4217-13-b", "R4217-13-d"),
    "level-too-low-and-again": ("R4217-8-b", "R4217-10.2-b", "R4217-10.2-c", "R4217-10.2-d"),
}


SCENES = [
    pytest.param(read(path), id=path.stem, marks=pytest.mark.requirement(*REQUIREMENTS[path.stem]))
    for path in FILES
]


@contextlib.contextmanager
def stage(transcript, tmp_path, version):
    """A server with the settings of the transcript, and a raw client connected to it."""
    settings = transcript.settings
    policy = "\n".join(f'{POLICY[key]} = "{value}"' for key, value in settings.items() if key in POLICY)
    tls, account, certificate = "", "", None
    if settings.get("login") == "certificate":
        policy += '\nclient_certificate = "sufficient"'
        tls, account = 'client_ca = "ca.pem"', 'certificate_subject = "CN=alice,O=Example"'
        files = authority().issue_client("CN=alice,O=Example").write(tmp_path, "client")
        certificate = (files.certificate, files.key)
    with live_server(tmp_path, policy=policy, tls=tls, account=account) as server:
        context = client_context(server.ca_file, version=version, certificate=certificate)
        with RawClient(server.host, server.port, context=context, greet=False) as client:
            stage = LiveServerStage(client, server.root)
            with contextlib.closing(stage):
                yield stage, server.root / FILE


@pytest.mark.parametrize("transcript", SCENES)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_transcript_plays_against_the_live_server(transcript, version, tmp_path):
    lines = [step.line for step in transcript.steps if isinstance(step, CommandStep)]
    with stage(transcript, tmp_path, version) as (live, file):
        if "RETR {file}" in lines:
            file.write_bytes(CONTENT)
        play(transcript, live)
        if "STOR {file}" in lines:
            assert file.read_bytes() == CONTENT


def test_a_transcript_that_is_not_so_fails_on_the_live_server_too(tmp_path):
    transcript = parse("S: 220\nC: USER {user}\nS: 331\n", "wrong")
    with stage(transcript, tmp_path, "1.3") as (live, _), pytest.raises(AssertionError, match=r"\+ S: 530"):
        play(transcript, live)
