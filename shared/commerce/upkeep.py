"""What the tables of commerce say of themselves, gathered."""

from typing import Final

from shared.commerce.carts import upkeep as carts
from shared.commerce.catalogue import upkeep as catalogue
from shared.commerce.notices import upkeep as notices
from shared.commerce.orders import upkeep as orders

#: In the order in which they are pruned, and told of an erasure.
TABLES: Final = (
    *carts.TABLES,
    *orders.TABLES,
    *catalogue.TABLES,
    *notices.TABLES,
)
