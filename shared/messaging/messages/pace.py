"""How fast messages are worked just now, as their rows tell, whoever works them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.postgres.database import Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.messages", "pace.sql")
_WINDOW_S: Final = 10
#: Of each kind: beyond 4,000 a second the rate is told as that.
_MOST: Final = 40_000


@dataclass(frozen=True, slots=True)
class Pace:
    """A second, over the last ten: customers' messages, attempts to send, status events."""

    inbound_per_s: float
    attempts_per_s: float
    statuses_per_s: float


async def read_pace(database: Database) -> Pace:
    """By the database's clock. Raises StoreError."""
    row = await database.fetchrow(_QUERIES["read_pace"], timedelta(seconds=_WINDOW_S), _MOST)
    assert row is not None
    return Pace(*(round(row[name] / _WINDOW_S, 1) for name in ("inbound", "attempts", "statuses")))
