"""Remote addresses as people write them: `ftpes://user@host:port/path`, or a host alone.

`ftpes` is explicit TLS, `ftps` implicit TLS, `ftp` explicit TLS too unless the caller says otherwise in
words. A password may stand in the URL and is never shown. Must not look anything up.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from lockgate.errors import LocalProtocolError, shorten
from lockgate.protocol.commands import decode, encode

__all__ = ["SCHEMES", "RemoteUrl", "looks_like_url", "parse_url"]

SCHEMES = ("ftpes", "ftps", "ftp")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?")
_FORBIDDEN = ("\r", "\n", "\0")


@dataclass(frozen=True, slots=True)
class RemoteUrl:
    """A remote address, decoded.

    Attributes:
        scheme: "ftpes", "ftps" or "ftp".
        host: Name or address literal.
        port: As given, or None.
        user: As given, or None.
        password: As given, or None; not in `repr` and `str`.
        path: Remote path: absolute, or relative to the login directory where the URL says "/~/", or "".
    """

    scheme: str
    host: str
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = ""

    def __str__(self) -> str:
        user = "" if self.user is None else f"{quote(encode(self.user), safe='')}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        path = self.path if self.path.startswith("/") or not self.path else f"/~/{self.path}"
        return f"{self.scheme}://{user}{host}{port}{quote(encode(path), safe='/~:@!$&()*+,;=')}"


def looks_like_url(text: str) -> bool:
    """Tell whether a text is meant as a remote address rather than a local path."""
    found = _SCHEME.match(text)
    return found is not None and found[1].lower() in SCHEMES


def parse_url(text: str) -> RemoteUrl:
    """Read a URL, or a host with or without user and port.

    "?" and "#" have no meaning in FTP and stay parts of the path.

    Raises:
        LocalProtocolError: It is no such address, or a part holds CR, LF or NUL; the message does not show
            the password.
    """
    scheme, rest = "ftp", text
    if found := _SCHEME.fullmatch(text):
        scheme, rest = found[1].lower(), found[2]
    if scheme not in SCHEMES:
        raise LocalProtocolError(
            f"'{shorten(scheme)}://' is no scheme for FTP: use ftpes:// (explicit TLS) or ftps:// (implicit)"
        )
    authority, slash, path = rest.partition("/")
    userinfo, at, host_port = authority.rpartition("@")
    host, port = _split_host(host_port, is_bare=found is None)
    user, colon, password = userinfo.partition(":")
    return RemoteUrl(
        scheme=scheme,
        host=host,
        port=port,
        user=_decoded(user, "user name") if at else None,
        password=_decoded(password, "password") if colon else None,
        path=_path(path) if slash else "",
    )


def _path(raw: str) -> str:
    path = _decoded(raw, "path")
    if path == "~":
        return ""
    return path[2:] if path.startswith("~/") else f"/{path}"


def _split_host(text: str, *, is_bare: bool) -> tuple[str, int | None]:
    if is_bare and _is_ipv6(text):
        return text, None
    found = _HOST_PORT.fullmatch(text)
    host = (found["v6"] or found["host"] or "") if found else ""
    # A shown host helps; what stands before "@" was taken off already.
    if not found or not host or not host.isprintable() or " " in host or "%" in host.partition("%25")[0]:
        raise LocalProtocolError(
            f"no host in the address: '{shorten(text)}'; write ftpes://user@host:port/path"
        )
    if found["v6"] is not None and not _is_ipv6(host.replace("%25", "%")):
        raise LocalProtocolError(f"'{shorten(host)}' in brackets is no IPv6 address")
    return host.replace("%25", "%"), _port(found["port"])


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise LocalProtocolError(f"port '{shorten(text)}' is not a number from 1 to 65535")
    return int(text)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _decoded(text: str, what: str) -> str:
    value = decode(unquote_to_bytes(encode(text)))
    if any(octet in value for octet in _FORBIDDEN):
        raise LocalProtocolError(f"the {what} in the address holds CR, LF or NUL, which no command can carry")
    return value
