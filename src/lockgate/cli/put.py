"""`lockgate put`: upload a file or a tree."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lockgate.client.entries import joined
from lockgate.errors import IsADirectory, NotFound

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

__all__ = ["put"]


@remote_command
def put(
    local: Annotated[Path, typer.Argument(metavar="LOCAL", help="The local file, or folder with -r.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="ftpes://user@host:port/path, or ftps://...")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Make the remote path the copy of the folder LOCAL.")
    ] = False,
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", min=1, max=64, help="Sessions to use, with -r.")
    ] = 1,
    *,
    remote: Remote,
) -> None:
    """Upload a file, or a whole folder with -r.

    A URL that ends with "/" is the directory the file goes into, under its own name. With -r, the remote path
    becomes the copy of the folder: put -r photos ftpes://host/in makes /in/a.jpg of photos/a.jpg, whether /in
    exists or not. Links to files are followed, links to folders are not.

    ftpes:// is explicit TLS (port 21), ftps:// implicit TLS (port 990), ftp:// explicit TLS too. The path is
    absolute; write /~/path for one below the login directory. The password comes from LOCKGATE_PASSWORD or a
    prompt. The exit code is 0 only when everything was copied and verified.
    """
    where = remote_url(url)
    if recursive:
        with report_tree(str(where)) as done, remote.connected(where) as client, naming(where.path):
            with tree_progress() as progress:
                report = client.upload_tree(local, where.path, parallel=parallel, progress=progress)
            done(report)
        return
    if local.is_dir():
        raise IsADirectory(f"{local} is a directory: add -r to copy it")
    if not local.is_file():
        raise NotFound(f"there is no local file {local}")
    if not where.path or where.path.endswith("/"):
        # A name that is no UTF-8 keeps its octets, here and in the command (RFC 2640 §2.2).
        where = replace(where, path=joined(where.path, os.fsdecode(local.name)))
    with (
        remote.connected(where) as client,
        naming(where.path),
        file_progress(local.name) as progress,
    ):
        moved = client.upload(local, where.path, progress=progress)
    line(summary(str(where), moved.bytes_moved, moved.seconds))
