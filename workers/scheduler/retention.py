"""Retention: what is old goes, a few thousand rows at a time, by an index on its age.

Never below the time for which platforms repeat an event: a repetition must still find its first copy.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from shared.deadletters.store import DeadLetterStore
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox
from shared.durations import Durations
from shared.errors import StoreError, StoreUnavailable
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database
from workers.scheduler.forgotten import ForgottenMessages
from workers.scheduler.store import QUERIES

logger = get_logger(__name__)
#: Rows of one delete: short enough that its locks and its vacuum hurt nobody.
_ROWS = 2000


class RetentionJob:
    """Prunes messages, status events, attempts, kept bodies, marked events and settled dead letters.

    What is under way is not pruned; a message that is past its retention then fails first.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        letters: DeadLetterStore,
        forgotten: ForgottenMessages,
        durations: Durations,
    ) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._letters = letters
        self._forgotten = forgotten
        self._outbox = outbox
        floor = durations.retention_floor_days
        self._outbox_days = floor
        self._letters_days = durations.retention_dead_letters_days
        self._messages_days = timedelta(days=max(floor, durations.retention_messages_days))
        self._days = {
            "prune_status_events": max(floor, durations.retention_status_events_days),
            "prune_attempts": max(floor, durations.retention_attempts_days),
            "prune_bodies": floor,
        }

    async def run(self) -> int:
        """Remove all that is older than its retention; returns how many rows.

        A table of which nothing can be removed now keeps no other from it.
        """
        total = await self._remove(self._forget)
        for query, days in self._days.items():
            total += await self._remove(partial(self._prune, query, timedelta(days=days)))
        total += await self._remove(self._prune_messages)
        total += await self._remove(partial(self._outbox.prune, self._outbox_days, _ROWS))
        total += await self._remove(partial(self._letters.prune_settled, self._letters_days, _ROWS))
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
        await self._forgotten.fail(self._messages_days)
        return 0

    async def _prune(self, query: str, older_than: timedelta) -> int:
        return await self._database.execute(QUERIES[query], older_than, _ROWS)

    async def _prune_messages(self) -> int:
        """Much hangs on a message: one that cannot go is set aside."""
        rows = await self._database.fetch(QUERIES["find_old_messages"], self._messages_days, _ROWS)
        ids: list[UUID] = [row["id"] for row in rows]
        return await self._aside.work("retention", ids, str, self._remove_messages)

    async def _remove_messages(self, ids: Sequence[UUID]) -> int:
        return await self._database.execute(QUERIES["prune_messages"], list(ids))
