"""aioftp's client against our server: implicit TLS, its ClientHello before the transfer command."""

from __future__ import annotations

import json
import random
from pathlib import Path

from live_server import PASSWORD, USER
from programs import run

SCRIPT = """
import asyncio, json, pathlib, ssl, sys
import aioftp

host, port, user, password, ca, version, local = sys.argv[1:]
local = pathlib.Path(local)

async def main():
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv1_" + version[-1]]
    session = aioftp.Client.context(host, int(port), user, password, ssl=context, socket_timeout=15)
    async with session as client:
        await client.make_directory("made/deep er")
        await client.change_directory("made")  # aioftp keeps the last part only of a tree's destination
        await client.upload(local / "tree", "tree", write_into=True)
        await client.change_directory("/")
        await client.download("made/tree", local / "back", write_into=True)
        await client.rename("made/tree/empty", "made/deep er/moved")
        names = sorted([str(path) async for path, _ in client.list("made", recursive=True)])
        size = (await client.stat("made/tree/big"))["size"]
        async with client.download_stream("made/tree/big", offset=1000) as stream:
            rest = len(await stream.read())
        await client.remove("made")
        gone = not await client.exists("made")
        print(json.dumps({"names": names, "size": size, "rest": rest, "gone": gone}))

asyncio.run(main())
"""


def test_a_tree_goes_there_and_back_and_is_removed(peers_python, server, tls_version, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "empty").write_bytes(b"")
    (tree / "big").write_bytes(random.Random(1).randbytes(2_000_000))
    for number in range(12):
        (tree / "sub" / f"grüße {number}").write_bytes(random.Random(number).randbytes(number * 5000))
    arguments = [
        "127.0.0.1",
        str(server.implicit_port),
        USER,
        PASSWORD,
        server.ca_file,
        tls_version,
        tmp_path,
    ]
    done = run([peers_python, "-c", SCRIPT, *arguments], home=tmp_path).ok()
    seen = json.loads(done.text.splitlines()[-1])
    assert contents(tmp_path / "back") == contents(tree)
    assert "made/deep er/moved" in seen["names"]
    assert seen["size"] == "2000000"
    assert seen["rest"] == 1_999_000
    assert seen["gone"]
    assert not (server.root / "made").exists()


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
