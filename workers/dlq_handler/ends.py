"""Telling the ends that were kept back: of messages that were to go back by themselves, and do not any more.

A message that the cluster will try again by itself has not failed yet (`outbound.decide`). Its last try may
be over, or an operator may have dismissed it: then its dead letter says so, and its message fails here.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from shared.deadletters.storing import DeadLetter
from shared.deadletters.untold import claim_untold
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox, OutboxEvent
from shared.durations import Durations
from shared.errors import BrokerError, StoreError
from shared.ids import read_uuid
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Connection, Database
from shared.reasons import DeadReason
from workers.dlq_handler.messages import QUERIES, MessageEnder
from workers.dlq_handler.outbound import DeadOutbound

logger = get_logger(__name__)
#: The job, in `rows_set_aside`.
JOB: Final = "untold ends"
_ROWS: Final = 50


class UntoldEnds:
    """Looks for them, in every replica; each is told once."""

    def __init__(
        self, database: Database, outbox: Outbox, messages: MessageEnder, durations: Durations
    ) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._outbox = outbox
        self._messages = messages
        self._every_s = durations.scheduler_tick_s

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                ids = [row["id"] for row in await self._database.fetch(QUERIES["find_untold"], _ROWS)]
                await self._aside.work(JOB, ids, str, self._tell)
            except (StoreError, BrokerError) as error:
                logger.warning(
                    "ends of messages are told later: %s",
                    error,
                    extra=fields(operation=Operation.DEAD_LETTER_STORING),
                )

    async def _tell(self, ids: Sequence[UUID]) -> int:
        async with self._database.transaction() as connection:
            rows = await claim_untold(connection, ids)
            events = await self._end(connection, [_letter(row) for row in rows])
        await self._outbox.publish(events)
        return len(rows)

    async def _end(self, connection: Connection, letters: Sequence[DeadLetter]) -> list[OutboxEvent]:
        dead = [item for letter in letters if (item := DeadOutbound.read(letter)) is not None]
        return await self._messages.end(connection, dead, await self._messages.find(connection, dead), ())


def _letter(row: asyncpg.Record) -> DeadLetter:
    metadata = row["metadata"] or {}
    return DeadLetter(
        id=row["id"],
        dedupe_key="",
        source_queue=row["source_queue"],
        exchange=row["exchange"] or "",
        routing_key=row["routing_key"] or "",
        reason=DeadReason(row["reason"]),
        error_message=row["error_message"] or "",
        raw_body=row["raw_body"],
        headers=row["headers"],
        attempts=row["attempts"],
        correlation_id=str(metadata.get("correlation_id") or row["id"]),
        message_id=row["message_id"] or read_uuid(row["headers"].get("x-wabus-message-id")),
    )
