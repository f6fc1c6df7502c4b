"""What waits in PostgreSQL, at a glance: however much it is, little is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.durable.aside import RowsAside
from shared.durable.outbox import oldest_unmarked_s
from shared.postgres.database import Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.durable", "backlog.sql")


@dataclass(frozen=True, slots=True)
class DeferredCount:
    """How many are deferred for one reason. `overdue_s`: of the first, None where none is due by time yet."""

    reason: str
    messages: int
    overdue_s: float | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """`unpublished_s`: the age of the oldest event that is not published, 0 where all are.

    `set_aside`: rows that a job of the scheduler cannot work, by job.
    """

    deferred: Sequence[DeferredCount]
    unpublished_s: float
    set_aside: Mapping[str, int]


async def read_backlog(database: Database, most: int) -> Backlog:
    """What is deferred is counted up to `most` for each reason. Raises StoreError."""
    deferred = await database.fetch(_QUERIES["glance_at_deferred"], most)
    return Backlog(
        deferred=[
            DeferredCount(row["reason"], row["messages"], _positive(row["overdue_s"])) for row in deferred
        ],
        unpublished_s=await oldest_unmarked_s(database),
        set_aside=await RowsAside(database).count(),
    )


def _positive(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds > 0 else None
