"""Caps: at most so many marketing notices to a customer in a moving window. Pure.

A place is taken at its time and free again one window later, to the microsecond.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DELAY: Final = re.compile(r"([1-9][0-9]{0,7})([smhd])")


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` in each window."""

    most: int
    window: timedelta


def read_delay(text: str) -> timedelta:
    """Of `4h`, `30m`, `72h`, `7d`, `90s`. Raises ValueError."""
    match = _DELAY.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a delay such as 90s, 30m, 4h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def read_caps(text: str) -> tuple[Cap, ...]:
    """Of `2/24h,10/30d`. Raises ValueError."""
    caps = []
    for part in text.split(","):
        most, slash, window = part.strip().partition("/")
        if not slash or not re.fullmatch(r"[1-9][0-9]{0,3}", most):
            raise ValueError("must be caps such as 2/24h,10/30d")
        caps.append(Cap(int(most), read_delay(window)))
    return tuple(caps)


def place_free_at(now: datetime, taken: Sequence[datetime], caps: Sequence[Cap]) -> datetime:
    """When one more may be sent: `now` where all caps have a place. `taken`: when places were taken."""
    free_at = now
    for cap in caps:
        inside = sorted(item for item in taken if item > now - cap.window)
        if len(inside) >= cap.most:
            free_at = max(free_at, inside[len(inside) - cap.most] + cap.window)
    return free_at
