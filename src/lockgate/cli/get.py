"""`lockgate get`: download a file or a tree."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lockgate.client.api import Client
from lockgate.client.localfiles import is_stream, safe_local_name
from lockgate.client.urls import RemoteUrl
from lockgate.errors import LocalProtocolError, LockgateError, NotFound, PermanentReplyError

from ._progress import file_progress, tree_progress
from ._remote import Remote, moving, naming, remote_command, remote_url, report_tree, summary
from .terminal import error, line

__all__ = ["get"]


@remote_command
def get(
    url: Annotated[str, typer.Argument(metavar="URL", help="ftpes://user@host:port/path, or ftps://...")],
    local: Annotated[
        str | None,
        typer.Argument(
            metavar="LOCAL",
            help='The local file or folder; "-" is standard output.  [default: the remote name]',
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Make LOCAL the copy of the remote directory.")
    ] = False,
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", min=1, max=64, help="Sessions to use, with -r.")
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep a cut download, and go on there the next time.")
    ] = False,
    *,
    remote: Remote,
) -> None:
    """Download a file, or a whole directory with -r.

    A file replaces LOCAL in one step, when its end was verified, or not at all. If LOCAL is a folder, the
    file goes into it; if it is a link to a file, that file is replaced. A device, a pipe or "-" is written to
    as the bytes come: there only the exit code says whether all came, and --resume is not possible.

    With -r, LOCAL becomes the copy of the remote directory: get -r ftpes://host/photos p makes p/a.jpg of
    /photos/a.jpg, whether p exists or not. Links that lead to no file, and what is neither file nor
    directory, are skipped: they are named and counted, and do not change the exit code.

    ftpes:// is explicit TLS (port 21), ftps:// implicit TLS (port 990), ftp:// explicit TLS too. The path is
    absolute; write /~/path for one below the login directory. The password comes from LOCKGATE_PASSWORD or a
    prompt. The exit code is 0 only when everything that was not skipped was copied and verified.
    """
    where = remote_url(url)
    if recursive:
        if resume or local == "-":
            raise LocalProtocolError("--resume and - are for one file: leave -r out, or them")
        _get_tree(where, None if local is None else Path(local), remote, parallel=parallel)
        return
    if not where.path.strip("/") or where.path.endswith("/"):
        raise LocalProtocolError(f"{where} names a directory: add -r to copy it, or name a file in it")
    _get_file(where, _target(where, local), remote, resume=resume)


def _get_file(where: RemoteUrl, target: Path, remote: Remote, *, resume: bool) -> None:
    through = is_stream(target)
    if through and resume:
        raise LocalProtocolError(f"{target} is no plain file: --resume is not possible")
    # Bytes and a bar on the same terminal would be a mess.
    label = None if through and sys.stdout.isatty() else target.name
    with (
        remote.connected(where) as client,
        moving("what came before was written") if through else moving(),
        naming(where.path),
        file_progress(label) as progress,
    ):
        try:
            report = client.download(where.path, target, progress=progress, resume=resume)
        except PermanentReplyError as problem:
            if problem.code in (501, 550, 553) and _is_directory(client, where.path):
                raise LockgateError(f"{where} is a directory: add -r to copy it") from problem
            raise
    # Standard output may be the file itself.
    (error if through else line)(summary(str(target), report.bytes_moved, report.seconds))


def _get_tree(where: RemoteUrl, local: Path | None, remote: Remote, *, parallel: int) -> None:
    name = _name(where)
    target = local if local is not None else Path(safe_local_name(name) if name else where.host)
    with (
        report_tree(str(target)) as done,
        remote.connected(where) as client,
        moving(),
        naming(where.path),
    ):
        with tree_progress() as progress:
            report = client.download_tree(where.path, target, parallel=parallel, progress=progress)
        done(report)


def _target(where: RemoteUrl, local: str | None) -> Path:
    if local is None:
        return Path(safe_local_name(_name(where)))
    if local == "-":
        return Path("/dev/stdout")
    path = Path(local)
    if path.is_dir():
        return path / safe_local_name(_name(where))
    if local.endswith("/"):
        raise NotFound(f"there is no local folder {local}")
    return path


def _name(where: RemoteUrl) -> str:
    return where.path.rstrip("/").rpartition("/")[2]


def _is_directory(client: Client, path: str) -> bool:
    try:
        return client.stat(path).is_dir
    except LockgateError:
        return False
