"""What an order does to its customer's carts: which one it closes, and whether a reminder brought it. Pure.

Owns attribution. Only here the shop's clock is compared with ours: a report hangs on it, no message.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.commerce.carts.row import CartRow
from shared.commerce.carts.rules import AFTER_PURCHASE, close
from shared.commerce.orders.rules import OrderRow

#: So long after its last reminder a purchase is the reminder's.
BROUGHT_BY_REMINDER: Final = timedelta(days=7)


def cart_of(order: OrderRow, carts: Iterable[CartRow], now: datetime) -> CartRow | None:
    """The cart that a placed order closes: that of its cart id, else its customer's; None: there is none.

    Open, or expired at most 7 days after its last reminder, or the one that names the order. Nothing that was
    filled after the purchase. One order closes one cart.
    """
    carts = list(carts)
    if not order.is_placed or order.bought_at is None or any(_was_closed_by(order, cart) for cart in carts):
        return None
    latest = order.bought_at + AFTER_PURCHASE
    fitting = [
        cart
        for cart in carts
        if _belongs(cart, order) and _is_waiting(cart, order, now) and cart.source_updated_at <= latest
    ]
    return max(
        fitting, key=lambda cart: (_is_named(cart, order), cart.is_open, cart.source_updated_at), default=None
    )


def buy(cart: CartRow, order: OrderRow, first_seen_at: datetime, now: datetime) -> CartRow:
    """The cart, closed by this order: recovered where a reminder brought it, else converted.

    `first_seen_at`: when the order was first stored, which counts where the shop says no time.
    """
    brought = _was_brought(cart, order, order.placed_at or first_seen_at)
    closed = close(cart, "recovered" if brought else "converted", None, now)
    return replace(
        closed,
        closed_at=cart.closed_at or now,
        bought_at=order.bought_at,
        recovered=brought,
        recovered_order_id=order.order_id,
        recovered_revenue=order.brought if brought else None,
        recovered_at=now if brought else None,
    )


def follow_revenue(cart: CartRow, order: OrderRow) -> CartRow:
    """What the order brings now; that it was recovered stays."""
    if (
        not cart.recovered
        or cart.recovered_order_id != order.order_id
        or cart.recovered_revenue == order.brought
    ):
        return cart
    return replace(cart, recovered_revenue=order.brought, revision=cart.revision + 1)


def _was_closed_by(order: OrderRow, cart: CartRow) -> bool:
    """Judged already; a cart that only names the order is judged when the order is known."""
    return cart.recovered_order_id == order.order_id and cart.recovered


def _belongs(cart: CartRow, order: OrderRow) -> bool:
    if cart.shop_id != order.shop_id:
        return False
    if cart.recovered_order_id == order.order_id or _is_named(cart, order):
        return True
    return (
        order.cart_id is None
        and order.customer_phone is not None
        and cart.customer_phone == order.customer_phone
    )


def _is_named(cart: CartRow, order: OrderRow) -> bool:
    return order.cart_id is not None and cart.cart_id == order.cart_id


def _is_waiting(cart: CartRow, order: OrderRow, now: datetime) -> bool:
    if cart.is_open:
        return True
    if cart.recovered_order_id is not None:
        return cart.recovered_order_id == order.order_id and not cart.recovered
    reminders = cart.reminders
    return cart.status == "expired" and bool(reminders) and reminders[-1][0] >= now - BROUGHT_BY_REMINDER


def _was_brought(cart: CartRow, order: OrderRow, bought_at: datetime) -> bool:
    reminded = any(bought_at - BROUGHT_BY_REMINDER <= at < bought_at for at, _ in cart.reminders)
    return reminded and (
        _is_named(cart, order)
        or (cart.coupon_code is not None and cart.coupon_code in order.coupon_codes)
        or not _products(cart.items).isdisjoint(_products(order.items))
    )


def _products(items: Iterable[dict[str, object]]) -> set[object]:
    return {item["product_id"] for item in items}
