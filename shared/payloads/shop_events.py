"""What the cluster tells of carts and orders (`wa.events`).

`revision` rises with each change of the row, so that a consumer can put events of it in order. Money is text,
as the shop gave it.
"""

from typing import ClassVar, Literal
from uuid import UUID

from shared.payloads.fields import UtcTime
from shared.payloads.model import Event


class CartAbandoned(Event):
    """`cart.abandoned`: its customer has left it for so long that they are reminded. Once a round."""

    EVENT_TYPE: ClassVar[str] = "cart.abandoned"

    cart: UUID
    shop_id: str
    cart_id: str
    customer: str | None = None
    total: str
    currency: str | None = None
    round: int
    revision: int
    timestamp: UtcTime
    trace_id: str


class CartRecovered(Event):
    """`cart.recovered`: an order came of a cart after a reminder. `revenue`: the order's, in its currency.

    `reminder`: which of the three was sent last. Told once; what the order brings later is in the cart.
    """

    EVENT_TYPE: ClassVar[str] = "cart.recovered"

    cart: UUID
    shop_id: str
    cart_id: str
    customer: str | None = None
    order_id: str
    revenue: str
    currency: str | None = None
    reminder: Literal[1, 2, 3]
    coupon_code: str | None = None
    revision: int
    timestamp: UtcTime
    trace_id: str


class CartExpired(Event):
    """`cart.expired`: nobody waits for it any more. `reason`: `superseded` by another, `deleted`, `left`."""

    EVENT_TYPE: ClassVar[str] = "cart.expired"

    cart: UUID
    shop_id: str
    cart_id: str
    customer: str | None = None
    reason: str | None = None
    revision: int
    timestamp: UtcTime
    trace_id: str


class OrderCreated(Event):
    """`order.created`: an order is told of for the first time. Once an order."""

    EVENT_TYPE: ClassVar[str] = "order.created"

    shop_id: str
    order_id: str
    order_number: str | None = None
    customer: str | None = None
    status: str
    total: str
    currency: str
    cart_id: str | None = None
    revision: int
    timestamp: UtcTime
    trace_id: str
