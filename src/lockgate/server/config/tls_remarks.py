"""What is worth a warning about the TLS files of a configuration: certificates that end, keys, idle names.

Blocks for reading those files. Must not refuse anything: what cannot be read is told by those who load it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockgate.errors import ConfigError
from lockgate.tls.keyfiles import key_remark
from lockgate.tls.names import NameTable
from lockgate.tls.pemfacts import Validity, certificate_names, certificate_validity, crl_validity

if TYPE_CHECKING:
    from lockgate.tls.policy import TlsPolicy

    from .text import KeyPath
    from .whole import Config

__all__ = ["Ending", "endings", "placed_tls_remarks", "tls_remarks"]

Found = Iterator[tuple["KeyPath", str]]

# A list that is renewed every week ends soon all the time; of one that nobody renews, a third is left.
_CRL_PART = 3


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate or revocation list that ends soon, has ended, or does not hold yet.

    Attributes:
        what: Which one, in words.
        file: Where it is.
        when: In words.
        remedy: What happens, or what to do.
        days: Whole days that are left; negative when it has ended.
    """

    what: str
    file: Path
    when: str
    remedy: str
    days: int

    def __str__(self) -> str:
        return f"{self.what} in {self.file} {self.when}: {self.remedy}"


def tls_remarks(config: Config, now: datetime.datetime | None = None) -> tuple[str, ...]:
    """Return what is allowed and still worth a warning.

    Args:
        config: The configuration.
        now: The time, with its zone; that of the clock by default.
    """
    return tuple(message for _place, message in placed_tls_remarks(config, now))


def placed_tls_remarks(config: Config, now: datetime.datetime | None = None) -> Found:
    """Yield the same with the place of the key that each remark is about."""
    for key in _keys(config):
        if remark := key_remark(key):
            yield _place(config, key), remark
    yield from _uncovered_names(config)
    for one in endings(config, now):
        yield _place(config, one.file), str(one)


def _place(config: Config, file: Path) -> KeyPath:
    """Return where the key stands that names a file; where a default does, its table."""
    tables: list[tuple[KeyPath, object]] = [(("tls",), config.tls)]
    tables += [(("listener", index), one) for index, one in enumerate(config.listeners)]
    tables += [(("certificate", index), one) for index, one in enumerate(config.certificates)]
    for place, table in tables:
        for key in ("certificate", "key", "client_ca", "crl"):
            if getattr(table, key, None) == file:
                return (*place, key)
    return ()


def endings(config: Config, now: datetime.datetime | None = None) -> tuple[Ending, ...]:
    """Return every certificate and revocation list whose end is near, as `expiry_warning_days` has it."""
    moment = now or datetime.datetime.now(datetime.UTC)
    policies = _policies(config)
    certificates = config.served_certificates()
    authorities = _files(one.client_ca for one in policies)
    lists = _files(one.crl for one in policies)
    days = config.tls.expiry_warning_days
    return (
        *_endings(certificates, certificate_validity, "the certificate of", "renew it", days, moment),
        *_endings(
            authorities,
            certificate_validity,
            "the clients' CA",
            "whose certificates come from it is refused once it has ended",
            days,
            moment,
        ),
        *_endings(
            lists,
            crl_validity,
            "the revocation list of",
            "past its end every certificate of that CA is refused; fetch the new one",
            days,
            moment,
        ),
    )


def seconds_to_next_end(config: Config, now: datetime.datetime | None = None) -> float | None:
    """Return how long it is until the next certificate or revocation list ends, None when none will.

    Args:
        config: The configuration.
        now: The time, with its zone; that of the clock by default.
    """
    moment = now or datetime.datetime.now(datetime.UTC)
    policies = _policies(config)
    authorities = _files(one.client_ca for one in policies)
    lists = _files(one.crl for one in policies)
    found = [
        *(
            one
            for file in (*config.served_certificates(), *authorities)
            for one in _read(certificate_validity, file)
        ),
        *(one for file in lists for one in _read(crl_validity, file)),
    ]
    left = [(one.end - moment).total_seconds() for one in found if one.end is not None and one.end > moment]
    return min(left, default=None)


def _read(validity_of: Callable[[Path], tuple[Validity, ...]], file: Path) -> tuple[Validity, ...]:
    try:
        return validity_of(file)
    except ConfigError:
        return ()


def _files(found: Iterable[Path | None]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(file for file in found if file is not None))


def _endings(
    files: tuple[Path, ...],
    validity_of: Callable[[Path], tuple[Validity, ...]],
    what: str,
    remedy: str,
    days: int,
    now: datetime.datetime,
) -> Iterator[Ending]:
    for file in files:
        for one in _read(validity_of, file):
            limit = datetime.timedelta(days=days)
            if validity_of is crl_validity and one.end is not None:
                limit = min(limit, (one.end - one.start) / _CRL_PART)
            when = _when(one, limit, now)
            if when:
                left = (one.end - now).days if one.end is not None else 0
                yield Ending(f"{what} {one.holder}", file, when, remedy, left)


def _when(validity: Validity, limit: datetime.timedelta, now: datetime.datetime) -> str:
    if now < validity.start:
        return f"is not valid before {_shown(validity.start)}"
    if validity.end is None or validity.end - now > limit:
        return ""
    if validity.end <= now:
        return f"EXPIRED on {_shown(validity.end)}"
    days = (validity.end - now).days
    return f"expires in {days} day{'' if days == 1 else 's'}, on {_shown(validity.end)}"


def _shown(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _policies(config: Config) -> list[TlsPolicy]:
    found = (config.tls_policy(listener) for listener in config.listeners)
    return [one for one in found if one is not None]


def _keys(config: Config) -> tuple[Path, ...]:
    policies = [one for one in _policies(config) if one.check_key_permissions]
    return _files(key for one in policies for key in (one.key, *(named.key for named in one.certificates)))


def _uncovered_names(config: Config) -> Found:
    """Yield the names whose certificate is for others: every client that asks for one would refuse it."""
    for index, one in enumerate(config.certificates):
        table: NameTable[bool] = NameTable()
        try:
            held = certificate_names(one.certificate)
        except ConfigError:
            continue
        table.add(held, value=True)
        for name in one.names:
            if name not in held and table.find(name) is None:
                yield (
                    ("certificate", index, "names"),
                    (
                        f'the certificate in {one.certificate} is not for "{name}": '
                        "clients that ask for that name will refuse it"
                    ),
                )
