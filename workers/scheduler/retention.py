"""Retention: what is old goes, a few thousand rows at a time, by an index on its age.

Each table says itself what is old. Never below the time for which platforms repeat an event: a repetition
must still find its first copy.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from shared.durable.aside import RowsAside
from shared.durations import Durations
from shared.errors import StoreError, StoreUnavailable
from shared.messaging.messages.upkeep import MESSAGES
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database
from shared.tables import TABLES
from shared.upkeep import Retention
from workers.scheduler.forgotten import ForgottenMessages

logger = get_logger(__name__)
#: Rows of one delete: short enough that its locks and its vacuum hurt nobody.
_ROWS = 2000


class RetentionJob:
    """Prunes every table whose rows have an age at which they go.

    What is under way is not pruned; a message that is past its retention then fails first.
    """

    def __init__(self, database: Database, forgotten: ForgottenMessages, durations: Durations) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._forgotten = forgotten
        self._durations = durations

    async def run(self) -> int:
        """Remove all that is older than its retention; returns how many rows.

        A table of which nothing can be removed now keeps no other from it.
        """
        total = await self._remove(self._forget)
        for table in TABLES:
            if isinstance(table.stays, Retention):
                total += await self._remove(partial(self._prune, table.stays))
        if total:
            logger.info(
                "%d rows were past their retention", total, extra=fields(operation=Operation.RETENTION)
            )
        return total

    async def _remove(self, page: Callable[[], Awaitable[int]]) -> int:
        """Page by page, until there is none. Raises StoreUnavailable."""
        total = 0
        try:
            while (removed := await page()) > 0:
                total += removed
        except StoreUnavailable:
            raise
        except StoreError as error:
            logger.warning(
                "some rows past their retention stay for now: %s",
                error,
                extra=fields(operation=Operation.RETENTION),
            )
        return total

    async def _forget(self) -> int:
        """Those of the messages that are under way fail; they are removed next."""
        await self._forgotten.fail(MESSAGES.older_than(self._durations))
        return 0

    async def _prune(self, old: Retention) -> int:
        """One page. Where one row may keep the others, those that cannot go are set aside."""
        older_than = old.older_than(self._durations)
        if old.find is None:
            return await self._database.execute(old.prune, older_than, _ROWS)
        rows = await self._database.fetch(old.find, older_than, _ROWS)
        ids: list[UUID] = [row["id"] for row in rows]
        return await self._aside.work("retention", ids, str, partial(self._remove_by_id, old.prune))

    async def _remove_by_id(self, prune: str, ids: Sequence[UUID]) -> int:
        return await self._database.execute(prune, list(ids))
