"""The rows of orders: found, held and written, many at once.

Owns the table `orders`.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from shared.commerce.carts.rules import PlacedOrder
from shared.commerce.orders.rules import PLACED, OrderRow
from shared.commerce.shops.rows import as_json
from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.orders", "store.sql")
#: Of a shop and an order.
OrderId = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """A row, and when its first fact was stored."""

    row: OrderRow
    first_seen_at: datetime


async def find_orders(store: "Database | Connection", ids: Collection[OrderId]) -> dict[OrderId, StoredOrder]:
    """Those of these orders that are known. Raises StoreError."""
    return {} if not ids else _stored(await store.fetch(_QUERIES["find"], *_columns(ids)))


async def find_ids_of(connection: Connection, customers: Collection[str]) -> set[OrderId]:
    """Orders of these customers, or counted in their profiles. Raises StoreError."""
    rows = await connection.fetch(_QUERIES["find_ids_of"], sorted(customers))
    return {(row["shop_id"], row["order_id"]) for row in rows}


async def hold_orders(connection: Connection, ids: Collection[OrderId]) -> dict[OrderId, StoredOrder]:
    """Lock them, and give what they are now. Raises StoreError."""
    await connection.execute(_QUERIES["lock"], *_columns(ids))
    return _stored(await connection.fetch(_QUERIES["find"], *_columns(ids)))


async def find_purchases(
    connection: Connection, carts: Collection[tuple[str, str]]
) -> dict[tuple[str, str], PlacedOrder]:
    """The order by which each of these carts (shop, cart id) was bought, if it was. Raises StoreError."""
    if not carts:
        return {}
    rows = await connection.fetch(_QUERIES["find_purchases"], *_columns(carts), sorted(PLACED))
    return {(row["shop_id"], row["cart_id"]): PlacedOrder(row["order_id"], row["bought_at"]) for row in rows}


async def write_orders(connection: Connection, orders: Sequence[OrderRow]) -> None:
    """Write whole rows. Raises StoreError."""
    if orders:
        await connection.execute(_QUERIES["write"], [as_json(asdict(order)) for order in orders])


def _columns(ids: Collection[tuple[str, str]]) -> tuple[list[str], list[str]]:
    ordered = sorted(ids)
    return [shop for shop, _ in ordered], [item for _, item in ordered]


def _stored(rows: Sequence[Any]) -> dict[OrderId, StoredOrder]:
    found = {}
    for row in rows:
        columns = dict(row)
        first_seen_at = columns.pop("created_at")
        order = OrderRow(**columns)
        found[order.shop_id, order.order_id] = StoredOrder(order, first_seen_at)
    return found
