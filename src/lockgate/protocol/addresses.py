"""Addresses on the control connection: PORT, EPRT and EPSV arguments, the texts of 227, 229 and 522.

Must not judge an address: whether it is the control peer's, or the port a safe one (RFC 2577), is the
caller's to decide with `HostPort.is_unspecified` and `same_host`. Must not look names up: hosts are address
literals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from lockgate.errors import LocalProtocolError, RemoteProtocolError, shorten

__all__ = [
    "EpsvRequest",
    "HostPort",
    "NetworkFamily",
    "UnknownProtocolFamily",
    "format_227",
    "format_229",
    "format_522",
    "format_eprt",
    "format_port",
    "parse_227",
    "parse_229",
    "parse_eprt",
    "parse_epsv",
    "parse_port",
    "plain_host",
    "same_host",
]

_SIX = re.compile(r"[0-9]{1,3}(?:,[0-9]{1,3}){5}")
# Some servers leave the parentheses out, some put spaces behind the commas (RFC 1123 §4.1.2.6).
_SIX_IN_TEXT = re.compile(r"(?<![0-9])[0-9]{1,3}(?: ?, ?[0-9]{1,3}){5}(?![0-9])")
# RFC 2428 §3 leaves family and address empty; some servers fill them in, and they are ignored.
_229_PARENS = re.compile(r"\(([!-~])[0-9]?\1[0-9A-Fa-f:.]{0,45}\1([0-9]{1,5})\1\)")
_229_BARE = re.compile(r"([!-/:-~])\1\1([0-9]{1,5})\1")
_NUMBER = re.compile(r"[0-9]{1,5}")
_DELIMITERS = frozenset(map(chr, range(33, 127)))


class NetworkFamily(IntEnum):
    """Address families by their numbers in EPRT and EPSV (RFC 2428 §2)."""

    IPV4 = 1
    IPV6 = 2


class UnknownProtocolFamily(RemoteProtocolError):
    """EPRT or EPSV names a network protocol that we do not know: reply 522 (RFC 2428 §2, §3)."""


class EpsvRequest(Enum):
    """What an EPSV command asks for (RFC 2428 §3)."""

    ANY = "any"
    IPV4 = "1"
    IPV6 = "2"
    ALL = "ALL"


@dataclass(frozen=True, slots=True)
class HostPort:
    """An IP address and a TCP port.

    Attributes:
        host: Address literal in its usual form. An IPv4 address mapped into IPv6 becomes the IPv4 address, so
            that one peer has one spelling; the zone of a link-local address is kept, and never sent.
        port: 1 to 65535.

    Raises:
        LocalProtocolError: The host is no address literal or the port is out of range.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "host", plain_host(self.host))
        except ValueError as error:
            raise LocalProtocolError(
                f"host '{shorten(self.host)}' is no IP address; look the name up first"
            ) from error
        if not 1 <= self.port <= 65535:
            raise LocalProtocolError(f"port {self.port} is not between 1 and 65535")

    @property
    def family(self) -> NetworkFamily:
        """The family of the address."""
        return NetworkFamily.IPV6 if ":" in self.host else NetworkFamily.IPV4

    @property
    def is_unspecified(self) -> bool:
        """True for 0.0.0.0 and ::, which some clients send to say "the control connection's peer"."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104  # compared, never bound

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def plain_host(host: str) -> str:
    """Return the usual form of an address literal, with IPv4 mapped into IPv6 as plain IPv4.

    Args:
        host: An address literal as a socket, a peer or a configuration gives it.

    Returns:
        The address; the zone of an IPv6 address stays on it.

    Raises:
        ValueError: It is no IPv4 or IPv6 address literal.
    """
    if ":" not in host:
        return str(IPv4Address(host))
    address = IPv6Address(host)
    return str(address.ipv4_mapped or address)


def same_host(one: str, other: str) -> bool:
    """Tell whether two address literals name the same host, whatever their spelling and zone.

    Never raises: what is no address literal is the same as nothing.
    """
    try:
        return _without_zone(plain_host(one)) == _without_zone(plain_host(other))
    except ValueError:
        return False


def parse_port(argument: str) -> HostPort:
    """Read the argument of PORT: h1,h2,h3,h4,p1,p2 (RFC 959 §4.1.2).

    0.0.0.0 is returned as it stands; the caller decides what it means.

    Args:
        argument: The command's argument, nothing around it.

    Returns:
        Address and port.

    Raises:
        RemoteProtocolError: Not six decimal octets, or port 0.
    """
    if not _SIX.fullmatch(argument):
        raise RemoteProtocolError(f"PORT '{shorten(argument)}' is not of the form h1,h2,h3,h4,p1,p2")
    return _from_six(argument)


def format_port(address: HostPort) -> str:
    """Return the argument of PORT for an IPv4 address (RFC 959 §4.1.2).

    Raises:
        LocalProtocolError: The address is IPv6, which PORT and 227 cannot say.
    """
    if address.family is NetworkFamily.IPV6:
        raise LocalProtocolError(
            f"PORT and 227 cannot carry the IPv6 address {address.host}; use EPRT or EPSV"
        )
    return f"{address.host.replace('.', ',')},{address.port >> 8},{address.port & 255}"


def parse_eprt(argument: str) -> HostPort:
    """Read the argument of EPRT: <d>family<d>address<d>port<d> (RFC 2428 §2).

    Args:
        argument: The command's argument, nothing around it; <d> is any printable ASCII character.

    Returns:
        Address and port.

    Raises:
        UnknownProtocolFamily: The family is a number other than 1 and 2.
        RemoteProtocolError: The form, the address or the port is wrong.
    """
    mark = argument[:1]
    parts = argument.split(mark) if mark in _DELIMITERS else []
    if len(parts) != 5 or parts[4]:
        raise RemoteProtocolError(f"EPRT '{shorten(argument)}' is not of the form |family|address|port|")
    family = _family(parts[1], "EPRT")
    if not _NUMBER.fullmatch(parts[3]):
        raise RemoteProtocolError(f"EPRT port '{shorten(parts[3])}' is not a number up to 65535")
    try:
        if family is NetworkFamily.IPV4:
            host = str(IPv4Address(parts[2]))
        elif "%" in parts[2]:
            raise RemoteProtocolError("EPRT address has a zone, which means nothing to another host")
        else:
            host = str(IPv6Address(parts[2]))
    except AddressValueError as error:
        message = f"EPRT address '{shorten(parts[2])}' is no {family.name} address"
        raise RemoteProtocolError(message) from error
    return _checked(host, int(parts[3]))


def format_eprt(address: HostPort) -> str:
    """Return the argument of EPRT: |1|address|port| or |2|address|port| (RFC 2428 §2)."""
    return f"|{address.family.value}|{_without_zone(address.host)}|{address.port}|"


def parse_epsv(argument: str | None) -> EpsvRequest:
    """Read the argument of EPSV: none, a family, or ALL (RFC 2428 §3).

    Args:
        argument: The command's argument, or None without one.

    Returns:
        What is asked for.

    Raises:
        UnknownProtocolFamily: A number other than 1 and 2.
        RemoteProtocolError: Anything else.
    """
    if not argument:
        return EpsvRequest.ANY
    if argument.upper() == "ALL":
        return EpsvRequest.ALL
    return EpsvRequest.IPV4 if _family(argument, "EPSV") is NetworkFamily.IPV4 else EpsvRequest.IPV6


def format_227(address: HostPort) -> str:
    """Return the text of reply 227 (RFC 959 §4.1.2).

    Raises:
        LocalProtocolError: The address is IPv6: PASV is refused there.
    """
    return f"Entering Passive Mode ({format_port(address)})."


def parse_227(text: str) -> HostPort:
    """Find address and port in the text of a 227 reply, with or without parentheses (RFC 1123 §4.1.2.6).

    The address is the server's word and often wrong behind NAT; connect to the control connection's host.

    Args:
        text: The reply's text.

    Returns:
        The first six numbers with commas between them.

    Raises:
        RemoteProtocolError: None are there, one is above 255, or the port is 0.
    """
    found = _SIX_IN_TEXT.search(text)
    if not found:
        raise RemoteProtocolError(f"227 '{shorten(text)}' carries no h1,h2,h3,h4,p1,p2; try EPSV")
    return _from_six(found[0])


def format_229(port: int) -> str:
    """Return the text of reply 229 (RFC 2428 §3).

    Raises:
        LocalProtocolError: The port is not between 1 and 65535.
    """
    if not 1 <= port <= 65535:
        raise LocalProtocolError(f"port {port} is not between 1 and 65535")
    return f"Entering Extended Passive Mode (|||{port}|)"


def parse_229(text: str) -> int:
    """Find the port in the text of a 229 reply (RFC 2428 §3).

    Args:
        text: The reply's text; an address in it is ignored, as it must be.

    Returns:
        The port, 1 to 65535.

    Raises:
        RemoteProtocolError: No (|||port|) is there, or the port is out of range.
    """
    found = _229_PARENS.search(text) or _229_BARE.search(text)
    port = int(found[2]) if found else 0
    if not 1 <= port <= 65535:
        raise RemoteProtocolError(f"229 '{shorten(text)}' carries no (|||port|); try PASV")
    return port


def format_522(families: Iterable[NetworkFamily]) -> str:
    """Return the text of reply 522 that lists the families we can use (RFC 2428 §2)."""
    numbers = ",".join(str(family.value) for family in sorted(families))
    return f"Network protocol not supported, use ({numbers})"


def _family(text: str, verb: str) -> NetworkFamily:
    if not _NUMBER.fullmatch(text):
        raise RemoteProtocolError(f"{verb} family '{shorten(text)}' is not a number")
    try:
        return NetworkFamily(int(text))
    except ValueError as error:
        message = f"{verb} family {text} is unknown; 1 is IPv4 and 2 is IPv6"
        raise UnknownProtocolFamily(message) from error


def _from_six(text: str) -> HostPort:
    numbers = [int(part) for part in text.split(",")]
    if max(numbers) > 255:
        raise RemoteProtocolError(f"'{shorten(text)}' has a number above 255")
    return _checked(".".join(map(str, numbers[:4])), numbers[4] << 8 | numbers[5])


def _checked(host: str, port: int) -> HostPort:
    try:
        return HostPort(host, port)
    except LocalProtocolError as error:
        raise RemoteProtocolError(f"{error}; no connection can go there") from error


def _without_zone(host: str) -> str:
    return host.partition("%")[0]
