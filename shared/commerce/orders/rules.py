"""What an order's row becomes by one more fact, and what it contributes to its customer's totals. Pure.

Owns the fold: the same facts in any order, repeated or split, end in the same row. The order itself is its
greatest fact; parcels and refunds are known by their own numbers, and add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias, get_args

from shared.commerce.shops.money import ZERO, add, largest, smallest, subtract
from shared.commerce.shops.stamps import FactOutcome, Stamp
from shared.payloads import OrderRefunded, OrderShipped, OrderUpdated
from shared.payloads.digest import digest
from shared.payloads.money import write_money
from shared.payloads.shop import OrderStatus, Tracking

OrderFact: TypeAlias = OrderUpdated | OrderShipped | OrderRefunded

#: In the order of their rank.
_STATUSES: Final = get_args(OrderStatus)
PLACED: Final = frozenset({"on_hold", "processing", "shipped", "delivered", "completed", "refunded"})
PAID: Final = PLACED - {"on_hold"}


@dataclass(frozen=True, slots=True)
class OrderRow:
    """A row of `orders`. `refunds`: {id: {amount, currency}}; `trackings`: {number: {at, carrier, url}}.

    `refunded_told`: what the shop says was refunded in all; `refunded_total`: what of it and of the refunds
    counts. Without a stamp no more is known of it than parcels and refunds. `customer_stamp`: of the greatest
    fact that named the customer.
    """

    shop_id: str
    order_id: str
    customer_phone: str | None = None
    customer_stamp: bytes | None = None
    status: str = "pending"
    order_number: str | None = None
    total: Decimal | None = None
    currency: str | None = None
    refunds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    refunded_told: Decimal = ZERO
    refunded_total: Decimal = ZERO
    items: list[dict[str, Any]] = field(default_factory=list)
    cart_id: str | None = None
    coupon_codes: list[str] = field(default_factory=list)
    trackings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    whatsapp: bool = True
    placed_at: datetime | None = None
    counted_phone: str | None = None
    counted_orders: int = 0
    counted_spent: Decimal = ZERO
    source_version: int | None = None
    source_updated_at: datetime | None = None
    source_hash: bytes | None = None
    revision: int = 1

    @property
    def stamp(self) -> Stamp | None:
        """That of its greatest fact; None while only parts of it are known."""
        if self.source_version is None or self.source_updated_at is None or self.source_hash is None:
            return None
        return Stamp(self.source_version, self.source_updated_at, rank_of(self.status), self.source_hash)

    @property
    def is_placed(self) -> bool:
        """Whether somebody means to pay it, or has."""
        return self.stamp is not None and self.status in PLACED

    @property
    def bought_at(self) -> datetime | None:
        """When it was placed, by the shop's clock, as far as the shop says."""
        return self.placed_at or self.source_updated_at

    @property
    def brought(self) -> Decimal:
        """What it brings: nothing while it is not paid."""
        if self.total is None or self.stamp is None or self.status not in PAID:
            return ZERO
        return subtract(self.total, self.refunded_total)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a profile holds of one order. `spent`: in the profile's currency."""

    phone: str | None = None
    orders: int = 0
    spent: Decimal = ZERO


def rank_of(status: str) -> int:
    """Of two facts of one second that of the higher status counts."""
    return _STATUSES.index(status)


def fold_order(row: OrderRow, fact: OrderFact, customer: str | None) -> tuple[OrderRow, FactOutcome]:
    """The row after one more fact, and what the fact was. `customer`: whom it names, if it can be told."""
    match fact:
        case OrderUpdated():
            after, outcome = _fold_whole(row, fact, customer)
        case OrderShipped():
            parcels = _fold_trackings(row.trackings, [fact.tracking], fact.occurred_at)
            after = replace(row, trackings=parcels)
            outcome = FactOutcome.DUPLICATE if after == row else FactOutcome.APPLIED
        case OrderRefunded():
            after = replace(row, refunds=_fold_refund(row.refunds, fact))
            after = replace(after, refunded_total=_refunded(after))
            outcome = FactOutcome.DUPLICATE if after == row else FactOutcome.APPLIED
    if outcome is FactOutcome.APPLIED and isinstance(fact, OrderUpdated) and after.customer_phone is None:
        outcome = FactOutcome.UNREACHABLE
    return (after if after == row else replace(after, revision=row.revision + 1)), outcome


