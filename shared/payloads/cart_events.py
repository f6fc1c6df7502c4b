"""What the cluster tells of a cart that idles (`wa.events`)."""

from typing import ClassVar
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


class CartExpired(Event):
    """`cart.expired`: nobody waits for it any more. `reason`: `idle`."""

    EVENT_TYPE: ClassVar[str] = "cart.expired"

    cart: UUID
    shop_id: str
    cart_id: str
    customer: str | None = None
    reason: str | None = None
    revision: int
    timestamp: UtcTime
    trace_id: str
