"""What facts made of an order, for whoever follows it."""

from dataclasses import dataclass
from datetime import datetime

from shared.commerce.orders.rules import OrderRow


@dataclass(frozen=True, slots=True)
class OrderChange:
    """An order before and after some facts; `before` None: it was not known.

    `told_at`: the time of the latest of these facts, by the shop's clock; `seen_at`: the database's.
    """

    before: OrderRow | None
    after: OrderRow
    told_at: datetime
    seen_at: datetime
