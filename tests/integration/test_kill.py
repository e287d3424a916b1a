"""Signals in the middle of a hundred uploads: no complete file is lost, and none that is not is published."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from download_crowd import Download, check_downloads, downloads
from endings import cut, hidden_files
from raw_client import RawClient, client_context
from server_process import ServerProcess, serving
from upload_crowd import Part, check_files, crowd
from waiting import until

UPLOADS = 100
DOWNLOADS = 12
ROOM = f"sessions_per_address = {UPLOADS + DOWNLOADS + 10}"
DRAIN_SECONDS = 3
# What a server says and waits at its end besides the drain, and what a busy machine adds.
LAST_WORDS_SECONDS = 8

# The process dies when the file stands under its name, and when all has come but nothing is there yet.
DIES_AFTER_THE_RENAME = """
import os, signal
from lockgate.server.jobs import Job
settled = Job._settled
def dies(self, outcome):
    outcome = settled(self, outcome)
    os.kill(os.getpid(), signal.SIGKILL)
Job._settled = dies
"""
DIES_BEFORE_THE_RENAME = """
import os, signal
from lockgate.server.jobs import Job
Job._settled = lambda self, outcome: os.kill(os.getpid(), signal.SIGKILL)
"""


def client_of(server: ServerProcess) -> RawClient:
    return RawClient(server.host, server.port, context=client_context(server.ca_file))


def middle(part: Part) -> None:
    """A fifth is complete and answered; the others have sent from nothing to everything."""
    if part.number % 5 == 0:
        part.end()
    else:
        part.send(len(part.content) * (part.number % 7) // 6)


def in_threads(work: Callable[[Download], None], each: Sequence[Download]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(one,)) for one in each]
    for thread in threads:
        thread.start()
    return threads


def finish(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def when_answered(parts: list[Part] | tuple[Part, ...], count: int) -> Callable[[], bool]:
    return lambda: sum(part.reply == 226 for part in parts) >= count


@pytest.mark.requirement("RTLS-h", side="S")
def test_sigterm_in_a_hundred_uploads_loses_no_whole_file_and_publishes_no_half_one(tmp_path: Path) -> None:
    with serving(tmp_path, limits=f"drain_seconds = {DRAIN_SECONDS}\n{ROOM}") as server:
        with crowd(server, UPLOADS) as (parts, each), downloads(server, DOWNLOADS) as fetched:
            each(middle)
            server.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            until(server.refuses)
            # One in four never ends by itself: the drain's limit is for those.
            readers = in_threads(Download.end, fetched[:4])
            each(lambda part: None if part.number % 4 == 3 else part.end())
            each(Part.hear)
            finish(readers + in_threads(Download.end, fetched[4:]))
            assert server.process.wait(30) == 0
            took = time.monotonic() - began
        counts = check_files(server.root, parts)
        assert check_downloads(server, fetched) == {"226": 4, "426": DOWNLOADS - 4, "silent": 0}
    assert all(part.reply == 226 for part in parts if part.number % 4 != 3 or part.number % 5 == 0)
    assert counts == {"226": 80, "refused": 20, "silent": 0, "silent but whole": 0}
    assert {part.reply for part in parts} == {226, 426}
    assert DRAIN_SECONDS * 0.9 < took < DRAIN_SECONDS + LAST_WORDS_SECONDS
    assert all(name.endswith(".part") for name in hidden_files(tmp_path / "root"))
    # What the limit interrupted is gone on with.
    interrupted = [part for part in parts if part.reply == 426 and part.sent][:5]
    with serving(tmp_path) as server, client_of(server) as client:
        client.log_in()
        for part in interrupted:
            kept = int(client.expect(f"SIZE {part.name}", 213).split()[1])
            assert 0 < kept <= part.sent
            client.expect(f"REST {kept}", 350)
            assert client.upload(f"STOR {part.name}", part.content[kept:]).code == 226
            assert (server.root / part.name).read_bytes() == part.content
    assert len(interrupted) == 5


def test_a_second_sigterm_ends_a_hundred_uploads_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, limits=f"drain_seconds = 600\n{ROOM}") as server:
        with crowd(server, UPLOADS) as (parts, each), downloads(server, DOWNLOADS) as fetched:
            each(middle)
            server.process.send_signal(signal.SIGTERM)
            until(server.refuses)
            server.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            each(Part.hear)
            finish(in_threads(Download.end, fetched))
            assert server.process.wait(30) == 0
            took = time.monotonic() - began
        counts = check_files(server.root, parts)
        assert check_downloads(server, fetched) == {"226": 0, "426": DOWNLOADS, "silent": 0}
    assert counts == {"226": 20, "refused": 80, "silent": 0, "silent but whole": 0}
    assert took < LAST_WORDS_SECONDS


@pytest.mark.requirement("RTLS-h", side="S")
def test_sigkill_in_a_hundred_uploads_loses_no_whole_file_and_publishes_no_half_one(tmp_path: Path) -> None:
    with serving(tmp_path, limits=ROOM) as server:
        resumable = keep_part(server)
        with crowd(server, UPLOADS) as (parts, each), downloads(server, DOWNLOADS) as fetched:
            each(middle)
            # The others go on to their ends while it dies: some are on their way into the directory.
            killer = threading.Thread(target=kill_when, args=(server, when_answered(parts, 35)))
            killer.start()
            each(Part.end)
            killer.join(30)
            finish(in_threads(Download.end, fetched))
        counts = check_files(server.root, parts)
        assert check_downloads(server, fetched) == {"226": 0, "426": 0, "silent": DOWNLOADS}
        left = hidden_files(server.root)
    assert counts["226"] >= 35
    assert counts["silent"] > 0
    assert counts["refused"] == 0
    assert len(left) > 1
    come_back(tmp_path, parts, resumable, left)


def keep_part(server: ServerProcess) -> bytes:
    """Have an upload cut, so that its part is kept; return its whole content."""
    content = os.urandom(90_000)
    with client_of(server) as client:
        client.log_in()
        data = client.passive()
        client.expect("STOR kept.bin", 150)
        protected = client.protect_data(data)
        protected.sendall(content[:50_000])
        cut(protected)
        assert client.read().code == 426
    return content


def kill_when(server: ServerProcess, moment: Callable[[], bool]) -> None:
    until(moment, 60)
    server.process.kill()
    server.process.wait(15)


def come_back(work: Path, parts: list[Part] | tuple[Part, ...], resumable: bytes, left: list[str]) -> None:
    """The next server on the same home: what is left over goes, kept parts stay, everything can be sent."""
    root = work / "root"
    dead = sorted(name for name in left if name.endswith(".tmp"))
    assert dead
    with serving(work) as server, client_of(server) as client:
        client.log_in()
        assert b".lockgate" not in client.download("NLST") + client.download("MLSD") + client.download("LIST")
        for name in dead[:3]:
            client.expect(f"SIZE {name}", 550, 553)
        until(lambda: not any((root / name).exists() for name in dead))
        # A part whose 426 was sent is gone on with; what died with the server begins anew.
        kept = int(client.expect("SIZE kept.bin", 213).split()[1])
        assert 0 < kept <= 50_000
        client.expect(f"REST {kept}", 350)
        assert client.upload("STOR kept.bin", resumable[kept:]).code == 226
        assert (root / "kept.bin").read_bytes() == resumable
        for part in [one for one in parts if one.reply is None][:10]:
            assert client.upload(f"STOR {part.name}", part.content).code == 226
            assert (root / part.name).read_bytes() == part.content


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("is_published", [True, False])
def test_sigkill_around_the_rename_leaves_the_whole_file_or_the_old_one(
    tmp_path: Path, old: bytes | None, is_published: bool
) -> None:
    content = os.urandom(70_000)
    prelude = DIES_AFTER_THE_RENAME if is_published else DIES_BEFORE_THE_RENAME
    target = tmp_path / "root" / "last.bin"
    with serving(tmp_path, prelude=prelude) as server, client_of(server) as client:
        if old is not None:
            target.write_bytes(old)
        client.log_in()
        with pytest.raises((EOFError, OSError)):
            client.upload("STOR last.bin", content)
        assert server.process.wait(15) == -signal.SIGKILL
    found = target.read_bytes() if target.exists() else None
    assert found == (content if is_published else old)
    with serving(tmp_path) as server, client_of(server) as client:
        client.log_in()
        # The client that never heard its 226 sends the file again.
        assert client.upload("STOR last.bin", content).code == 226
    assert target.read_bytes() == content


def test_sighup_in_the_middle_of_uploads_disturbs_none(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        source = tmp_path / "lockgate.toml"
        good = source.read_text()
        with crowd(server, 40) as (parts, each):
            each(middle)
            for text in (good.replace("[limits]", "[limits]\ntransfers = 1"), good + "\nwrong = 1\n", good):
                told = server.log.read_text().count("reload")
                source.write_text(text)
                server.process.send_signal(signal.SIGHUP)
                until(lambda told=told: server.log.read_text().count("reload") > told)
            each(Part.end)
        counts = check_files(server.root, parts)
        with client_of(server) as client:
            assert client.log_in().upload("STOR next.bin", b"next").code == 226
    assert counts == {"226": 40, "refused": 0, "silent": 0, "silent but whole": 0}
    assert "Traceback" not in server.log.read_text()
