"""PORT, EPRT and EPSV arguments; the texts of 227, 229 and 522."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import LocalProtocolError, RemoteProtocolError
from lockgate.protocol.addresses import (
    EpsvRequest,
    HostPort,
    NetworkFamily,
    UnknownProtocolFamily,
    format_227,
    format_229,
    format_522,
    format_eprt,
    format_port,
    parse_227,
    parse_229,
    parse_eprt,
    parse_epsv,
    parse_port,
    plain_host,
    same_host,
)

PORTS = st.integers(1, 65535)
IPV4 = st.builds(HostPort, st.integers(0, 2**32 - 1).map(lambda n: str(IPv4Address(n))), PORTS)
IPV6 = st.builds(HostPort, st.integers(0, 2**128 - 1).map(lambda n: str(IPv6Address(n))), PORTS)
NOISE = st.text(alphabet="0123456789,.:|() aALl%\u0661\udcff\n", max_size=30)
PARSERS: list[Callable[[str], object]] = [parse_port, parse_eprt, parse_epsv, parse_227, parse_229]


@given(IPV4)
def test_port_arguments_are_read_back(address: HostPort) -> None:
    assert parse_port(format_port(address)) == address


@given(st.one_of(IPV4, IPV6))
def test_eprt_arguments_are_read_back(address: HostPort) -> None:
    assert parse_eprt(format_eprt(address)) == address


@given(IPV4)
def test_227_texts_are_read_back(address: HostPort) -> None:
    assert parse_227(format_227(address)) == address


@given(PORTS)
def test_229_texts_are_read_back(port: int) -> None:
    assert parse_229(format_229(port)) == port


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.one_of(st.text(max_size=40), NOISE))
def test_any_input_gives_a_value_or_an_error(parse: Callable[[str], object], text: str) -> None:
    try:
        value = parse(text)
    except RemoteProtocolError:
        return
    assert isinstance(value, HostPort | EpsvRequest | int)


def test_the_unspecified_address_of_port_is_left_to_the_caller() -> None:
    address = parse_port("0,0,0,0,4,1")
    assert address == HostPort("0.0.0.0", 1025)
    assert address.is_unspecified
    assert not parse_port("127,0,0,1,4,1").is_unspecified
    assert parse_eprt("|2|::|1025|").is_unspecified


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "1,2,3,4,5",
        "1,2,3,4,5,6,7",
        "256,2,3,4,5,6",
        "1,2,3,4,256,6",
        "1,2,3,4,5,999",
        "1,2,3,4,0,0",
        "1,2,3,4,5,0006",
        "1,2,3,4,5,-6",
        "1,2,3,4,5,+6",
        "1, 2,3,4,5,6",
        " 1,2,3,4,5,6",
        "1,2,3,4,5,6 ",
        "1,2,3,4,5,6\n",
        "x1,2,3,4,5,6",
        "1,2,3,4,,6",
        "1.2.3.4,5,6",
        "1,2,3,4,5,\u0666",
        "\u00b2,2,3,4,5,6",
    ],
)
def test_a_malformed_port_is_refused(argument: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_port(argument)


def test_port_octets_with_leading_zeros_are_decimal() -> None:
    assert parse_port("010,000,000,001,004,001") == HostPort("10.0.0.1", 1025)


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        ("|1|132.235.1.2|6275|", HostPort("132.235.1.2", 6275)),
        ("|2|1080::8:800:200C:417A|5282|", HostPort("1080::8:800:200c:417a", 5282)),
        ("!1!1.2.3.4!99!", HostPort("1.2.3.4", 99)),
        ("|2|::ffff:1.2.3.4|99|", HostPort("1.2.3.4", 99)),
        (".2.::1.99.", HostPort("::1", 99)),
    ],
)
def test_eprt_takes_both_families_and_any_delimiter(argument: str, address: HostPort) -> None:
    assert parse_eprt(argument) == address


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "|",
        "|||||",
        "|1|1.2.3.4|99",
        "|1|1.2.3.4|99|x",
        "|1|1.2.3.4|99||",
        " 1 1.2.3.4 99 ",
        "\u00a71\u00a71.2.3.4\u00a799\u00a7",
        "|x|1.2.3.4|99|",
        "|\u0661|1.2.3.4|99|",
        "|-1|1.2.3.4|99|",
        "|1|1.2.3|99|",
        "|1|01.2.3.4|99|",
        "|1|::1|99|",
        "|1|host|99|",
        "|2|1.2.3.4|99|",
        "|2|fe80::1%lo|99|",
        "|1|1.2.3.4|0|",
        "|1|1.2.3.4|65536|",
        "|1|1.2.3.4|123456|",
        "|1|1.2.3.4|9\u0669|",
        "|1|1.2.3.4||",
    ],
)
def test_a_malformed_eprt_is_refused(argument: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_eprt(argument)
    assert not isinstance(caught.value, UnknownProtocolFamily)


@pytest.mark.parametrize("family", ["0", "3", "99999"])
def test_an_unknown_family_is_told_apart_from_bad_syntax(family: str) -> None:
    with pytest.raises(UnknownProtocolFamily):
        parse_eprt(f"|{family}|whatever|99|")
    with pytest.raises(UnknownProtocolFamily):
        parse_epsv(family)


def test_eprt_does_not_send_the_zone() -> None:
    assert format_eprt(HostPort("fe80::1%eth0", 99)) == "|2|fe80::1|99|"


@pytest.mark.parametrize(
    ("argument", "request_"),
    [
        (None, EpsvRequest.ANY),
        ("", EpsvRequest.ANY),
        ("1", EpsvRequest.IPV4),
        ("2", EpsvRequest.IPV6),
        ("ALL", EpsvRequest.ALL),
        ("all", EpsvRequest.ALL),
    ],
)
def test_epsv_asks_for_any_or_one_family_or_all(argument: str | None, request_: EpsvRequest) -> None:
    assert parse_epsv(argument) is request_


@pytest.mark.parametrize("argument", [" ", "ALLE", "x", "1 ", "-1", "\u0661"])
def test_a_malformed_epsv_is_refused(argument: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_epsv(argument)
    assert not isinstance(caught.value, UnknownProtocolFamily)


@pytest.mark.parametrize(
    "text",
    [
        "Entering Passive Mode (10,0,0,1,4,1)",
        "Entering Passive Mode. 10,0,0,1,4,1",
        "=10,0,0,1,4,1",
        "Entering Passive Mode (10, 0, 0, 1, 4, 1).",
        "mode 2 (10,0,0,1,4,1), then 1,2,3,4,5,6",
    ],
)
def test_the_many_forms_of_227_are_understood(text: str) -> None:
    assert parse_227(text) == HostPort("10.0.0.1", 1025)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Entering Passive Mode",
        "(1,2,3,4,5)",
        "(256,0,0,1,4,1)",
        "(10,0,0,1,0,0)",
        "(1234,0,0,1,4,1)",
        "(10,0,0,1,4,1234)",
    ],
)
def test_a_227_without_an_address_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_227(text)


@pytest.mark.parametrize(
    "text",
    [
        "Entering Extended Passive Mode (|||6446|)",
        "Extended Passive Mode OK (!!!6446!).",
        "(|1|10.0.0.1|6446|)",
        "(|2|::1|6446|)",
        "Entering Extended Passive Mode |||6446|",
    ],
)
def test_the_many_forms_of_229_are_understood(text: str) -> None:
    assert parse_229(text) == 6446


@pytest.mark.parametrize(
    "text", ["", "(6446)", "(||6446|)", "(|||0|)", "(|||65536|)", "(|||6446!)", "(|||\u0666|)", "44444"]
)
def test_a_229_without_a_port_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_229(text)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_ports_are_not_sent(port: int) -> None:
    with pytest.raises(LocalProtocolError):
        HostPort("127.0.0.1", port)
    with pytest.raises(LocalProtocolError):
        format_229(port)


@pytest.mark.parametrize("host", ["", "localhost", "1.2.3", "1.2.3.4\n", ":::", "[::1]"])
def test_a_host_must_be_an_address_literal(host: str) -> None:
    with pytest.raises(LocalProtocolError, match="is no IP address"):
        HostPort(host, 21)


def test_port_and_227_cannot_carry_ipv6() -> None:
    with pytest.raises(LocalProtocolError, match="IPv6"):
        format_227(HostPort("::1", 21))


def test_a_mapped_address_is_the_ipv4_address() -> None:
    address = HostPort("::ffff:127.0.0.1", 1025)
    assert address.family is NetworkFamily.IPV4
    assert format_227(address) == "Entering Passive Mode (127,0,0,1,4,1)."
    assert plain_host("0:0::0:1") == "::1"


def test_addresses_print_as_urls_have_them() -> None:
    assert str(HostPort("127.0.0.1", 21)) == "127.0.0.1:21"
    assert str(HostPort("::1", 21)) == "[::1]:21"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::1", "127.0.0.1", False),
        ("localhost", "localhost", False),
    ],
)
def test_hosts_are_compared_by_what_they_mean(one: str, other: str, *, same: bool) -> None:
    assert same_host(one, other) is same


def test_522_lists_the_families_we_can_use() -> None:
    assert format_522([NetworkFamily.IPV6, NetworkFamily.IPV4]) == "Network protocol not supported, use (1,2)"
    assert format_522([NetworkFamily.IPV4]) == "Network protocol not supported, use (1)"
