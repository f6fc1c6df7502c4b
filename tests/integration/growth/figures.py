"""What a statement may read, and the rows that it is asked for: as in a big installation.

A statement is named by its file and its name in it. `rows` and `pages` are the most that it may read: what is
under way, not what has gathered. Numbers of rows are told in `filling.sql`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

_PREFIX: Final = UUID("00000000-0000-7000-8000-000000000000").int
LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
SECOND: Final = timedelta(seconds=1)


def row_id(n: int) -> UUID:
    """As in `filling.sql`."""
    return UUID(int=_PREFIX + n)


@dataclass(frozen=True, slots=True)
class Measured:
    """One statement with its arguments. `most_pages`: where it matters, else ten for each row."""

    file: str
    name: str
    arguments: tuple[Any, ...]
    most_rows: int
    most_pages: int

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"


def measured(file: str, name: str, *arguments: Any, rows: int, pages: int | None = None) -> Measured:
    return Measured(file, name, arguments, rows, 200 + 10 * rows if pages is None else pages)


def ago(*, hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


#: Ten messages that were sent, ten that wait, ten customers, as a batch has them.
SENT: Final = [row_id(n) for n in range(100_001, 100_011)]
QUEUED: Final = [row_id(n) for n in range(190_001, 190_011)]
WAMIDS: Final = [f"wamid.{n}" for n in range(100_001, 100_011)]
CUSTOMERS: Final = [str(49151000000000 + n) for n in range(10_001, 10_011)]
NUMBERS: Final = [str(1000 + n % 10) for n in range(10_001, 10_011)]
NEW_CUSTOMERS: Final = [str(49161000000000 + n) for n in range(10)]
IDS: Final = [f"DE.{n}" for n in range(10)]
NEWEST: Final = [row_id(n) for n in range(199_991, 200_001)]
BULK: Final = [row_id(n) for n in range(199_401, 199_411)]
BULK_CUSTOMERS: Final = [str(49151000000000 + n) for n in range(199_401, 199_411)]
ONES: Final = [1] * 10
CONVERSATIONS: Final = [f"conversation {n}" for n in range(10_001, 10_011)]
LETTERS: Final = [row_id(n) for n in range(80_001, 80_011)]
DEFERRED: Final = [row_id(n) for n in range(40_001, 40_011)]
FRESH: Final = [row_id(1_000_000 + n) for n in range(10)]
NEW: Final = [f"new {n}" for n in range(10)]
PAST_RETENTION: Final = [row_id(n) for n in range(1, 2001)]
AMBIGUOUS: Final = [row_id(60 * n) for n in range(1, 201)]
RECIPIENTS: Final = list(range(120_001, 120_011))
MIB: Final = 1024 * 1024
NOTHING: Final = [None] * 10
TEXTS: Final = ["text"] * 10
JSON: Final = ["{}"] * 10
BODIES: Final = [b"{}"] * 10
PLACES: Final = list(range(1, 11))
TIMES: Final = [LONG_AGO] * 10
MAPPINGS: Final = [row_id(n) for n in range(10_001, 10_011)]
FIRST_OF_ALL: Final = UUID(int=0)

#: Notices whose messages are queued.
NOTICES_QUEUED: Final = [row_id(n) for n in range(198_101, 198_111)]
