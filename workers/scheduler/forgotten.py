"""What is past its retention and still under way fails before it is pruned, so that nobody waits for it.

A message of a number that stays paused, of a conversation behind it, of an attempt that nobody decided: after
so long none of them will be sent. Each is told as failed, is a dead letter, and fails its recipient.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from shared.amqp.delivery import REPLAY_OF
from shared.deadletters.storing import DeadLetter, store_dead_letters
from shared.durable.aside import RowsAside
from shared.durable.deferral import remove_messages
from shared.durable.outbox import Outbox, OutboxEvent
from shared.ids import read_uuid, time_ordered_uuid
from shared.messaging.messages import OwnEvent, Tracker
from shared.messaging.messages.attempts import give_up_undecided
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.payloads import SendError
from shared.postgres.database import Connection, Database
from shared.reasons import DeadReason
from workers.scheduler.ambiguity import OWN_HEADERS
from workers.scheduler.statements import QUERIES

logger = get_logger(__name__)
#: In `rows_set_aside`.
_JOB: Final = "forgotten messages"
#: Of one transaction: their bodies are in memory.
_ROWS: Final = 50
_ERRORS: Final = {
    DeadReason.EXPIRED: "it was not sent within its retention",
    DeadReason.SEND_AMBIGUOUS: "nobody knows whether the Cloud API took it, and it is past its retention",
}


class ForgottenMessages:
    """Fails what is under way and older than its retention. `undecided_h`: an attempt may be open so long."""

    def __init__(
        self, database: Database, tracker: Tracker, outbox: Outbox, metrics: Metrics, undecided_h: float
    ) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._tracker = tracker
        self._outbox = outbox
        self._metrics = metrics
        self._undecided = timedelta(hours=undecided_h)

    async def fail(self, older_than: timedelta) -> int:
        """Fail all of them, a page at a time; returns how many."""
        total = 0
        while ids := await self._find(older_than):
            failed = await self._aside.work(_JOB, ids, str, self._fail_page)
            total += failed
            if not failed:  # all of the page are somebody's at this moment, or were set aside
                break
        if total:
            logger.error(
                "%d messages were under way past their retention and have failed",
                total,
                extra=fields(operation=Operation.RETENTION),
            )
        return total

    async def _find(self, older_than: timedelta) -> list[UUID]:
        rows = await self._database.fetch(QUERIES["find_forgotten"], older_than, self._undecided, _ROWS)
        return [row["id"] for row in rows]

    async def _fail_page(self, ids: Sequence[UUID]) -> int:
        async with self._database.transaction() as connection:
            rows = await connection.fetch(QUERIES["lock_forgotten"], list(ids), self._undecided)
            events, failed = await self._end(connection, rows) if rows else ([], 0)
        await self._outbox.publish(events)
        return failed

    async def _end(
        self, connection: Connection, rows: Sequence[asyncpg.Record]
    ) -> tuple[list[OutboxEvent], int]:
        ids = [row["id"] for row in rows]
        ambiguous = await give_up_undecided(connection, ids)
        reasons = {
            row_id: DeadReason.SEND_AMBIGUOUS if row_id in ambiguous else DeadReason.EXPIRED for row_id in ids
        }
        recorded = await self._tracker.record_own(
            connection, [_failed(row, reasons[row["id"]]) for row in rows]
        )
        dead = [row for row in rows if recorded.statuses.get(row["id"]) == "failed"]
        letters = [_dead_letter(row, reasons[row["id"]]) for row in dead if row["body"] is not None]
        stored = await store_dead_letters(connection, letters)
        await self._outbox.record(connection, stored)
        await remove_messages(connection, ids)
        for letter in letters:
            self._metrics.dlq_messages.labels(letter.reason.value).inc()
        return [*recorded.events, *stored], len(dead)


def _failed(row: asyncpg.Record, reason: DeadReason) -> OwnEvent:
    error = SendError(code=reason.value, message=_ERRORS[reason])
    return OwnEvent(row["id"], "failed", trace_id=_trace_id(row), error=error)


def _dead_letter(row: asyncpg.Record, reason: DeadReason) -> DeadLetter:
    headers = row["headers"]
    return DeadLetter(
        id=time_ordered_uuid(),
        dedupe_key=f"forgotten:{row['id']}",
        source_queue=row["queue"],
        exchange=row["exchange"],
        routing_key=row["routing_key"],
        reason=reason,
        error_message=_ERRORS[reason],
        raw_body=row["body"],
        headers={name: value for name, value in headers.items() if name not in OWN_HEADERS},
        attempts=row["attempts"],
        correlation_id=_trace_id(row),
        message_id=row["id"],
        replay_of=read_uuid(headers.get(REPLAY_OF)),
    )


def _trace_id(row: asyncpg.Record) -> str:
    return str((row["headers"] or {}).get("correlation_id") or row["id"])
