"""The outbox: what is to be published is recorded in the transaction of its change, marked once confirmed.

Owns the table `outbox_events`. A row's id is the idempotency key of each of its publications, so that an
event goes out at least once and a consumer can drop the second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from shared.amqp.broker import Publisher
from shared.amqp.delivery import Publication
from shared.amqp.payload_names import payload_name
from shared.amqp.topology import EVENTS
from shared.durable.aside import RowsAside
from shared.durations import Durations
from shared.errors import StoreError, Unpublishable
from shared.ids import time_ordered_uuid
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.tracing import read_trace
from shared.postgres.database import CLAIMED_BYTES, Connection, Database
from shared.postgres.queries import Queries

logger = get_logger(__name__)
_QUERIES = Queries("shared.durable", "outbox.sql")
#: The scheduler's job, in `rows_set_aside`.
_JOB: Final = "unmarked publications"


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """One message to publish, recorded with what caused it. `payload` is its JSON body."""

    id: UUID
    aggregate_id: str
    aggregate_type: str
    event_type: str
    payload: bytes
    correlation_id: str
    exchange: str = EVENTS
    routing_key: str | None = None

    def publication(self) -> Publication:
        """What goes to the broker. Our own queues must get it; an event may have no subscriber."""
        routing_key = self.routing_key or self.event_type
        return Publication(
            exchange=self.exchange,
            routing_key=routing_key,
            body=self.payload,
            type=payload_name(self.exchange, routing_key),
            idempotency_key=str(self.id),
            correlation_id=self.correlation_id,
            mandatory=self.exchange != EVENTS,
            cause=self.aggregate_id,
        )


def event(
    event_type: str, payload: bytes, *, aggregate: tuple[str, object], correlation_id: str
) -> OutboxEvent:
    """An event of section 5; `aggregate` is (type, id) of what it tells about."""
    kind, identity = aggregate
    return OutboxEvent(time_ordered_uuid(), str(identity), kind, event_type, payload, correlation_id)


class Outbox:
    """Records, publishes and marks."""

    def __init__(self, database: Database, publisher: Publisher, durations: Durations) -> None:
        self._database = database
        self._publisher = publisher
        self._aside = RowsAside(database)
        self._lease = timedelta(seconds=durations.unmarked_after_s)

    async def record(self, connection: Connection, events: Sequence[OutboxEvent]) -> None:
        """Record in the caller's transaction; after its commit, call `publish` with the same events."""
        if not events:
            return
        await connection.execute(_QUERIES["record"], *_columns(events), self._lease)

    async def record_once(self, connection: Connection, events: Sequence[OutboxEvent]) -> list[OutboxEvent]:
        """As `record`, of events whose id is made of what they tell; gives those that are new."""
        if not events:
            return []
        rows = await connection.fetch(_QUERIES["record_once"], *_columns(events), self._lease)
        new = {row["id"] for row in rows}
        return [item for item in events if item.id in new]

    async def reopen(self, connection: Connection, ids: Sequence[UUID]) -> list[OutboxEvent]:
        """Have events told once more, under their keys; after the commit, call `publish` with what is given.

        Not given: what somebody is writing to, for that is just being told.
        """
        if not ids:
            return []
        rows = await connection.fetch(_QUERIES["reopen"], list(ids), self._lease)
        return [_event_of(row) for row in rows]

    async def publish(self, events: Sequence[OutboxEvent]) -> int:
        """Publish and mark what was confirmed; the scheduler takes care of the rest. Returns how many."""
        if not events:
            return 0
        outcomes = await self._publisher.publish([item.publication() for item in events])
        confirmed = [item.id for item, error in zip(events, outcomes, strict=True) if error is None]
        for item, error in zip(events, outcomes, strict=True):
            if isinstance(error, Unpublishable):
                await self._aside.put(_JOB, item.id, error)
        errors = [error for error in outcomes if error is not None]
        if errors:
            logger.warning(
                "%d events stay unmarked for the scheduler: %s",
                len(errors),
                errors[0],
                extra=fields(operation=Operation.PUBLISHING),
            )
        await self._mark(confirmed)
        return len(confirmed)

    async def destinations(self) -> list[str]:
        """Where unmarked events go: an exchange and a routing key, or a lane."""
        return [row["destination"] for row in await self._database.fetch(_QUERIES["find_destinations"])]

    async def claim_unmarked(self, destination: str, limit: int) -> list[OutboxEvent]:
        """Claim events for one destination that nobody marked in time, in the order of recording.

        At most `limit`, and none after the one whose body reaches `CLAIMED_BYTES`.
        """
        rows = await self._database.fetch(
            _QUERIES["claim_unmarked"], limit, self._lease, CLAIMED_BYTES, destination
        )
        return [_event_of(row) for row in sorted(rows, key=lambda row: row["id"])]

    async def _mark(self, ids: Sequence[UUID]) -> None:
        """An event that stays unmarked goes out again under its key: no reason to fail its message."""
        if not ids:
            return
        try:
            await self._database.execute(_QUERIES["mark"], list(ids))
        except StoreError as error:
            logger.warning(
                "%d published events could not be marked: %s",
                len(ids),
                error,
                extra=fields(operation=Operation.PUBLISHING),
            )


async def leave_to_scheduler(connection: Connection, events: Sequence[OutboxEvent]) -> None:
    """Record what is told by a program that publishes nothing: the scheduler publishes it soon."""
    if events:
        await connection.execute(_QUERIES["record"], *_columns(events), timedelta(0))


def _columns(events: Sequence[OutboxEvent]) -> list[list[Any]]:
    rows = (
        (
            item.id,
            item.aggregate_id,
            item.aggregate_type,
            item.event_type,
            item.payload.decode(),
            item.correlation_id,
            item.exchange,
            item.routing_key,
        )
        for item in events
    )
    return [list(column) for column in zip(*rows, strict=True)]


def _event_of(row: asyncpg.Record) -> OutboxEvent:
    return OutboxEvent(
        row["id"],
        row["aggregate_id"],
        row["aggregate_type"],
        row["event_type"],
        row["payload"].encode(),
        read_trace(row["correlation_id"], seed=row["id"].bytes).trace_id,
        row["exchange"],
        row["routing_key"],
    )


async def oldest_unmarked_s(database: Database) -> float:
    """The age of the oldest event that is not published; 0 where all are."""
    return float(await database.fetchval(_QUERIES["oldest_unmarked_s"]))
