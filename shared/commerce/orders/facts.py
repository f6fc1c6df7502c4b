"""Facts of orders into their rows, their customers' totals and the carts that they close, in one transaction.

Owns the order of it: turns, then profiles by phone, then carts, then orders. A profile holds of each order
what the order's row says that it holds, so that a fact moves it by the difference.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from shared.commerce.carts.facts import FoldedFacts
from shared.commerce.carts.purchases import buy, cart_of, follow_revenue
from shared.commerce.carts.row import CartRow
from shared.commerce.carts.rules import find_stopped
from shared.commerce.carts.store import find_latest, find_of_customers, hold_carts, write_carts
from shared.commerce.carts.telling import tell_recovered
from shared.commerce.orders.changes import OrderChange
from shared.commerce.orders.rules import Contribution, OrderFact, OrderRow, contribution_of, fold_order
from shared.commerce.orders.store import (
    OrderId,
    StoredOrder,
    find_ids_of,
    find_orders,
    hold_orders,
    write_orders,
)
from shared.commerce.orders.telling import tell_created
from shared.commerce.shops.customers import ToldCustomer, find_customers
from shared.commerce.shops.holding import cart_key, carts_of_key, order_key, take_turns
from shared.commerce.shops.money import ZERO
from shared.commerce.shops.stamps import FactOutcome
from shared.durable.outbox import OutboxEvent
from shared.errors import StoreConflict
from shared.messaging.customers.shop_profile import OrderTotals, add_totals, hold_profiles
from shared.payloads import OrderUpdated
from shared.postgres.database import Connection


@dataclass(frozen=True, slots=True)
class ToldOrder:
    """One fact, and the trace of its delivery."""

    fact: OrderFact
    trace_id: str

    @property
    def id(self) -> OrderId:
        """Which order it is of."""
        return self.fact.shop_id, self.fact.order_id

    @property
    def at(self) -> datetime:
        """When it was so, by the shop's clock."""
        return self.fact.updated_at if isinstance(self.fact, OrderUpdated) else self.fact.occurred_at


@dataclass(frozen=True, slots=True)
class _OrderTurns:
    """What the transaction has in hand."""

    customers: set[tuple[str, str]]
    carts: set[tuple[str, str]]
    now: datetime
    currencies: Mapping[str, str | None]


async def fold_orders(connection: Connection, told: Sequence[ToldOrder]) -> FoldedFacts:
    """Fold them in the caller's transaction, which records the events.

    Raises StoreError; StoreConflict where an order changed hands meanwhile: again it succeeds.
    """
    customers = await find_customers(connection, [_named(item.fact) for item in told])
    held = await _hold_others(connection, told, customers)
    carts = await _hold_carts(connection, held)
    stored = await hold_orders(connection, {item.id for item in told})
    if not _owners(stored) <= held.customers or not _carts(stored) <= held.carts:
        raise StoreConflict("an order became another customer's meanwhile")
    folding = _OrdersFolding(stored, carts, held.now)
    for item, customer in zip(told, customers, strict=True):
        folding.fold(item, customer)
    folding.close_carts()
    totals = folding.count(dict(held.currencies))
    await add_totals(connection, totals)
    await write_carts(connection, folding.changed_carts)
    await write_orders(connection, folding.changed)
    return FoldedFacts(
        folding.outcomes,
        folding.events,
        folding.counts,
        find_stopped(carts, folding.changed_carts),
        folding.changes,
    )


async def follow_orders(
    connection: Connection, gone: Sequence[str], stays: str, currency: str | None
) -> None:
    """Orders of `gone` become those of `stays`, who is held, and count there. Raises StoreError.

    `currency`: the profile's of `stays`. What another profile held of them went with it.
    """
    stored = await hold_orders(connection, await find_ids_of(connection, gone))
    written, totals = [], []
    for key in sorted(stored):
        row = stored[key].row
        theirs = replace(row, customer_phone=stays if row.customer_phone in gone else row.customer_phone)
        if row.counted_phone in gone:
            counted = contribution_of(theirs, currency)
            theirs = _counted(theirs, counted)
            totals += _move(Contribution(), counted, row.currency)
            currency = currency or (row.currency if counted.phone is not None else None)
        written.append(replace(theirs, revision=row.revision + 1))
    await add_totals(connection, totals)
    await write_orders(connection, written)


async def _hold_others(
    connection: Connection, told: Sequence[ToldOrder], customers: Sequence[str | None]
) -> _OrderTurns:
    found = await find_orders(connection, {item.id for item in told})
    owners = _owners(found) | {
        (item.fact.shop_id, customer)
        for item, customer in zip(told, customers, strict=True)
        if customer is not None
    }
    carts = _carts(found) | {
        (item.fact.shop_id, item.fact.cart_id)
        for item in told
        if isinstance(item.fact, OrderUpdated) and item.fact.cart_id is not None
    }
    turns = [
        *(order_key(*item.id) for item in told),
        *(cart_key(*cart) for cart in carts),
        *(carts_of_key(*owner) for owner in owners),
    ]
    now = await take_turns(connection, turns)
    currencies = await hold_profiles(connection, {phone for _, phone in owners})
    return _OrderTurns(owners, carts, now, currencies)


async def _hold_carts(connection: Connection, held: _OrderTurns) -> list[CartRow]:
    shops, phones = {shop for shop, _ in held.customers}, {phone for _, phone in held.customers}
    found = [
        *await find_latest(connection, held.carts),
        *await find_of_customers(connection, shops, phones),
    ]
    return await hold_carts(connection, {cart.id for cart in found})


