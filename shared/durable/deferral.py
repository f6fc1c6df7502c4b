"""Deferred messages: stored, published again when due, each row kept until its message is handled.

Owns the table `deferred_messages`, and who is due: nothing of a number that is paused, slowed down or whose
breaker is open, nothing behind an earlier message of its customer and lane, and of each number only what its
window allows. So a wait that ends by an event costs nothing while it lasts. When something is deferred, and
for how long, is a worker's decision; publishing what is due is the scheduler's job.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import orjson

from shared.amqp.delivery import ATTEMPT, DEFERRED_ID, EXCHANGE, ROUTING_KEY, Delivery, Publication
from shared.amqp.disposition import Defer
from shared.amqp.headers import carried_headers, correlation_of, idempotency_key_of
from shared.amqp.hops import traceparent_headers
from shared.amqp.payload_names import payload_name
from shared.durable.aside import RowsAside
from shared.durations import Durations
from shared.errors import StoreDataError
from shared.ids import read_uuid
from shared.postgres.database import CLAIMED_BYTES, Connection, Database
from shared.postgres.queries import Queries

_QUERIES = Queries("shared.durable", "deferral.sql")
#: The scheduler's job, in `rows_set_aside`.
_JOB: Final = "deferred messages"


Deferred: TypeAlias = tuple[Delivery, Defer]


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A row whose time has come, claimed by us for a while."""

    id: UUID
    reason: str
    publication: Publication


@dataclass(frozen=True, slots=True)
class Window:
    """How much of a queue may be out: published, and not handled yet.

    `total`: of all numbers together, each of which gets its part; `by_number`: at most so many of a number,
    and `other` of one that is not among them.
    """

    total: int
    other: int
    by_number: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _WaitingRows:
    """Rows that somebody wants stored, and where the ids of all that were stored with them go."""

    rows: Sequence[Deferred]
    stored: "asyncio.Future[set[UUID]]"


class DeferralStore:
    """Reads and writes `deferred_messages`."""

    def __init__(self, database: Database, durations: Durations) -> None:
        self._database = database
        self._durations = durations
        self._aside = RowsAside(database)
        self._waiting: list[_WaitingRows] = []
        self._storing: asyncio.Task[None] | None = None

    async def store(self, rows: Sequence[Deferred]) -> set[UUID]:
        """Store deliveries; a message that is stored already gets its new time and reason.

        Of several deliveries of one message the last one counts. Returns the ids of the rows. What comes
        while others are stored is stored together: a burst costs a transaction for hundreds.
        """
        waiting = _WaitingRows(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_waiting(), name="store deferred messages")
        return await waiting.stored

    async def _store_waiting(self) -> None:
        try:
            while self._waiting:
                part, self._waiting = self._waiting, []
                await self._store_part(part)
        finally:
            self._storing = None

    async def _store_part(self, part: Sequence[_WaitingRows]) -> None:
        """One transaction for all; if a row is to blame, one for each who asked."""
        try:
            stored = await self._store([row for item in part for row in item.rows])
        except Exception as error:
            if len(part) == 1 or not isinstance(error, StoreDataError):
                for item in part:
                    _answer(item, error)
                return
            for item in part:
                await self._store_part([item])
        else:
            for item in part:
                _answer(item, stored)

    async def _store(self, rows: Sequence[Deferred]) -> set[UUID]:
        last = {defer.message_id or id(delivery): (delivery, defer) for delivery, defer in rows}
        columns = [list(column) for column in zip(*(_row(*item) for item in last.values()), strict=True)]
        behind = [defer.message_id for _, defer in last.values() if defer.delay_s is None]
        slowed = [defer for _, defer in last.values() if defer.slows_number]
        if not behind and not slowed:
            return {row["id"] for row in await self._database.fetch(_QUERIES["store"], *columns)}
        async with self._database.transaction() as connection:
            if behind:
                await connection.execute(_QUERIES["lock_earlier"], behind)
            stored = {row["id"] for row in await connection.fetch(_QUERIES["store"], *columns)}
            if slowed:
                await connection.execute(_QUERIES["slow_numbers"], *_slowed(slowed))
        return stored

    async def remove(self, ids: Sequence[UUID]) -> None:
        """Forget rows whose message was handled."""
        await self._database.execute(_QUERIES["remove"], list(ids))

    async def queues(self) -> list[str]:
        """Queues to which something goes back, today or later."""
        return [row["queue"] for row in await self._database.fetch(_QUERIES["find_queues"])]

    async def claim_due(
        self, queue: str, window: Window, *, is_empty: bool = False, most_bytes: int = CLAIMED_BYTES
    ) -> list[DueMessage]:
        """Claim what may go to a queue now, up to its window and to the row whose body reaches `most_bytes`.

        Of each number the oldest first. A claim ends after `deferred_claim_s`; ten times as late unless the
        queue was seen empty, for what was published may wait there still.
        """
        durations = self._durations
        lease = timedelta(seconds=durations.deferred_claim_s)
        rows = await self._database.fetch(
            _QUERIES["claim_due"],
            queue,
            list(window.by_number),
            list(window.by_number.values()),
            window.other,
            window.total,
            timedelta() if is_empty else 9 * lease,
            timedelta(seconds=durations.breaker_open_s),
            durations.breaker_probes,
            lease,
            most_bytes,
            durations.deferred_rows,
        )
        return await self._readable(sorted(rows, key=lambda row: row["rank"]))

    async def _readable(self, rows: Sequence[Any]) -> list[DueMessage]:
        """One that cannot be read keeps nobody else waiting."""
        due = []
        for row in rows:
            try:
                due.append(_due(row))
            except Exception as error:
                await self.set_aside(row["id"], error)
        return due

    async def set_aside(self, row: UUID, why: Exception) -> None:
        """Leave alone a row that cannot be read or published; `wabus doctor` tells of it."""
        await self._aside.put(_JOB, row, why)

    async def unclaim(self, ids: Sequence[UUID]) -> None:
        """Give back claimed rows whose publish failed."""
        await self._database.execute(_QUERIES["unclaim"], list(ids))

    async def release_forgotten(self) -> int:
        """Let go who waits behind nobody any more; returns how many. Finds something after a fault only."""
        return await self._database.execute(_QUERIES["release_forgotten"])


