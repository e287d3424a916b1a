"""Remote addresses."""

from __future__ import annotations

import pytest

from lockgate.client.urls import RemoteUrl, looks_like_url, parse_url
from lockgate.errors import LocalProtocolError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ftpes://host", RemoteUrl("ftpes", "host")),
        ("FTPS://host:990/", RemoteUrl("ftps", "host", 990, path="/")),
        ("ftp://alice@host/in/a.csv", RemoteUrl("ftp", "host", user="alice", path="/in/a.csv")),
        ("ftpes://a%40b:p%3Aw@host", RemoteUrl("ftpes", "host", user="a@b", password="p:w")),
        ("ftpes://alice:p@w@host", RemoteUrl("ftpes", "host", user="alice", password="p@w")),
        ("ftpes://[::1]:2121/x", RemoteUrl("ftpes", "::1", 2121, path="/x")),
        ("ftpes://[fe80::1%25lo]/x", RemoteUrl("ftpes", "fe80::1%lo", path="/x")),
        ("ftpes://host/a?b#c;type=i", RemoteUrl("ftpes", "host", path="/a?b#c;type=i")),
        ("ftpes://host/a%20b%2Fc", RemoteUrl("ftpes", "host", path="/a b/c")),
        ("ftpes://host/~/in/x", RemoteUrl("ftpes", "host", path="in/x")),
        ("ftpes://host/~", RemoteUrl("ftpes", "host")),
        ("ftpes://host//abs", RemoteUrl("ftpes", "host", path="//abs")),
        ("ftpes://host/%FF", RemoteUrl("ftpes", "host", path="/\udcff")),
        ("host", RemoteUrl("ftp", "host")),
        ("alice@host:2121", RemoteUrl("ftp", "host", 2121, user="alice")),
        ("::1", RemoteUrl("ftp", "::1")),
        ("ftpes://@host", RemoteUrl("ftpes", "host", user="")),
    ],
)
def test_addresses_are_read(text, expected):
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://host",
        "ftpes://",
        "ftpes:///path",
        "ftpes://host:0",
        "ftpes://host:99999",
        "ftpes://host:x",
        "ftpes://[zz]/",
        "ftpes://a b/",
        "ftpes://[::1",
        "ftpes://h:1:2/",
        "",
    ],
)
def test_other_things_are_refused(text):
    with pytest.raises(LocalProtocolError):
        parse_url(text)


@pytest.mark.parametrize("bad", ["%0d%0a", "%0A", "%00", "\r\n", "\n"])
@pytest.mark.parametrize(
    "place", ["ftpes://us{}er@host/", "ftpes://user:pa{}ss@host/", "ftpes://host/pa{}th"]
)
@pytest.mark.requirement("R959-C-d")
def test_no_part_may_hold_a_line_end(place, bad):
    with pytest.raises(LocalProtocolError) as caught:
        parse_url(place.format(bad))
    assert "pa" not in str(caught.value).replace("part", "").replace("path", "").replace("password", "")


def test_the_password_is_not_shown():
    url = parse_url("ftpes://alice:hunter2@host/x")
    assert "hunter2" not in repr(url)
    assert str(url) == "ftpes://alice@host/x"


def test_a_bad_port_does_not_show_the_password():
    with pytest.raises(LocalProtocolError) as caught:
        parse_url("ftpes://alice:hunter2@host:port/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["ftpes://a%20b@host:21/x%20y", "ftps://[::1]/~/in", "ftp://host"])
def test_what_is_written_is_read_again(text):
    assert str(parse_url(text)) == text


def test_urls_are_told_from_paths():
    assert looks_like_url("ftpes://h")
    assert not looks_like_url("folder/ftpes")
    assert not looks_like_url("http://h")
