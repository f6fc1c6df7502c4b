"""Deferred messages: stored, published again when due, each row kept until its message is handled.

Owns the table `deferred_messages`. When something is deferred, and for how long, is a worker's decision;
publishing what is due is the scheduler's job.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from shared.amqp.delivery import ATTEMPT, DEFERRED_ID, EXCHANGE, ROUTING_KEY, Delivery, Publication
from shared.amqp.payload_names import payload_name
from shared.consuming.disposition import Defer
from shared.consuming.headers import carried_headers, correlation_of, idempotency_key_of
from shared.ids import read_uuid
from shared.postgres.database import CLAIMED_BYTES, Connection, Database
from shared.postgres.queries import Queries

_QUERIES = Queries("shared.postgres", "deferral.sql")


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A row whose time has come, claimed by us for a while."""

    id: UUID
    reason: str
    publication: Publication


class DeferralStore:
    """Reads and writes `deferred_messages`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, rows: Sequence[tuple[Delivery, Defer]]) -> set[UUID]:
        """Store deliveries; a message that is stored already gets its new time and reason.

        Of several deliveries of one message the last one counts. Returns the ids of the rows.
        """
        last = {defer.message_id or id(delivery): (delivery, defer) for delivery, defer in rows}
        columns = zip(*(_row(*item) for item in last.values()), strict=True)
        return {row["id"] for row in await self._database.fetch(_QUERIES["store"], *columns)}

    async def remove(self, ids: Sequence[UUID]) -> None:
        """Forget rows whose message was handled."""
        await self._database.execute(_QUERIES["remove"], list(ids))

    async def claim_due(
        self, limit: int, lease_s: float, empty: Sequence[str] = (), most_bytes: int = CLAIMED_BYTES
    ) -> list[DueMessage]:
        """Claim up to `limit` due rows, oldest first, up to the one whose body reaches `most_bytes`.

        A claim ends after `lease_s`; ten times as late outside the queues `empty`, where what was published
        may wait still.
        """
        lease = timedelta(seconds=lease_s)
        rows = await self._database.fetch(
            _QUERIES["claim_due"], limit, lease, list(empty), 9 * lease, most_bytes
        )
        return [_due(row) for row in sorted(rows, key=lambda row: row["seq"])]

    async def overdue_queues(self) -> list[str]:
        """Queues of rows that were published and not handled within their claim."""
        return [row["queue"] for row in await self._database.fetch(_QUERIES["overdue_queues"])]

    async def unclaim(self, ids: Sequence[UUID]) -> None:
        """Give back claimed rows whose publish failed."""
        await self._database.execute(_QUERIES["unclaim"], list(ids))


async def hasten_followers(connection: Connection, done: Sequence[tuple[str, str, str]]) -> None:
    """Let go what waits behind finished messages of these (number, customer, lane)."""
    if done:
        await connection.execute(_QUERIES["hasten_followers"], *map(list, zip(*done, strict=True)))


async def hasten_messages(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """Let go ambiguous messages about which evidence arrived."""
    if message_ids:
        await connection.execute(_QUERIES["hasten_messages"], list(message_ids))


def deferred_id(delivery: Delivery) -> UUID | None:
    """The row that a republished delivery came from."""
    return read_uuid(delivery.headers.get(DEFERRED_ID))


def stored_headers(delivery: Delivery) -> dict[str, Any]:
    """Headers as they are kept with a stored body (`deferred_messages`, `outbound_bodies`)."""
    return {
        **carried_headers(delivery),
        ATTEMPT: delivery.attempt,
        "correlation_id": correlation_of(delivery),
        "idempotency_key": idempotency_key_of(delivery),
    }


def _row(delivery: Delivery, defer: Defer) -> tuple[Any, ...]:
    return (
        delivery.queue,
        delivery.origin_exchange,
        delivery.origin_routing_key,
        delivery.body,
        orjson.dumps(stored_headers(delivery), default=str).decode(),
        defer.reason,
        timedelta(seconds=defer.delay_s),
        defer.message_id,
        defer.phone_number_id,
        defer.customer,
        defer.lane,
    )


def _due(row: Any) -> DueMessage:
    headers: dict[str, Any] = dict(row["headers"])
    publication = Publication(
        exchange="",
        routing_key=row["queue"],
        body=row["body"],
        type=payload_name(row["queue"], row["routing_key"]),
        correlation_id=headers.pop("correlation_id"),
        idempotency_key=headers.pop("idempotency_key"),
        attempt=headers.pop(ATTEMPT),
        mandatory=True,
        headers={
            **headers,
            DEFERRED_ID: str(row["id"]),
            EXCHANGE: row["exchange"],
            ROUTING_KEY: row["routing_key"],
        },
    )
    return DueMessage(row["id"], row["reason"], publication)
