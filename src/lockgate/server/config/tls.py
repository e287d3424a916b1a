"""`[tls]` and `[[certificate]]`: the server's certificates, whom it trusts, versions and ciphers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from lockgate.errors import shorten
from lockgate.tls.names import normal_name
from lockgate.tls.policy import UnknownNames

from .fields import Bool, Duration, OptionalPath, PathValue, Section, Whole

__all__ = ["TLS_OVERRIDES", "CertificateConfig", "TlsConfig", "TlsOverrides", "merged_tls"]


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


_Version = Annotated[str, Field(pattern=r"^1\.[23]$")]
_NewestVersion = Annotated[str, Field(pattern=r"^(1\.[23])?$")]
_UnknownNames = Annotated[UnknownNames, Field(strict=False)]
_Names = Annotated[tuple[str, ...], BeforeValidator(_tuple)]


class TlsConfig(Section):
    """`[tls]`: the default certificate, whom the server trusts, versions and ciphers."""

    certificate: PathValue = Path("server.pem")
    key: PathValue = Path("server.key")
    client_ca: OptionalPath = None
    crl: OptionalPath = None
    minimum_version: _Version = "1.2"
    maximum_version: _NewestVersion = ""
    ciphers: str = ""
    unknown_names: _UnknownNames = UnknownNames.SERVE
    reload_seconds: Duration = 60.0
    expiry_warning_days: Whole = 30
    check_key_permissions: Bool = True


class TlsOverrides(Section):
    """Those keys of `[tls]` that may stand in a listener; what is not written there is [tls]'s."""

    certificate: OptionalPath = None
    key: OptionalPath = None
    client_ca: OptionalPath = None
    crl: OptionalPath = None
    minimum_version: _Version | None = None
    maximum_version: _NewestVersion | None = None
    ciphers: str | None = None
    unknown_names: _UnknownNames | None = None

    @model_validator(mode="after")
    def _check_pair(self) -> TlsOverrides:
        if (self.certificate is None) != (self.key is None):
            has, lacks = ("certificate", "key") if self.key is None else ("key", "certificate")
            raise ValueError(f"{has} is there without {lacks}: write both, or neither for those of [tls]")
        return self


TLS_OVERRIDES = tuple(TlsOverrides.model_fields)
"""The keys of `[tls]` that may stand in a listener, in their order."""

_MAY_BE_TAKEN_AWAY = ("client_ca", "crl")


def merged_tls(tls: TlsConfig, listener: TlsOverrides) -> TlsConfig:
    """Return what `[tls]` says with a listener's own keys over it; client_ca = "" there takes it away."""
    written = listener.model_fields_set
    values = {key: getattr(listener, key) for key in TLS_OVERRIDES if key in written}
    changes = {key: value for key, value in values.items() if value is not None or key in _MAY_BE_TAKEN_AWAY}
    if "client_ca" in changes and "crl" not in changes:
        # Revocation lists belong to the CAs that they are of.
        changes["crl"] = None
    return tls.model_copy(update=changes) if changes else tls


class CertificateConfig(Section):
    """`[[certificate]]`: one more certificate, for clients that name one of its hosts (SNI, HOST)."""

    names: _Names = ()
    certificate: PathValue
    key: PathValue

    @field_validator("names")
    @classmethod
    def _check_names(cls, value: Iterable[str]) -> tuple[str, ...]:
        found = []
        for name in value:
            normal = normal_name(name, wildcard=True)
            if normal is None:
                raise ValueError(
                    f'"{shorten(name)}" is no host name; write such as "ftp.example.com" or "*.example.com"'
                )
            found.append(normal)
        return tuple(dict.fromkeys(found))
