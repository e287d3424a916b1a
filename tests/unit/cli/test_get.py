"""`lockgate get` against a live server."""

from __future__ import annotations

import pytest
from live_server import PASSWORD, USER, live_server

from lockgate.cli.main import main


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("server")) as running:
        (running.root / "in" / "sub").mkdir(parents=True)
        (running.root / "in" / "a b").write_bytes(b"12345")
        (running.root / "in" / "sub" / "c").write_bytes(b"c" * 100_000)
        yield running


@pytest.fixture
def get(server, monkeypatch, tmp_path):
    monkeypatch.setenv("LOCKGATE_PASSWORD", PASSWORD)
    monkeypatch.chdir(tmp_path)

    def run(path: str, *arguments: str) -> int:
        url = f"ftpes://{USER}@localhost:{server.port}{path}"
        return main(["get", url, *arguments, "--ca", str(server.ca_file)])

    return run


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_lands_under_its_own_name(get, tmp_path, capsys):
    assert get("/in/a%20b") == 0
    assert files_in(tmp_path) == ["a b"]
    shown = capsys.readouterr()
    assert shown.out.startswith("a b: 5 B in ")
    assert shown.err == ""


def test_a_file_lands_where_it_is_told_to(get, tmp_path):
    (tmp_path / "folder").mkdir()
    assert get("/in/a%20b", "copy") == 0
    assert get("/in/a%20b", "folder") == 0
    assert files_in(tmp_path) == ["copy", "folder/a b"]
    assert (tmp_path / "copy").read_bytes() == b"12345"


@pytest.mark.parametrize("options", [[], ["--parallel", "3"]])
def test_a_tree_lands_at_the_path_given(get, tmp_path, capsys, options):
    assert get("/in", "mine", "-r", *options) == 0
    assert get("/in", "mine", "-r", *options) == 0
    assert files_in(tmp_path) == ["mine/a b", "mine/sub/c"]
    assert "2 files" in capsys.readouterr().out


def test_a_tree_without_a_name_takes_the_remote_one(get, tmp_path):
    assert get("/in/sub", "-r") == 0
    assert files_in(tmp_path) == ["sub/c"]


def test_a_directory_without_r_is_an_error_that_names_it(get, tmp_path, capsys):
    assert get("/in", "x") == 1
    assert "add -r" in capsys.readouterr().err
    assert get("/in/", "x") == 2
    assert get("", "x") == 2
    assert files_in(tmp_path) == []


def test_a_missing_file_is_exit_1_and_leaves_nothing(get, tmp_path, capsys):
    assert get("/nope") == 1
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err.startswith("lockgate: /nope: ")
    assert get("/nope", "-r") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_tree_that_is_not_whole_is_exit_1_and_says_what_is_missing(get, tmp_path, capsys):
    (tmp_path / "mine" / "a b").mkdir(parents=True)
    assert get("/in", "mine", "-r") == 1
    shown = capsys.readouterr().err
    assert "/in/a b" in shown
    assert "1 failed, 1 copied" in shown
    # What is in the way stays in the way.
    assert "run it again" not in shown
    assert all(line.startswith("lockgate: ") for line in shown.splitlines())
    assert shown.count("/in/a b") == 1


def test_a_folder_that_is_not_there_is_an_error(get, tmp_path, capsys):
    assert get("/in/a%20b", "nodir/") == 1
    assert "no local folder nodir/" in capsys.readouterr().err
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output_gets_the_bytes_and_nothing_else(get, tmp_path, capfd, name):
    assert get("/in/a%20b", name) == 0
    shown = capfd.readouterr()
    assert shown.out == "12345"
    assert "5 B in " in shown.err
    assert files_in(tmp_path) == []
    assert get("/in/a%20b", name, "--resume") == 2
    assert get("/in", "-", "-r") == 2


def test_links_and_devices_stay_what_they_are(get, tmp_path, capsys):
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "nowhere").symlink_to("missing")
    assert get("/in/a%20b", "null") == 0
    assert get("/in/a%20b", "link") == 0
    assert get("/in/a%20b", "nowhere") == 1
    assert "leads nowhere" in capsys.readouterr().err
    assert all((tmp_path / name).is_symlink() for name in ("null", "link", "nowhere"))
    assert (tmp_path / "real").read_text() == "12345"


def test_a_password_on_the_command_line_is_refused_and_not_repeated(server, capsys, monkeypatch):
    monkeypatch.setenv("LOCKGATE_PASSWORD", PASSWORD)
    for word, more in (("get", ["x"]), ("ls", [])):
        url = f"ftpes://{USER}:s3cret@localhost:{server.port}/in"
        assert main([word, url, *more, "--ca", str(server.ca_file)]) == 2
        shown = capsys.readouterr().err
        assert "LOCKGATE_PASSWORD" in shown
        assert "s3cret" not in shown


def test_a_login_without_a_user_says_that_it_was_anonymous(server, capsys):
    assert main(["ls", f"ftpes://localhost:{server.port}/", "--ca", str(server.ca_file)]) == 1
    assert "anonymous" in capsys.readouterr().err


def test_ctrl_c_is_exit_130_and_leaves_nothing(get, tmp_path, monkeypatch, capsys):
    from lockgate.client import transfers

    def interrupt(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(transfers, "_store", interrupt)
    assert get("/in/a%20b") == 130
    assert list(tmp_path.iterdir()) == []
    assert "interrupted; nothing half done was left" in capsys.readouterr().err
    assert get("/in", "mine", "-r") == 130
    assert files_in(tmp_path) == []


def test_ctrl_c_with_resume_says_where_the_part_is_and_the_next_goes_on(get, tmp_path, monkeypatch, capsys):
    from lockgate.client import transfers

    def interrupt(target, *arguments, **more):
        target.write(b"123")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transfers, "_store", interrupt)
        assert get("/in/a%20b", "--resume") == 130
    (part,) = tmp_path.iterdir()
    shown = capsys.readouterr().err
    assert part.name in shown
    assert "resuming goes on there" in shown
    assert "nothing half done" not in shown
    assert get("/in/a%20b", "--resume") == 0
    assert (tmp_path / "a b").read_bytes() == b"12345"
    assert "2 B in" in capsys.readouterr().out


def test_ctrl_c_at_the_password_says_nothing_about_files(get, monkeypatch, capsys):
    from lockgate.cli import _remote

    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(_remote._Password, "_find", interrupt)
    assert get("/in/a%20b") == 130
    assert capsys.readouterr().err == "lockgate: interrupted\n"


def test_help_says_where_a_tree_lands(capsys):
    assert main(["get", "--help"]) == 0
    assert "becomes the copy" in " ".join(capsys.readouterr().out.split())