def _owners(stored: Mapping[OrderId, StoredOrder]) -> set[tuple[str, str]]:
    rows = [item.row for item in stored.values()]
    return {
        (row.shop_id, phone)
        for row in rows
        for phone in (row.customer_phone, row.counted_phone)
        if phone is not None
    }


def _carts(stored: Mapping[OrderId, StoredOrder]) -> set[tuple[str, str]]:
    rows = [item.row for item in stored.values()]
    return {(row.shop_id, row.cart_id) for row in rows if row.cart_id is not None}


def _named(fact: OrderFact) -> ToldCustomer:
    if not isinstance(fact, OrderUpdated):
        return ToldCustomer(fact.shop_id)
    customer_id = None if fact.customer is None else fact.customer.customer_id
    return ToldCustomer(fact.shop_id, fact.wa_id, fact.phone, fact.country, customer_id)


@dataclass(slots=True)
class _OrdersFolding:
    """Orders and carts in hand, as they were found and as they are."""

    stored: Mapping[OrderId, StoredOrder]
    found_carts: Sequence[CartRow]
    now: datetime
    outcomes: list[FactOutcome] = field(default_factory=list)
    events: list[OutboxEvent] = field(default_factory=list)
    counts: "Counter[str]" = field(default_factory=Counter)
    _rows: dict[OrderId, OrderRow] = field(init=False)
    _carts: dict[UUID, CartRow] = field(init=False)
    _traces: dict[OrderId, str] = field(init=False, default_factory=dict)
    _told_at: dict[OrderId, datetime] = field(init=False, default_factory=dict)
    _changed_carts: dict[UUID, None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._rows = {key: item.row for key, item in self.stored.items()}
        self._carts = {cart.id: cart for cart in self.found_carts}

    @property
    def changed(self) -> list[OrderRow]:
        """Orders to be written."""
        return [self._rows[key] for key in self._traces]

    @property
    def changes(self) -> list[OrderChange]:
        """The same, for whoever follows them."""
        return [
            OrderChange(
                self.stored[key].row if key in self.stored else None, self._rows[key], told_at, self.now
            )
            for key, told_at in self._told_at.items()
        ]

    @property
    def changed_carts(self) -> list[CartRow]:
        """Carts to be written."""
        return [self._carts[key] for key in self._changed_carts]

    def fold(self, told: ToldOrder, customer: str | None) -> None:
        """One more fact."""
        before = self._rows.get(told.id, OrderRow(*told.id))
        row, outcome = fold_order(before, told.fact, customer)
        self.outcomes.append(outcome)
        if row == before:
            return
        self._rows[told.id] = row
        self._traces[told.id] = told.trace_id
        self._told_at[told.id] = max(self._told_at.get(told.id, told.at), told.at)
        if before.stamp is None and row.stamp is not None:
            self.events.append(tell_created(row, told.trace_id))

    def close_carts(self) -> None:
        """What was bought is waited for no more; what a recovered cart brings follows its order."""
        for key, trace_id in self._traces.items():
            order = self._rows[key]
            for cart in list(self._carts.values()):
                if cart.shop_id == order.shop_id:
                    self._keep(cart, follow_revenue(cart, order))
            theirs = cart_of(order, self._carts.values(), self.now)
            if theirs is not None:
                seen = self.stored[key].first_seen_at if key in self.stored else self.now
                self._close(theirs, buy(theirs, order, seen, self.now), order, trace_id)

    def count(self, currencies: dict[str, str | None]) -> list[OrderTotals]:
        """What profiles gain and lose, the orders saying from now on what profiles hold of them."""
        totals = []
        for key in sorted(self._traces):
            row = self._rows[key]
            before = Contribution(row.counted_phone, row.counted_orders, row.counted_spent)
            phone = row.customer_phone
            after = contribution_of(row, None if phone is None else currencies.get(phone))
            if after == before:
                continue
            totals += _move(before, after, row.currency)
            if after.phone is not None and currencies.get(after.phone) is None:
                currencies[after.phone] = row.currency
            self._rows[key] = _counted(row, after)
        return totals

    def _close(self, cart: CartRow, bought: CartRow, order: OrderRow, trace_id: str) -> None:
        if replace(bought, revision=cart.revision) == cart:
            return
        self._keep(cart, bought)
        if bought.status != cart.status:
            self.counts[bought.status] += 1
        if bought.recovered and not cart.recovered:
            self.events.append(tell_recovered(bought, order.currency, trace_id))

    def _keep(self, before: CartRow, cart: CartRow) -> None:
        if cart != before:
            self._carts[cart.id] = cart
            self._changed_carts[cart.id] = None


def _counted(row: OrderRow, held: Contribution) -> OrderRow:
    return replace(row, counted_phone=held.phone, counted_orders=held.orders, counted_spent=held.spent)


def _move(before: Contribution, after: Contribution, currency: str | None) -> list[OrderTotals]:
    if before.phone is not None and before.phone == after.phone:
        return [OrderTotals(before.phone, after.orders - before.orders, after.spent - before.spent, currency)]
    moved = []
    if before.phone is not None:
        moved.append(OrderTotals(before.phone, -before.orders, ZERO - before.spent, None))
    if after.phone is not None:
        moved.append(OrderTotals(after.phone, after.orders, after.spent, currency))
    return moved
