"""One log line for each event that an operator is asked about later: who, from where, what, how it ended.

Goes to the logger `lockgate.audit` as `key=value` text. Must not hold secrets, and every value is escaped, so
that no name can forge a line or a field, and each line can be read back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

__all__ = ["format_event", "record"]

_logger = logging.getLogger("lockgate.audit")

_LONGEST = 500
# No other escape begins so: a value that was cut is told from one that ends in dots.
_CUT = "\\..."
_NEEDS_QUOTES = frozenset(' ="')
_ESCAPED = frozenset('\\"')


def record(event: str, /, **values: object) -> None:
    """Write one event. Does not block beyond what the log's handlers do.

    Args:
        event: A short word, such as "login".
        **values: What belongs to it; None values are left out.
    """
    if not _logger.isEnabledFor(logging.INFO):
        return
    told = {"lockgate_event": event, "lockgate_peer": str(values.get("peer", ""))}
    _logger.info("%s", format_event(event, values), extra=told)


def format_event(event: str, values: Mapping[str, object]) -> str:
    r"""Return an event's line: the event, then `key=value` for each value that is not None.

    A value stands in quotation marks when it is empty or has a space, "=" or a quotation mark in it. In each,
    quoted or not, `\\` is a backslash, `\"` a quotation mark, `\xNN` an octet that is no UTF-8, `\uNNNN` and
    `\UNNNNNNNN` a character that cannot be printed; `\...` ends a value that was too long.
    """
    shown = (f"{key}={_shown(value)}" for key, value in values.items() if value is not None)
    return " ".join((event, *shown))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    text = _escaped(str(value))
    return f'"{text}"' if not text or not _NEEDS_QUOTES.isdisjoint(text) else text


def _escaped(text: str) -> str:
    if len(text) <= _LONGEST and text.isprintable() and _ESCAPED.isdisjoint(text):
        return text  # as almost every value is: not each character by itself
    # No character becomes shorter, so what is behind the limit need not be looked at.
    parts = [_escape(character) for character in text[: _LONGEST + 1]]
    if sum(map(len, parts)) <= _LONGEST:
        return "".join(parts)
    left = _LONGEST - len(_CUT)
    kept = []
    for part in parts:
        left -= len(part)
        if left < 0:
            break
        kept.append(part)
    return "".join(kept) + _CUT


def _escape(character: str) -> str:
    if character in _ESCAPED:
        return f"\\{character}"
    if character.isprintable():
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        # `surrogateescape`: an octet of a name that is not UTF-8.
        return f"\\x{number - 0xDC00:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
