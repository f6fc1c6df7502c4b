"""Carts as those who remind of them need them: held while they decide, and stopped for good."""

from collections.abc import Collection
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
