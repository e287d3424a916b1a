"""`[[listener]]`: where control connections are taken, and how they speak TLS."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator

from .fields import Port
from .policy import PolicyOverrides
from .tls import TlsOverrides

__all__ = ["ListenerConfig", "ListenerTls"]


class ListenerTls(StrEnum):
    """How a listener speaks TLS."""

    EXPLICIT = "explicit"
    """In clear until AUTH TLS (RFC 4217 section 4)."""
    IMPLICIT = "implicit"
    """TLS at once (draft-murray-auth-ftp-ssl-02 section 4.2)."""
    NONE = "none"
    """Clear FTP only."""


_ListenerTls = Annotated[ListenerTls, Field(strict=False)]


class ListenerConfig(TlsOverrides, PolicyOverrides):
    """`[[listener]]`: an address where control connections are taken; port 0 means any free one."""

    address: str = "127.0.0.1"
    port: Port = 2121
    tls: _ListenerTls = ListenerTls.EXPLICIT

    @field_validator("address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9.:%_-]+", value):
            raise ValueError('expected an IP address or a host name, such as "127.0.0.1", "0.0.0.0" or "::"')
        return value
