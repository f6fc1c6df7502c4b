"""Statuses that can never apply to their message, as dead letters.

The updater makes one of its delivery. One that was found out later, because it came before its message, has
no delivery any more: what is stored of it takes its place. Whichever way it dies, and however often it is
repeated, one event is one dead letter: the key says which event it is, not which delivery.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC
from uuid import UUID

from shared.amqp.topology import STATUS, STATUS_UPDATER
from shared.ids import time_ordered_uuid
from shared.postgres.database import Connection
from shared.postgres.deadletters import DeadLetter, store_dead_letters
from shared.postgres.outbox import OutboxEvent
from shared.reasons import DeadReason
from shared.tracking.values import StatusEvent, StoredEvent


def describe_rejection(event: StatusEvent) -> str:
    """The error of its dead letter."""
    return f"status {event.status[:40]} can never apply to this message"


def rejection_key(event: StatusEvent, replay_of: UUID | None = None) -> str:
    """The key under which the rejection of an event is stored once. A replay may be rejected once more."""
    reference, status, occurred_at, source = event.key
    parts = (reference, status, occurred_at.astimezone(UTC).isoformat(), source, str(replay_of or ""))
    return f"rejected:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


async def bury_events(connection: Connection, rejected: Sequence[StoredEvent]) -> list[OutboxEvent]:
    """Store a dead letter of each, in the caller's transaction; returns the events to record."""
    return await store_dead_letters(connection, [_letter(item) for item in rejected])


def _letter(item: StoredEvent) -> DeadLetter:
    event = item.event
    return DeadLetter(
        id=time_ordered_uuid(),
        dedupe_key=rejection_key(event),
        source_queue=STATUS_UPDATER,
        exchange=STATUS,
        routing_key=event.source,
        reason=DeadReason.STATE_VIOLATION,
        error_message=describe_rejection(event),
        raw_body=_body(event),
        headers={},
        attempts=1,
        correlation_id=event.trace_id or f"status-event-{item.id}",
    )


def _body(event: StatusEvent) -> bytes:
    """A StatusUpdate that says the same."""
    said = {
        **(event.details or {}),
        "status": event.status,
        "timestamp": event.occurred_at.isoformat(),
        "wamid": event.wamid,
        "callback_data": event.callback_data,
        "genesys_message_id": event.genesys_message_id,
        "errors": list(event.errors) or None,
    }
    # not orjson: a platform's numbers may be larger than 64 bits
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()
