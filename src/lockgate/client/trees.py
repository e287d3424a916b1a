"""Whole directory trees, there and back, over several sessions at once. Blocks.

The copy lands at the path given, as a copy, not inside it. Directories are made first. Names from the server
never leave the local folder. A file that fails does not stop the others; the report names it.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.errors import (
    FileUnavailable,
    NotADirectory,
    NotFound,
    StorageError,
    TransferError,
    shorten,
)

from .crew import Crew, Task, TreeFailure
from .entries import RemoteEntry, joined
from .localfiles import is_stream, safe_local_name
from .progress import Progress

if TYPE_CHECKING:
    from .api import Client

__all__ = [
    "TreeIncomplete",
    "TreeProgress",
    "TreeProgressCallback",
    "TreeReport",
    "download_tree",
    "upload_tree",
]


_MOST_LEVELS = 200
_INTERVAL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class TreeReport:
    """What copying a tree did.

    Attributes:
        directories: Directories that exist now, the root included.
        files: Files copied and verified.
        bytes_moved: Bytes of these files.
        seconds: How long it all took.
        skipped: Paths that are neither files nor directories, or links that lead nowhere; not copied.
        failures: What could not be copied.
    """

    directories: int
    files: int
    bytes_moved: int
    seconds: float
    skipped: tuple[str, ...] = ()
    failures: tuple[TreeFailure, ...] = ()


class TreeIncomplete(TransferError):
    """Not everything of a tree was copied.

    Attributes:
        report: What was, and what was not.
    """

    def __init__(self, report: TreeReport) -> None:
        self.report = report
        first = report.failures[0]
        count = len(report.failures)
        super().__init__(f"{count} of {count + report.files} could not be copied; the first: {first}")


@dataclass(frozen=True, slots=True)
class TreeProgress:
    """How far a tree is.

    Attributes:
        path: The file that moved last.
        files_done: Files copied.
        files_found: Files found so far.
        bytes_done: Bytes copied.
        bytes_found: Bytes found so far, as listings tell them.
        is_found: Everything has been found: the totals are final.
    """

    path: str
    files_done: int
    files_found: int
    bytes_done: int
    bytes_found: int
    is_found: bool

    def __str__(self) -> str:
        return f"{self.files_done} of {self.files_found} files, {self.bytes_done} of {self.bytes_found} bytes"


TreeProgressCallback = Callable[[TreeProgress], object]
"""Called by one thread at a time; what it raises ends the copying."""


@dataclass(slots=True)
class _Tally:
    """Counts for all threads, and tells the caller now and then."""

    callback: TreeProgressCallback | None
    root: str = ""
    began: float = field(default_factory=time.monotonic)
    directories: int = 0
    files_done: int = 0
    files_found: int = 0
    bytes_done: int = 0
    bytes_found: int = 0
    is_found: bool = False
    skipped: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _told_at: float = 0.0

    def found(self, *, directories: int = 0, files: int = 0, size: int = 0) -> None:
        with self.lock:
            self.directories += directories
            self.files_found += files
            self.bytes_found += size

    def skip(self, path: str) -> None:
        with self.lock:
            self.skipped.append(path)

    def drop(self, path: str, size: int) -> None:
        """A link that turned out to be no file."""
        with self.lock:
            self.skipped.append(path)
            self.files_found -= 1
            self.bytes_found -= size

    def moved(self, path: str, count: int, *, files: int = 0) -> None:
        with self.lock:
            self.bytes_done += count
            self.files_done += files
            now = time.monotonic()
            if self.callback is not None and now - self._told_at >= _INTERVAL_SECONDS:
                self._told_at = now
                self._tell(path)

    def finish(self) -> None:
        with self.lock:
            if self.callback is not None:
                self._tell("")

    def _tell(self, path: str) -> None:
        assert self.callback is not None
        self.callback(
            TreeProgress(
                path=path,
                files_done=self.files_done,
                files_found=self.files_found,
                bytes_done=self.bytes_done,
                bytes_found=self.bytes_found,
                is_found=self.is_found,
            )
        )

    def report(self, failures: list[TreeFailure]) -> TreeReport:
        self.finish()
        report = TreeReport(
            directories=self.directories,
            files=self.files_done,
            bytes_moved=self.bytes_done,
            seconds=time.monotonic() - self.began,
            skipped=tuple(sorted(self.skipped)),
            failures=tuple(failures),
        )
        if failures:
            raise TreeIncomplete(report)
        return report


class _File:
    """Counts one file's bytes; a second attempt takes back what the first had counted."""

    __slots__ = ("_counted", "_path", "_tally")

    def __init__(self, tally: _Tally, path: str) -> None:
        self._tally = tally
        self._path = path
        self._counted = 0

    def progress(self, progress: Progress) -> None:
        self._to(progress.done)

    def finish(self, size: int) -> None:
        self._to(size, files=1)

    def fail(self) -> None:
        self._to(0)

    def _to(self, done: int, *, files: int = 0) -> None:
        step, self._counted = done - self._counted, done
        self._tally.moved(self._path, step, files=files)


# --- down ---


