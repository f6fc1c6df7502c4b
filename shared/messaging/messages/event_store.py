"""Status events in PostgreSQL: stored once, found again, settled.

Owns reading and writing `status_events`, and finding the message that an event names. Decides nothing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from shared.amqp.headers import carried_headers
from shared.deadletters.storing import clean_headers
from shared.messaging.messages.states import StatusOutcome
from shared.messaging.messages.values import (
    EventKey,
    SettledEvent,
    StatusEvent,
    StoredEvent,
    read_callback_data,
)
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

QUERIES = Queries("shared.messaging.messages")
#: When an event was received, as PostgreSQL writes it, and its id: the order in which events wait.
Place = tuple[str, int]
_KEY = ("reference", "status", "occurred_at", "source")


def columns_of(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows turned into the columns that `unnest` takes."""
    return [list(column) for column in zip(*rows, strict=True)]


async def insert_events(
    connection: Connection,
    events: Sequence[StatusEvent],
    settled: Sequence[tuple[UUID | None, StatusOutcome | None]] | None = None,
) -> dict[EventKey, int]:
    """Store those that are new, with message and outcome where these are known; gives their ids by key."""
    if not events:
        return {}
    known = settled or [(None, None)] * len(events)
    rows = sorted(zip(events, known, strict=True), key=lambda row: row[0].key)
    columns = columns_of((*_row(event), *what) for event, what in rows)
    inserted = await connection.fetch(QUERIES["insert_events"], *columns)
    return {tuple(row[name] for name in _KEY): row["id"] for row in inserted}


async def store_events(database: Database, events: Sequence[StatusEvent]) -> list[StoredEvent]:
    """Store events in a commit of its own; one that was stored before comes back as it is."""
    async with database.connection() as connection:
        ids = await insert_events(connection, events)
        keyed = {event.key: event for event in events}
        stored = [StoredEvent(ids[key], event) for key, event in keyed.items() if key in ids]
        known = {key: event for key, event in keyed.items() if key not in ids}
        if not known:
            return stored
        rows = await connection.fetch(QUERIES["find_events"], *columns_of(known))
    return stored + [
        StoredEvent(row["id"], known[tuple(row[name] for name in _KEY)], _outcome(row)) for row in rows
    ]


async def find_waiting(database: Database, references: Sequence[str]) -> Sequence[asyncpg.Record]:
    """Rows of unsettled events that name one of these wamids, callback data or genesys ids."""
    return await database.fetch(QUERIES["find_waiting"], list(references))


async def find_matchable(
    database: Database, after: Place | None, not_older_than_h: float, limit: int
) -> tuple[list[asyncpg.Record], Place | None]:
    """Of a page of events that wait, oldest first, the rows of those whose message is there; where it ended.

    The page begins after a place, with events of at most that age; after the last one there is no place.
    """
    age = timedelta(hours=not_older_than_h)
    rows = await database.fetch(QUERIES["find_matchable"], *(after or (None, None)), age, limit)
    place = (rows[-1]["received_at"], rows[-1]["id"]) if rows else None
    return [row for row in rows if row["is_there"]], place


def read_waiting(row: asyncpg.Record) -> StoredEvent:
    """The event of a row; TypeError or ValueError where somebody wrote it in another shape."""
    if row["occurred_at"] is None:
        raise ValueError("its time is out of range")
    details = dict(row["details"] or {})
    trace_id = details.pop("trace_id", None)
    event = StatusEvent(
        source=row["source"],
        status=row["status"],
        occurred_at=row["occurred_at"],
        wamid=row["wamid"],
        callback_data=row["callback_data"],
        genesys_message_id=row["genesys_message_id"],
        errors=row["errors"] or (),
        details=details or None,
        trace_id=trace_id,
    )
    return StoredEvent(row["id"], event)


async def match_events(connection: Connection, events: Sequence[StoredEvent]) -> Mapping[int, UUID]:
    """The message of each event that has one, by the event's id."""
    asked = [(item.event.wamid, _named(item.event)) for item in events]
    rows = await connection.fetch(QUERIES["match"], *columns_of(asked))
    found: dict[int, UUID] = {events[row["place"] - 1].id: row["message_id"] for row in rows}
    by_genesys_id = {
        item.id: item.event.genesys_message_id
        for item in events
        if item.id not in found and item.event.genesys_message_id is not None
    }
    if by_genesys_id:
        names = sorted(set(by_genesys_id.values()))
        rows = await connection.fetch(QUERIES["match_genesys"], names)
        known = {row["asked"]: row["message_id"] for row in rows}
        found |= {event_id: known[name] for event_id, name in by_genesys_id.items() if name in known}
    return found


async def settle_events(connection: Connection, settled: Iterable[SettledEvent]) -> set[int]:
    """Give events their outcome; gives the ids of those that had none before.

    Those that have to wait keep what they came as, for then their delivery is done.
    """
    rows = sorted((item.id, message_id, what, item.delivery) for item, message_id, what in settled)
    if not rows:
        return set()
    columns = columns_of(row[:3] for row in rows)
    new = {row["id"] for row in await connection.fetch(QUERIES["settle_events"], *columns)}
    waiting = [
        (event_id, delivery.body, orjson.dumps(clean_headers(carried_headers(delivery))).decode())
        for event_id, _, what, delivery in rows
        if what is StatusOutcome.UNMATCHED and delivery is not None and event_id in new
    ]
    if waiting:
        await connection.execute(QUERIES["keep_originals"], *columns_of(waiting))
    return new


async def read_originals(
    connection: Connection, event_ids: Sequence[int]
) -> dict[int, tuple[bytes, dict[str, Any]]]:
    """Body and headers of events that waited until now."""
    rows = await connection.fetch(QUERIES["read_originals"], list(event_ids))
    return {row["id"]: (row["raw_body"], row["raw_headers"]) for row in rows}


def _named(event: StatusEvent) -> UUID | None:
    named = read_callback_data(event.callback_data)
    return None if named is None else named[0]


def _row(event: StatusEvent) -> tuple[Any, ...]:
    details = dict(event.details or {})
    if event.trace_id is not None:
        details["trace_id"] = event.trace_id
    return (
        event.source,
        event.wamid,
        event.callback_data,
        event.genesys_message_id,
        event.status,
        event.occurred_at,
        json.dumps(event.errors) if event.errors else None,
        json.dumps(details) if details else None,
    )


def _outcome(row: asyncpg.Record) -> StatusOutcome | None:
    return None if row["outcome"] is None else StatusOutcome(row["outcome"])
