"""Messages that events move, in PostgreSQL: locked, read with what surrounds them, written back.

Owns `message_tracking` as far as statuses go, the outcome of attempts, and stored bodies that are done with.
Everything runs in the caller's transaction, on rows that `lock_messages` has locked in the order of their
ids. Decides nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from shared.messaging.campaigns.recipients import move_recipients
from shared.messaging.customers.named import MappedCustomer
from shared.messaging.messages.event_store import QUERIES, columns_of
from shared.messaging.messages.judgement import Attempt, Background, Message, locate
from shared.messaging.messages.sightings import Sighting
from shared.messaging.messages.states import Direction, MessageStatus
from shared.messaging.messages.values import StatusEvent
from shared.payloads.clock import CLOCK
from shared.postgres.database import Connection


@dataclass(frozen=True, slots=True)
class Addressing:
    """To whom a message goes, and the body in which it was asked for, while that is kept.

    `customer`: the person; `wa_id`: where the platform named them last.
    """

    mapping_id: UUID
    customer: str
    wa_id: str
    phone_number_id: str
    conversation_id: str | None
    lane: str | None
    queue: str | None
    exchange: str | None
    routing_key: str | None
    body: bytes | None
    headers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Locked:
    """Messages by id, the database's time, and whom each goes to, or comes from."""

    messages: dict[UUID, Message]
    at: datetime
    customers: dict[UUID, MappedCustomer]


async def lock_messages(connection: Connection, ids: Iterable[UUID]) -> Locked:
    """Lock rows in the order of their ids; those that are gone are left out."""
    rows = await connection.fetch(QUERIES["lock_messages"], sorted(set(ids)))
    messages = {row["id"]: _message(row) for row in rows}
    customers = {row["id"]: MappedCustomer(*row["mapped"]) for row in rows}
    return Locked(messages, rows[0]["at"] if rows else CLOCK.now(), customers)


async def find_backgrounds(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Background]:
    """What is stored of locked messages beside their rows."""
    rows = await connection.fetch(QUERIES["find_background"], list(ids)) if ids else []
    return {row["id"]: _background(row) for row in rows}


async def find_addressing(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Addressing]:
    """To whom messages go."""
    rows = await connection.fetch(QUERIES["find_addressing"], list(ids)) if ids else []
    return {
        row["id"]: Addressing(
            **{name: row[name] for name in Addressing.__slots__ if name != "headers"},
            headers=row["headers"] or {},
        )
        for row in rows
    }


async def move_messages(connection: Connection, messages: Sequence[Message]) -> None:
    """Write rows as they shall be, and the recipients of campaigns that carry them."""
    if not messages:
        return
    rows = (
        (
            *(item.id, item.status.value, item.wamid, item.sent_at, item.delivered_at, item.read_at),
            *(item.failed_at, item.error_code, item.error_message),
        )
        for item in messages
    )
    await connection.execute(QUERIES["move_messages"], *columns_of(rows))
    recipients = [
        (
            item.id,
            item.status.value,
            item.wamid,
            item.sent_at,
            item.delivered_at,
            item.read_at,
            item.error_code,
        )
        for item in messages
        if item.has_recipient and not _is_under_way_again(item)
    ]
    await move_recipients(connection, recipients)


async def end_attempts(
    connection: Connection,
    attempts: Sequence[tuple[UUID, Attempt]],
    answers: Mapping[tuple[UUID, int], tuple[int | None, str | None]],
) -> None:
    """Write attempts as they shall be; `sent` ones last, for a message has one that is open or `sent`.

    `answers`: HTTP status and `message_status` of those that an answer ends.
    """
    sent = [row for row in attempts if row[1].outcome == "sent"]
    for part in ([row for row in attempts if row[1].outcome != "sent"], sent):
        if part:
            columns = columns_of(
                (
                    *(message_id, item.number, item.outcome, item.wamid, item.error_code, item.error_message),
                    *answers.get((message_id, item.number), (None, None)),
                )
                for message_id, item in part
            )
            await connection.execute(QUERIES["end_attempts"], *columns)


async def resettle_events(connection: Connection, event_ids: Sequence[int]) -> None:
    """Failures that were late count now."""
    if event_ids:
        await connection.execute(QUERIES["resettle_events"], list(event_ids))


async def forget_bodies(connection: Connection, ids: Sequence[UUID]) -> None:
    """Remove the stored bodies of messages that are done with."""
    if ids:
        await connection.execute(QUERIES["forget_bodies"], list(ids))


async def drop_messages(connection: Connection, ids: Sequence[UUID]) -> None:
    """Forget messages that were never attempted: nothing ever happened."""
    await connection.execute(QUERIES["drop_messages"], list(ids))


def _is_under_way_again(message: Message) -> bool:
    """Whether it was accepted, failed, and is to be sent again: its recipient stays where that left it."""
    return message.status is MessageStatus.SENT and message.error_code is not None


def _message(row: asyncpg.Record) -> Message:
    return Message(
        id=row["id"],
        direction=Direction(row["direction"]),
        status=MessageStatus(row["status"]),
        wamid=row["wamid"],
        genesys_message_id=row["genesys_message_id"],
        client_message_id=row["client_message_id"],
        campaign_id=row["campaign_id"],
        lane=row["lane"],
        sent_at=row["sent_at"],
        delivered_at=row["delivered_at"],
        read_at=row["read_at"],
        failed_at=row["failed_at"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        has_recipient=row["has_recipient"],
        trace=row["w3c_trace_id"],
    )


def _background(row: asyncpg.Record) -> Background:
    attempts = [Attempt(*values) for values in row["attempts"]]
    failures = [_failure(row["id"], attempts, *values) for values in row["failures"]]
    return Background(attempts, failures, row["has_body"])


def _failure(
    message_id: UUID,
    attempts: Sequence[Attempt],
    event_id: int,
    source: str,
    wamid: str | None,
    callback_data: str | None,
    occurred_at: float,
    errors: Sequence[Mapping[str, Any]] | None,
) -> Sighting:
    event = StatusEvent(
        source=source,
        status=MessageStatus.FAILED.value,
        occurred_at=datetime.fromtimestamp(occurred_at, UTC),
        wamid=wamid,
        callback_data=callback_data,
        errors=errors or (),
    )
    return Sighting(event, event_id, locate(event, message_id, attempts))
