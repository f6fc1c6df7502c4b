"""What is stored of the messages that events name, read with their rows locked before anything is judged.

Owns the order of reading: which message, its row, its attempts and earlier failures, what others tell of the
failures among its events. Decides nothing and writes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.messaging.customers.named import MappedCustomer, NamedCustomer, Naming, hear, is_individual
from shared.messaging.messages.event_store import match_events
from shared.messaging.messages.judged import HeardMessage
from shared.messaging.messages.judgement import Background, Message, locate
from shared.messaging.messages.message_store import find_backgrounds, lock_messages
from shared.messaging.messages.sightings import Sighting
from shared.messaging.messages.states import Direction, MessageStatus
from shared.messaging.messages.values import (
    OWN_SOURCE,
    OwnEvent,
    StatusEvent,
    StoredEvent,
    callback_data,
)
from shared.messaging.messages.weighing import weigh
from shared.postgres.database import Connection

_PLAIN: Final = Background()


@dataclass(frozen=True, slots=True)
class Matched:
    """`named`: the message of each event that names one, by the event's id. `heard`: those that are there.

    `customers`: what is new of what the events call them.
    """

    named: Mapping[int, UUID]
    heard: Sequence[HeardMessage]
    customers: Sequence[NamedCustomer]


async def read_matched(connection: Connection, events: Sequence[StoredEvent]) -> Matched:
    """Find the messages of stored events, lock their rows in the order of their ids, read what is judged."""
    named = await match_events(connection, events)
    locked = await lock_messages(connection, set(named.values()))
    messages = locked.messages
    came_for: dict[UUID, list[StoredEvent]] = {}
    for item in events:
        message_id = named.get(item.id)
        if message_id in messages:
            came_for.setdefault(message_id, []).append(item)
    deep = [
        message_id for message_id, items in came_for.items() if _needs_background(messages[message_id], items)
    ]
    backgrounds = await find_backgrounds(connection, deep)
    heard = [
        _hear(messages[message_id], items, backgrounds.get(message_id, _PLAIN))
        for message_id, items in came_for.items()
    ]
    return Matched(named, await weigh(connection, heard), list(_named_customers(heard, locked.customers)))


async def read_own(connection: Connection, events: Sequence[OwnEvent]) -> list[HeardMessage]:
    """Lock the rows that our own word is about, in the order of their ids, and read what is judged.

    One event a message. A message whose row is gone is left out.
    """
    own = {item.message_id: item for item in events}
    locked = await lock_messages(connection, own)
    backgrounds = await find_backgrounds(connection, list(locked.messages))
    return [
        HeardMessage(message, [_own_sighting(own[message.id], locked.at)], backgrounds[message.id])
        for message in locked.messages.values()
    ]


def _named_customers(
    heard: Sequence[HeardMessage], customers: Mapping[UUID, MappedCustomer]
) -> Iterator[NamedCustomer]:
    """Of messages that we sent: the platform's own word on them, known by a wamid or by our callback data."""
    for message in heard:
        if message.message.direction is not Direction.OUTBOUND:
            continue
        for event in (item.event for item in message.sightings):
            said = event.details or {}
            is_theirs = event.wamid is not None or event.callback_data is not None
            if not is_theirs or not is_individual(said.get("recipient_type")):
                continue
            trace_id = event.trace_id or str(message.message.id)
            naming = Naming(message.message.id, "status", event.occurred_at, trace_id)
            ids = said.get("recipient_id"), said.get("recipient_user_id")
            if (named := hear(naming, customers[message.message.id], *ids)) is not None:
                yield named


def _needs_background(message: Message, items: Sequence[StoredEvent]) -> bool:
    """Whether attempts matter: sending is not over, or an event fails it or comes from another attempt.

    A sent message with an error is one whose attempt failed and that is to be sent again.
    """
    return message.direction is Direction.OUTBOUND and (
        message.status is MessageStatus.QUEUED
        or (message.status is not MessageStatus.FAILED and message.error_code is not None)
        or any(
            item.event.status == MessageStatus.FAILED or item.event.wamid != message.wamid for item in items
        )
    )


def _hear(message: Message, items: Sequence[StoredEvent], background: Background) -> HeardMessage:
    """Failures of the background that are among the events in hand are judged as these."""
    ids = {item.id for item in items}
    earlier = [item for item in background.failures if item.event_id not in ids]
    sightings = [
        Sighting(item.event, item.id, locate(item.event, message.id, background.attempts)) for item in items
    ]
    return HeardMessage(message, sightings, replace(background, failures=earlier))


def _own_sighting(own: OwnEvent, at: datetime) -> Sighting:
    error = [] if own.error is None else [own.error.model_dump(exclude_none=True)]
    event = StatusEvent(
        source=OWN_SOURCE,
        status=own.status,
        occurred_at=at,
        wamid=own.wamid,
        callback_data=callback_data(own.message_id, own.attempt or 0),
        errors=error,
        details=None if own.message_status is None else {"message_status": own.message_status},
        trace_id=own.trace_id,
    )
    return Sighting(event, None, own.attempt or 0)
