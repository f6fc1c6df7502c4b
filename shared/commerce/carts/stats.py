"""How many carts are in which state, and what those brought that came back after a reminder."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from shared.postgres.database import Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.carts", "stats.sql")


@dataclass(frozen=True, slots=True)
class CartStateCount:
    """Carts of a shop in one state. `reason`: why they expired.

    `reminded`: of those whose last round had a reminder; `held_out`: of those that get none, to compare.
    """

    shop_id: str
    status: str
    reason: str | None
    carts: int
    reminded: int
    held_out: int


@dataclass(frozen=True, slots=True)
class RecoveredSum:
    """Recovered carts of a shop, and what their orders bring now, less refunds, in one currency."""

    shop_id: str
    currency: str | None
    carts: int
    revenue: Decimal


@dataclass(frozen=True, slots=True)
class CartStats:
    """Open carts as they are, closed ones of some days."""

    states: Sequence[CartStateCount]
    recovered: Sequence[RecoveredSum]


async def read_cart_stats(database: Database, *, closed_within: timedelta, shop_id: str | None) -> CartStats:
    """Of all shops, or of one; counted anew each time. Raises StoreError."""
    states = await database.fetch(_QUERIES["count_states"], closed_within, shop_id)
    recovered = await database.fetch(_QUERIES["sum_recovered"], closed_within, shop_id)
    return CartStats(
        [CartStateCount(**dict(row)) for row in states], [RecoveredSum(**dict(row)) for row in recovered]
    )
