"""Messages under way and what the platforms say of them, for tests of tracking."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson

from shared.amqp.delivery import Delivery, Publication
from shared.durable.outbox import Outbox
from shared.errors import BrokerUnavailable, WabusError
from shared.messaging.messages import OwnEvent, Recorded, StatusEvent, Tracker, callback_data
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from tests.support.paces import FAST
from tests.support.rows import Connection, add_mapping, insert

BEGAN = datetime(2026, 1, 15, 12, tzinfo=UTC)
TRANSIENT = 131000
FINAL = 131026
BODY = {"wa_id": "491700000001", "client_message_id": "c1", "message_text": "hello", "colour": "blue"}

#: What an updater has in hand while it applies the events of these tests.
IN_HAND = Delivery(
    queue="status-updater",
    exchange="wa.status",
    routing_key="whatsapp",
    body=b"{}",
    headers={},
    correlation_id=None,
    message_id=None,
    published_at=None,
    redelivered=False,
    tag=1,
    generation=1,
    received_at=0.0,
)


class AbsentBroker:
    """The publisher of a worker whose RabbitMQ is away: what is to be told stays in the outbox."""

    async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        return [BrokerUnavailable("away") for _ in batch]


@dataclass(frozen=True, slots=True)
class Tracking:
    """A tracker on a test's database."""

    tracker: Tracker
    database: Database
    metrics: Metrics

    async def hear(self, *events: StatusEvent) -> list[str]:
        """Store and apply events as one batch; gives their outcomes in their order."""
        stored = await self.tracker.store(list({item.key: item for item in events}.values()))
        outcomes = await self.tracker.apply([replace(item, delivery=IN_HAND) for item in stored])
        by_key = {item.event.key: outcomes[item.id].value for item in stored}
        return [by_key[item.key] for item in events]

    async def record(self, *events: OwnEvent) -> Recorded:
        """Record our own word in a transaction of its own."""
        async with self.database.transaction() as connection:
            return await self.tracker.record_own(connection, events)

    def count(self, outcome: str) -> float:
        """`wabus_status_events_total` of one outcome."""
        return float(self.metrics.status_events.labels(outcome)._value.get())


@asynccontextmanager
async def tracking(database_url: str) -> AsyncIterator[Tracking]:
    """A tracker as an updater has one, without a broker."""
    database = Database(database_url)
    metrics = Metrics()
    try:
        yield Tracking(
            Tracker(database, Outbox(database, AbsentBroker(), FAST), metrics, FAST), database, metrics
        )
    finally:
        await database.close()


def at(seconds: float) -> datetime:
    """A time so long after the tests' beginning."""
    return BEGAN + timedelta(seconds=seconds)


def happened(status: str, second: float = 0, code: int | None = None, **fields: Any) -> StatusEvent:
    """A platform's event; a wamid unless other references are given."""
    references = {"wamid", "callback_data", "genesys_message_id"}
    named = fields if references & set(fields) else {"wamid": "wamid.1"} | fields
    errors = [] if code is None else [{"code": code, "title": f"error {code}"}]
    return StatusEvent(
        **{"source": "whatsapp", "errors": errors, **named}, status=status, occurred_at=at(second)
    )


async def add_outbound(conn: Connection, status: str = "sent", **fields: Any) -> UUID:
    """An outbound message with its body kept; `sent` has a wamid and an attempt that says so."""
    wamid = fields.pop("wamid", "wamid.1" if status != "queued" else None)
    wa_id = fields.pop("wa_id", str(uuid4().int)[:12])
    attempts = fields.pop("attempts", [("sent", wamid)] if status != "queued" else [])
    values = {"direction": "OUTBOUND", "status": status, "wamid": wamid, "lane": "reply"} | fields
    values.setdefault("mapping_id", await add_mapping(conn, wa_id=wa_id))
    message_id: UUID = await insert(conn, "message_tracking", **values)
    for number, (outcome, its_wamid) in enumerate(attempts, start=1):
        row = {"message_id": message_id, "attempt": number, "outcome": outcome, "wamid": its_wamid}
        await insert(conn, "send_attempts", **row)
    await insert(
        conn,
        "outbound_bodies",
        message_id=message_id,
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key=f"reply.{wa_id}",
        body=orjson.dumps(BODY | {"wa_id": wa_id}),
        headers=orjson.dumps(
            {"correlation_id": "trace-1", "idempotency_key": "key-1", "x-attempt": 1, "x-own": "kept"}
        ).decode(),
    )
    return message_id


def named(message_id: UUID, attempt: int = 1) -> str:
    """Callback data of an attempt."""
    return callback_data(message_id, attempt)


async def told(conn: Connection, event_type: str) -> list[dict[str, Any]]:
    """Bodies of the events of one name in the outbox, in order."""
    rows = await conn.fetch(
        "select payload from outbox_events where event_type = $1 order by created_at, id", event_type
    )
    return [orjson.loads(row["payload"]) for row in rows]


async def steps(conn: Connection) -> list[tuple[str, str, bool]]:
    """Every step told so far, with whether it was implied."""
    return [
        (item["old_status"], item["new_status"], item["implied"])
        for item in await told(conn, "message.updated")
    ]


async def row_of(conn: Connection, message_id: UUID) -> dict[str, Any]:
    """What tracking writes of a message."""
    row = await conn.fetchrow("select * from message_tracking where id = $1", message_id)
    assert row is not None
    names = (
        "status",
        "wamid",
        "sent_at",
        "delivered_at",
        "read_at",
        "failed_at",
        "error_code",
        "error_message",
    )
    return {name: row[name] for name in names}
