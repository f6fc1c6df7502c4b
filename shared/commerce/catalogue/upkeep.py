"""What the tables of the catalogue say of themselves."""

from typing import Final

from shared.postgres.queries import Queries
from shared.upkeep import Kept, Retention, Table, Theirs

_QUERIES: Final = Queries("shared.commerce.catalogue", "store.sql")

TABLES: Final = (
    Table("products", Kept("as long as the shop has them: a deletion is a fact, too"), theirs=None),
    Table(
        "product_views",
        Retention(
            days=lambda durations: durations.retention_views_days,
            age="viewed_at",
            prune=_QUERIES["prune_views"],
        ),
        Theirs(addresses=("customer_phone",), erase=_QUERIES["erase_views"], export=_QUERIES["export_views"]),
    ),
)
