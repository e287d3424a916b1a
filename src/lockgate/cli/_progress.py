"""Progress bars on standard error, where that is a terminal. Must not know commands or servers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lockgate.client.progress import Progress, shown_bytes
from lockgate.client.trees import TreeProgress

from ._remote import count_of, printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import Task

__all__ = ["file_progress", "tree_progress"]


@contextlib.contextmanager
def file_progress(label: str | None) -> Iterator[Callable[[Progress], None] | None]:
    """Show a bar for one file on a terminal; None elsewhere, and without a label."""
    with _bar() if label is not None else contextlib.nullcontext() as bar:
        if bar is None or label is None:
            yield None
            return
        task = bar.add_task(printable(label), total=None)

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total)

        yield show


@contextlib.contextmanager
def tree_progress() -> Iterator[Callable[[TreeProgress], None] | None]:
    """Show one bar for a whole tree on a terminal; None elsewhere."""
    with _bar() as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("looking for files", total=None)

        def show(progress: TreeProgress) -> None:
            more = "" if progress.is_found else "+"
            bar.update(
                task,
                description=f"{progress.files_done} of {count_of(progress.files_found, 'file')}{more}",
                completed=progress.bytes_done,
                total=progress.bytes_found,
            )

        yield show


@contextlib.contextmanager
def _bar() -> Iterator[Bar | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Amount(ProgressColumn):
        """Bytes and rate, in the words of the line that follows at the end."""

        def render(self, task: Task) -> Text:
            return Text(_amount(task.completed, task.total, task.finished_speed or task.speed))

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), Amount(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


def _amount(done: float, total: float | None, rate: float | None) -> str:
    """Return how much is done: nothing before the first byte, and no total while there is none."""
    if not done:
        return "" if total is None else shown_bytes(total)
    of = "" if total is None else f" of {shown_bytes(total)}"
    speed = f", {shown_bytes(rate)}/s" if rate else ""
    return f"{shown_bytes(done)}{of}{speed}"