def download_tree(
    crew: Crew, remote: str, local: Path, *, progress: TreeProgressCallback | None = None
) -> TreeReport:
    """Make a local folder the copy of a remote directory.

    Links in the local folder are followed where they stay in it. Devices and pipes are not written to.

    Raises:
        NotADirectory: The remote path is a file, or the local one is.
        TreeIncomplete: Some of it could not be copied.
    """
    tally = _Tally(progress, root=os.path.realpath(local))

    def prelude(client: Client) -> list[Task]:
        if client.stat(remote).is_file:
            raise NotADirectory(f"{shorten(remote, 200)} is a file: download it without -r")
        return [Task(remote, partial(_take_directory, crew, tally, remote, local, 0))]

    crew.run(prelude)
    return tally.report(crew.failures)


def _take_directory(crew: Crew, tally: _Tally, remote: str, local: Path, level: int, client: Client) -> None:
    if level > _MOST_LEVELS:
        raise StorageError(f"more than {_MOST_LEVELS} directories inside each other: a loop of links?")
    entries = client.list(remote)
    if level:
        _check_inside(tally.root, local)
    _make_folder(local)
    tally.found(directories=1)
    crew.add(_tasks_of(crew, tally, entries, local, level))


def _tasks_of(crew: Crew, tally: _Tally, entries: list[RemoteEntry], local: Path, level: int) -> list[Task]:
    tasks: list[Task] = []
    for entry in entries:
        target = local / safe_local_name(entry.name)
        if entry.is_dir:
            work = partial(_take_directory, crew, tally, entry.path, target, level + 1)
            tasks.append(Task(entry.path, work))
        elif entry.kind == "other":
            tally.skip(entry.path)
        else:
            tally.found(files=1, size=entry.size or 0)
            tasks.append(Task(entry.path, partial(_take_file, tally, entry, target)))
    return tasks


def _take_file(tally: _Tally, entry: RemoteEntry, target: Path, client: Client) -> None:
    _check_inside(tally.root, target)
    counter = _File(tally, entry.path)
    is_exact = entry.is_file and entry.is_modified_exact
    try:
        report = client.download(
            entry.path,
            target,
            progress=counter.progress,
            expected_size=entry.size if entry.is_file else None,
            modified=entry.modified if is_exact else None,
        )
    except FileUnavailable:
        if entry.kind != "link":
            raise
        # A link to a directory, or to nothing; following those could go round in circles.
        tally.drop(entry.path, entry.size or 0)
    except BaseException:
        counter.fail()
        raise
    else:
        counter.finish(report.size)


def _check_inside(root: str, target: Path) -> None:
    """Refuse a name that leads out of the tree by a link, or to something that is no file (RSEC-C-path)."""
    if target.is_symlink() and not Path(os.path.realpath(target)).is_relative_to(root):
        raise StorageError(f"{shorten(str(target), 200)} is a link that leads out of the folder: remove it")
    if is_stream(target):
        raise StorageError(f"{shorten(str(target), 200)} is no plain file, and it is not replaced")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectory(f"{shorten(str(path), 200)} is there and is no folder") from error
    except OSError as error:
        raise StorageError(f"cannot make {shorten(str(path), 200)}: {error.strerror}") from error


# --- up ---


def upload_tree(
    crew: Crew, local: Path, remote: str, *, progress: TreeProgressCallback | None = None
) -> TreeReport:
    """Make a remote directory the copy of a local folder.

    Links to files are followed. Other links, and what is neither a file nor a directory, is skipped and
    stands in the report. What cannot be read fails, and does not stop the rest.

    Raises:
        NotFound, NotADirectory: The local path is not there, or is no folder.
        TreeIncomplete: Some of it could not be copied.
    """
    if not local.is_dir():
        shown = shorten(str(local), 200)
        if local.exists():
            raise NotADirectory(f"{shown} is no folder: upload it as a file")
        raise NotFound(f"there is no local folder {shown}")
    tally = _Tally(progress)

    def prelude(client: Client) -> list[Task]:
        return _plan_upload(client, crew, tally, local=local, remote=remote or ".")

    crew.run(prelude)
    return tally.report(crew.failures)


def _plan_upload(client: Client, crew: Crew, tally: _Tally, *, local: Path, remote: str) -> list[Task]:
    """Make the directories, and return a task for each file."""
    tasks: list[Task] = []
    waiting = deque([(local, remote)])
    while waiting:
        folder, path = waiting.popleft()
        if path not in (".", "/"):
            client.mkdir(path, exist_ok=True)
        tally.found(directories=1)
        try:
            entries = _scan(folder)
        except StorageError as error:
            crew.failures.append(TreeFailure(str(folder), error))
            continue
        for entry in entries:
            target = joined(path, entry.name)
            if entry.is_dir(follow_symlinks=False):
                waiting.append((Path(entry.path), target))
            elif (size := _size(entry)) is None:
                tally.skip(entry.path)
            else:
                tally.found(files=1, size=size)
                tasks.append(Task(target, partial(_give_file, tally, Path(entry.path), target)))
    tally.is_found = True
    return tasks


def _size(entry: os.DirEntry[str]) -> int | None:
    """Return the length of a file or of what a link leads to; None for what is no file."""
    try:
        status = entry.stat()
    except OSError:
        # A link that leads nowhere or round in circles, or a file that has just gone.
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise StorageError(f"cannot read {shorten(str(folder), 200)}: {error.strerror}") from error


def _give_file(tally: _Tally, source: Path, target: str, client: Client) -> None:
    counter = _File(tally, target)
    try:
        report = client.upload(source, target, progress=counter.progress)
    except BaseException:
        counter.fail()
        raise
    counter.finish(report.size)
