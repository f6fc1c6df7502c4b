"""Deferring messages from the bodies that are kept with them, where no delivery of theirs is in hand.

Owns these inserts into `deferred_messages`; when a row is due, and who publishes it, is `deferral`'s.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.durable", "stored_bodies.sql")


async def put_off(
    connection: Connection, messages: Sequence[tuple[UUID, datetime | None]], reason: str
) -> set[UUID]:
    """Store messages (and when they end) that this transaction has tracked, due when their number may send.

    Returns those stored: who stands behind an earlier message of its customer and lane is left to
    `DeferralStore.store`.
    """
    rows = await connection.fetch(_QUERIES["put_off"], *map(list, zip(*messages, strict=True)), reason)
    return {row["message_id"] for row in rows}


async def ask_retries(
    connection: Connection, retries: Sequence[tuple[UUID, int, str, float | None]], header: str
) -> None:
    """Send messages again: id, failed attempt, reason, delay in s or none. `header` carries the attempt."""
    if retries:
        rows = (
            (message_id, attempt, reason, None if delay_s is None else timedelta(seconds=delay_s))
            for message_id, attempt, reason, delay_s in retries
        )
        await connection.execute(_QUERIES["ask_retry"], *map(list, zip(*rows, strict=True)), header)


async def defer_lost(database: Database, ids: Sequence[UUID], reason: str) -> Sequence[asyncpg.Record]:
    """Send queued messages again that are in no queue; returns rows of those that nobody deferred before."""
    return await database.fetch(_QUERIES["defer_lost"], list(ids), reason) if ids else []
