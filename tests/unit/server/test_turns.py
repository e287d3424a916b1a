"""Turns at scarce work: how many, in which order, and who is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from lockgate.server.hashing import HashingBusy
from lockgate.server.turns import Turns


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 20))


def turns(at_once: int, **limits: Any) -> Turns:
    return Turns(at_once, refused=HashingBusy, **limits)


class Crowd:
    """Clients that want a turn each, and the order in which they got one."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.served: list[str] = []
        self.refused: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def arrive(self, *names: str) -> None:
        """Each name is its address (or address@owner), a slash and a number; all have asked on return."""
        loop = asyncio.get_running_loop()
        for name in names:
            self.tasks[name] = loop.create_task(self._take(name))
            await asyncio.sleep(0)

    async def _take(self, name: str) -> None:
        try:
            address, _, owner = name.partition("/")[0].partition("@")
            await self.turns.take(address, owner)
        except HashingBusy:
            self.refused.append(name)
        else:
            self.served.append(name)

    async def finish(self, count: int) -> None:
        """So many turns are given back, one after the other."""
        for _ in range(count):
            self.turns.give_back()
            await asyncio.sleep(0)


def names(address: str, count: int) -> list[str]:
    return [f"{address}/{number}" for number in range(count)]


def test_only_so_many_turns_are_out_at_once() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(2))
        await crowd.arrive(*names("192.0.2.1", 5))
        assert len(crowd.served) == 2
        for served in (3, 4, 5):
            await crowd.finish(1)
            assert len(crowd.served) == served
        await crowd.finish(2)
        await crowd.arrive("192.0.2.1/x")
        assert crowd.served[-1] == "192.0.2.1/x"

    play(scene())


def test_an_address_with_500_waiting_does_not_hold_up_the_first_of_another() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        await crowd.arrive(*names("192.0.2.1", 500), "192.0.2.2/first", "192.0.2.3/first")
        await crowd.finish(3)
        assert set(crowd.served[1:4]) >= {"192.0.2.2/first", "192.0.2.3/first"}
        await crowd.finish(499)
        assert len(crowd.served) == 502
        assert crowd.turns.waiting == 0

    play(scene())


def test_addresses_take_turns() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        await crowd.arrive("192.0.2.9/0", *names("192.0.2.1", 3), *names("192.0.2.2", 3))
        await crowd.finish(6)
        order = [name.partition("/")[0] for name in crowd.served[1:]]
        assert order == ["192.0.2.1", "192.0.2.2"] * 3

    play(scene())


def test_a_client_with_a_whole_ipv6_network_is_one_address() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        await crowd.arrive(*(f"2001:db8::{number:x}/0" for number in range(100)), "192.0.2.2/0")
        await crowd.finish(2)
        assert "192.0.2.2/0" in crowd.served

    play(scene())


def test_a_full_queue_refuses_the_heaviest_address_and_lets_others_in() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1, waiting_limit=10))
        await crowd.arrive(*names("192.0.2.1", 15))
        assert crowd.refused == ["192.0.2.1/11", "192.0.2.1/12", "192.0.2.1/13", "192.0.2.1/14"]
        crowd.refused.clear()
        await crowd.arrive(*names("192.0.2.2", 8))
        await asyncio.sleep(0)
        assert crowd.turns.waiting == 10
        # Five each wait in the end; neither keeps the other out.
        assert crowd.refused == [
            *(f"192.0.2.1/{number}" for number in (10, 9, 8, 7, 6)),
            *(f"192.0.2.2/{number}" for number in (5, 6, 7)),
        ]
        await crowd.finish(3)
        assert "192.0.2.2/0" in crowd.served

    play(scene())


def test_one_who_waits_too_long_is_refused_and_forgotten() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1, wait_seconds=0.01))
        await crowd.arrive("192.0.2.1/0", "192.0.2.1/1")
        await crowd.tasks["192.0.2.1/1"]
        assert crowd.refused == ["192.0.2.1/1"]
        assert crowd.turns.waiting == 0
        await crowd.finish(1)
        await crowd.arrive("192.0.2.1/2")
        assert crowd.served == ["192.0.2.1/0", "192.0.2.1/2"]

    play(scene())


