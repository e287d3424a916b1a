"""The kinds of values that the tables of a configuration share, and what all tables have in common.

Nothing here touches the file system.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from .text import FromEnvironment

__all__ = ["Bool", "Count", "Duration", "OptionalPath", "PathValue", "Port", "Seconds", "Section", "Whole"]


def _number(value: object) -> object:
    """Let `port = "${PORT}"` be a number; a string that stands in the file itself stays a string."""
    if isinstance(value, FromEnvironment) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    return value


def _boolean(value: object) -> object:
    if isinstance(value, FromEnvironment) and value in ("true", "false"):
        return value == "true"
    return value


def _path(value: object, info: ValidationInfo) -> object:
    """Take a path relative to the directory that the validation context names."""
    if isinstance(value, str):
        if not value or "\0" in value:
            raise ValueError("expected the path of a file or directory")
        value = Path(value).expanduser() if value.startswith("~") else Path(value)
    if isinstance(value, Path) and info.context:
        return info.context["directory"] / value
    return value


def _optional_path(value: object, info: ValidationInfo) -> object:
    return None if value == "" else _path(value, info)


Bool = Annotated[bool, BeforeValidator(_boolean)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Port = Annotated[int, BeforeValidator(_number), Field(ge=0, le=65535)]
Seconds = Annotated[float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False)]
PathValue = Annotated[Path, BeforeValidator(_path), Field(validate_default=True)]
Duration = Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False)]
OptionalPath = Annotated[Path | None, BeforeValidator(_optional_path)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
Whole = Annotated[int, BeforeValidator(_number), Field(ge=0)]


class Section(BaseModel):
    """A table of the file: frozen, its types taken strictly, unknown keys refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")
