"""`[tls]`: the server's certificate, whom it trusts, versions and ciphers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from .fields import OptionalPath, PathValue, Section

__all__ = ["TlsConfig"]


class TlsConfig(Section):
    """`[tls]`: the server's certificate, whom it trusts, versions and ciphers."""

    certificate: PathValue = Path("server.pem")
    key: PathValue = Path("server.key")
    client_ca: OptionalPath = None
    minimum_version: Annotated[str, Field(pattern=r"^1\.[23]$")] = "1.2"
    ciphers: str = ""
