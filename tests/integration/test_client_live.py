"""Both clients against our own server, over real sockets."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from live_server import PASSWORD, USER

import lockgate
from lockgate.client.options import make_options
from lockgate.errors import (
    ConnectionLost,
    FileUnavailable,
    NotADirectory,
    NotLoggedIn,
    PolicyDenied,
    ProtectionRefused,
    ReplyError,
)


def arguments(server, **more: Any) -> dict[str, Any]:
    implicit = more.get("tls") == "implicit"
    port = server.implicit_port if implicit else server.port
    return {"port": port, "user": USER, "password": PASSWORD, "ca": server.ca_file, "timeout": 20, **more}


@pytest.fixture
def connect(tls_version):
    """Connect blocking clients in both TLS versions."""

    def connect_one(server, **more: Any) -> lockgate.Client:
        more.setdefault("tls_version", tls_version)
        return lockgate.connect("localhost", **arguments(server, **more))

    return connect_one


@pytest.fixture
def folder(server, request):
    """A folder on the server that no other test has."""
    name = f"t{abs(hash(request.node.nodeid))}"
    (server.root / name).mkdir()
    return name


@pytest.mark.parametrize("tls", ["explicit", "implicit"])
@pytest.mark.requirement("RTLS-a", "R4217-10.2-h")
def test_what_goes_up_comes_down_with_the_session_resumed(server, connect, folder, tmp_path, tls):
    content = os.urandom(3_000_001)
    (tmp_path / "a").write_bytes(content)
    with connect(server, tls=tls) as ftp:
        up = ftp.upload(tmp_path / "a", f"/{folder}/ä b")
        down = ftp.download(f"/{folder}/ä b", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == content
    assert up.session_reused
    assert up.is_end_verified
    assert down.session_reused
    assert down.is_end_verified
    assert down.is_size_verified


def test_an_empty_file_is_a_file(server, connect, folder, tmp_path):
    (tmp_path / "a").touch()
    with connect(server) as ftp:
        ftp.upload(tmp_path / "a", f"/{folder}/a")
        ftp.download(f"/{folder}/a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b""


@pytest.mark.requirement("R1579-a", "R4217-7-c")
def test_active_mode_works_too(server, connect, folder, tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    with connect(server, active=True) as ftp:
        ftp.upload(tmp_path / "a", f"/{folder}/a")
        assert [entry.name for entry in ftp.list(f"/{folder}")] == ["a"]


def test_names_and_directories(server, connect, folder, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    with connect(server) as ftp:
        ftp.cwd(folder)
        assert ftp.pwd() == f"/{folder}"
        ftp.mkdir("sub")
        with pytest.raises(ReplyError):
            ftp.mkdir("sub")
        ftp.mkdir("sub", exist_ok=True)
        ftp.upload(tmp_path / "a", "sub/a")
        ftp.rename("sub/a", "sub/b")
        ftp.set_modified("sub/b", 1_000_000_000)
        assert ftp.modified("sub/b") == 1_000_000_000
        assert ftp.size("sub/b") == 5
        assert ftp.stat("sub").is_dir
        assert ftp.exists("sub/b")
        assert not ftp.exists("sub/a")
        (entry,) = ftp.scandir("sub")
        assert (entry.name, entry.path, entry.kind, entry.size) == ("b", "sub/b", "file", 5)
        ftp.remove("sub/b")
        ftp.rmdir("sub")
        assert ftp.list() == []
        assert "MLST" in ftp.features
        assert ftp.quote("SYST").code == 215


@pytest.mark.requirement("R4217-10.4-a")
def test_the_level_is_changed_for_one_listing(start, connect):
    server = start(policy='data = "optional"')
    with connect(server) as ftp:
        ftp.protect(private=False)
        ftp.list()
        ftp.protect()
        ftp.list()
    strict = start()
    with connect(strict) as ftp:
        with pytest.raises(PolicyDenied):
            ftp.protect(private=False)
        ftp.list()


@pytest.mark.requirement("R4217-9-k")
def test_a_server_that_forbids_private_data_transfers_nothing(start, connect):
    with pytest.raises(ProtectionRefused):
        connect(start(policy='data = "forbidden"'))


@pytest.mark.requirement("R4217-10.2-h")
def test_a_hundred_transfers_resume_where_the_server_requires_it(start, connect, tmp_path):
    server = start(policy='session_reuse = "required"')
    (tmp_path / "a").write_bytes(b"x")
    with connect(server) as ftp:
        for _ in range(50):
            assert ftp.upload(tmp_path / "a", "/a").session_reused
            assert ftp.download("/a", tmp_path / "b").session_reused


@pytest.mark.requirement("R4217-5-h")
def test_ccc_and_the_transfers_after_it(start, connect, tmp_path):
    server = start(policy='clear_command_channel = "after-login"')
    (tmp_path / "a").write_bytes(b"x" * 1000)
    with connect(server, ccc=True) as ftp:
        assert not ftp.is_protected
        ftp.upload(tmp_path / "a", "/a")
        assert ftp.download("/a", tmp_path / "b").is_end_verified


@pytest.mark.requirement("R4217-5-h", "R4217-15.3-b")
def test_a_refused_ccc_goes_on_in_tls(server, connect):
    with connect(server) as ftp:
        with pytest.raises(ReplyError):
            ftp.ccc()
        assert ftp.is_protected
        ftp.noop()


@pytest.mark.requirement("R4217-13-e")
def test_rein_and_the_session_after_it(server, connect, folder, tmp_path):
    with connect(server) as ftp:
        ftp.rein()
        assert not ftp.is_protected
        with pytest.raises(ProtectionRefused):
            ftp.login()
        ftp.auth()
        ftp.login()
        ftp.protect()
        assert ftp.list(f"/{folder}") == []


@pytest.mark.requirement("R4217-10.3-b")
def test_a_command_before_auth_is_answered(server, connect):
    with connect(server, before_auth=["NOOP"]) as ftp:
        assert ftp.is_protected


@pytest.mark.requirement("R4217-12.1-d")
def test_protection_after_the_login(server, connect):
    with connect(server, protect_after_login=True) as ftp:
        ftp.list()


def test_a_wrong_password_is_an_error_without_it(server, connect):
    with pytest.raises(NotLoggedIn) as caught:
        connect(server, password="wrong-horse")
    assert "wrong-horse" not in str(caught.value)


def test_a_missing_file_leaves_nothing_and_the_session_goes_on(server, connect, tmp_path):
    with connect(server) as ftp:
        with pytest.raises(FileUnavailable):
            ftp.download("/nope", tmp_path / "a")
        assert list(tmp_path.iterdir()) == []
        ftp.noop()


def test_an_exception_of_the_callback_comes_out_and_leaves_nothing(server, connect, folder, tmp_path):
    (server.root / folder / "big").write_bytes(bytes(30_000_000))

    def callback(progress):
        raise ZeroDivisionError

    with connect(server) as ftp:
        with pytest.raises(ZeroDivisionError):
            ftp.download(f"/{folder}/big", tmp_path / "a", progress=callback)
        assert list(tmp_path.iterdir()) == []
        assert ftp.connect().list(f"/{folder}")


def test_one_connection_serves_several_threads(server, connect, folder, tmp_path):
    (server.root / folder / "a").write_bytes(b"x" * 100_000)
    failures = []

    def work(number):
        try:
            for _ in range(5):
                ftp.download(f"/{folder}/a", tmp_path / f"{number}")
                assert ftp.size(f"/{folder}/a") == 100_000
        except BaseException as error:
            failures.append(error)

    with connect(server) as ftp:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_abort_ends_what_another_thread_does(server, connect, folder, tmp_path):
    (server.root / folder / "big").write_bytes(bytes(200_000_000))
    with connect(server) as ftp:
        with pytest.raises(lockgate.LockgateError):
            ftp.download(
                f"/{folder}/big",
                tmp_path / "a",
                progress=lambda progress: threading.Thread(target=ftp.abort).start(),
            )
        assert not ftp.is_usable
    assert list(tmp_path.iterdir()) == []


def test_a_closed_connection_says_so(server, connect):
    ftp = connect(server)
    ftp.quit()
    ftp.quit()
    with pytest.raises(ConnectionLost):
        ftp.noop()
    with pytest.raises(ConnectionLost):
        lockgate.Client(make_options("localhost")).noop()


# --- trees ---


def make_tree(root: Path) -> Path:
    for name in ("a", "sub/b", "sub/deep/c d", "sub/ä", ".hidden"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000)
    (root / "empty").mkdir()
    return root


def content_of(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")
    }


@pytest.mark.parametrize("parallel", [1, 4])
def test_a_tree_goes_there_and_back(server, connect, folder, tmp_path, parallel):
    source = make_tree(tmp_path / "source")
    with connect(server) as ftp:
        up = ftp.upload_tree(source, f"/{folder}/copy", parallel=parallel)
        down = ftp.download_tree(f"/{folder}/copy", tmp_path / "back", parallel=parallel)
        # Again over what is there: the copy lands at the path, not in it.
        ftp.upload_tree(source, f"/{folder}/copy", parallel=parallel)
        ftp.download_tree(f"/{folder}/copy", tmp_path / "back", parallel=parallel)
    assert content_of(tmp_path / "back") == content_of(source)
    assert content_of(server.root / folder / "copy") == content_of(source)
    assert (up.files, up.directories, down.files, down.directories) == (5, 4, 5, 4)


def test_a_tree_can_become_the_root(start, connect, tmp_path):
    server = start()
    source = make_tree(tmp_path / "source")
    with connect(server) as ftp:
        ftp.upload_tree(source, "/")
    assert content_of(server.root) == content_of(source)


def test_links_are_files_or_nothing(server, connect, folder, tmp_path):
    source = make_tree(tmp_path / "source")
    (source / "link").symlink_to("a")
    (source / "loop").symlink_to(".")
    (source / "broken").symlink_to("nowhere")
    (source / "round").symlink_to("round")
    os.mkfifo(source / "pipe")
    with connect(server) as ftp:
        report = ftp.upload_tree(source, f"/{folder}/copy")
    assert report.skipped == tuple(str(source / name) for name in ("broken", "loop", "pipe", "round"))
    assert (server.root / folder / "copy" / "link").read_bytes() == (source / "a").read_bytes()


def test_what_fails_is_named_and_the_rest_is_copied(server, connect, folder, tmp_path):
    make_tree(server.root / folder)
    (tmp_path / "back" / "sub" / "b").mkdir(parents=True)
    with connect(server) as ftp, pytest.raises(lockgate.TreeIncomplete) as caught:
        ftp.download_tree(f"/{folder}", tmp_path / "back")
    report = caught.value.report
    assert [failure.path for failure in report.failures] == [f"/{folder}/sub/b"]
    assert report.files == 4
    assert (tmp_path / "back" / "sub" / "deep" / "c d").is_file()


@pytest.mark.requirement("RSEC-C-path")
def test_a_tree_goes_through_local_links_only_within_its_folder(server, connect, folder, tmp_path):
    for name in ("inside", "outside", "device"):
        (server.root / folder / name).write_text("new")
    (server.root / folder / "away").mkdir()
    back, elsewhere = tmp_path / "back", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "victim").write_text("safe")
    (back / "real").mkdir(parents=True)
    (back / "real" / "file").write_text("old")
    (back / "inside").symlink_to("real/file")
    (back / "outside").symlink_to(elsewhere / "victim")
    (back / "away").symlink_to(elsewhere)
    (back / "device").symlink_to("/dev/null")
    with connect(server) as ftp, pytest.raises(lockgate.TreeIncomplete) as caught:
        ftp.download_tree(f"/{folder}", back)
    failed = {failure.path.rpartition("/")[2] for failure in caught.value.report.failures}
    assert failed == {"outside", "away", "device"}
    assert (back / "real" / "file").read_text() == "new"
    assert (elsewhere / "victim").read_text() == "safe"
    assert (back / "device").is_symlink()


def test_an_upload_goes_on_behind_what_the_server_has(server, connect, folder, tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    (server.root / folder / "a").write_bytes(bytes(range(40)))
    with connect(server) as ftp:
        report = ftp.upload(tmp_path / "a", f"/{folder}/a", resume=True)
        again = ftp.upload(tmp_path / "a", f"/{folder}/a", resume=True)
    assert (report.offset, report.bytes_moved) == (40, 60)
    assert (again.offset, again.bytes_moved) == (100, 0)
    assert (server.root / folder / "a").read_bytes() == bytes(range(100))


def test_a_pipe_is_downloaded_to_as_the_bytes_come(server, connect, folder, tmp_path):
    (server.root / folder / "a").write_bytes(b"through")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with connect(server) as ftp:
        ftp.download(f"/{folder}/a", tmp_path / "pipe")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_tree_of_a_file_or_of_nothing_is_an_error(server, connect, folder, tmp_path):
    (server.root / folder / "a").touch()
    with connect(server) as ftp:
        with pytest.raises(NotADirectory):
            ftp.download_tree(f"/{folder}/a", tmp_path / "x")
        with pytest.raises(FileUnavailable):
            ftp.download_tree(f"/{folder}/nope", tmp_path / "x")
        with pytest.raises(NotADirectory):
            ftp.upload_tree(server.ca_file, f"/{folder}/x")
    assert list(tmp_path.iterdir()) == []


def test_a_tree_tells_its_progress(server, connect, folder, tmp_path):
    source = make_tree(tmp_path / "source")
    told: list[lockgate.TreeProgress] = []
    with connect(server) as ftp:
        ftp.upload_tree(source, f"/{folder}/copy", parallel=2, progress=told.append)
    assert (told[-1].files_done, told[-1].files_found) == (5, 5)
    assert told[-1].bytes_done == told[-1].bytes_found
    assert "5 of 5 files" in str(told[-1])


def test_a_callback_that_raises_stops_the_tree(server, connect, folder, tmp_path):
    source = make_tree(tmp_path / "source")

    def callback(progress):
        raise ZeroDivisionError

    with connect(server) as ftp, pytest.raises(ZeroDivisionError):
        ftp.upload_tree(source, f"/{folder}/copy", parallel=3, progress=callback)


# --- asyncio ---


def run_async(server, version, work, **more: Any):
    async def main():
        connection = lockgate.aio.connect("localhost", **arguments(server, tls_version=version, **more))
        async with connection as ftp:
            return await work(ftp)

    return asyncio.run(main())


@pytest.mark.parametrize("tls", ["explicit", "implicit"])
def test_the_asyncio_client_has_the_same_names(server, tls_version, folder, tmp_path, tls):
    content = os.urandom(1_000_000)
    (tmp_path / "a").write_bytes(content)
    told: list[lockgate.Progress] = []

    async def work(ftp: lockgate.AsyncClient) -> None:
        await ftp.cwd(folder)
        assert await ftp.pwd() == f"/{folder}"
        report = await ftp.upload(tmp_path / "a", "a", progress=told.append)
        assert report.is_end_verified
        assert report.session_reused
        await ftp.mkdir("sub")
        await ftp.rename("a", "sub/b")
        assert [entry.name async for entry in ftp.scandir("sub")] == ["b"]
        assert [entry.name for entry in await ftp.list("sub")] == ["b"]
        assert await ftp.size("sub/b") == len(content)
        await ftp.set_modified("sub/b", 1_000_000_000)
        assert await ftp.modified("sub/b") == 1_000_000_000
        assert (await ftp.stat("sub/b")).is_file
        assert await ftp.exists("sub/b")
        await ftp.download("sub/b", tmp_path / "b")
        await ftp.remove("sub/b")
        await ftp.rmdir("sub")
        await ftp.noop()
        assert (await ftp.quote("SYST")).code == 215
        assert ftp.is_protected
        assert ftp.tls_version == f"TLSv{tls_version}"
        assert "MLST" in ftp.features

    run_async(server, tls_version, work, tls=tls)
    assert (tmp_path / "b").read_bytes() == content
    assert told[-1].done == len(content)


def test_the_asyncio_client_copies_trees(server, tls_version, folder, tmp_path):
    source = make_tree(tmp_path / "source")

    async def work(ftp: lockgate.AsyncClient) -> None:
        await ftp.upload_tree(source, f"/{folder}/copy", parallel=2)
        await ftp.download_tree(f"/{folder}/copy", tmp_path / "back", parallel=2)

    run_async(server, tls_version, work)
    assert content_of(tmp_path / "back") == content_of(source)


def test_a_cancelled_transfer_leaves_nothing_and_connect_makes_a_new_connection(
    server, tls_version, folder, tmp_path
):
    (server.root / folder / "big").write_bytes(bytes(200_000_000))

    async def work(ftp: lockgate.AsyncClient) -> None:
        moving = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(
                ftp.download(f"/{folder}/big", tmp_path / "a", progress=lambda _: moving.set())
            )
            await moving.wait()
            task.cancel()
        assert task.cancelled()
        assert not ftp.is_usable
        await ftp.connect()
        assert (await ftp.stat(f"/{folder}/big")).size == 200_000_000

    run_async(server, tls_version, work)
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_tree_stops(server, tls_version, folder, tmp_path):
    for number in range(4):
        (server.root / folder / f"big{number}").write_bytes(bytes(100_000_000))

    async def work(ftp: lockgate.AsyncClient) -> None:
        moving = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(
                ftp.download_tree(
                    f"/{folder}", tmp_path / "copy", parallel=2, progress=lambda _: moving.set()
                )
            )
            await moving.wait()
            task.cancel()
        assert task.cancelled()
        assert ftp.is_usable

    run_async(server, tls_version, work)
    assert not any(path.name.endswith("lockgate-part") for path in (tmp_path / "copy").iterdir())


def test_operations_of_several_tasks_wait_for_each_other(server, tls_version, folder, tmp_path):
    (server.root / folder / "a").write_bytes(b"x" * 100_000)

    async def work(ftp: lockgate.AsyncClient) -> None:
        downloads = (ftp.download(f"/{folder}/a", tmp_path / str(number)) for number in range(5))
        sizes = (ftp.size(f"/{folder}/a") for _ in range(5))
        await asyncio.gather(*downloads, *sizes)

    run_async(server, tls_version, work)
    assert len(list(tmp_path.iterdir())) == 5


def test_an_asyncio_connection_can_be_awaited(server, tls_version):
    async def main() -> None:
        ftp = await lockgate.aio.connect("localhost", **arguments(server, tls_version=tls_version))
        assert ftp.is_usable
        await ftp.quit()
        await ftp.quit()
        assert not ftp.is_usable
        with pytest.raises(ConnectionLost):
            await ftp.noop()

    asyncio.run(main())


def test_the_readmes_example_runs_as_it_stands(start, tmp_path, monkeypatch, capsys):
    server = start()
    readme = Path(__file__).parents[2].joinpath("README.md").read_text("utf-8")
    code = readme.partition("```python\n")[2].partition("```")[0]
    for there, here in {
        "ftpes://demo@localhost:2121": f"ftpes://{USER}@localhost:{server.port}",
        '"PASSWORD"': repr(PASSWORD),
        '"CERTIFICATE"': repr(str(server.ca_file)),
    }.items():
        assert there in code
        code = code.replace(there, here)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.csv").write_text("1,2,3")
    exec(code, {})
    assert capsys.readouterr().out == "report.csv 5\n"
    assert (tmp_path / "copy.csv").read_text() == "1,2,3"
