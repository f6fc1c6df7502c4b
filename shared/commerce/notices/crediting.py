"""What an order is credited to: one reminder or message of reengagement, once, whatever is told of it later.

Owns the rule of attribution. Only here and in `carts.purchases` is the shop's clock compared with ours: a
report hangs on it, no message.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from shared.commerce.orders.changes import OrderChange
from shared.durable.outbox import OutboxEvent, event
from shared.payloads import ReengagementConverted, encode
from shared.payloads.money import write_money
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.notices", "crediting.sql")
#: What was sent so long before an order has brought it.
_BROUGHT: Final = timedelta(days=30)


async def credit_orders(connection: Connection, changes: Sequence[OrderChange]) -> list[OutboxEvent]:
    """Credit these orders, in the transaction of their change, which records the events. Raises StoreError.

    Carts that they close are written already.
    """
    told = [await _credit(connection, change) for change in changes]
    return [item for item in told if item is not None]


async def _credit(connection: Connection, change: OrderChange) -> OutboxEvent | None:
    order = change.after
    if await connection.fetch(_QUERIES["follow"], order.shop_id, order.order_id, order.brought):
        return None
    if not order.is_placed or order.customer_phone is None:
        return None
    bought_at = order.placed_at or change.seen_at
    found = await connection.fetchval(
        _QUERIES["find"], order.shop_id, order.customer_phone, order.order_id, bought_at, _BROUGHT
    )
    if found is None:
        return None
    row = await connection.fetchrow(_QUERIES["convert"], found, order.order_id, order.brought, order.currency)
    assert row is not None
    told = ReengagementConverted(
        notification_id=found,
        shop_id=order.shop_id,
        campaign_type=row["campaign_type"],
        customer=row["customer_phone"],
        order_id=order.order_id,
        revenue=write_money(order.brought),
        currency=order.currency,
        timestamp=row["at"],
        trace_id=found.hex,
    )
    return event(told.event_type, encode(told), aggregate=("notification", found), correlation_id=found.hex)
