"""`[quota]`, the rates of `[limits]`, and the same keys in an account: how much, how fast."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

from lockgate.errors import shorten

from .fields import Section, Whole
from .text import FromEnvironment

__all__ = ["ALLOWANCE_KEYS", "AllowanceOverrides", "QuotaConfig", "Rate", "RateLimits", "Size"]

_TEXT = re.compile(r"(\d+(?:\.\d+)?) *([A-Za-z]*)", re.ASCII)
_UNITS: Final = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_BITS = re.compile(r"([kKMGT])(b|bit|bits|bps)(?:/s)?", re.ASCII)
_MOST = 2**63 - 1
# Less is a mistake: at 1 kB a second the headers of TLS and TCP are as much as the files.
_LEAST_RATE = 1000


def _size(value: object) -> object:
    """Take a number of bytes, or text with a unit."""
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str):
        found = _parse(value)
    else:
        raise ValueError(_EXPECTED)  # noqa: TRY004 - pydantic's kind
    if not 0 <= found <= _MOST:
        raise ValueError(_EXPECTED)
    return found


_EXPECTED = 'expected a number of bytes, or text with a unit: 5000000, "500 MB", "10 GiB"; "" is no limit'


def _parse(text: str) -> int:
    if not text:
        return 0
    found = _TEXT.fullmatch(text.strip())
    if not found:
        raise ValueError(f'"{shorten(text)}": {_EXPECTED}')
    unit = _UNITS.get(found[2])
    if unit is None:
        raise ValueError(
            f'"{shorten(text)}": unknown unit "{shorten(found[2])}"{_meant(found[1], found[2])}; write B, '
            "kB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB (1024 each)"
        )
    whole, _, part = found[1].partition(".")
    fraction: int = int(part or 0) * unit // 10 ** len(part)
    return int(whole) * unit + fraction


def _meant(number: str, unit: str) -> str:
    """Return the question which unit was meant, or ""; a small b is for bits in some minds."""
    bits = _BITS.fullmatch(unit)
    if bits:
        prefix = bits[1].replace("K", "k")
        eighth = f"{float(number) / 8:g}"
        return (
            f' (did you mean "{shorten(number)} {prefix}B", in bytes, or "{eighth} {prefix}B" for '
            "that many bits?)"
        )
    near = next((known for known in _UNITS if known and known.lower() == unit.lower()), "")
    near = near or next((known for known in ("kB", "MB", "GB", "TB") if known[0].lower() == unit.lower()), "")
    return f' (did you mean "{shorten(number)} {near}"?)' if near else ""


def _rate(value: object) -> object:
    if isinstance(value, str):
        given = value.strip().removesuffix("/s").rstrip()
        value = FromEnvironment(given) if isinstance(value, FromEnvironment) else given
    found = _size(value)
    if isinstance(found, int) and 0 < found < _LEAST_RATE:
        raise ValueError(f'{found} bytes a second is too little; write "1 kB" or more, or "" for no limit')
    return found


Size = Annotated[int, BeforeValidator(_size)]
"""Bytes; 0 is no limit."""

Rate = Annotated[int, BeforeValidator(_rate)]
"""Bytes a second; 0 is no limit."""


class QuotaConfig(Section):
    """`[quota]`: how much there may be in the home of each account."""

    quota_bytes: Size = 0
    quota_files: Whole = 0


class RateLimits(Section):
    """The rates of `[limits]`: of the whole server, and of each session."""

    upload_rate: Rate = 0
    download_rate: Rate = 0
    session_upload_rate: Rate = 0
    session_download_rate: Rate = 0


class AllowanceOverrides(Section):
    """An account's keys: its quota, the rates of its sessions together and of each; None: not said."""

    quota_bytes: Size | None = None
    quota_files: Whole | None = None
    upload_rate: Rate | None = None
    download_rate: Rate | None = None
    session_upload_rate: Rate | None = None
    session_download_rate: Rate | None = None


ALLOWANCE_KEYS = tuple(AllowanceOverrides.model_fields)
"""The keys of an account's allowance, in their order."""
