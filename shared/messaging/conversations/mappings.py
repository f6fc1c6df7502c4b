"""Mappings, written: opened, correlated with a conversation, closed, expired.

Owns `conversation_mappings` and `conversation_aliases`, in the caller's transaction. Where a
message is tracked or sent, `register`, `track` and `move_messages` write them too, to save a round trip.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from shared.messaging.customers.notation import platform_notation
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.conversations", "mappings.sql")
#: Where a page ended, in the order in which conversations are looked at.
Place: TypeAlias = tuple[str, UUID]


async def open_mappings(
    database: Database, asked: Sequence[tuple[str, str, str]]
) -> Sequence[asyncpg.Record]:
    """Open active mappings of (number, customer, address), each customer once.

    What another replica opened meanwhile is not returned.
    """
    numbers, customers, addresses = map(list, zip(*asked, strict=True))
    notations = list(map(platform_notation, addresses))
    return await database.fetch(_QUERIES["open_mappings"], numbers, customers, addresses, notations)


async def name_customers(
    connection: Connection, named: Sequence[tuple[UUID, str | None, str | None]]
) -> None:
    """What the platform calls customers: a message of theirs, the address to reply to, their id.

    Of an address that is another person's by all that is known, nothing is written.
    """
    columns = list(map(list, zip(*named, strict=True)))
    notations = [None if address is None else platform_notation(address) for address in columns[1]]
    await connection.execute(_QUERIES["lock_named"], columns[0])
    await connection.execute(_QUERIES["name_customers"], *columns, notations)


async def correlate(
    connection: Connection,
    mapping_id: UUID,
    conversation_id: str,
    communication_id: str | None,
    message_seq: int,
    *,
    replaced: str | None,
) -> None:
    """Set a mapping's conversation, by a message; the one that it replaces still leads to the mapping."""
    if replaced is not None:
        await keep_alias(connection, mapping_id, replaced)
    await connection.execute(
        _QUERIES["correlate"], mapping_id, conversation_id, communication_id, message_seq
    )


async def keep_alias(connection: Connection, mapping_id: UUID, conversation_id: str) -> None:
    """Have a conversation id lead to a mapping that is in another one."""
    await connection.execute(_QUERIES["keep_alias"], conversation_id, mapping_id)


async def confirm_correlation(connection: Connection, mapping_id: UUID, message_seq: int) -> None:
    """The same conversation came with this message, too."""
    await connection.execute(_QUERIES["confirm_correlation"], mapping_id, message_seq)


async def close_mapping(connection: Connection, mapping_id: UUID, conversation_id: str) -> bool:
    """Close an active mapping; False where it is not active, or in another conversation by now."""
    return await connection.fetchval(_QUERIES["close_mapping"], mapping_id, conversation_id) is not None


async def find_idle(
    database: Database, idle_for: timedelta, limit: int, after: Place | None
) -> Sequence[asyncpg.Record]:
    """A page of mappings that are idle for so long, oldest hour first: their `hour` and `id`, a place."""
    return await database.fetch(_QUERIES["find_idle"], idle_for, limit, *(after or (None, None)))


async def expire_mappings(
    connection: Connection, ids: Sequence[UUID], idle_for: timedelta
) -> Sequence[asyncpg.Record]:
    """Expire those of these that are idle for so long; returns their rows. What is locked is left out."""
    return await connection.fetch(_QUERIES["expire_idle"], idle_for, list(ids))
