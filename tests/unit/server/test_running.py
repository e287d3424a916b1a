"""Commands that have come in masses are run in turns; with a clock of the test's own."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from lockgate.protocol.commands import Command
from lockgate.protocol.replies import Reply, ReplyCode
from lockgate.protocol.server import CommandRefused
from lockgate.server.running import CommandRunner

COMMANDS = 500
SECONDS_A_COMMAND = 0.001


class Client:
    """As much of a control connection as the runner needs; each command takes a millisecond."""

    is_closing = is_write_blocked = False

    def __init__(self) -> None:
        self.now, self.left, self.replies = 0.0, COMMANDS, 0
        self.tasks: list[asyncio.Task[None]] = []
        self.peer_address = "127.0.0.1"
        self.session = SimpleNamespace(job=None, long_work=None, control=self, user_name=None)
        self.core = self
        self.server = SimpleNamespace(loop=SimpleNamespace(time=lambda: self.now), spawn=self.spawn)

    def spawn(self, work: Any) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def next_event(self) -> CommandRefused | None:
        self.left -= 1
        refusal = Reply.of(ReplyCode.BAD_SEQUENCE, "Not now.")
        return CommandRefused(Command.parse(b"NOOP"), refusal, "test") if self.left >= 0 else None

    def reply(self, reply: Reply, command: Command) -> None:
        self.replies += 1
        self.now += SECONDS_A_COMMAND

    def read_on(self) -> None:
        """Nothing more comes."""

    wake = read_on


def test_a_session_with_many_commands_lets_the_others_have_turns() -> None:
    between: list[int] = []

    async def run() -> None:
        client = Client()
        CommandRunner(client).run_next()  # type: ignore[arg-type]
        while not client.tasks[0].done():
            before = client.replies
            await asyncio.sleep(0)
            between.append(client.replies - before)
        assert client.replies == COMMANDS

    asyncio.run(run())
    assert max(between) <= 5
