"""Several sessions that work off a list of tasks together. Blocks; must not know what the tasks do."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockgate.errors import LocalProtocolError, LockgateError, shorten

if TYPE_CHECKING:
    from .api import Client

__all__ = ["Crew", "Task", "TreeFailure"]

_log = logging.getLogger(__name__)

_MOST_SESSIONS = 64


@dataclass(frozen=True, slots=True)
class TreeFailure:
    """A file or directory that could not be copied, and why."""

    path: str
    error: Exception

    def __str__(self) -> str:
        return f"{self.path}: {self.error}"


@dataclass(slots=True)
class Task:
    """One piece of work: what to do with a session.

    Attributes:
        path: For messages.
        work: Does it; may add tasks to the crew.
        is_again: It failed before, with its connection.
    """

    path: str
    work: Callable[[Client], None]
    is_again: bool = False


class Crew:
    """Sessions that work off tasks, one of them in the calling thread.

    Args:
        make_client: Makes a client that is not connected yet.
        first: A connected client for the calling thread; None makes one.
        parallel: How many sessions, 1 to 64.
    """

    def __init__(self, make_client: Callable[[], Client], *, first: Client | None, parallel: int) -> None:
        if not 1 <= parallel <= _MOST_SESSIONS:
            raise LocalProtocolError(f"parallel={parallel} is not between 1 and {_MOST_SESSIONS}")
        self.failures: list[TreeFailure] = []
        self._make_client = make_client
        self._first = first
        self._parallel = parallel
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._running = 0
        self._stopped: BaseException | None = None
        self._clients: list[Client] = []

    def add(self, tasks: Iterable[Task]) -> None:
        """Add tasks; for any thread."""
        with self._changed:
            self._tasks.extend(tasks)
            self._changed.notify_all()

    def stop(self, error: BaseException, *, spare: Client | None = None) -> None:
        """End everything as soon as possible; for any thread.

        Args:
            error: Why; the first one counts.
            spare: A client that nothing runs on just now.
        """
        with self._changed:
            if self._stopped is None:
                self._stopped = error
            self._tasks.clear()
            self._changed.notify_all()
            clients = [client for client in self._clients if client is not spare]
        for client in clients:
            client.abort()

    def run(self, prelude: Callable[[Client], Iterable[Task]]) -> None:
        """Call `prelude` with the first session, then work off what it gave and what follows from that.

        Raises:
            LockgateError: The prelude failed, or no session can be had any more.
            BaseException: What stopped the crew, such as KeyboardInterrupt.
        """
        threads: list[threading.Thread] = []
        own = self._first or self._make_client()
        try:
            self._clients.append(own)
            own.connect()
            self.add(prelude(own))
            for number in range(1, self._parallel):
                thread = threading.Thread(
                    target=self._work_apart, name=f"lockgate-tree-{number}", daemon=True
                )
                thread.start()
                threads.append(thread)
            self._work(own)
        except BaseException as error:
            self.stop(error, spare=own)
            raise
        finally:
            for thread in threads:
                thread.join()
            if own is not self._first:
                own.quit()
        if self._stopped is not None:
            raise self._stopped

    def _work_apart(self) -> None:
        client = self._make_client()
        try:
            with self._changed:
                if self._stopped is not None or not (self._tasks or self._running):
                    return
                self._clients.append(client)
            client.connect()
        except LockgateError as error:
            # Servers limit sessions; the others go on with the work.
            _log.warning("one session less: %s", error)
            return
        try:
            self._work(client)
        except BaseException as error:  # noqa: BLE001 - the calling thread raises it
            self.stop(error)
        finally:
            client.quit()

    def _work(self, client: Client) -> None:
        while (task := self._next()) is not None:
            try:
                client.connect()
                task.work(client)
            except (LockgateError, OSError) as error:
                self._note(task, client, error)
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def _next(self) -> Task | None:
        with self._changed:
            while not self._tasks and self._running and self._stopped is None:
                self._changed.wait()
            if not self._tasks or self._stopped is not None:
                return None
            self._running += 1
            return self._tasks.popleft()

    def _note(self, task: Task, client: Client, error: Exception) -> None:
        with self._changed:
            if self._stopped is not None:
                return
            if client.is_usable or task.is_again:
                _log.debug("! %s: %s", shorten(task.path, 200), error)
                self.failures.append(TreeFailure(task.path, error))
            else:
                # The connection is at fault; the file gets a second chance on a new one.
                self._tasks.append(Task(task.path, task.work, is_again=True))
