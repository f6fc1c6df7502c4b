"""What becomes of a cart by one more fact of its shop. Pure.

Owns the fold: the same facts in any order, repeated or split, end in the same latest row of a cart. A row
that is closed still shows its greatest fact; what fills the cart anew opens another row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from shared.commerce.carts.row import CartRow
from shared.commerce.shops.money import ZERO
from shared.commerce.shops.stamps import FactOutcome, Stamp
from shared.payloads import CartDeleted, CartUpdated
from shared.payloads.digest import DIGEST_BYTES, digest

CartFact: TypeAlias = CartUpdated | CartDeleted

#: A shop still tells of a cart for a while after it was bought: that fills nothing anew.
AFTER_PURCHASE: Final = timedelta(seconds=60)
#: Why a cart has expired.
DELETED: Final = "deleted"
SUPERSEDED: Final = "superseded"
#: Of one moment, a deletion is greater than whatever the cart held.
_DELETION: Final = b"\xff" * DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order that closes carts. `bought_at`: by the shop's clock."""

    order_id: str
    bought_at: datetime


@dataclass(frozen=True, slots=True)
class CartChange:
    """The cart's latest row after a fact; `outcome`: what the fact was. `opened`: the row is a new one."""

    row: CartRow
    outcome: FactOutcome
    opened: bool = False


def stamp_of(fact: CartFact) -> Stamp:
    """Its place among the facts of the cart."""
    if isinstance(fact, CartDeleted):
        return Stamp(fact.version or 0, fact.updated_at, 0, _DELETION)
    content = fact.model_dump(
        mode="json", warnings=False, exclude={"shop_id", "updated_at", "version", "event_id"}
    )
    return Stamp(fact.version or 0, fact.updated_at, 0, digest(content))


def fold_cart(
    row: CartRow | None,
    fact: CartFact,
    customer: str | None,
    *,
    purchase: PlacedOrder | None,
    now: datetime,
    new_id: UUID,
) -> CartChange:
    """The cart's latest row after one more fact; `row`: before it, None where the cart is not known.

    `purchase`: the order by which it was bought, as far as known. `now`: the database's time.
    """
    stamp = stamp_of(fact)
    if row is None or _fills_anew(row, fact, stamp, purchase):
        shown, outcome, opened = _open(row, fact, stamp, now, new_id), FactOutcome.APPLIED, True
    else:
        outcome, opened = stamp.after(row.stamp), False
        shown = _show(row, fact, stamp, now) if outcome is FactOutcome.APPLIED else row
    if isinstance(fact, CartDeleted):
        if outcome is FactOutcome.APPLIED and shown.is_open:
            shown = close(shown, "expired", DELETED, now)
    elif fact.order_id is not None:
        shown = _bought(shown, PlacedOrder(fact.order_id, fact.updated_at), now)
    if purchase is not None:
        shown = _bought(shown, purchase, now)
    named = _named(shown, stamp, customer, None if row is None or opened else row, now)
    if outcome is FactOutcome.APPLIED and isinstance(fact, CartUpdated) and named.customer_phone is None:
        outcome = FactOutcome.UNREACHABLE
    return CartChange(named, outcome, opened)


def find_stopped(before: Iterable[CartRow], after: Iterable[CartRow]) -> list[tuple[UUID, str]]:
    """Carts that are closed now, or of which a person has begun something new, and which of it."""
    known = {cart.id: cart for cart in before}
    stopped = []
    for cart in after:
        was = known.get(cart.id)
        if was is None:
            continue
        if was.is_open and not cart.is_open:
            stopped.append((cart.id, cart.status))
        elif was.round != cart.round:
            stopped.append((cart.id, "cart_changed"))
    return stopped


def outranks(cart: CartRow, other: CartRow) -> bool:
    """Which of a customer's two carts stays open: one with something in it, then the later one."""
    return _precedence(cart) > _precedence(other)


def supersede(cart: CartRow, now: datetime) -> CartRow:
    """The customer has gone on with another one."""
    return close(cart, "expired", SUPERSEDED, now)


def is_left(cart: CartRow, idle: timedelta, now: datetime) -> bool:
    """Whether nobody touched it for so long, and nobody can be reminded of it."""
    return cart.is_open and cart.next_step_at is None and cart.last_activity_at < now - idle


def leave(cart: CartRow, now: datetime) -> CartRow:
    """Nobody came back to it."""
    return close(cart, "expired", "left", now)


def close(cart: CartRow, status: str, reason: str | None, now: datetime) -> CartRow:
    """Nobody waits for it any more."""
    return replace(
        cart,
        status=status,
        status_reason=reason,
        closed_at=now,
        next_step_at=None,
        revision=cart.revision + 1,
    )


