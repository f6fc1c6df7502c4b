"""Whose an address is.

Owns the look-up; how an address becomes somebody's is `evidence`'s.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.messaging.customers.notation import AddressKind, platform_notation
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "addresses.sql")


@dataclass(frozen=True, slots=True)
class KnownAddress:
    """A row of `customer_addresses`: `doubt` is a word of `evidence.AddressDoubt`."""

    address: str
    phone: str
    kind: AddressKind
    source: str
    first_seen_at: datetime
    last_seen_at: datetime
    released_at: datetime | None
    doubt: str | None
    doubted_at: datetime | None


async def customers_of(store: "Database | Connection", addresses: Iterable[str]) -> dict[str, str]:
    """The customer of each address; one that nobody knew is a customer of its own. Raises StoreError."""
    asked = sorted(set(addresses))
    if not asked:
        return {}
    rows = await store.fetch(_QUERIES["customers_of"], asked, [platform_notation(item) for item in asked])
    return {row["address"]: row["customer"] for row in rows}


async def addresses_of(store: "Database | Connection", customer: str) -> Sequence[KnownAddress]:
    """Everything by which a customer is or was known; what they gave up comes last. Raises StoreError."""
    return [KnownAddress(**dict(row)) for row in await store.fetch(_QUERIES["addresses_of"], customer)]
