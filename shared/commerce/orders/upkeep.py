"""What the table of orders says of itself."""

from typing import Final

from shared.postgres.queries import Queries
from shared.upkeep import Kept, Table, Theirs

_QUERIES: Final = Queries("shared.commerce.orders", "store.sql")

TABLES: Final = (
    Table(
        "orders",
        Kept("a customer's totals are made of them, until the customer is erased"),
        Theirs(
            addresses=("customer_phone", "counted_phone"), erase=_QUERIES["erase"], export=_QUERIES["export"]
        ),
    ),
)
