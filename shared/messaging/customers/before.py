"""Rows of before, which do not name their customer: profiles in another notation, conversations, recipients.

Owns finding them, a page at a time, and naming them. What a conversation says is evidence like any other: an
id beside a phone is the same person, and a phone in two notations is one customer. Done twice, or by two at
once, it ends the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from shared.durable.outbox import Outbox
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.addresses import read_address
from shared.messaging.customers.evidence import AddressEvidence
from shared.messaging.customers.identities import Identities
from shared.messaging.customers.joining import Joined, join
from shared.messaging.customers.notation import kind_of, platform_notation
from shared.messaging.customers.renaming import Renames
from shared.messaging.customers.whose import customers_of
from shared.observability.metrics import Metrics
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "before.sql")


@dataclass(frozen=True, slots=True)
class Unnamed:
    """One kind of such rows: what finds them after a place, where that stands in a row, what names most."""

    find: str
    place: str
    beginning: Any
    fill: str | None


#: Profiles first: of a refusal in another notation nobody knows before.
KINDS: Final = (
    Unnamed("find_profiles", "address", "", None),
    Unnamed("find_mappings", "id", UUID(int=0), "fill_mappings"),
    Unnamed("find_recipients", "id", 0, "fill_recipients"),
)


class RowsOfBefore:
    """Names the customers of rows of before."""

    def __init__(self, database: Database, outbox: Outbox, cache: MappingCache, metrics: Metrics) -> None:
        self._database = database
        self._outbox = outbox
        self._cache = cache
        self._renames = Renames(database, cache)
        self._identities = Identities(database, outbox, cache, metrics)

    async def find(self, kind: Unnamed, after: Any, limit: int) -> Sequence[asyncpg.Record]:
        """The next so many after a place, in order; `key` is what one is set aside by, and no number."""
        return await self._database.fetch(_QUERIES[kind.find], after, limit)

    async def name(self, kind: Unnamed, rows: Sequence[asyncpg.Record]) -> int:
        """Name them, and join who turns out to be one; returns how many were named. Raises StoreError.

        What a row tells is followed before the row is named: whoever ends half way is told it once more. What
        somebody holds at this moment is passed over.
        """
        whose = await customers_of(self._database, [row["address"] for row in rows])
        own = [row for row in rows if whose[row["address"]] == row["address"]]
        await self._remember([row for row in own if row.get("has_written")])
        others = {address: customer for address, customer in whose.items() if address != customer}
        await self._renames.rename(others)
        for address in await self._left_of(sorted(others)):
            await self._join(address)
        await self._identities.learn([_evidence(row) for row in rows if _is_pair(row)])
        named = len(rows) - len(own)
        if kind.fill is not None:
            named += await self._database.execute(_QUERIES[kind.fill], [row["id"] for row in own])
        return named

    async def _remember(self, rows: Sequence[asyncpg.Record]) -> None:
        if rows:
            await self._database.execute(
                _QUERIES["remember_writers"],
                [row["address"] for row in rows],
                [kind_of(row["address"]) for row in rows],
                [row["created_at"] for row in rows],
                [row["last_activity_at"] for row in rows],
            )

    async def _left_of(self, addresses: Sequence[str]) -> Sequence[str]:
        """Those of whom anything stands under the address still."""
        if not addresses:
            return []
        return [row["address"] for row in await self._database.fetch(_QUERIES["find_left"], addresses)]

    async def _join(self, address: str) -> None:
        """What stands under an address goes to its customer, in a transaction of its own."""
        async with self._database.transaction() as connection:
            joined = await self._join_locked(connection, address)
            await self._outbox.record(connection, joined.events)
        await self._cache.remove_many(joined.stale_keys)
        await self._outbox.publish(joined.events)

    async def _join_locked(self, connection: Connection, address: str) -> Joined:
        key = platform_notation(address)
        await connection.execute(_QUERIES["claim_key"], key, kind_of(key))
        stays = await connection.fetchval(_QUERIES["lock_customer"], key)
        if not await connection.fetchval(_QUERIES["is_left"], address):
            return Joined()  # another replica was faster
        return await join(connection, gone=address, stays=stays, evidence="rule", trace_id=uuid4().hex)


def _is_pair(row: asyncpg.Record) -> bool:
    """Whether the customer wrote under an id beside the phone. A side field may hold anything."""
    beside = row.get("user_id")
    return bool(row.get("has_written")) and beside != row["address"] and _is_address(beside)


def _is_address(text: str | None) -> bool:
    return text is not None and read_address(text) == text


def _evidence(row: asyncpg.Record) -> AddressEvidence:
    return AddressEvidence(row["address"], row["user_id"], "inbound", row["created_at"], uuid4().hex)
