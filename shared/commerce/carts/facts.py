"""Facts of carts into their rows, a batch in one transaction.

Owns the order of it: the turns of carts and customers are taken first, then the rows are locked; what is
folded is written, and what is to be told is given to the caller. Of a customer's carts in a shop one is open.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.commerce.carts.row import CartRow
from shared.commerce.carts.rules import CartFact, find_stopped, fold_cart, outranks, supersede
from shared.commerce.carts.store import CartId, find_latest, find_of_customers, hold_carts, write_carts
from shared.commerce.carts.telling import tell_expired
from shared.commerce.orders.changes import OrderChange
from shared.commerce.orders.store import find_purchases
from shared.commerce.shops.customers import ToldCustomer, find_customers
from shared.commerce.shops.holding import cart_key, carts_of_key, take_turns
from shared.commerce.shops.stamps import FactOutcome
from shared.durable.outbox import OutboxEvent
from shared.errors import StoreConflict
from shared.ids import time_ordered_uuid
from shared.payloads import CartUpdated
from shared.postgres.database import Connection

_OPENED: Final = "opened"


@dataclass(frozen=True, slots=True)
class ToldCart:
    """One fact, and the trace of its delivery."""

    fact: CartFact
    trace_id: str

    @property
    def id(self) -> CartId:
        """Which cart it is of."""
        return self.fact.shop_id, self.fact.cart_id


@dataclass(frozen=True, slots=True)
class FoldedFacts:
    """What became of each fact, in their order; what is to be told; carts by what became of them.

    `stopped`: carts of whose state before nobody is to be reminded any more, and why. `orders`: what changed.
    """

    outcomes: Sequence[FactOutcome]
    events: Sequence[OutboxEvent]
    carts: "Counter[str]"
    stopped: Sequence[tuple[UUID, str]] = ()
    orders: Sequence[OrderChange] = ()


async def fold_carts(connection: Connection, told: Sequence[ToldCart]) -> FoldedFacts:
    """Fold them in the caller's transaction, which records the events.

    Raises StoreError; StoreConflict where a cart changed hands meanwhile: again it succeeds.
    """
    customers = await find_customers(connection, [_named(item.fact) for item in told])
    held, now = await _take_turns(connection, told, customers)
    rows = await _hold(connection, {item.id for item in told}, held)
    purchases = await find_purchases(connection, {item.id for item in told})
    folding = _CartsFolding(rows, now)
    for item, customer in zip(told, customers, strict=True):
        change = fold_cart(
            folding.latest(item.id),
            item.fact,
            customer,
            purchase=purchases.get(item.id),
            now=now,
            new_id=time_ordered_uuid(),
        )
        folding.outcomes.append(change.outcome)
        folding.show(change.row, item.trace_id)
    await write_carts(connection, folding.changed)
    return FoldedFacts(folding.outcomes, folding.events, folding.counts, folding.stopped)


async def follow_carts(
    connection: Connection,
    shops: Sequence[str],
    gone: Sequence[str],
    stays: str,
    now: datetime,
    trace_id: str,
) -> FoldedFacts:
    """Carts of `gone` become those of `stays`, whose turns the caller has taken. Raises StoreError."""
    found = await find_of_customers(connection, shops, [*gone, stays])
    folding = _CartsFolding(await hold_carts(connection, {cart.id for cart in found}), now)
    for cart in folding.found:
        if cart.customer_phone != stays:
            folding.show(replace(cart, customer_phone=stays, revision=cart.revision + 1), trace_id)
    await write_carts(connection, folding.changed)
    return FoldedFacts(folding.outcomes, folding.events, folding.counts, folding.stopped)


async def _take_turns(
    connection: Connection, told: Sequence[ToldCart], customers: Sequence[str | None]
) -> tuple[set[tuple[str, str]], datetime]:
    """Of the carts, of whoever the facts name, and of whose the carts are; gives the customers by shop."""
    ids = {item.id for item in told}
    of_facts = {
        (item.fact.shop_id, customer)
        for item, customer in zip(told, customers, strict=True)
        if customer is not None
    }
    of_rows = _owners(await find_latest(connection, ids))
    held = of_facts | of_rows
    now = await take_turns(
        connection, [*(cart_key(*cart) for cart in ids), *(carts_of_key(*owner) for owner in held)]
    )
    return held, now


async def _hold(connection: Connection, ids: set[CartId], held: set[tuple[str, str]]) -> list[CartRow]:
    latest = await find_latest(connection, ids)
    if not _owners(latest) <= held:
        raise StoreConflict("a cart became another customer's meanwhile")
    shops, customers = {shop for shop, _ in held}, {customer for _, customer in held}
    theirs = [cart for cart in await find_of_customers(connection, shops, customers) if cart.is_open]
    wanted = {cart.id for cart in latest} | {
        cart.id for cart in theirs if (cart.shop_id, cart.customer_phone) in held
    }
    return await hold_carts(connection, wanted)


def _owners(rows: Sequence[CartRow]) -> set[tuple[str, str]]:
    return {(row.shop_id, row.customer_phone) for row in rows if row.customer_phone is not None}


def _named(fact: CartFact) -> ToldCustomer:
    if not isinstance(fact, CartUpdated):
        return ToldCustomer(fact.shop_id)
    return ToldCustomer(fact.shop_id, fact.wa_id, fact.phone, fact.country, fact.customer_id)


@dataclass(slots=True)
class _CartsFolding:
    """Rows in hand by id, as they were found and as they are."""

    found: Sequence[CartRow]
    now: datetime
    outcomes: list[FactOutcome] = field(default_factory=list)
    events: list[OutboxEvent] = field(default_factory=list)
    counts: "Counter[str]" = field(default_factory=Counter)
    _rows: dict[UUID, CartRow] = field(init=False)
    _changed: dict[UUID, None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._rows = {row.id: row for row in self.found}

    @property
    def changed(self) -> list[CartRow]:
        """What is to be written."""
        return [self._rows[item] for item in self._changed]

    @property
    def stopped(self) -> list[tuple[UUID, str]]:
        """Those of which waiting reminders are not true any more."""
        return find_stopped(self.found, self.changed)

    def latest(self, cart: CartId) -> CartRow | None:
        """The cart's latest row."""
        rows = [row for row in self._rows.values() if (row.shop_id, row.cart_id) == cart]
        return max(rows, key=lambda row: (row.is_open, row.id), default=None)

    def show(self, row: CartRow, trace_id: str) -> None:
        """Keep a row, and close whichever of its customer's two carts is the lesser."""
        before = self._rows.get(row.id)
        if row == before:
            return
        self._keep(before, row, trace_id)
        other = self._other(row)
        if other is not None:
            lesser = other if outranks(row, other) else row
            self._keep(lesser, supersede(lesser, self.now), trace_id)

    def _keep(self, before: CartRow | None, row: CartRow, trace_id: str) -> None:
        self._rows[row.id] = row
        self._changed[row.id] = None
        if before is None and row.is_open:
            self.counts[_OPENED] += 1
        elif before is not None and before.is_open and not row.is_open:
            self.counts[row.status] += 1
            if row.status == "expired":
                self.events.append(tell_expired(row, trace_id))

    def _other(self, row: CartRow) -> CartRow | None:
        """Another open cart of the same customer."""
        if not row.is_open or row.customer_phone is None:
            return None
        owner = (row.shop_id, row.customer_phone)
        others = (
            other
            for other in self._rows.values()
            if other.is_open and other.id != row.id and (other.shop_id, other.customer_phone) == owner
        )
        return next(others, None)
