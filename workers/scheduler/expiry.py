"""Expiry of idle conversations: their mappings end, their caches go, and others are told."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg

from shared.coordination.keys import conversation_key, customer_key
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox, OutboxEvent, event
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.conversations.mappings import Place, expire_mappings, find_idle
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.payloads import ConversationExpired, encode
from shared.payloads.clock import CLOCK
from shared.postgres.database import Database

logger = get_logger(__name__)


class ExpiryJob:
    """Expires what is idle for longer than the conversation TTL, so many rows at a time."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        cache: MappingCache,
        metrics: Metrics,
        *,
        ttl_hours: float,
        rows: int,
    ) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._outbox = outbox
        self._cache = cache
        self._metrics = metrics
        self._ttl = timedelta(hours=ttl_hours)
        self._rows = rows

    async def run(self) -> int:
        """Expire all that is idle; returns how many."""
        total = 0
        after: Place | None = None
        while True:
            rows = await find_idle(self._database, self._ttl, self._rows, after)
            total += await self._aside.work("expiry", [row["id"] for row in rows], str, self._expire)
            if len(rows) < self._rows:
                break
            after = (rows[-1]["hour"], rows[-1]["id"])
        if total:
            logger.info(
                "%d idle conversations expired", total, extra=fields(operation=Operation.CONVERSATION_EXPIRY)
            )
        return total

    async def _expire(self, ids: Sequence[UUID]) -> int:
        async with self._database.transaction() as connection:
            rows = await expire_mappings(connection, ids, self._ttl)
            events = [_told(row) for row in rows]
            await self._outbox.record(connection, events)
        keys = [customer_key(row["phone_number_id"], row["wa_id"]) for row in rows]
        keys += [
            conversation_key(row["conversation_id"]) for row in rows if row["conversation_id"] is not None
        ]
        await self._cache.remove_many(keys)
        await self._outbox.publish(events)
        self._metrics.conversations_expired.inc(len(rows))
        return len(rows)


def _told(row: asyncpg.Record) -> OutboxEvent:
    trace_id = uuid4().hex
    expired = ConversationExpired(
        mapping_id=row["id"],
        conversation_id=row["conversation_id"],
        wa_id=row["wa_id"],
        phone_number_id=row["phone_number_id"],
        timestamp=CLOCK.now(),
        trace_id=trace_id,
        last_activity_at=row["last_activity_at"],
    )
    aggregate = ("conversation_mapping", row["id"])
    return event(expired.event_type, encode(expired), aggregate=aggregate, correlation_id=trace_id)
