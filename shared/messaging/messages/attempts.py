"""Attempts that end without a status of their message.

Owns these outcomes of `send_attempts`, in the caller's transaction, with the messages' rows locked. What
statuses and answers make of attempts is `message_store`'s.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.messages", "attempts.sql")


async def close_attempts(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> set[UUID]:
    """Close attempts while their messages go on: message, number, outcome, HTTP status, error code and text.

    Returns the messages of those that were open.
    """
    if not rows:
        return set()
    closed = await connection.fetch(_QUERIES["close_attempts"], *map(list, zip(*rows, strict=True)))
    return {row["message_id"] for row in closed}


async def abandon_attempts(connection: Connection, ids: Sequence[UUID], numbers: Sequence[int]) -> None:
    """Of these undecided attempts nobody will know; their messages are sent again."""
    await connection.execute(_QUERIES["abandon_attempts"], list(ids), list(numbers))


async def give_up_attempts(connection: Connection, ids: Sequence[UUID], numbers: Sequence[int]) -> None:
    """Of these undecided attempts nobody will know; their messages fail."""
    await connection.execute(_QUERIES["give_up_attempts"], list(ids), list(numbers))


async def give_up_undecided(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Give up every undecided attempt of these messages; returns the messages that had one."""
    rows = await connection.fetch(_QUERIES["give_up_undecided"], list(ids))
    return {row["message_id"] for row in rows}
