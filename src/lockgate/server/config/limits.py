"""`[limits]`, `[passive]` and `[active]`: how many, how long, and on which ports."""

from __future__ import annotations

import ipaddress
import re

from pydantic import field_validator

from lockgate.accounts.lockout import LockoutLimits

from .fields import Bool, Count, Seconds, Section, Whole
from .rates import RateLimits

__all__ = ["ActiveConfig", "LimitsConfig", "PassiveConfig"]

_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


class PassiveConfig(Section):
    """`[passive]`: where the server listens for data connections (PASV, EPSV)."""

    ports: str = "0"
    address: str = ""

    @field_validator("ports")
    @classmethod
    def _check_ports(cls, value: str) -> str:
        if value != "0":
            _check_range(value)
        return value

    @field_validator("address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if value:
            try:
                ipaddress.IPv4Address(value)
            except ValueError:
                raise ValueError(
                    'expected an IPv4 address, the only kind that a 227 reply can carry, or "" for the '
                    "control connection's own"
                ) from None
        return value


def _check_range(text: str) -> None:
    found = _RANGE.fullmatch(text)
    if found:
        first = int(found.group(1))
        last = int(found.group(2) or first)
        if 1 <= first <= last <= 65535:
            return
    raise ValueError('expected "0" (any free port), one port, or "first-last" from 1 to 65535: "50000-50100"')


class ActiveConfig(Section):
    """`[active]`: whether the server connects to the client for data (PORT, EPRT)."""

    enabled: Bool = True


class LimitsConfig(RateLimits):
    """`[limits]`: how many, how long, how fast; times are in seconds, rates in bytes a second."""

    sessions: Count = 10000
    sessions_per_address: Count = 100
    transfers: Count = 1000
    idle_seconds: Seconds = 300
    login_seconds: Seconds = 60
    handshake_seconds: Seconds = 15
    data_open_seconds: Seconds = 30
    stall_seconds: Seconds = 120
    drain_seconds: Seconds = 30
    login_attempts: Count = 3
    sessions_before_login: Count = 1000
    sessions_per_account: Whole = 0
    connections_per_minute: Whole = 3000
    lockout_failures_per_address: Whole = 50
    lockout_failures_per_account: Whole = 20
    lockout_seconds: Seconds = 900
    stall_bytes: Count = 1024

    def lockout(self) -> LockoutLimits:
        """Return after how many failed logins whom to lock out."""
        return LockoutLimits(
            per_address=self.lockout_failures_per_address,
            per_name=self.lockout_failures_per_account,
            seconds=self.lockout_seconds,
        )
