"""Dead letters whose message's end is still to be told, because it may go back by itself.

Owns the mark `untold` of `dead_letter_queue`, in the caller's transaction.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.deadletters", "untold.sql")


async def keep_untold(connection: Connection, waiting: Sequence[UUID], replayed: Sequence[UUID]) -> None:
    """The ends of `waiting` are to be told later; those of `replayed` are their new dead letters'."""
    if waiting or replayed:
        await connection.execute(_QUERIES["keep_untold"], list(waiting), list(replayed))


async def claim_untold(connection: Connection, ids: Sequence[UUID]) -> Sequence[asyncpg.Record]:
    """Those of these whose message goes back no more: the caller tells their ends."""
    return await connection.fetch(_QUERIES["claim_untold"], list(ids))
