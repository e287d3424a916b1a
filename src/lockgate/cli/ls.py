"""`lockgate ls`: list a remote directory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from lockgate.client.api import Client
from lockgate.client.entries import RemoteEntry
from lockgate.errors import PermanentReplyError

from ._remote import Remote, naming, printable, remote_command, remote_url
from .terminal import line

__all__ = ["ls"]

_MARKS = {"dir": "d", "file": "-", "link": "l", "other": "?"}


@remote_command
def ls(
    url: Annotated[str, typer.Argument(metavar="URL", help="ftpes://user@host:port/path, or ftps://...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, for programs.")] = False,
    *,
    remote: Remote,
) -> None:
    """List a remote directory, or one file: kind, size, time (UTC) and name.

    ftpes:// is explicit TLS (port 21), ftps:// implicit TLS (port 990), ftp:// explicit TLS too. The path is
    absolute; write /~/path for one below the login directory. The password comes from LOCKGATE_PASSWORD or a
    prompt.
    """
    where = remote_url(url)
    with remote.connected(where) as client, naming(where.path):
        entries = _entries(client, where.path)
    if as_json:
        line(json.dumps([_as_json(entry) for entry in entries], indent=1))
        return
    width = max((len(_size(entry)) for entry in entries), default=0)
    for entry in sorted(entries, key=lambda entry: entry.name):
        line(f"{_MARKS[entry.kind]}  {_size(entry):>{width}}  {_time(entry):19}  {_shown_name(entry)}")


def _entries(client: Client, path: str) -> list[RemoteEntry]:
    try:
        return client.list(path)
    except PermanentReplyError:
        entry = client.stat(path)
        if entry.is_dir:
            raise
        return [entry]


def _as_json(entry: RemoteEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "path": entry.path,
        "kind": entry.kind,
        "size": entry.size,
        "modified": None if entry.modified is None else _time(entry).replace(" ", "T") + "Z",
        "mode": None if entry.mode is None else f"{entry.mode:04o}",
        "target": entry.target,
    }


def _size(entry: RemoteEntry) -> str:
    return "" if entry.size is None or entry.is_dir else str(entry.size)


def _time(entry: RemoteEntry) -> str:
    if entry.modified is None:
        return ""
    return datetime.fromtimestamp(entry.modified, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _shown_name(entry: RemoteEntry) -> str:
    name = printable(entry.name)
    if entry.is_dir:
        return f"{name}/"
    return f"{name} -> {printable(entry.target)}" if entry.target else name
