"""What is told of carts, as events that are recorded with the change."""

from shared.commerce.carts.row import CartRow
from shared.durable.outbox import OutboxEvent, event
from shared.payloads import CartExpired, CartRecovered, Event, encode
from shared.payloads.clock import CLOCK
from shared.payloads.money import write_money


def tell_expired(cart: CartRow, trace_id: str) -> OutboxEvent:
    """`cart.expired`."""
    told = CartExpired(
        cart=cart.id,
        shop_id=cart.shop_id,
        cart_id=cart.cart_id,
        customer=cart.customer_phone,
        reason=cart.status_reason,
        revision=cart.revision,
        timestamp=CLOCK.now(),
        trace_id=trace_id,
    )
    return _event(cart, told, trace_id)


def tell_recovered(cart: CartRow, currency: str | None, trace_id: str) -> OutboxEvent:
    """`cart.recovered`, of a cart that a reminder brought back. `currency`: the order's."""
    assert cart.recovered_order_id is not None
    assert cart.recovered_revenue is not None
    told = CartRecovered(
        cart=cart.id,
        shop_id=cart.shop_id,
        cart_id=cart.cart_id,
        customer=cart.customer_phone,
        order_id=cart.recovered_order_id,
        revenue=write_money(cart.recovered_revenue),
        currency=currency,
        reminder=cart.reminders[-1][1],
        coupon_code=cart.coupon_code,
        revision=cart.revision,
        timestamp=CLOCK.now(),
        trace_id=trace_id,
    )
    return _event(cart, told, trace_id)


def _event(cart: CartRow, told: Event, trace_id: str) -> OutboxEvent:
    return event(told.event_type, encode(told), aggregate=("cart", cart.id), correlation_id=trace_id)
