"""The rows of carts: found, held and written, many at once.

Owns the table `carts`, save for what reminders write of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from shared.commerce.carts.row import CartRow
from shared.commerce.shops.rows import as_json
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.carts", "store.sql")
#: Of a shop and a cart.
CartId = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CartLine:
    """A cart in a list. `items`: how many lines it has."""

    id: UUID
    shop_id: str
    cart_id: str
    customer_phone: str | None
    status: str
    status_reason: str | None
    items: int
    total: Decimal
    currency: str | None
    last_activity_at: datetime
    closed_at: datetime | None
    recovered_order_id: str | None
    updated_at: datetime


async def find_latest(store: "Database | Connection", ids: Collection[CartId]) -> list[CartRow]:
    """The latest row of each cart that is known. Raises StoreError."""
    if not ids:
        return []
    shops, carts = zip(*sorted(ids), strict=True)
    return _rows(await store.fetch(_QUERIES["find_latest"], list(shops), list(carts)))


async def find_of_customers(
    connection: Connection, shops: Collection[str], customers: Collection[str]
) -> list[CartRow]:
    """All carts of these customers in these shops, closed ones too. Raises StoreError."""
    if not customers:
        return []
    return _rows(await connection.fetch(_QUERIES["find_of_customers"], sorted(shops), sorted(customers)))


async def hold_carts(connection: Connection, ids: Collection[UUID]) -> list[CartRow]:
    """Lock them, and give what they are now. Raises StoreError."""
    if not ids:
        return []
    await connection.execute(_QUERIES["lock"], list(ids))
    return _rows(await connection.fetch(_QUERIES["read"], list(ids)))


async def write_carts(connection: Connection, carts: Sequence[CartRow]) -> None:
    """Write whole rows, closed ones first: a customer has one open cart at a time. Raises StoreError."""
    for is_open in (False, True):
        rows = [as_json(asdict(cart)) for cart in carts if cart.is_open is is_open]
        if rows:
            await connection.execute(_QUERIES["write"], rows)


async def find_left(database: Database, idle: timedelta, limit: int) -> list[UUID]:
    """Open carts that were left for so long, and that nobody can be reminded of. Raises StoreError."""
    return [row["id"] for row in await database.fetch(_QUERIES["find_left"], idle, limit)]


async def list_carts(
    database: Database,
    *,
    shop_id: str | None,
    status: str | None,
    addresses: Sequence[str] | None,
    limit: int,
) -> list[CartLine]:
    """The latest carts first, of a shop, a state, a person's addresses. Raises StoreError."""
    rows = await database.fetch(
        _QUERIES["list"], shop_id, status, None if addresses is None else list(addresses), limit
    )
    return [CartLine(**dict(row)) for row in rows]


def _rows(rows: Sequence[Any]) -> list[CartRow]:
    return [CartRow(**dict(row)) for row in rows]
