"""Carts as those who remind of them need them: found when due, held while they decide, moved on, stopped."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.carts", "due.sql")


async def find_due_carts(database: Database, most: int) -> list[UUID]:
    """Open carts whose step has come, the longest due first. Raises StoreError."""
    return [row["id"] for row in await database.fetch(_QUERIES["find_due"], most)]


async def lock_due_carts(connection: Connection, carts: Sequence[UUID]) -> list[asyncpg.Record]:
    """Those of these that are due still and that nobody else has in hand, locked. Raises StoreError."""
    return await connection.fetch(_QUERIES["lock_due"], list(carts))


async def move_carts_on(connection: Connection, moved: Sequence[tuple[UUID, datetime]]) -> None:
    """When each is looked at next. Raises StoreError."""
    if moved:
        await connection.execute(_QUERIES["move_on"], *map(list, zip(*moved, strict=True)))


async def abandon_carts(connection: Connection, abandoned: Sequence[tuple[UUID, bool]]) -> None:
    """Their customers have left them; with each whether it is of the control group. Raises StoreError."""
    if abandoned:
        await connection.execute(_QUERIES["abandon"], *map(list, zip(*abandoned, strict=True)))


async def expire_carts(connection: Connection, carts: Sequence[UUID]) -> None:
    """Close those that idled for too long. Raises StoreError."""
    if carts:
        await connection.execute(_QUERIES["expire"], list(carts))


async def hold_carts(connection: Connection, carts: Collection[UUID]) -> None:
    """Lock them until the commit: a purchase waits, or is seen. Raises StoreError."""
    if carts:
        await connection.execute(_QUERIES["hold"], list(carts))


async def stop_carts(connection: Connection, carts: Collection[UUID], reason: str) -> None:
    """Their rounds are over: nobody reminds of them again. Raises StoreError."""
    if carts:
        await connection.execute(_QUERIES["stop"], list(carts), reason)


async def mark_reminded(connection: Connection, reminded: Sequence[tuple[UUID, int, int, datetime]]) -> None:
    """Reminders that were sent: cart, round, which of the three, when. Raises StoreError."""
    if reminded:
        columns = zip(*reminded, strict=True)
        await connection.execute(_QUERIES["mark_reminded"], *map(list, columns))
