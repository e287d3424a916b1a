"""Sessions that work off tasks: with clients that only pretend to be connected."""

from __future__ import annotations

import threading

import pytest

from lockgate.client.crew import Crew, Task
from lockgate.errors import ConnectionLost, FileUnavailable, LocalProtocolError, ServiceNotAvailable


class Pretender:
    """A client whose connection is a flag."""

    def __init__(self, *, refused: bool = False) -> None:
        self.is_usable = False
        self.refused = refused
        self.connects = 0
        self.aborted = threading.Event()
        self.has_quit = False

    def connect(self) -> Pretender:
        if self.refused:
            raise ServiceNotAvailable(421, ("too many",))
        if not self.is_usable:
            self.connects += 1
            self.is_usable = True
        return self

    def lose(self) -> None:
        self.is_usable = False
        raise ConnectionLost("gone")

    def abort(self) -> None:
        self.aborted.set()

    def quit(self) -> None:
        self.has_quit = True


def crew_of(make=Pretender, *, first=None, parallel=1) -> Crew:
    return Crew(make, first=first, parallel=parallel)


@pytest.mark.parametrize("parallel", [1, 3])
def test_every_task_is_done_those_that_tasks_add_too(parallel):
    crew = crew_of(parallel=parallel)
    done: list[int] = []

    def work(number: int, client: Pretender) -> None:
        done.append(number)
        if number < 50:
            crew.add([Task("t", lambda other: work(number + 50, other))])

    crew.run(lambda client: [Task("t", lambda other, n=n: work(n, other)) for n in range(50)])
    assert sorted(done) == list(range(100))
    assert crew.failures == []


def test_a_refusal_is_noted_and_the_others_go_on():
    crew = crew_of()
    done = []

    def fail(client: Pretender) -> None:
        raise FileUnavailable(550, ("no",))

    crew.run(lambda client: [Task("bad", fail), Task("good", done.append)])
    assert [failure.path for failure in crew.failures] == ["bad"]
    assert len(done) == 1


def test_a_task_that_loses_its_connection_has_a_second_chance_on_a_new_one():
    client = Pretender()
    crew = crew_of(first=client)
    tries = []

    def once(other: Pretender) -> None:
        tries.append(1)
        if len(tries) == 1:
            other.lose()

    crew.run(lambda other: [Task("t", once)])
    assert len(tries) == 2
    assert client.connects == 2
    assert crew.failures == []


def test_a_task_that_loses_it_twice_has_failed():
    crew = crew_of()
    crew.run(lambda client: [Task("t", Pretender.lose)])
    assert [failure.path for failure in crew.failures] == ["t"]


def test_a_server_that_takes_fewer_sessions_is_worked_with_all_the_same():
    done = []
    crew = crew_of(lambda: Pretender(refused=True), first=Pretender(), parallel=4)
    crew.run(lambda client: [Task("t", done.append) for _ in range(10)])
    assert len(done) == 10
    assert crew.failures == []


def test_no_session_at_all_is_the_error():
    with pytest.raises(ServiceNotAvailable):
        crew_of(lambda: Pretender(refused=True)).run(lambda client: [])


def test_a_bug_in_one_thread_stops_all_and_comes_out():
    clients: list[Pretender] = []

    def make() -> Pretender:
        clients.append(Pretender())
        return clients[-1]

    crew = crew_of(make, parallel=2)

    def wait(client: Pretender) -> None:
        assert client.aborted.wait(20)
        raise ConnectionLost("aborted")

    def bug(client: Pretender) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crew.run(lambda client: [Task("wait", wait), Task("bug", bug), *[Task("t", wait)] * 5])
    assert all(client.has_quit for client in clients)


def test_the_callers_own_client_is_neither_ended_nor_aborted():
    client = Pretender()

    def fail(other: Pretender) -> list[Task]:
        raise FileUnavailable(550, ("no",))

    with pytest.raises(FileUnavailable):
        crew_of(first=client).run(fail)
    assert not client.aborted.is_set()
    assert not client.has_quit


@pytest.mark.parametrize("parallel", [0, 65])
def test_the_number_of_sessions_has_bounds(parallel):
    with pytest.raises(LocalProtocolError):
        crew_of(parallel=parallel)
