"""What a finished TLS handshake must have come to: the judgement after it (RFC 4217 sections 10.1 and 10.2).

The contexts bound what a handshake can choose, for everybody on a listener. Here is what may be demanded
beyond that, of one account too, and of TLS 1.3 cipher suites, which Python's contexts cannot bound. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.errors import ConfigError, shorten
from lockgate.tls.policy import TLS_VERSIONS

__all__ = ["Acceptance"]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is acceptable.

    Attributes:
        minimum_version: The oldest acceptable version, "1.2" or "1.3".
        ciphers: Names of the acceptable cipher suites, as OpenSSL has them; empty: all.

    Raises:
        ConfigError: There is no such version.
    """

    minimum_version: str = TLS_VERSIONS[0]
    ciphers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.minimum_version not in TLS_VERSIONS:
            known = " or ".join(f'"{version}"' for version in TLS_VERSIONS)
            raise ConfigError(f"{shorten(self.minimum_version)!r} is no TLS version: write {known}")

    def problem(self, version: str, cipher: str) -> str:
        """Return why a connection is not acceptable, in words fit for a reply, or "".

        Args:
            version: As the `ssl` module says it: "TLSv1.3".
            cipher: The name of its cipher suite.
        """
        number = version.removeprefix("TLSv")
        if number not in TLS_VERSIONS or TLS_VERSIONS.index(number) < TLS_VERSIONS.index(
            self.minimum_version
        ):
            return f"TLS {self.minimum_version} or newer is required"
        if self.ciphers and cipher not in self.ciphers:
            return "this cipher suite is not accepted"
        return ""
