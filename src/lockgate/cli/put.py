"""`lockgate put`: upload a file or a tree."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lockgate.client.entries import joined
from lockgate.client.urls import RemoteUrl
from lockgate.errors import IsADirectory, LocalProtocolError, NotADirectory, NotFound

from ._progress import file_progress, tree_progress
from ._remote import Remote, moving, naming, remote_command, remote_url, report_tree, summary
from .terminal import line

__all__ = ["put"]


@remote_command
def put(
    local: Annotated[
        Path,
        typer.Argument(metavar="LOCAL", help='The local file, or folder with -r; "-" is standard input.'),
    ],
    url: Annotated[str, typer.Argument(metavar="URL", help="ftpes://user@host:port/path, or ftps://...")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Make the remote path the copy of the folder LOCAL.")
    ] = False,
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", min=1, max=64, help="Sessions to use, with -r.")
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where an interrupted upload of the same file ended (by SIZE)."),
    ] = False,
    *,
    remote: Remote,
) -> None:
    """Upload a file, or a whole folder with -r.

    A URL that ends with "/" is the directory the file goes into, under its own name. With -r, the remote path
    becomes the copy of the folder: put -r photos ftpes://host/in makes /in/a.jpg of photos/a.jpg, whether /in
    exists or not. Links to files are followed. Links to folders or to nothing, pipes, sockets and devices are
    skipped: they are named and counted, and do not change the exit code.

    ftpes:// is explicit TLS (port 21), ftps:// implicit TLS (port 990), ftp:// explicit TLS too. The path is
    absolute; write /~/path for one below the login directory. The password comes from LOCKGATE_PASSWORD or a
    prompt. The exit code is 0 only when everything that was not skipped was copied and verified.
    """
    where = remote_url(url)
    from_input = str(local) == "-"
    if recursive:
        if resume or from_input:
            raise LocalProtocolError("--resume and - are for one file: leave -r out, or them")
        _put_tree(local, where, remote, parallel=parallel)
        return
    if from_input:
        if resume:
            raise LocalProtocolError("standard input cannot be read again: --resume is not possible")
        if not where.path or where.path.endswith("/"):
            raise LocalProtocolError(f"{where} names a directory: name the file that standard input becomes")
        _put_file(Path("/dev/stdin"), where, remote, resume=False)
        return
    if local.is_dir():
        raise IsADirectory(f"{local} is a directory: add -r to copy it")
    if not local.exists():
        raise NotFound(f"there is no local file {local}")
    if not where.path or where.path.endswith("/"):
        # A name that is no UTF-8 keeps its octets, here and in the command (RFC 2640 §2.2).
        where = replace(where, path=joined(where.path, os.fsdecode(local.name)))
    _put_file(local, where, remote, resume=resume)


def _put_file(local: Path, where: RemoteUrl, remote: Remote, *, resume: bool) -> None:
    with (
        remote.connected(where) as client,
        moving("the upload is not complete; --resume goes on where the server keeps what came"),
        naming(where.path),
        file_progress(local.name) as progress,
    ):
        moved = client.upload(local, where.path, progress=progress, resume=resume)
    line(summary(str(where), moved.bytes_moved, moved.seconds))


def _put_tree(local: Path, where: RemoteUrl, remote: Remote, *, parallel: int) -> None:
    if not local.is_dir():
        if local.exists():
            raise NotADirectory(f"{local} is a file: leave -r out")
        raise NotFound(f"there is no local folder {local}")
    with (
        report_tree(str(where)) as done,
        remote.connected(where) as client,
        moving("the upload is not complete"),
        naming(where.path),
    ):
        with tree_progress() as progress:
            report = client.upload_tree(local, where.path, parallel=parallel, progress=progress)
        done(report)
