"""Rows that a periodic job cannot work, set aside so that they keep no other row waiting.

Owns the table `rows_set_aside` and the rule of every job that works a page of rows: a page that fails is
split until the culprit stands alone; it is set aside with the reason, the others are done. A job's own
statement leaves out what is set aside under its name. After `ASIDE_S` a row is tried again by itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

from shared.errors import BrokerUnavailable, StoreConflict, StoreUnavailable, WabusError
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database
from shared.postgres.queries import Queries

logger = get_logger(__name__)
_QUERIES: Final = Queries("shared.durable", "aside.sql")
#: How long a row is left alone before it is tried again.
ASIDE_S: Final = 3600.0
#: More culprits than this in one page are no culprits: something else is wrong, and none is set aside.
_MOST: Final = 20
_REASON_CHARACTERS: Final = 300

T = TypeVar("T")


class RowsAside:
    """Sets rows aside, by job and key. A key is the text of what identifies the row in its table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def work(
        self,
        job: str,
        rows: Sequence[T],
        key: Callable[[T], object],
        work: Callable[[Sequence[T]], Awaitable[int]],
    ) -> int:
        """Work a page, in parts where it fails as a whole; returns the sum of what `work` returned.

        `work` is all or nothing, and may be called again with fewer rows after it raised. What a lock
        keeps is passed over for this time. Raises what is no row's fault: StoreUnavailable,
        BrokerUnavailable, the error of a page with too many culprits.
        """
        culprits: list[tuple[str, Exception]] = []
        total = await self._work(rows, key, work, culprits)
        for row_key, error in culprits:
            await self.put(job, row_key, error)
        return total

    async def put(self, job: str, row_key: object, why: Exception | str) -> None:
        """Set one row aside. Exceptions that are not ours may quote what they met: their kind is told."""
        reason = why if isinstance(why, str) else _describe(why)
        await self._database.execute(_QUERIES["put"], job, str(row_key), reason[:_REASON_CHARACTERS])
        logger.error(
            "%s: row %s is set aside: %s", job, row_key, reason, extra=fields(operation=Operation.SCHEDULING)
        )

    async def count(self) -> dict[str, int]:
        """How many rows are set aside, by job."""
        return {row["job"]: row["rows"] for row in await self._database.fetch(_QUERIES["count"])}

    async def forgive(self) -> int:
        """Let go what was set aside for long enough; returns how many."""
        return await self._database.execute(_QUERIES["forgive"], timedelta(seconds=ASIDE_S))

    async def _work(
        self,
        rows: Sequence[T],
        key: Callable[[T], object],
        work: Callable[[Sequence[T]], Awaitable[int]],
        culprits: list[tuple[str, Exception]],
    ) -> int:
        if not rows:
            return 0
        try:
            return await work(rows)
        except (StoreUnavailable, BrokerUnavailable):
            raise
        except Exception as error:
            if len(rows) == 1:
                self._blame(str(key(rows[0])), error, culprits)
                return 0
        half = len(rows) // 2
        done = await self._work(rows[:half], key, work, culprits)
        return done + await self._work(rows[half:], key, work, culprits)

    def _blame(self, row_key: str, error: Exception, culprits: list[tuple[str, Exception]]) -> None:
        if isinstance(error, StoreConflict):
            logger.info("row %s is locked: %s", row_key, error, extra=fields(operation=Operation.SCHEDULING))
            return
        if len(culprits) >= _MOST:
            raise error
        culprits.append((row_key, error))


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, WabusError) else f"unexpected {type(error).__name__}"
