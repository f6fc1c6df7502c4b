"""Planning notices and taking them back, in the transaction of the fact that is their cause.

Owns both statements' calls. Who plans has resolved the customer; whether anything is sent is decided later.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from shared.messaging.customers.consent_rules import ChangedConsent
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

NoticeKind = Literal["order", "cart", "reengagement", "request"]
NoticeCategory = Literal["utility", "marketing"]

_QUERIES: Final = Queries("shared.commerce.notices", "planning.sql")


@dataclass(frozen=True, slots=True)
class PlannedNotice:
    """One automatic message to be. `dedupe_key`: planned again under it, nothing happens.

    `customer_phone` is the customer's key; without one, or with a `skip_reason`, the notice is born skipped.
    `not_before` and `not_after`: aware times between which it is decided.
    """

    shop_id: str
    kind: NoticeKind
    notification_type: str
    dedupe_key: str
    category: NoticeCategory
    customer_phone: str | None
    phone_number_id: str | None
    order_id: str | None
    cart: UUID | None
    product_id: str | None
    variables: dict[str, str]
    language: str | None
    not_before: datetime
    not_after: datetime | None
    skip_reason: str | None = None


async def plan_notices(connection: Connection, notices: Sequence[PlannedNotice]) -> None:
    """Write notices in the caller's transaction, each once whoever plans it. Raises StoreError."""
    if not notices:
        return
    rows = [
        (
            notice.shop_id,
            notice.kind,
            notice.notification_type,
            notice.dedupe_key,
            notice.category,
            notice.customer_phone,
            notice.phone_number_id,
            notice.order_id,
            notice.cart,
            notice.product_id,
            json.dumps(notice.variables),
            notice.language,
            notice.not_before,
            notice.not_after,
            _born_skipped(notice),
        )
        for notice in notices
    ]
    await connection.execute(_QUERIES["plan"], *(list(column) for column in zip(*rows, strict=True)))


async def take_back(
    connection: Connection,
    *,
    reason: str,
    cart: UUID | None = None,
    customer_phone: str | None = None,
    order: tuple[str, str] | None = None,
    category: str | None = None,
    types: Collection[str] | None = None,
    keys: Collection[str] | None = None,
) -> int:
    """Skip notices that have not left, in the caller's transaction; returns how many.

    Of exactly one of a cart, a customer and an `order` (shop, id); of one category, of certain types or under
    certain dedupe keys where given. The sender's gate withdraws the messages of those that are queued.
    Raises ValueError, StoreError.
    """
    if sum(subject is not None for subject in (cart, customer_phone, order)) != 1:
        raise ValueError("notices are taken back of exactly one cart, customer or order")
    if cart is not None:
        held = await connection.fetch(_QUERIES["lock_of_cart"], cart)
    elif customer_phone is not None:
        held = await connection.fetch(_QUERIES["lock_of_customer"], customer_phone)
    else:
        assert order is not None
        held = await connection.fetch(_QUERIES["lock_of_order"], *order)
    if not held:
        return 0
    ids = [row["id"] for row in held]
    narrowed = (category, _listed(types), _listed(keys))
    return len(await connection.fetch(_QUERIES["take_back"], ids, reason, *narrowed))


async def take_back_of_carts(connection: Connection, stopped: Sequence[tuple[UUID, str]]) -> None:
    """Skip the waiting reminders of these carts, each for its reason. Raises StoreError."""
    for cart, reason in sorted(stopped):
        await take_back(connection, reason=reason, cart=cart)


async def take_back_refused(connection: Connection, changes: Sequence[ChangedConsent]) -> None:
    """Skip what waits for customers who refuse it now: marketing, or everything. Raises StoreError."""
    for change in sorted(changes, key=lambda change: change.customer):
        if not change.value:
            category = "marketing" if change.kind == "marketing" else None
            await take_back(connection, reason="opted_out", customer_phone=change.customer, category=category)


def _listed(values: Collection[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _born_skipped(notice: PlannedNotice) -> str | None:
    if notice.skip_reason is None and notice.customer_phone is None:
        return "no_phone"
    return notice.skip_reason
