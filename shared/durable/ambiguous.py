"""Deferred messages of which nobody knows whether they were sent: kept, put off, released.

Owns what becomes of rows of `deferred_messages` that wait for evidence (reason `ambiguous`), in the caller's
transaction. What the evidence means is the scheduler's decision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.durable", "ambiguous.sql")


@dataclass(frozen=True, slots=True)
class UndecidedSend:
    """A message as it was asked for, of which an attempt is open. `deferred_as`: the row it came from."""

    queue: str
    exchange: str
    routing_key: str
    body: bytes
    headers: dict[str, Any]
    message_id: UUID
    phone_number_id: str
    customer: str
    lane: str
    deferred_as: UUID | None


async def reconcile(connection: Connection, send: UndecidedSend, wait: timedelta) -> None:
    """Keep it for so long, until evidence comes; one that is deferred otherwise stays as it is."""
    await connection.execute(
        _QUERIES["reconcile"],
        send.queue,
        send.exchange,
        send.routing_key,
        send.body,
        send.headers,
        wait,
        send.message_id,
        send.phone_number_id,
        send.customer,
        send.lane,
        send.deferred_as,
    )


async def postpone(connection: Connection, ids: Sequence[UUID], wait: timedelta) -> None:
    """Look at these rows again later."""
    await connection.execute(_QUERIES["postpone"], list(ids), wait)


async def release(connection: Connection, ids: Sequence[UUID]) -> None:
    """Send these rows back to the sender: it acknowledges what is done and sends what may be sent."""
    await connection.execute(_QUERIES["release"], list(ids))


async def hasten_messages(connection: Connection, message_ids: Sequence[UUID]) -> None:
    """Let go ambiguous messages about which evidence arrived."""
    if message_ids:
        await connection.execute(_QUERIES["hasten_messages"], list(message_ids))
