"""Names are octets: what is no UTF-8 goes up, down, into listings and away as it is (RFC 2640)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from live_server import LiveServer
from raw_client import RawClient

Connect = Callable[..., RawClient]
# Latin-1, an overlong slash, half a sequence, a surrogate in UTF-8, octets that UTF-8 never has, Shift-JIS.
NAMES = [
    b"caf\xe9",
    b"a\xc0\xafb",
    b"half\xe2\x82",
    b"\xed\xa0\x80",
    b"\xfe\xfd",
    b"\x83\\\x83e",
    "grüße ☃".encode(),
]


@pytest.fixture(params=["OPTS UTF8 ON", "OPTS UTF8 OFF", "NOOP"])
def client(server: LiveServer, connect: Connect, request: pytest.FixtureRequest) -> Iterator[RawClient]:
    """A session; UTF8 is on in all of them, and changes nothing of a name's octets."""
    for name in os.listdir(os.fsencode(server.root)):
        path = os.path.join(os.fsencode(server.root), name)
        os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
    client = connect(server).log_in()
    client.expect(request.param, 200, 504)
    return client


@pytest.mark.requirement("R2640-b", side="S")
@pytest.mark.parametrize("raw", NAMES, ids=repr)
def test_every_verb_takes_and_gives_a_names_octets(server: LiveServer, client: RawClient, raw: bytes) -> None:
    name, root = raw.decode("utf-8", "surrogateescape"), os.fsencode(server.root)
    assert client.upload(f"STOR {name}", raw).code == 226
    assert os.listdir(root) == [raw]
    assert client.download(f"RETR {name}") == raw
    assert client.download("NLST") == raw + b"\r\n"
    assert client.download("MLSD").endswith(b"; " + raw + b"\r\n")
    assert client.download("LIST").endswith(b" " + raw + b"\r\n")
    assert f" /{name}" in client.expect(f"MLST {name}", 250)
    assert client.expect(f"SIZE {name}", 213) == f"213 {len(raw)}"
    client.expect(f"MDTM {name}", 213)
    client.expect(f"RNFR {name}", 350)
    client.expect(f"RNTO {name}.moved", 250)
    assert os.listdir(root) == [raw + b".moved"]
    client.expect(f"DELE {name}.moved", 250)
    assert f'"/{name}"' in client.expect(f"MKD {name}", 257)
    client.expect(f"CWD {name}", 250)
    assert f'"/{name}"' in client.expect("PWD", 257)
    assert client.upload(f"STOR {name}", b"inner").code == 226
    assert os.listdir(os.path.join(root, raw)) == [raw]
    client.expect(f"DELE {name}", 250)
    client.expect("CDUP", 200, 250)
    client.expect(f"RMD {name}", 250)
    assert os.listdir(root) == []
