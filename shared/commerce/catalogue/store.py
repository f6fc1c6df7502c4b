"""The rows of products and of views, written many at once.

Owns the tables `products` and `product_views`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from shared.commerce.catalogue.rules import ProductRow
from shared.commerce.shops.rows import as_json
from shared.postgres.database import Connection, touched
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.catalogue", "store.sql")


@dataclass(frozen=True, slots=True)
class KeptView:
    """A customer looked at a product. `price`: then, in `currency`."""

    shop_id: str
    customer: str
    product_id: str
    viewed_at: datetime
    price: Decimal | None
    currency: str | None
    in_stock: bool | None

    @property
    def place(self) -> tuple[str, str, str, datetime]:
        """Of those with one place the first is kept."""
        hour = self.viewed_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return self.customer, self.shop_id, self.product_id, hour


async def find_products(
    connection: Connection, ids: Collection[tuple[str, str]]
) -> dict[tuple[str, str], ProductRow]:
    """Those of these products (shop, id) that are known. Raises StoreError."""
    shops, products = zip(*sorted(ids), strict=True)
    rows = await connection.fetch(_QUERIES["find"], list(shops), list(products))
    return {(row["shop_id"], row["product_id"]): ProductRow(**dict(row)) for row in rows}


async def write_products(connection: Connection, products: Sequence[ProductRow]) -> None:
    """Write whole rows. Raises StoreError."""
    if products:
        await connection.execute(_QUERIES["write"], [as_json(asdict(product)) for product in products])


async def keep_views(connection: Connection, views: Iterable[KeptView], kept_for: timedelta) -> int:
    """Keep the first of a customer, product and hour that is not too old; returns how many rows changed.

    Raises StoreError.
    """
    firsts: dict[tuple[str, str, str, datetime], KeptView] = {}
    for view in views:
        known = firsts.get(view.place)
        if known is None or _earlier(view) < _earlier(known):
            firsts[view.place] = view
    rows = [firsts[place] for place in sorted(firsts)]
    return touched(
        await connection.execute(
            _QUERIES["keep_views"],
            [row.shop_id for row in rows],
            [row.customer for row in rows],
            [row.product_id for row in rows],
            [row.viewed_at for row in rows],
            [row.price for row in rows],
            [row.currency for row in rows],
            [row.in_stock for row in rows],
            kept_for,
        )
    )


async def follow_views(connection: Connection, gone: Sequence[str], stays: str) -> None:
    """What `gone` looked at, `stays` did. Raises StoreError."""
    await connection.execute(_QUERIES["move_views"], list(gone), stays)
    await connection.execute(_QUERIES["erase_views"], list(gone))


def _earlier(view: KeptView) -> tuple[datetime, Decimal]:
    return view.viewed_at, Decimal(-1) if view.price is None else view.price
