"""Notices follow their messages, in the transaction that moves those.

Owns what moves with a notice: the time of its cart's reminder, and when what it may bring was sent.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from shared.commerce.carts.due import hold_carts, mark_reminded
from shared.commerce.notices.failing import MOST_RETRIES, once_more
from shared.commerce.notices.ids import read_client_message_id
from shared.durable.outbox import OutboxEvent, event
from shared.messaging.messages.judgement import Message
from shared.messaging.messages.states import MessageStatus
from shared.payloads import NotificationUpdated, encode
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.notices", "moving.sql")
_REMINDERS: Final = {f"cart_reminder_{number}": number for number in (1, 2, 3)} | {
    "cart_reminder_3_no_coupon": 3
}


async def move_notices(connection: Connection, messages: Sequence[Message]) -> list[OutboxEvent]:
    """Move the notices of these messages, as they are now; gives what is to be recorded and told of it.

    Most messages have none. Locks carts, then notices, each in the order of their ids. Raises StoreError.
    """
    rows = [row for message in messages if (row := _row(message)) is not None]
    if not rows:
        return []
    ids = [row[0] for row in rows]
    carts = await connection.fetch(_QUERIES["find_carts"], ids)
    await hold_carts(connection, [row["cart"] for row in carts])
    *columns, as_template = (list(column) for column in zip(*rows, strict=True))
    moved = await connection.fetch(_QUERIES["move"], *columns, MOST_RETRIES, as_template)
    sent = [row for row in moved if row["sent_at"] is not None and row["new_status"] != "pending"]
    if sent:
        await connection.execute(
            _QUERIES["credit"], [row["id"] for row in sent], [row["sent_at"] for row in sent]
        )
    reminded = [
        (row["cart"], int(row["planned_round"]), _REMINDERS[row["notification_type"]], row["sent_at"])
        for row in sent
        if row["cart"] is not None and row["notification_type"] in _REMINDERS
    ]
    await mark_reminded(connection, reminded)
    return [_told(row) for row in moved if row["old_status"] != row["new_status"]]


def _row(message: Message) -> tuple[Any, ...] | None:
    named = read_client_message_id(message.client_message_id)
    if named is None or message.status is MessageStatus.QUEUED or _is_under_way_again(message):
        return None
    again = once_more(message.error_code) if message.status is MessageStatus.FAILED else None
    return (
        *named,
        message.status.value,
        message.wamid,
        message.sent_at,
        message.delivered_at,
        message.read_at,
        message.error_code,
        message.error_message,
        None if again is None else again.after,
        again is not None and again.as_template,
    )


def _is_under_way_again(message: Message) -> bool:
    """Whether it was accepted, failed, and is sent again by itself."""
    return message.status is MessageStatus.SENT and message.error_code is not None


def _told(row: asyncpg.Record) -> OutboxEvent:
    told = NotificationUpdated(
        notification_id=row["id"],
        shop_id=row["shop_id"],
        notification_type=row["notification_type"],
        old_status=row["old_status"],
        new_status=row["new_status"],
        revision=row["revision"],
        timestamp=row["at"],
        trace_id=row["id"].hex,
    )
    aggregate = ("notification", row["id"])
    return event(told.event_type, encode(told), aggregate=aggregate, correlation_id=row["id"].hex)
