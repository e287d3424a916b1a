"""Opening a control connection: what fails, and what it says."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

import lockgate
from lockgate.client.dialing import dial
from lockgate.client.options import make_options
from lockgate.errors import ConfigError, ConnectionLost, TransferTimeout


def options(port: int, **more: object):
    return make_options("localhost", port=port, tls="never", **more)


def test_every_address_of_a_name_is_tried():
    # "localhost" may be ::1 first, where nobody listens.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = dial(options(listener.getsockname()[1]))
        assert line.host == "127.0.0.1"
        line.close()


def test_a_port_where_nobody_listens_is_told_in_words():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionLost, match="refused") as caught:
        dial(options(port))
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_server_without_a_greeting_may_be_one_with_implicit_tls():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(TransferTimeout, match="try ftps://"):
            lockgate.connect("127.0.0.1", port=port, timeout=0.2)


def test_a_server_that_hangs_up_before_a_greeting_may_be_one_with_implicit_tls_too():
    def hang_up() -> None:
        listener.accept()[0].close()

    async def connect(port: int) -> None:
        await lockgate.aio.connect("127.0.0.1", port=port)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        with pytest.raises(ConnectionLost, match="try ftps://"):
            asyncio.run(connect(listener.getsockname()[1]))
        hanging_up.join()


def test_what_is_no_host_name_is_told():
    with pytest.raises(ConnectionLost, match="no such host"):
        dial(make_options("x" * 70, tls="never"))


@pytest.mark.requirement("R959-C-e")
def test_a_host_that_does_not_answer_is_given_up_in_time():
    # A full queue of connections nobody accepts: the next SYN stays unanswered.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        try:
            with pytest.raises(TransferTimeout):
                dial(make_options("127.0.0.1", port=listener.getsockname()[1], tls="never", timeout=0.2))
        finally:
            for sock in waiting:
                sock.close()


def test_a_missing_ca_file_costs_no_connection(tmp_path):
    with pytest.raises(ConfigError):
        dial(make_options("localhost", port=1, ca=tmp_path / "missing.pem"))
