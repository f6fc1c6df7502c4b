"""Retention: what is old goes, a few thousand rows at a time, by an index on its age.

Never below the time for which platforms repeat an event: a repetition must still find its first copy.
"""

from datetime import timedelta

from shared.deadletters.store import DeadLetterStore
from shared.durations import Durations
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database
from shared.postgres.outbox import Outbox
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
        self._letters = letters
        self._forgotten = forgotten
        self._letters_days = durations.retention_dead_letters_days
        self._outbox = outbox
        floor = durations.retention_floor_days
        self._outbox_days = floor
        self._days = {
            "prune_status_events": max(floor, durations.retention_status_events_days),
            "prune_attempts": max(floor, durations.retention_attempts_days),
            "prune_bodies": floor,
            "prune_messages": max(floor, durations.retention_messages_days),
        }

    async def run(self) -> int:
        """Remove all that is older than its retention; returns how many rows."""
        total = 0
        await self._forgotten.fail(timedelta(days=self._days["prune_messages"]))
        for query, days in self._days.items():
            while (removed := await self._database.execute(QUERIES[query], timedelta(days=days), _ROWS)) > 0:
                total += removed
        while (removed := await self._outbox.prune(self._outbox_days, _ROWS)) > 0:
            total += removed
        while (removed := await self._letters.prune_settled(self._letters_days, _ROWS)) > 0:
            total += removed
        if total:
            logger.info(
                "%d rows were past their retention", total, extra=fields(operation=Operation.RETENTION)
            )
        return total
