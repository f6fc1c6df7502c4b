"""Orders as their notices see them: what a change of a row tells, planned in its transaction."""

from collections.abc import Mapping, Sequence

from shared.commerce.notices.orders import OrderSeen, carry_out, order_notices
from shared.commerce.orders.changes import OrderChange
from shared.commerce.orders.rules import OrderRow
from shared.commerce.shops.file import Shop
from shared.payloads.money import write_money
from shared.postgres.database import Connection

_PARCEL: Mapping[str, str] = {"carrier": "carrier", "url": "tracking_url"}


async def tell_of_orders(
    connection: Connection, shops: Mapping[str, Shop], changes: Sequence[OrderChange]
) -> None:
    """Plan what these changes tell, and take back what is not true any more, in the caller's transaction.

    Of shops that SHOPS_FILE does not name nothing is told. Raises StoreError.
    """
    for change in changes:
        shop = shops.get(change.after.shop_id)
        if shop is None:
            continue
        caused = order_notices(
            None if change.before is None else _seen(change.before, shop),
            _seen(change.after, shop),
            now=change.seen_at,
            updated_at=change.told_at,
            types=shop.messages,
        )
        await carry_out(connection, caused)


def _seen(order: OrderRow, shop: Shop) -> OrderSeen:
    variables = {
        "order_number": order.order_number or order.order_id,
        "total": None if order.total is None else write_money(order.total),
        "currency": order.currency,
        "item_count": str(sum(int(item["quantity"]) for item in order.items)) if order.items else None,
    }
    return OrderSeen(
        shop_id=order.shop_id,
        order_id=order.order_id,
        status=order.status,
        customer_phone=order.customer_phone,
        phone_number_id=shop.phone_number_id,
        language=None,
        whatsapp=order.whatsapp,
        trackings={
            number: {_PARCEL[name]: text for name, text in said.items() if name in _PARCEL}
            for number, said in order.trackings.items()
        },
        refunds={refund: said["amount"] for refund, said in order.refunds.items()},
        variables={name: text for name, text in variables.items() if text is not None},
    )
