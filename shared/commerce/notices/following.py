"""Notices of a customer who turned out to be another: theirs from then on, with the places that they took."""

from collections.abc import Sequence
from typing import Final

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.notices", "following.sql")


async def follow_notices(connection: Connection, gone: Sequence[str], stays: str) -> None:
    """Notices of `gone`, and what those brought, become those of `stays`, who is held. Raises StoreError."""
    await connection.execute(_QUERIES["rename"], list(gone), stays)
    await connection.execute(_QUERIES["rename_reengagement"], list(gone), stays)
