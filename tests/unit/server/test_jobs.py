"""A job settles exactly once and always has a final reply, whatever happens to its connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from lockgate.errors import HandshakeFailed, NoSpace
from lockgate.protocol.commands import Command
from lockgate.server.config import Config
from lockgate.server.jobs import Job
from lockgate.server.session import Direction
from lockgate.storage.base import WriteCancelled
from lockgate.transfer.outcome import NotOpened, Outcome, OutcomeStatus
from lockgate.transfer.workers import Workers, WorkersBusy


class FakeStream:
    """A data connection that only knows whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeEndpoint:
    """An endpoint whose opening goes as the test says."""

    opener: Callable[[], FakeStream] | Exception
    closed: int = 0
    aborted: int = 0

    async def open(self, direction: Direction) -> Callable[[], FakeStream]:
        if isinstance(self.opener, Exception):
            raise self.opener
        return self.opener

    def close(self) -> None:
        self.closed += 1

    def abort(self) -> None:
        self.aborted += 1


class BusyWorkers:
    """Workers that never have a thread."""

    def submit(self, work: object) -> None:
        raise WorkersBusy("no threads")


@dataclass
class FakeSession:
    """As much of a session as a job looks at."""

    endpoint: FakeEndpoint | None
    server: SimpleNamespace
    user_name: str = "alice"
    is_blind: bool = False
    control: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(peer_address="192.0.2.1"))
    tls: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(last_direction=Direction.NONE))
    parameters: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(is_compressed=False))

    def take_endpoint(self) -> FakeEndpoint | None:
        return self.endpoint


@dataclass
class Ran:
    """What a job did."""

    code: int
    settled: list[Outcome]
    endpoint: FakeEndpoint | None


def run_job(
    endpoint: FakeEndpoint | None,
    *,
    move: Callable[..., Outcome] = lambda stream, count: Outcome(OutcomeStatus.COMPLETE, 5),
    settle: Callable[[Outcome], None] = lambda outcome: None,
    workers: object = None,
    helpers: object = None,
) -> Ran:
    """Run one job to its reply."""
    settled: list[Outcome] = []

    def noted(outcome: Outcome) -> None:
        settled.append(outcome)
        settle(outcome)

    async def run() -> int:
        with Workers(2) as threads:
            server = SimpleNamespace(
                workers=workers or threads,
                helpers=helpers or threads,
                loop=asyncio.get_running_loop(),
                config=Config(),
            )
            session = FakeSession(endpoint, server)
            job = Job(
                session,  # type: ignore[arg-type]
                Command.parse(b"STOR x"),
                path="/x",
                direction=Direction.IN,
                move=move,
                settle=noted,
            )
            job.start()
            return (await job.run()).code

    return Ran(asyncio.run(run()), settled, endpoint)


def test_a_transfer_that_works_is_226_and_settles_once() -> None:
    stream = FakeStream()
    ran = run_job(FakeEndpoint(lambda: stream))
    assert ran.code == 226
    assert [outcome.status for outcome in ran.settled] == [OutcomeStatus.COMPLETE]
    assert stream.is_closed
    assert ran.endpoint is not None
    assert ran.endpoint.closed == 1


@pytest.mark.parametrize("error", [NotOpened("nobody came"), HandshakeFailed("no hello")])
@pytest.mark.parametrize("where", ["waiting", "opening"])
def test_a_connection_that_does_not_open_settles_once(error: Exception, where: str) -> None:
    def fail() -> FakeStream:
        raise error

    ran = run_job(FakeEndpoint(error if where == "waiting" else fail))
    assert ran.code == (425 if isinstance(error, NotOpened) else 522)
    assert len(ran.settled) == 1
    assert not ran.settled[0].is_complete
    assert ran.endpoint is not None
    assert ran.endpoint.closed == 1


def test_a_job_without_an_endpoint_settles_as_aborted() -> None:
    ran = run_job(None)
    assert ran.code == 426
    assert [outcome.status for outcome in ran.settled] == [OutcomeStatus.ABORTED]


def test_without_a_free_thread_it_is_425_and_settled_all_the_same() -> None:
    ran = run_job(FakeEndpoint(FakeStream), workers=BusyWorkers(), helpers=BusyWorkers())
    assert ran.code == 425
    assert [outcome.status for outcome in ran.settled] == [OutcomeStatus.NOT_OPENED]


def test_a_commit_that_fails_is_no_226() -> None:
    def full(outcome: Outcome) -> None:
        raise NoSpace("full")

    ran = run_job(FakeEndpoint(FakeStream), settle=full)
    assert ran.code == 452
    assert len(ran.settled) == 1


@pytest.mark.parametrize("where", ["move", "settle"])
def test_an_end_on_request_is_426_wherever_it_is_met(where: str) -> None:
    cancelled = WriteCancelled("ended")
    failed = Outcome(OutcomeStatus.STORAGE_FAILED, 5, error=cancelled)

    def settle(outcome: Outcome) -> None:
        if where == "settle":
            raise cancelled

    whole = Outcome(OutcomeStatus.COMPLETE, 5)
    ran = run_job(
        FakeEndpoint(FakeStream), move=lambda *_: failed if where == "move" else whole, settle=settle
    )
    assert ran.code == 426
    expected = OutcomeStatus.ABORTED if where == "move" else OutcomeStatus.COMPLETE
    assert [outcome.status for outcome in ran.settled] == [expected]


def test_an_abort_reaches_the_connection_and_the_files() -> None:
    endpoint = FakeEndpoint(FakeStream)
    interrupted: list[bool] = []
    job = Job(
        FakeSession(endpoint, SimpleNamespace()),  # type: ignore[arg-type]
        Command.parse(b"APPE x"),
        path="/x",
        direction=Direction.IN,
        move=lambda stream, count: Outcome(OutcomeStatus.COMPLETE),
        settle=lambda outcome: None,
        interrupt=lambda: interrupted.append(True),
    )
    job.abort()
    assert (endpoint.aborted, interrupted) == (1, [True])


@pytest.mark.parametrize("where", ["open", "move"])
def test_a_mistake_of_ours_is_451_and_settled_and_logged(
    caplog: pytest.LogCaptureFixture, where: str
) -> None:
    def mistake(*_: object) -> Outcome:
        raise ZeroDivisionError("secret")

    stream = FakeStream()
    endpoint = FakeEndpoint(mistake if where == "open" else lambda: stream)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        ran = run_job(endpoint, move=mistake)
    assert ran.code == 451
    assert len(ran.settled) == 1
    assert not ran.settled[0].is_complete
    assert stream.is_closed is (where == "move")
    assert "ZeroDivisionError" in caplog.text


def test_aborting_a_job_without_an_endpoint_does_nothing() -> None:
    session = FakeSession(None, SimpleNamespace())
    job = Job(
        session,  # type: ignore[arg-type]
        Command.parse(b"RETR x"),
        path="/x",
        direction=Direction.OUT,
        move=lambda stream, count: Outcome(OutcomeStatus.COMPLETE),
        settle=lambda outcome: None,
    )
    job.abort()
    assert not job.is_started
