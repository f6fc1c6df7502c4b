"""Which reminders a look at an idle cart plans, and what they may say of it. Pure.

Owns their keys: each of the three once a round, whoever looks and how often.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.commerce.carts.steps import CartStep
from shared.commerce.notices.planning import PlannedNotice
from shared.commerce.shops.file import FixedCoupon, Shop

_OVERTAKEN = "overtaken"


@dataclass(frozen=True, slots=True)
class RemindedCart:
    """An abandoned cart as its reminders tell of it. `items`: as its shop's fact had them."""

    id: UUID
    shop_id: str
    customer_phone: str
    phone_number_id: str | None
    round: int
    items: Sequence[Mapping[str, Any]]
    total: str
    currency: str | None
    cart_url: str | None


def plan_reminders(cart: RemindedCart, step: CartStep, shop: Shop, now: datetime) -> list[PlannedNotice]:
    """The one that is due, and those below it, which are over. Never of a type without a message."""
    if step.reminder is None:
        return []
    numbers = [number for number in range(1, step.reminder + 1) if _type(number) in shop.messages]
    return [_plan(cart, number, step, shop, now) for number in numbers]


def is_held_out(shop_id: str, customer: str, percent: int) -> bool:
    """Whether this customer is of the shop's control group: the same ones, whatever the carts."""
    told = hashlib.sha256(f"{shop_id}\n{customer}".encode()).digest()
    return int.from_bytes(told[:8]) % 100 < percent


def _plan(cart: RemindedCart, number: int, step: CartStep, shop: Shop, now: datetime) -> PlannedNotice:
    coupon = shop.cart.coupon
    return PlannedNotice(
        shop_id=cart.shop_id,
        kind="cart",
        notification_type=_type(number),
        dedupe_key=f"cart:{cart.id}:{cart.round}:{number}",
        category="marketing",
        customer_phone=cart.customer_phone,
        phone_number_id=cart.phone_number_id or shop.phone_number_id,
        order_id=None,
        cart=cart.id,
        product_id=None,
        variables=_variables(cart, coupon if coupon is not None and coupon.on == number else None),
        language=None,
        not_before=now,
        not_after=step.reminder_ends_at,
        skip_reason=None if number == step.reminder else _OVERTAKEN,
    )


def _type(number: int) -> str:
    return f"cart_reminder_{number}"


def _variables(cart: RemindedCart, coupon: FixedCoupon | None) -> dict[str, str]:
    """What is not known is left out: a message that needs it is not sent."""
    top = max(cart.items, key=_worth)
    found = {
        "item_count": str(sum(int(item["quantity"]) for item in cart.items)),
        "total": cart.total,
        "currency": cart.currency,
        "top_item_name": top.get("product_name"),
        "top_item_image": top.get("image_url"),
        "cart_url": cart.cart_url,
    }
    if coupon is not None:
        found["coupon_code"] = coupon.code
        found["coupon_value"] = (
            f"{coupon.percent}%" if coupon.percent is not None else f"{coupon.amount} {cart.currency}"
        )
    return {name: str(value) for name, value in found.items() if value is not None}


def _worth(item: Mapping[str, Any]) -> Decimal:
    return Decimal(str(item["price"])) * int(item["quantity"])
