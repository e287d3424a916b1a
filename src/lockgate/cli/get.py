"""`lockgate get`: download a file or a tree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lockgate.client.api import Client
from lockgate.client.localfiles import safe_local_name
from lockgate.client.urls import RemoteUrl
from lockgate.errors import LocalProtocolError, LockgateError, PermanentReplyError

from ._remote import (
    Remote,
    file_progress,
    naming,
    remote_command,
    remote_url,
    report_tree,
    summary,
    tree_progress,
)
from .terminal import line

__all__ = ["get"]


@remote_command
def get(
    url: Annotated[str, typer.Argument(metavar="URL", help="ftpes://user@host:port/path, or ftps://...")],
    local: Annotated[
        Path | None,
        typer.Argument(metavar="LOCAL", help="The local file or folder.  [default: the remote name]"),
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
    file goes into it. With -r, LOCAL becomes the copy of the remote directory: get -r ftpes://host/photos p
    makes p/a.jpg of /photos/a.jpg, whether p exists or not.

    ftpes:// is explicit TLS (port 21), ftps:// implicit TLS (port 990), ftp:// explicit TLS too. The path is
    absolute; write /~/path for one below the login directory. The password comes from LOCKGATE_PASSWORD or a
    prompt. The exit code is 0 only when everything was copied and verified.
    """
    where = remote_url(url)
    if recursive:
        _get_tree(where, local, remote, parallel=parallel)
        return
    if not where.path.strip("/") or where.path.endswith("/"):
        raise LocalProtocolError(f"{where} names a directory: add -r to copy it, or name a file in it")
    target = _target(where, local)
    with (
        remote.connected(where) as client,
        naming(where.path),
        file_progress(target.name) as progress,
    ):
        try:
            report = client.download(where.path, target, progress=progress, resume=resume)
        except PermanentReplyError as problem:
            if problem.code in (501, 550, 553) and _is_directory(client, where.path):
                raise LockgateError(f"{where} is a directory: add -r to copy it") from problem
            raise
    line(summary(str(target), report.bytes_moved, report.seconds))


def _get_tree(where: RemoteUrl, local: Path | None, remote: Remote, *, parallel: int) -> None:
    name = _name(where)
    target = local if local is not None else Path(safe_local_name(name) if name else where.host)
    with report_tree(str(target)) as done, remote.connected(where) as client, naming(where.path):
        with tree_progress() as progress:
            report = client.download_tree(where.path, target, parallel=parallel, progress=progress)
        done(report)


def _target(where: RemoteUrl, local: Path | None) -> Path:
    if local is None:
        return Path(safe_local_name(_name(where)))
    return local / safe_local_name(_name(where)) if local.is_dir() else local


def _name(where: RemoteUrl) -> str:
    return where.path.rstrip("/").rpartition("/")[2]


def _is_directory(client: Client, path: str) -> bool:
    try:
        return client.stat(path).is_dir
    except LockgateError:
        return False
