"""One log line for each event that an operator is asked about later: who, from where, what, how it ended.

Goes to the logger `lockgate.audit` as `key=value` text. Must not hold secrets, and every value a client chose
is escaped, so that no name can forge a line.
"""

from __future__ import annotations

import logging

from lockgate.errors import shorten

__all__ = ["record"]

_logger = logging.getLogger("lockgate.audit")


def record(event: str, /, **values: object) -> None:
    """Write one event. Does not block beyond what the log's handlers do.

    Args:
        event: A short word, such as "login".
        **values: What belongs to it; None values are left out.
    """
    if not _logger.isEnabledFor(logging.INFO):
        return
    shown = [f"{key}={_shown(value)}" for key, value in values.items() if value is not None]
    told = {"lockgate_event": event, "lockgate_peer": str(values.get("peer", ""))}
    _logger.info("%s", " ".join([event, *shown]), extra=told)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    text = shorten(str(value), 500)
    return f'"{text}"' if not text or " " in text or "=" in text or '"' in text else text
