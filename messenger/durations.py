"""Spans of time as people write them: 30s, 5m, 1h, 7d, 4w; and `off`, which is none."""

from __future__ import annotations

import re
from typing import Final

from errors import UsageError

OFF: Final = "off"
_UNITS: Final = {
    "s": (1, "second"),
    "m": (60, "minute"),
    "h": (3600, "hour"),
    "d": (86400, "day"),
    "w": (604800, "week"),
}


def seconds(text: str, *, longest: int) -> int:
    """Return how many seconds a span has; `off` has none.

    Raises:
        UsageError: It is no span, or longer than the longest, in seconds.
    """
    if text == OFF:
        return 0
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", text)
    span = int(found[1]) * _UNITS[found[2]][0] if found else 0
    if not 0 < span <= longest:
        message = f"{text!r} is no time that can be set"
        raise UsageError(message, hint=f"write 30s, 5m, 1h, 7d or 4w, at most {longest // 86400}d; or off")
    return span


def unless_off(text: str) -> str:
    """Return what a person has typed, `off` being nothing."""
    return "" if text == OFF else text


def spelt(span: int) -> str:
    """Return so many seconds in the largest unit that has no rest: `1 hour`, `90 minutes`."""
    size, name = next((size, name) for size, name in reversed(_UNITS.values()) if span % size == 0)
    return f"{span // size} {name}{'' if span == size else 's'}"
