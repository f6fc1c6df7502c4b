"""Statuses that can never apply to their message, as dead letters.

The updater makes one of its delivery. One that was found out later, because it came before its message, has
no delivery any more: its body and headers, which are kept while it waits, take its place. Whichever way it
dies, and however often it is repeated, one event is one dead letter: the key says which event it is, not
which delivery.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final
from uuid import UUID

from shared.amqp.delivery import ATTEMPTS, ERROR, REASON, REPLAY_OF, SOURCE_QUEUE
from shared.amqp.topology import STATUS, STATUS_UPDATER
from shared.deadletters.storing import DeadLetter, store_dead_letters
from shared.durable.outbox import OutboxEvent
from shared.ids import read_uuid, time_ordered_uuid
from shared.messaging.messages.event_store import read_originals
from shared.messaging.messages.values import StatusEvent, StoredEvent
from shared.postgres.database import Connection
from shared.reasons import DeadReason

_REASON: Final = DeadReason.STATE_VIOLATION
#: Read at once: their bodies are in memory.
_TOGETHER: Final = 20


def describe_rejection(event: StatusEvent) -> str:
    """The error of its dead letter."""
    return f"status {event.status[:40]} can never apply to this message"


def rejection_key(event: StatusEvent, replay_of: UUID | None = None) -> str:
    """The key under which the rejection of an event is stored once. A replay may be rejected once more."""
    reference, status, occurred_at, source = event.key
    parts = (reference, status, occurred_at.astimezone(UTC).isoformat(), source, str(replay_of or ""))
    return f"rejected:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


async def bury_events(connection: Connection, rejected: Sequence[StoredEvent]) -> list[OutboxEvent]:
    """Store a dead letter of each that waited until now, in the caller's transaction, before it is settled.

    Returns the events to record. Of one that is in hand somewhere nothing is kept: its delivery dies there.
    """
    events: list[OutboxEvent] = []
    for start in range(0, len(rejected), _TOGETHER):
        part = rejected[start : start + _TOGETHER]
        originals = await read_originals(connection, [item.id for item in part])
        letters = [_letter(item, *originals[item.id]) for item in part if item.id in originals]
        events += await store_dead_letters(connection, letters)
    return events


def _letter(item: StoredEvent, body: bytes, headers: dict[str, Any]) -> DeadLetter:
    event = item.event
    error, replay_of = describe_rejection(event), read_uuid(headers.get(REPLAY_OF))
    return DeadLetter(
        id=time_ordered_uuid(),
        dedupe_key=rejection_key(event, replay_of),
        source_queue=STATUS_UPDATER,
        exchange=STATUS,
        routing_key=event.source,
        reason=_REASON,
        error_message=error,
        raw_body=body,
        headers=headers | {REASON: _REASON.value, ERROR: error, ATTEMPTS: 1, SOURCE_QUEUE: STATUS_UPDATER},
        attempts=1,
        correlation_id=event.trace_id or f"status-event-{item.id}",
        replay_of=replay_of,
    )
