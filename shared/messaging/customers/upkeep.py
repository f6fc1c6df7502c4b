"""What the table of customers says of itself."""

from typing import Final

from shared.upkeep import Kept, Table, Theirs

TABLES: Final = (
    Table(
        "customer_profiles", Kept("consent holds until the customer is erased"), Theirs(addresses=("phone",))
    ),
)
