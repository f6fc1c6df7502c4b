"""What is told of orders, as events that are recorded with the change."""

from shared.commerce.orders.rules import OrderRow
from shared.durable.outbox import OutboxEvent, event
from shared.payloads import OrderCreated, encode
from shared.payloads.clock import CLOCK
from shared.payloads.money import write_money


def tell_created(order: OrderRow, trace_id: str) -> OutboxEvent:
    """`order.created`, of an order that a shop has told of for the first time."""
    assert order.total is not None
    assert order.currency is not None
    told = OrderCreated(
        shop_id=order.shop_id,
        order_id=order.order_id,
        order_number=order.order_number,
        customer=order.customer_phone,
        status=order.status,
        total=write_money(order.total),
        currency=order.currency,
        cart_id=order.cart_id,
        revision=order.revision,
        timestamp=CLOCK.now(),
        trace_id=trace_id,
    )
    name = f"{order.shop_id}/{order.order_id}"
    return event(told.event_type, encode(told), aggregate=("order", name), correlation_id=trace_id)
