"""Everything a caller can choose about a connection, checked when it is made. Must not touch the network."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from typing import Literal, TypedDict, Unpack

from lockgate.errors import ConfigError, LocalProtocolError, shorten
from lockgate.protocol.commands import Command
from lockgate.tls.pins import parse_pin
from lockgate.tls.policy import TrustPolicy

from .urls import RemoteUrl, parse_url

__all__ = ["ANONYMOUS", "ConnectArguments", "Options", "Password", "TlsMode", "make_options"]

Password = str | Callable[[], str]
"""A password, or what gives it when the server asks: it is called at most once a login."""

ANONYMOUS = "anonymous"
"""The user where none is named (RFC 1635)."""

_PORTS = {True: 990, False: 21}


class TlsMode(Enum):
    """When TLS starts on the control connection."""

    EXPLICIT = "explicit"
    """With AUTH TLS (RFC 4217 §4)."""
    IMPLICIT = "implicit"
    """At once, on a port of its own (1997 draft, §4.2)."""
    NEVER = "never"
    """Clear FTP; must be said in words."""


class ConnectArguments(TypedDict, total=False):
    """Keyword arguments of `lockgate.connect` and `lockgate.aio.connect`; each may be left out.

    Attributes:
        user: User name; without one, here and in the URL, "anonymous".
        password: The password, or a function that gives it when the server asks.
        account: For servers that ask for an account (332, ACCT).
        port: The port, where the URL has none.
        tls: "explicit", "implicit" or "never"; the URL's scheme by default.
        trust: A CA file, or a certificate's SHA-256 fingerprint, or a `TrustPolicy`.
        ca: CA certificates, PEM, to be trusted instead of the system's.
        pin: SHA-256 fingerprint of the server's certificate.
        verify: False trusts anybody: encryption without authentication.
        certificate: The client's own certificate chain, PEM.
        key: Its key, PEM, where it does not stand in `certificate`.
        tls_version: "1.2" or "1.3": this version only; both by default.
        timeout: The longest wait for anything, in seconds.
        active: The server connects to us (PORT, EPRT) instead of we to it (EPSV, PASV).
        protect: False asks for data connections in clear (RFC 4217 §9).
        protect_after_login: Send PBSZ and PROT after USER and PASS instead of before (RFC 4217 §10.3).
        secure: False sends no AUTH yet: call `auth` yourself, then `login` (RFC 4217 §10.3).
        login: False does not log in yet: call `login` yourself.
        offer_session: False offers no TLS session on data connections.
        before_auth: Commands to send in clear before AUTH (RFC 4217 §10.3).
        ccc: Back to a control connection in clear after the login (RFC 4217 §5); data stays protected.
        require_close_notify: False takes a data connection's end without close_notify for the end of the
            file, where the size shows that it is (servers that never send one).
        random: Where names of temporary files come from.
    """

    user: str | None
    password: Password | None
    account: str | None
    port: int | None
    tls: Literal["explicit", "implicit", "never"] | None
    trust: str | Path | TrustPolicy | None
    ca: str | Path | None
    pin: str | None
    verify: bool
    certificate: str | Path | None
    key: str | Path | None
    tls_version: Literal["1.2", "1.3"] | None
    timeout: float
    active: bool
    protect: bool
    protect_after_login: bool
    secure: bool
    login: bool
    offer_session: bool
    before_auth: Iterable[str]
    ccc: bool
    require_close_notify: bool
    random: Random


@dataclass(frozen=True, slots=True)
class Options:
    """A connection's choices, complete and valid; see `ConnectArguments` for what they mean.

    Attributes:
        path: The remote path of the URL.
    """

    host: str
    port: int
    mode: TlsMode
    user: str = ANONYMOUS
    password: Password | None = field(default=None, repr=False)
    account: str | None = field(default=None, repr=False)
    path: str = ""
    trust: TrustPolicy = field(default_factory=TrustPolicy)
    timeout: float = 30.0
    active: bool = False
    protect: bool = True
    protect_after_login: bool = False
    secure: bool = True
    login: bool = True
    offer_session: bool = True
    before_auth: tuple[Command, ...] = ()
    ccc: bool = False
    require_close_notify: bool = True
    random: Random = field(default_factory=secrets.SystemRandom, repr=False)

    @property
    def wants_tls(self) -> bool:
        """True unless the caller asked for clear FTP."""
        return self.mode is not TlsMode.NEVER

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def make_options(address: str | RemoteUrl, **arguments: Unpack[ConnectArguments]) -> Options:
    """Join an address with keyword arguments; arguments win over what the URL says. Does not block.

    Raises:
        LocalProtocolError: The address or an argument cannot be used, or they contradict each other.
        ConfigError: The trust arguments contradict each other.
    """
    url = address if isinstance(address, RemoteUrl) else parse_url(address)
    known = ConnectArguments.__annotations__
    if unknown := [name for name in arguments if name not in known]:
        raise TypeError(f"connect() has no argument {unknown[0]!r}")
    mode = _mode(url.scheme, arguments.get("tls"))
    user = arguments.get("user") or url.user
    password = arguments.get("password")
    if password is None:
        password = url.password
    if user is None and password is None:
        password = "lockgate@"  # noqa: S105 - RFC 1635 §2: anonymous users give an address
    options = Options(
        host=url.host,
        port=arguments.get("port") or url.port or _PORTS[mode is TlsMode.IMPLICIT],
        mode=mode,
        user=ANONYMOUS if user is None else user,
        password=password,
        account=arguments.get("account"),
        path=url.path,
        trust=_trust(arguments),
        timeout=float(arguments.get("timeout", 30.0)),
        active=arguments.get("active", False),
        protect=arguments.get("protect", True) and mode is not TlsMode.NEVER,
        protect_after_login=arguments.get("protect_after_login", False),
        secure=arguments.get("secure", True),
        login=arguments.get("login", True),
        offer_session=arguments.get("offer_session", True),
        before_auth=tuple(_command(line) for line in arguments.get("before_auth", ())),
        ccc=arguments.get("ccc", False),
        require_close_notify=arguments.get("require_close_notify", True),
        random=arguments.get("random") or secrets.SystemRandom(),
    )
    _check(options)
    return options


def _check(options: Options) -> None:
    if not 0 < options.timeout < 86_400:
        raise LocalProtocolError(f"timeout {options.timeout:g} is not between 0 and 86400 seconds")
    if not options.user:
        raise LocalProtocolError("the user name is empty")
    Command("USER", options.user)
    if isinstance(options.password, str):
        Command("PASS", options.password)
    if options.account is not None:
        Command("ACCT", options.account)
    if options.before_auth and options.mode is not TlsMode.EXPLICIT:
        raise LocalProtocolError("before_auth: only explicit TLS has an AUTH that commands can come before")
    if not options.secure and options.mode is not TlsMode.EXPLICIT:
        raise LocalProtocolError("secure=False: only explicit TLS can be started later")
    if not options.secure and options.login:
        raise LocalProtocolError(
            "secure=False with a login would send the password in clear: add login=False and call auth() and "
            'login() yourself, or say tls="never"'
        )
    if options.ccc and not options.wants_tls:
        raise LocalProtocolError("ccc: there is no TLS to go back from")


def _command(line: str) -> Command:
    word, space, argument = line.strip(" ").partition(" ")
    command = Command(word.upper(), argument if space else None)
    if command.is_secret or command.word == "USER":
        raise LocalProtocolError(f"before_auth: {command.word} would go out in clear")
    return command


def _mode(scheme: str, tls: str | None) -> TlsMode:
    if tls is None:
        return TlsMode.IMPLICIT if scheme == "ftps" else TlsMode.EXPLICIT
    try:
        mode = TlsMode(tls)
    except ValueError:
        raise LocalProtocolError(
            f"tls='{shorten(str(tls))}' is none of 'explicit', 'implicit' and 'never'"
        ) from None
    if mode is TlsMode.NEVER and scheme != "ftp":
        raise LocalProtocolError(f"{scheme}:// asks for TLS and tls='never' forbids it: use ftp://")
    return mode


def _trust(arguments: ConnectArguments) -> TrustPolicy:
    trust = arguments.get("trust")
    ca, pin = arguments.get("ca"), arguments.get("pin")
    if isinstance(trust, TrustPolicy):
        if ca is not None or pin is not None:
            raise ConfigError("trust is given as a policy, and ca or pin beside it: leave one of the two out")
        return trust
    if trust is not None:
        if ca is not None or pin is not None:
            raise ConfigError(
                "trust names a CA file or a pin, and so do ca and pin: leave one of the two out"
            )
        if _is_pin(trust):
            pin = str(trust)
        else:
            ca = trust
    version = arguments.get("tls_version")
    return TrustPolicy(
        ca_file=None if ca is None else Path(ca),
        pin_sha256=None if pin is None else parse_pin(pin),
        verify=arguments.get("verify", True),
        certificate=_optional_path(arguments.get("certificate")),
        key=_optional_path(arguments.get("key")),
        minimum_version="1.2" if version is None else version,
        maximum_version=version,
    )


def _is_pin(trust: str | Path) -> bool:
    if isinstance(trust, Path):
        return False
    try:
        parse_pin(trust)
    except ConfigError:
        return trust.lower().startswith("sha256")
    return True


def _optional_path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
