"""A cart's row, as values. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from shared.commerce.shops.money import ZERO
from shared.commerce.shops.stamps import Stamp

CartStatus = Literal["active", "abandoned", "recovered", "converted", "expired"]


@dataclass(frozen=True, slots=True)
class CartRow:
    """A row of `carts`: open while `closed_at` is null.

    `customer_stamp`: of the greatest fact that named the customer. Times of activity and of closing are the
    database's; `source_…` and `bought_at` are the shop's.
    """

    id: UUID
    shop_id: str
    cart_id: str
    source_version: int
    source_updated_at: datetime
    source_hash: bytes
    last_activity_at: datetime
    customer_phone: str | None = None
    customer_stamp: bytes | None = None
    phone_number_id: str | None = None
    items: list[dict[str, Any]] = field(default_factory=list)
    items_hash: bytes = b""
    total: Decimal = ZERO
    currency: str | None = None
    coupon_code: str | None = None
    shipping_address: dict[str, Any] | None = None
    cart_url: str | None = None
    status: str = "active"
    status_reason: str | None = None
    round: int = 1
    next_step_at: datetime | None = None
    reminder_1_sent_at: datetime | None = None
    reminder_2_sent_at: datetime | None = None
    reminder_3_sent_at: datetime | None = None
    stopped_at: datetime | None = None
    stop_reason: str | None = None
    abandoned_at: datetime | None = None
    recovered: bool = False
    recovered_order_id: str | None = None
    recovered_revenue: Decimal | None = None
    recovered_at: datetime | None = None
    bought_at: datetime | None = None
    closed_at: datetime | None = None
    revision: int = 1

    @property
    def stamp(self) -> Stamp:
        """That of its greatest fact."""
        return Stamp(self.source_version, self.source_updated_at, 0, self.source_hash)

    @property
    def is_open(self) -> bool:
        """Whether it may still be reminded of, or bought."""
        return self.closed_at is None

    @property
    def may_be_reminded_of(self) -> bool:
        """Whether there is something in it, and somebody to tell."""
        return self.is_open and bool(self.items) and self.customer_phone is not None

    @property
    def reminders(self) -> list[tuple[datetime, int]]:
        """Those of this round that were sent, with their numbers, the last one last."""
        sent = (self.reminder_1_sent_at, self.reminder_2_sent_at, self.reminder_3_sent_at)
        return [(at, number) for number, at in enumerate(sent, start=1) if at is not None]