def contribution_of(row: OrderRow, currency: str | None) -> Contribution:
    """What the profile of its customer is to hold of it. `currency`: the profile's; None: not known yet."""
    if row.customer_phone is None or row.stamp is None or row.status not in PAID:
        return Contribution()
    spent = row.brought if row.currency == (currency or row.currency) else ZERO
    return Contribution(row.customer_phone, 1, spent)


def stamp_of(fact: OrderUpdated) -> Stamp:
    """Its place among the facts of the order."""
    content = fact.model_dump(
        mode="json", warnings=False, exclude={"shop_id", "updated_at", "version", "event_id"}
    )
    return Stamp(fact.version or 0, fact.updated_at, rank_of(fact.status), digest(content))


def _fold_whole(row: OrderRow, fact: OrderUpdated, customer: str | None) -> tuple[OrderRow, FactOutcome]:
    stamp = stamp_of(fact)
    outcome = stamp.after(row.stamp)
    after = replace(row, trackings=_fold_trackings(row.trackings, fact.tracking or (), fact.updated_at))
    if customer is not None and (stamp.key, customer) > (row.customer_stamp or b"", row.customer_phone or ""):
        after = replace(after, customer_phone=customer, customer_stamp=stamp.key)
    if outcome is not FactOutcome.APPLIED:
        return after, outcome
    after = replace(
        after,
        status=fact.status,
        order_number=fact.order_number,
        total=fact.total,
        currency=fact.currency,
        refunded_told=fact.refunded_total or ZERO,
        items=[item.model_dump(mode="json", warnings=False, exclude_none=True) for item in fact.items],
        cart_id=fact.cart_id,
        coupon_codes=list(fact.coupon_codes or ()),
        whatsapp=fact.whatsapp,
        placed_at=fact.placed_at,
        source_version=stamp.version,
        source_updated_at=stamp.updated_at,
        source_hash=stamp.content,
    )
    return replace(after, refunded_total=_refunded(after)), outcome


def _refunded(row: OrderRow) -> Decimal:
    """The greater of what the shop told in all and of the refunds that are known, at most the whole."""
    if row.total is None:
        return ZERO
    known = add(Decimal(item["amount"]) for item in row.refunds.values() if item["currency"] == row.currency)
    return smallest(row.total, largest(row.refunded_told, known))


def _fold_refund(
    refunds: Mapping[str, Mapping[str, str]], fact: OrderRefunded
) -> Mapping[str, Mapping[str, str]]:
    """A refund that is told twice with different amounts is the greater one."""
    said = {"amount": write_money(fact.amount), "currency": fact.currency}
    known = refunds.get(fact.refund_id)
    if known is not None and _weight(known) >= _weight(said):
        return refunds
    return dict(sorted({**refunds, fact.refund_id: said}.items()))


def _weight(refund: Mapping[str, str]) -> tuple[Decimal, str, str]:
    return Decimal(refund["amount"]), refund["amount"], refund["currency"]


def _fold_trackings(
    trackings: Mapping[str, Mapping[str, str]], told: "list[Tracking] | tuple[Tracking, ...]", at: datetime
) -> Mapping[str, Mapping[str, str]]:
    """A parcel that is told of twice is as it was told last."""
    folded = dict(trackings)
    for parcel in told:
        said = {"at": at.isoformat()}
        if parcel.carrier is not None:
            said["carrier"] = parcel.carrier
        if parcel.url is not None:
            said["url"] = parcel.url
        folded[parcel.number] = max(folded.get(parcel.number, said), said, key=_told_at)
    return dict(sorted(folded.items()))


def _told_at(parcel: Mapping[str, str]) -> tuple[datetime, str, str]:
    return datetime.fromisoformat(parcel["at"]), parcel.get("carrier", ""), parcel.get("url", "")
