"""Customers of before under another notation than WhatsApp's own, of whom nothing stands under that one.

Owns giving them its name, many in one statement: nobody is joined, so there is nothing to tell. Whoever is
two persons under two notations is joined by `before`, one after the other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import asyncpg

from shared.coordination.keys import conversation_key, customer_key
from shared.errors import StoreDataError
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.notation import platform_notation
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

#: A person: `variant`, `customer`, and how many `rows` they have.
Row: TypeAlias = Mapping[str, Any] | asyncpg.Record
_QUERIES: Final = Queries("shared.messaging.customers", "renaming.sql")
#: Rows of one transaction. Whoever has more of their own is left to a join.
_ROWS: Final = 2_000


class Renames:
    """Renames whoever is one person, and stays so."""

    def __init__(self, database: Database, cache: MappingCache) -> None:
        self._database = database
        self._cache = cache

    async def rename(self, customers: Mapping[str, str]) -> None:
        """Rename those of these (address → customer) who can be; of all others nothing is changed.

        Each batch is a transaction of its own, and may be done again. Raises StoreError: StoreConflict where
        somebody else holds one of them at this moment.
        """
        pairs = {gone: stays for gone, stays in customers.items() if stays == platform_notation(gone) != gone}
        if not pairs:
            return
        found = await self._database.fetch(_QUERIES["find_renames"], list(pairs), list(pairs.values()))
        for batch in in_batches(found, _ROWS):
            try:
                keys = await self._rename(batch)
            except StoreDataError:
                continue  # somebody opened theirs at the same moment: they are two, and are joined
            await self._cache.remove_many(keys)

    async def _rename(self, batch: Sequence[Row]) -> list[str]:
        customers = [row["customer"] for row in batch]
        async with self._database.transaction() as connection:
            await connection.execute(_QUERIES["wait_little"])
            await connection.execute(_QUERIES["claim_keys"], customers)
            await connection.fetch(_QUERIES["lock_keys"], customers)
            # Once more, now that nobody can open a conversation of theirs.
            found = await connection.fetch(
                _QUERIES["find_renames"], [row["variant"] for row in batch], customers
            )
            return await _write(connection, found)


async def _write(connection: Connection, found: Sequence[asyncpg.Record]) -> list[str]:
    """Returns the keys in Redis that have the earlier name."""
    pairs = [row["variant"] for row in found], [row["customer"] for row in found]
    mappings = await connection.fetch(_QUERIES["rename_mappings"], *pairs)
    whose = {(row["phone_number_id"], row["variant"], row["customer"]) for row in mappings}
    await connection.execute(_QUERIES["rename_deferred"], *_columns(whose))
    await connection.execute(_QUERIES["rename_recipients"], *pairs)
    await connection.execute(_QUERIES["rename_profiles"], *pairs)
    await connection.execute(_QUERIES["rename_consents"], *pairs)
    return [key for row in mappings for key in _keys(row)]


def _columns(rows: Iterable[tuple[str, str, str]]) -> tuple[list[str], list[str], list[str]]:
    ordered = sorted(rows)
    return [row[0] for row in ordered], [row[1] for row in ordered], [row[2] for row in ordered]


def _keys(row: asyncpg.Record) -> Iterator[str]:
    yield customer_key(row["phone_number_id"], row["wa_id"])
    if row["conversation_id"] is not None:
        yield conversation_key(row["conversation_id"])


def in_batches(found: Iterable[Row], most: int) -> Iterator[Sequence[Row]]:
    """In order, as many at a time as have so many `rows` together; who has more alone is left out. Pure."""
    batch: list[Row] = []
    rows = 0
    for row in found:
        if row["rows"] > most:
            continue
        if batch and rows + row["rows"] > most:
            yield batch
            batch, rows = [], 0
        batch.append(row)
        rows += row["rows"]
    if batch:
        yield batch
