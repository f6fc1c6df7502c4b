"""Carts as those who remind of them need them: held while they decide, and stopped for good."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.carts", "due.sql")


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