@pytest.mark.parametrize("given_first", [False, True])
def test_one_who_is_cancelled_takes_no_turn_along(given_first: bool) -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        await crowd.arrive("192.0.2.1/0", "192.0.2.1/1")
        if given_first:
            crowd.turns.give_back()
        crowd.tasks["192.0.2.1/1"].cancel()
        await asyncio.wait([crowd.tasks["192.0.2.1/1"]])
        if not given_first:
            crowd.turns.give_back()
        assert crowd.turns.waiting == 0
        await crowd.arrive("192.0.2.1/2")
        assert "192.0.2.1/2" in crowd.served

    play(scene())


def test_one_who_is_cancelled_when_refused_gives_no_turn_back() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        await crowd.arrive("192.0.2.1/0", "192.0.2.1/1")
        crowd.turns.refuse_all()
        crowd.tasks["192.0.2.1/1"].cancel()
        await asyncio.wait([crowd.tasks["192.0.2.1/1"]])
        await crowd.arrive("192.0.2.1/2")
        assert crowd.served == ["192.0.2.1/0"]
        assert crowd.turns.waiting == 1
        crowd.turns.refuse_all()
        await asyncio.wait(crowd.tasks.values())

    play(scene())


def test_when_the_server_ends_all_who_wait_are_refused() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        await crowd.arrive(*names("192.0.2.1", 4), *names("192.0.2.2", 4))
        crowd.turns.refuse_all()
        await asyncio.wait(crowd.tasks.values())
        assert len(crowd.served) == 1
        assert len(crowd.refused) == 7
        assert crowd.turns.waiting == 0

    play(scene())


def test_more_turns_count_at_once_and_fewer_as_they_come_back() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        await crowd.arrive(*names("192.0.2.1", 4))
        crowd.turns.resize(3)
        await crowd.arrive("192.0.2.1/4")
        assert len(crowd.served) == 3
        crowd.turns.resize(1)
        await crowd.finish(2)
        assert len(crowd.served) == 3
        await crowd.finish(1)
        assert len(crowd.served) == 4

    play(scene())


def test_owners_take_turns_and_the_addresses_of_each() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        heavy = [f"192.0.2.{address}@alice/{number}" for address in range(10) for number in range(10)]
        await crowd.arrive("192.0.2.99@carol/0", *heavy, "192.0.2.50@bob/0", "192.0.2.60@alice/0")
        await crowd.finish(13)
        assert "192.0.2.50@bob/0" in crowd.served[:3]
        # Ten addresses of the owner before it, each once.
        assert "192.0.2.60@alice/0" in crowd.served[:14]

    play(scene())


def test_a_full_queue_refuses_the_heaviest_owner_from_however_many_addresses() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1, waiting_limit=10))
        await crowd.arrive("192.0.2.99@carol/0", *(f"192.0.2.{number}@alice/0" for number in range(10)))
        await crowd.arrive("192.0.2.50@bob/0")
        await asyncio.sleep(0)
        assert len(crowd.refused) == 1
        assert "@alice" in crowd.refused[0]
        # An owner makes room for itself where one of its addresses has more than the newcomer.
        await crowd.arrive(*names("192.0.2.50@bob", 4)[1:], "192.0.2.51@bob/0")
        await asyncio.sleep(0)
        assert len(crowd.refused) == 5
        await crowd.arrive("192.0.2.51@bob/1")
        await asyncio.sleep(0)
        assert crowd.refused[5:] == ["192.0.2.50@bob/3"]
        assert crowd.turns.waiting == 10

    play(scene())


def test_a_turn_that_is_dropped_goes_to_the_next_whether_it_had_come_or_not() -> None:
    async def scene() -> None:
        crowd = Crowd(turns(1))
        first, second = crowd.turns.ask("192.0.2.1"), crowd.turns.ask("192.0.2.2")
        await crowd.arrive("192.0.2.3/0")
        crowd.turns.drop(second)
        await asyncio.sleep(0)
        assert crowd.turns.waiting == 1
        crowd.turns.drop(first)
        await asyncio.sleep(0)
        assert crowd.served == ["192.0.2.3/0"]
        assert crowd.turns.out == 1

    play(scene())
