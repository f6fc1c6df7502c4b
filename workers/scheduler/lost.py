"""What is queued and in no queue: its delivery was lost (a purge, a queue deleted, a broker restored).

Such a message would never end, and its customer's later ones would wait behind it for ever. Its body is kept
until it is decided, so it is published again, by way of a deferred row, which stays until its message is
handled. A second copy of what was merely slow sends nothing twice: the claim of an attempt does not let it.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from shared.amqp.broker import Broker
from shared.amqp.topology import tier_queue
from shared.durable.aside import RowsAside
from shared.durable.stored_bodies import defer_lost
from shared.durations import RETRY_TIER_NAMES, Durations
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from workers.scheduler.statements import QUERIES

logger = get_logger(__name__)
#: `deferred_messages.reason` of such a message, and its label in `wabus_retries_total`.
LOST: Final = "lost"
#: In `rows_set_aside`.
_JOB: Final = "lost messages"
#: Rows of one look: a backlog behind a paused number is looked through page by page, a page a turn.
_ROWS: Final = 2000
#: A place in the index of what waits.
_Place: TypeAlias = tuple[UUID, str, int]
_BEGINNING: Final[_Place] = (UUID(int=0), "", 0)


class LostJob:
    """Publishes again what its queue has lost."""

    def __init__(self, database: Database, broker: Broker, metrics: Metrics, durations: Durations) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._broker = broker
        self._lost_after = timedelta(seconds=durations.lost_after_s)
        self._counter = metrics.retries.labels("scheduler", LOST)
        self._place = _BEGINNING

    async def run(self) -> int:
        """Look at the next page of what is queued; returns how many were found lost."""
        rows = await self._database.fetch(QUERIES["read_queued"], *self._place, _ROWS, self._lost_after)
        self._place = _place_of(rows[-1]) if len(rows) == _ROWS else _BEGINNING
        missing = [row for row in rows if row["is_missing"]]
        return await self._aside.work(_JOB, missing, lambda row: row["id"], self._publish_again)

    async def _publish_again(self, missing: Sequence[asyncpg.Record]) -> int:
        idle = {queue for queue in _queues(missing) if await self._is_idle(queue)}
        lost = [row["id"] for row in missing if row["queue"] in idle]
        found = await defer_lost(self._database, lost, LOST)
        if found:
            self._counter.inc(len(found))
            logger.error(
                "%d queued messages are in no queue and are published again, the first %s",
                len(found),
                found[0]["message_id"],
                extra=fields(operation=Operation.DEFERRED_RELEASE),
            )
        return len(found)

    async def _is_idle(self, queue: str) -> bool:
        """Whether nothing is ready there or in its delay tiers; no where nobody can say.

        The tiers first: what leaves one meanwhile is then seen in the queue.
        """
        tiers = (tier_queue(queue, attempt) for attempt in range(1, len(RETRY_TIER_NAMES) + 1))
        for name in (*tiers, queue):
            state = await self._broker.queue_state(name)
            if state is None or state.messages:
                return False
        return True


def _place_of(row: asyncpg.Record) -> _Place:
    return row["mapping_id"], row["queued_lane"], row["seq"]


def _queues(rows: Sequence[asyncpg.Record]) -> Iterable[str]:
    return sorted({row["queue"] for row in rows})
