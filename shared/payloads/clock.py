"""The time by which times in payloads are judged and told: the database's, not this machine's.

One of a process, for validators take nothing along. Once somebody has set it (`shared.running.timekeeping`),
the machine's monotonic clock carries it on: a clock that is wrong, or is put right, changes nothing.
"""

import time
from datetime import UTC, datetime
from typing import Final


class DatabaseClock:
    """Until it is set it tells this machine's time."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def set(self, now_s: float) -> None:
        """It is that late, in seconds since 1970."""
        self._ahead_s = now_s - time.monotonic()

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() if self._ahead_s is None else time.monotonic() + self._ahead_s

    def now(self) -> datetime:
        """The same as a time in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)


CLOCK: Final = DatabaseClock()
