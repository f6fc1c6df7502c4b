"""What the table of carts says of itself."""

from typing import Final

from shared.postgres.queries import Queries
from shared.upkeep import Retention, Table, Theirs

_QUERIES: Final = Queries("shared.commerce.carts", "store.sql")

TABLES: Final = (
    Table(
        "carts",
        Retention(
            days=lambda durations: durations.retention_carts_days, age="closed_at", prune=_QUERIES["prune"]
        ),
        Theirs(addresses=("customer_phone",), erase=_QUERIES["erase"], export=_QUERIES["export"]),
    ),
)
