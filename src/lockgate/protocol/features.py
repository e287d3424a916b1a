"""FEAT and OPTS: the lines of reply 211, the MLST feature, the arguments of OPTS (RFC 2389, RFC 3659).

Must not know which features a server has: they come in as text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from lockgate.errors import LocalProtocolError, RemoteProtocolError, shorten

from .facts import FACT_NAMES

__all__ = [
    "format_feat",
    "format_opts_mlst",
    "mlst_feature",
    "parse_feat",
    "parse_opts",
    "parse_opts_mlst",
    "parse_opts_utf8",
]

_FEATURE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_FACT_LIST = re.compile(r"(?:[!-:<-~]+;)*(?:[!-:<-~]+)?")


def format_feat(features: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of the reply 211 to FEAT (RFC 2389 §3.2).

    Args:
        features: One a line: a name, and parameters behind a space.

    Returns:
        Texts without code and line end; features have the one space in front that the RFC wants. Without any
        feature, one line that says so.

    Raises:
        LocalProtocolError: A feature is empty or not printable ASCII.
    """
    lines: list[str] = []
    for feature in features:
        if not _FEATURE.fullmatch(feature):
            raise LocalProtocolError(f"feature '{shorten(feature)}' is not printable ASCII")
        lines.append(f" {feature}")
    return ("Features:", *lines, "End") if lines else ("No features",)


def parse_feat(lines: Sequence[str]) -> dict[str, str]:
    """Read the lines of the reply 211 to FEAT (RFC 2389 §3.2); never raises.

    Args:
        lines: The reply's texts without codes, the first and the last included. Servers that leave the space
            in front of a feature out are understood.

    Returns:
        Parameters ("" for none) by upper-case name. A name that comes several times, as AUTH does on some
        servers, has its parameters joined by ";", as RFC 4217 §6 joins them.
    """
    found: dict[str, str] = {}
    for line in lines[1:-1]:
        name, _, parameters = line.strip().partition(" ")
        name, parameters = name.upper(), parameters.strip()
        if not name:
            continue
        known = found.get(name, "")
        found[name] = f"{known};{parameters}" if known and parameters else known or parameters
    return found


def mlst_feature(active: Collection[str]) -> str:
    """Return the feature line of MLST: every fact there is, the active ones with "*" (RFC 3659 §7.8).

    Args:
        active: Lower-case names of the facts that are shown just now.

    Returns:
        "MLST type*;size*;...", in the order of `FACT_NAMES`.
    """
    return "MLST " + "".join(f"{name}{'*' if name in active else ''};" for name in FACT_NAMES)


def parse_opts(argument: str) -> tuple[str, str]:
    """Read the argument of OPTS: a command and what follows it (RFC 2389 §4).

    Args:
        argument: The command's argument.

    Returns:
        The command in upper case, and its options ("" for none).

    Raises:
        RemoteProtocolError: No command is named.
    """
    name, _, options = argument.partition(" ")
    if not _FEATURE.fullmatch(name):
        raise RemoteProtocolError(
            f"OPTS '{shorten(argument)}' names no command; send OPTS <command> [options]"
        )
    return name.upper(), options


def parse_opts_mlst(argument: str) -> tuple[str, ...]:
    """Read the options of OPTS MLST: the facts to be shown from now on (RFC 3659 §7.9).

    Args:
        argument: What follows MLST: "type;size;", or "" for no facts at all.

    Returns:
        The names that we know, in lower case and in the order of `FACT_NAMES`; unknown ones are passed over,
        as the RFC wants.

    Raises:
        RemoteProtocolError: It is no list of names with ";" behind each.
    """
    if not _FACT_LIST.fullmatch(argument):
        raise RemoteProtocolError(f"OPTS MLST '{shorten(argument)}' is not of the form fact;fact;")
    wanted = argument.lower().split(";")
    return tuple(name for name in FACT_NAMES if name in wanted)


def format_opts_mlst(active: Collection[str]) -> str:
    """Return the text of reply 200 to OPTS MLST: the facts that are active now (RFC 3659 §7.9)."""
    facts = "".join(f"{name};" for name in FACT_NAMES if name in active)
    return f"MLST OPTS {facts}".rstrip()


def parse_opts_utf8(argument: str) -> bool:
    """Read the options of OPTS UTF8 (common practice; RFC 2640 knows no such option).

    Args:
        argument: What follows UTF8: "ON", "OFF", "NLST" or nothing.

    Returns:
        False when UTF-8 shall be switched off.

    Raises:
        RemoteProtocolError: Anything else.
    """
    match argument.strip(" ").upper():
        case "" | "ON" | "NLST":
            return True
        case "OFF":
            return False
        case _:
            raise RemoteProtocolError(f"OPTS UTF8 takes ON or OFF, not '{shorten(argument)}'")