def _fills_anew(row: CartRow, fact: CartFact, stamp: Stamp, purchase: PlacedOrder | None) -> bool:
    """Whether a closed cart begins once more, by what is later than its end: told first, it had stayed open.

    One whose customer has gone on with another begins only with something in it.
    """
    if row.is_open or isinstance(fact, CartDeleted) or fact.order_id is not None:
        return False
    if not fact.items and row.status_reason == SUPERSEDED:
        return False
    bought = [row.bought_at, None if purchase is None else purchase.bought_at]
    ends = [at + AFTER_PURCHASE for at in bought if at is not None]
    return stamp > row.stamp and all(fact.updated_at > end for end in ends)


def _open(before: CartRow | None, fact: CartFact, stamp: Stamp, now: datetime, new_id: UUID) -> CartRow:
    """A new row. Whose the cart is stays known."""
    blank = CartRow(
        id=new_id,
        shop_id=fact.shop_id,
        cart_id=fact.cart_id,
        source_version=stamp.version,
        source_updated_at=stamp.updated_at,
        source_hash=stamp.content,
        last_activity_at=now,
        customer_phone=None if before is None else before.customer_phone,
        customer_stamp=None if before is None else before.customer_stamp,
    )
    return replace(_show(blank, fact, stamp, now), revision=1)


def _bought(row: CartRow, order: PlacedOrder, now: datetime) -> CartRow:
    """Closed by a purchase, whichever of cart and order tells of it first; not what was filled after it."""
    if row.source_updated_at > order.bought_at + AFTER_PURCHASE:
        return row
    if row.is_open:
        row = close(row, "converted", None, now)
    elif row.status != "converted" or not _is_later(order, row):
        return row
    return replace(row, bought_at=order.bought_at, recovered_order_id=order.order_id)


def _is_later(order: PlacedOrder, row: CartRow) -> bool:
    """Of two orders that name one cart the later counts."""
    if row.bought_at is None or row.recovered:
        return False
    return (order.bought_at, order.order_id) > (row.bought_at, row.recovered_order_id or "")


def _show(row: CartRow, fact: CartFact, stamp: Stamp, now: datetime) -> CartRow:
    """The row with what the fact says; what a person has changed is activity, and ends a round."""
    said = _content(fact)
    after = replace(
        row,
        **said,
        source_version=stamp.version,
        source_updated_at=stamp.updated_at,
        source_hash=stamp.content,
        revision=row.revision + 1,
    )
    if not row.is_open or after.items_hash == row.items_hash:
        return after
    after = replace(after, last_activity_at=now)
    return _begin_round(after, now) if row.status == "abandoned" else after


def _begin_round(row: CartRow, now: datetime) -> CartRow:
    return replace(
        row,
        status="active",
        round=row.round + 1,
        reminder_1_sent_at=None,
        reminder_2_sent_at=None,
        reminder_3_sent_at=None,
        stopped_at=None,
        stop_reason=None,
        abandoned_at=None,
        next_step_at=now,
    )


def _content(fact: CartFact) -> dict[str, Any]:
    """The columns that show the fact; all that it leaves out is null."""
    if isinstance(fact, CartDeleted):
        return {
            "items": [],
            "items_hash": hash_of_items([], None, None),
            "total": ZERO,
            "currency": None,
            "coupon_code": None,
            "shipping_address": None,
            "cart_url": None,
            "phone_number_id": None,
        }
    items = [item.model_dump(mode="json", warnings=False, exclude_none=True) for item in fact.items]
    return {
        "items": items,
        "items_hash": hash_of_items(items, fact.coupon_code, fact.shipping_address),
        "total": fact.amount,
        "currency": fact.currency,
        "coupon_code": fact.coupon_code,
        "shipping_address": fact.shipping_address,
        "cart_url": fact.cart_url,
        "phone_number_id": fact.phone_number_id,
    }


def hash_of_items(
    items: Sequence[dict[str, Any]], coupon_code: str | None, address: dict[str, Any] | None
) -> bytes:
    """What a person changes in a cart: items, how many, the coupon, the address. Prices are the shop's."""
    lines = [[item["product_id"], item.get("variation_id"), item["quantity"]] for item in items]
    return digest({"items": lines, "coupon": coupon_code, "address": address})


def _named(
    row: CartRow, stamp: Stamp, customer: str | None, before: CartRow | None, now: datetime
) -> CartRow:
    """With its customer, whom a late fact may tell, too; who may be reminded from now on is looked at."""
    if customer is not None and (stamp.key, customer) > (row.customer_stamp or b"", row.customer_phone or ""):
        row = replace(row, customer_phone=customer, customer_stamp=stamp.key)
    if row.may_be_reminded_of and not (before is not None and before.may_be_reminded_of):
        row = replace(row, next_step_at=now)
    if before is not None and row != before:
        row = replace(row, revision=before.revision + 1)
    return row


def _precedence(cart: CartRow) -> tuple[bool, datetime, str]:
    return bool(cart.items), cart.source_updated_at, cart.cart_id
