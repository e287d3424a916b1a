"""`[files]`, and the same keys where they stand in an account: how files are kept."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from lockgate.accounts.files import FileRules, LinkRule, UploadStyle
from lockgate.errors import shorten

from .fields import Bool, Section
from .text import FromEnvironment

__all__ = ["FILE_KEYS", "FileOverrides", "FilesConfig", "files_for"]

_UMASK = re.compile(r"[0-7]{1,4}")

_OWNERS_OWN = 0o700


def _umask(value: object) -> object:
    if not isinstance(value, str) or not _UMASK.fullmatch(value) or int(value, 8) > 0o777:
        raise ValueError('expected the bits that new files shall not have, octal, in quotes: "027"')
    if int(value, 8) & _OWNERS_OWN:
        raise ValueError(
            f'"{value}" takes the rights of the owner too, and the server could not use what it has written; '
            'write "077" (for nobody else), "027" (the group may read) or "022" (everybody may)'
        )
    return value


def _who(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    if not isinstance(value, str) or value != value.strip() or not value.isprintable():
        raise ValueError('expected a name in quotes, or a number; "" is the server\'s own')
    return value


def _patterns(value: object) -> object:
    if isinstance(value, FromEnvironment):
        value = value.split()
    if isinstance(value, tuple):
        value = list(value)
    if not isinstance(value, list):
        raise ValueError('expected a list of patterns of names: ["*.tmp", ".git"]')  # noqa: TRY004
    for pattern in value:
        if not isinstance(pattern, str) or not pattern or "/" in pattern or "\0" in pattern:
            raise ValueError(
                f'"{shorten(str(pattern))}" is no pattern of names; a pattern holds no slash and is compared '
                'with each part of a path: "*.tmp", ".git"'
            )
        if not pattern.strip("*"):
            raise ValueError(f'"{pattern}" would hide everything; hide less, or take the account away')
    return tuple(value)


_Umask = Annotated[str, BeforeValidator(_umask)]
_Who = Annotated[str, BeforeValidator(_who)]
_Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns)]
_UploadStyle = Annotated[UploadStyle, Field(strict=False)]
_LinkRule = Annotated[LinkRule, Field(strict=False)]


class FilesConfig(Section):
    """`[files]`: how uploads are written, whose files are, what is hidden."""

    uploads: _UploadStyle = UploadStyle.ATOMIC
    fsync: Bool = False
    umask: _Umask = "027"
    owner: _Who = ""
    group: _Who = ""
    hidden: _Patterns = ()
    symlinks: _LinkRule = LinkRule.INSIDE


class FileOverrides(Section):
    """The keys of `[files]` where they stand in an account; None: not said there."""

    uploads: _UploadStyle | None = None
    fsync: Bool | None = None
    umask: _Umask | None = None
    owner: _Who | None = None
    group: _Who | None = None
    hidden: _Patterns | None = None
    symlinks: _LinkRule | None = None


FILE_KEYS = tuple(FilesConfig.model_fields)
"""The keys of `[files]`, in their order."""


def files_for(files: FilesConfig, rules: FileOverrides | FileRules) -> FilesConfig:
    """Return `[files]` with an account's own words laid over it."""
    changes = {key: value for key in FILE_KEYS if (value := getattr(rules, key)) is not None}
    return files.model_copy(update=changes) if changes else files
