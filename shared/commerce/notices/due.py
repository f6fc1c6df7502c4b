"""Which notices are due: the scheduler's look, and the names under which their jobs set rows aside."""

from typing import Final

from shared.commerce.notices.nudge import PER_NUDGE
from shared.postgres.database import Database
from shared.postgres.queries import Queries

#: Whoever decides, in `rows_set_aside`.
JOB: Final = "notices"
#: Nudges of one look at most: the next one sees what is left.
MOST_NUDGES: Final = 50
_QUERIES: Final = Queries("shared.commerce.notices", "due.sql")


async def nudges_wanted(database: Database) -> int:
    """How many nudges the due notices need. Raises StoreError."""
    due: int = await database.fetchval(_QUERIES["count"], MOST_NUDGES * PER_NUDGE)
    return -(-due // PER_NUDGE)