async def remove_rows(connection: Connection, ids: Sequence[UUID]) -> None:
    """Forget rows in the transaction that ends their messages."""
    await connection.execute(_QUERIES["remove"], list(ids))


async def remove_messages(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """Forget the rows of messages in the transaction that ends them."""
    await connection.execute(_QUERIES["remove_messages"], list(message_ids))


async def release_followers(connection: Connection, done: Iterable[tuple[str, str, str]]) -> None:
    """Let go the first that waits behind finished messages of these (number, customer, lane)."""
    if keys := sorted(set(done)):
        await connection.execute(_QUERIES["release_followers"], *map(list, zip(*keys, strict=True)))


async def release_campaign(connection: Connection, campaign_id: str) -> None:
    """Let go what waits only because its campaign is paused; in the transaction that ends the pause."""
    await connection.execute(_QUERIES["release_campaign"], campaign_id)


async def recall_campaign(connection: Connection, campaign_id: str) -> None:
    """Send back what waits of a campaign that is stopped, so that its recipients are given back to it."""
    await connection.execute(_QUERIES["recall_campaign"], campaign_id)


def deferred_id(delivery: Delivery) -> UUID | None:
    """The row that a republished delivery came from."""
    return read_uuid(delivery.headers.get(DEFERRED_ID))


def stored_headers(delivery: Delivery) -> dict[str, Any]:
    """Headers as they are kept with a stored body (`deferred_messages`, `outbound_bodies`)."""
    return {
        **carried_headers(delivery),
        **traceparent_headers(delivery),
        ATTEMPT: delivery.attempt,
        "correlation_id": correlation_of(delivery),
        "idempotency_key": idempotency_key_of(delivery),
    }


def _answer(item: _WaitingRows, outcome: set[UUID] | Exception) -> None:
    if item.stored.done():
        return
    if isinstance(outcome, Exception):
        item.stored.set_exception(outcome)
    else:
        item.stored.set_result(outcome)


def _row(delivery: Delivery, defer: Defer) -> tuple[Any, ...]:
    return (
        delivery.queue,
        delivery.origin_exchange,
        delivery.origin_routing_key,
        delivery.body,
        orjson.dumps(stored_headers(delivery), default=str).decode(),
        defer.reason,
        _delay(defer),
        defer.message_id,
        defer.phone_number_id,
        defer.customer,
        defer.lane,
        defer.ends_at,
    )


def _delay(defer: Defer) -> timedelta | None:
    """What slows its number waits with it, not for a time of its own."""
    if defer.delay_s is None:
        return None
    return timedelta() if defer.slows_number else timedelta(seconds=defer.delay_s)


def _slowed(defers: Sequence[Defer]) -> tuple[list[str | None], list[timedelta]]:
    return [item.phone_number_id for item in defers], [
        timedelta(seconds=item.delay_s or 0) for item in defers
    ]


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
