"""Which notices an order's change causes, and which waiting ones it takes back. Pure, save `carry_out`.

Owns the rules of order notices. What a state tells is a set of causes; a change plans what the new one tells
and the old one did not, under keys that never come twice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.commerce.notices.planning import PlannedNotice, plan_notices, take_back
from shared.postgres.database import Connection

#: So long a state must stand before it is told, and a shipment without a number waits for one.
SETTLES: Final = timedelta(seconds=30)
_NUMBER_COMES: Final = timedelta(minutes=10)
#: So long after its cause a notice is worth anything; a fact that is older is an import.
_FRESH: Final = timedelta(hours=24)
_TELLS_NOTHING: Final = ("pending", "deleted")
_ENDED: Final = ("failed", "cancelled", "refunded")
_BY_STATUS: Final = {
    "on_hold": "order_confirmed",
    "processing": "order_confirmed",
    "failed": "payment_failed",
    "delivered": "delivered",
    "completed": "completed",
    "cancelled": "cancelled",
}
_ON_THE_WAY: Final = ("payment_failed", "shipped", "delivered", "completed")
#: What still waits of earlier states and is not true any more. A confirmation is, until the order ends.
_SUPERSEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "processing": ("payment_failed",),
    "shipped": ("payment_failed",),
    "delivered": ("payment_failed", "shipped"),
    "completed": ("payment_failed", "shipped"),
    "failed": ("order_confirmed",),
    "cancelled": ("order_confirmed", *_ON_THE_WAY),
    "refunded": ("order_confirmed", *_ON_THE_WAY),
    "deleted": ("order_confirmed", *_ON_THE_WAY, "cancelled", "refunded"),
}

#: A type and what tells two of it apart: a tracking number, a refund's id.
Cause = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """An order's row, as far as notices go. `trackings`: `carrier` and `tracking_url` by number.

    `refunds`: amounts by id. `variables`: what every message of the order may name.
    """

    shop_id: str
    order_id: str
    status: str
    customer_phone: str | None
    phone_number_id: str | None
    language: str | None
    whatsapp: bool
    trackings: Mapping[str, Mapping[str, str]]
    refunds: Mapping[str, str]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Waiting notices of an order that are not true any more: of these types, or with these keys."""

    order: tuple[str, str]
    reason: str
    types: tuple[str, ...] | None = None
    keys: tuple[str, ...] | None = None


def order_notices(
    before: OrderSeen | None,
    after: OrderSeen,
    *,
    now: datetime,
    updated_at: datetime,
    types: Collection[str],
) -> Sequence[PlannedNotice | TakeBack]:
    """What a change of an order's row causes; `types`: those that the shop has a message for.

    `updated_at`: of the fact, `now`: the database's time. `before` None: the order is new.
    """
    told = set() if before is None else _causes(before)
    new = sorted(cause for cause in _causes(after) - told if _follows(cause, before) and cause[0] in types)
    reason = _skipped(after, now - updated_at > _FRESH)
    planned = [_plan(after, cause, now, reason) for cause in new]
    return [*_taken_back(before, after), *planned]


async def carry_out(connection: Connection, caused: Sequence[PlannedNotice | TakeBack]) -> None:
    """Write what `order_notices` says, in the transaction of the order's change. Raises StoreError."""
    for item in caused:
        if isinstance(item, TakeBack):
            await take_back(
                connection, reason=item.reason, order=item.order, types=item.types, keys=item.keys
            )
    await plan_notices(connection, [item for item in caused if isinstance(item, PlannedNotice)])


def _causes(order: OrderSeen) -> set[Cause]:
    """All that this state tells."""
    if order.status in _TELLS_NOTHING:
        return set()
    causes = {("refunded", refund_id) for refund_id in order.refunds}
    if order.status == "refunded" and not order.refunds:
        causes.add(("refunded", ""))
    if order.status in _BY_STATUS:
        causes.add((_BY_STATUS[order.status], ""))
    if order.status not in _ENDED:
        causes |= {("shipped", number) for number in order.trackings}
    if order.status == "shipped" and not order.trackings:
        causes.add(("shipped", ""))
    return causes


def _follows(cause: Cause, before: OrderSeen | None) -> bool:
    """Whether it is news after that state: what was under way is not confirmed, what came not completed."""
    match cause:
        case ("order_confirmed", _):
            return before is None or before.status in ("pending", "failed")
        case ("completed", _):
            return before is None or before.status != "delivered"
        case _:
            return True


def _taken_back(before: OrderSeen | None, after: OrderSeen) -> list[TakeBack]:
    order, taken = (after.shop_id, after.order_id), []
    if before is not None and before.status != after.status and after.status in _SUPERSEDED:
        taken.append(TakeBack(order, "superseded", types=_SUPERSEDED[after.status]))
    if before is not None and after.trackings and not before.trackings:
        taken.append(TakeBack(order, "superseded", keys=(_key(after, ("shipped", "")),)))
    return taken


def _skipped(order: OrderSeen, is_stale: bool) -> str | None:
    if is_stale:
        return "stale"
    if not order.whatsapp:
        return "whatsapp_off"
    return "no_phone" if order.customer_phone is None else None


def _plan(order: OrderSeen, cause: Cause, now: datetime, reason: str | None) -> PlannedNotice:
    kind, detail = cause
    variables = dict(order.variables)
    if kind == "shipped" and detail:
        variables |= {"tracking_number": detail, **order.trackings[detail]}
    if kind == "refunded" and detail:
        variables["refund_amount"] = order.refunds[detail]
    return PlannedNotice(
        shop_id=order.shop_id,
        kind="order",
        notification_type=kind,
        dedupe_key=_key(order, cause),
        category="utility",
        customer_phone=order.customer_phone,
        phone_number_id=order.phone_number_id,
        order_id=order.order_id,
        cart=None,
        product_id=None,
        variables=variables,
        language=order.language,
        not_before=now + (_NUMBER_COMES if cause == ("shipped", "") else SETTLES),
        not_after=now + _FRESH,
        skip_reason=reason,
    )


def _key(order: OrderSeen, cause: Cause) -> str:
    return f"order:{order.shop_id}:{order.order_id}:{cause[0]}:{cause[1]}"
