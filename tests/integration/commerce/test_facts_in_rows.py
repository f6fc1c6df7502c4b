"""Facts of a shop in their rows: in any order, on several connections, with totals, joins and erasure."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.commerce.carts.facts import FoldedFacts, ToldCart, fold_carts
from shared.commerce.carts.rules import CartFact
from shared.commerce.catalogue.facts import fold_products
from shared.commerce.catalogue.rules import ProductFact
from shared.commerce.catalogue.store import KeptView, keep_views
from shared.commerce.joining import follow_join
from shared.commerce.orders.facts import ToldOrder, fold_orders
from shared.commerce.orders.rules import OrderFact
from shared.commerce.shops.profiles import fold_profiles_of_shops
from shared.commerce.shops.stamps import FactOutcome
from shared.errors import StoreConflict
from shared.messaging.customers.erasure import erase
from shared.payloads import (
    CartDeleted,
    CartUpdated,
    CustomerUpdated,
    InventoryUpdated,
    OrderRefunded,
    OrderUpdated,
    ProductUpdated,
)
from shared.postgres.database import Database
from shared.tables import TABLES
from tests.support.rows import Connection

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
PHONE, OTHER = "4917612345678", "4917612345679"
TRACE = "0" * 32
#: Columns of ours alone: when something was stored, and hints.
OURS = ("id", "created_at", "updated_at", "revision", "last_activity_at", "closed_at", "next_step_at")


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def cart(second: int = 0, cart_id: str = "c1", phone: str | None = PHONE, **fields: Any) -> CartUpdated:
    told = {
        "items": [{"product_id": "7", "quantity": 2, "price": "12.90"}],
        "currency": "EUR",
        "wa_id": phone,
    }
    return CartUpdated(cart_id=cart_id, updated_at=at(second), **(told | fields))


def order(second: int = 0, order_id: str = "1", phone: str | None = PHONE, **fields: Any) -> OrderUpdated:
    told = {"status": "processing", "total": "25.80", "currency": "EUR", "wa_id": phone}
    return OrderUpdated(order_id=order_id, updated_at=at(second), **(told | fields))


def refund(amount: str, refund_id: str = "r1", order_id: str = "1") -> OrderRefunded:
    return OrderRefunded(
        order_id=order_id, refund_id=refund_id, amount=amount, currency="EUR", occurred_at=NOON
    )


class Shop:
    """Tells facts as the shop-updater does: a transaction each time."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def carts(self, *facts: CartFact) -> FoldedFacts:
        async with self.database.transaction() as connection:
            return await fold_carts(connection, [ToldCart(fact, TRACE) for fact in facts])

    async def orders(self, *facts: OrderFact) -> FoldedFacts:
        async with self.database.transaction() as connection:
            return await fold_orders(connection, [ToldOrder(fact, TRACE) for fact in facts])


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    database = Database(database_url, size=4)
    yield Shop(database)
    await database.close()


async def rows_of(conn: Connection, table: str, order_by: str) -> list[dict[str, Any]]:
    rows = await conn.fetch(f"select * from {table} order by {order_by}")
    return [{name: value for name, value in row.items() if name not in OURS} for row in rows]


async def totals_of(conn: Connection, phone: str = PHONE) -> tuple[int, Decimal, str | None]:
    row = await conn.fetchrow(
        "select total_orders, total_spent, currency from customer_profiles where phone = $1", phone
    )
    return tuple(row) if row is not None else (0, Decimal(0), None)


async def again(tell: Any, *facts: Any) -> None:
    """As a worker does: what met somebody else's is done once more."""
    while True:
        try:
            await tell(*facts)
        except StoreConflict:
            continue
        return


async def test_two_updaters_with_the_facts_of_one_order_in_any_order_end_as_one(
    shop: Shop, conn: Connection
) -> None:
    facts: list[OrderFact] = [
        order(0, status="pending", phone=None),
        order(1, status="processing"),
        order(2, status="completed", phone=OTHER, total="30.00"),
        refund("5.00"),
        refund("1.50", "r2"),
    ]
    seen = []
    for turn in range(4):
        mixed = [*facts, *facts]
        random.Random(turn).shuffle(mixed)

        await asyncio.gather(*(again(shop.orders, *mixed[place::3]) for place in range(3)))

        seen.append(
            (await rows_of(conn, "orders", "order_id"), await totals_of(conn), await totals_of(conn, OTHER))
        )
        await conn.execute("delete from orders")
        await conn.execute("delete from customer_profiles")

    (row,), first, second = seen[0]
    assert (row["status"], row["refunded_total"], row["customer_phone"]) == (
        "completed",
        Decimal("6.50"),
        OTHER,
    )
    assert (first[:2], second) == ((0, Decimal(0)), (1, Decimal("23.50"), "EUR"))
    assert [(item[0], item[1][:2], item[2]) for item in seen] == [([row], first[:2], second)] * 4


async def test_two_updaters_with_the_facts_of_a_customers_carts_leave_one_open(
    shop: Shop, conn: Connection
) -> None:
    facts: list[CartFact] = [
        cart(0),
        cart(3, items=[]),
        CartDeleted(cart_id="c1", updated_at=at(1)),
        cart(2, "c2"),
        cart(5, "c3", phone=None),
        cart(6, "c3"),
    ]
    for turn in range(4):
        mixed = [*facts, *facts]
        random.Random(turn).shuffle(mixed)

        await asyncio.gather(*(again(shop.carts, *mixed[place::3]) for place in range(3)))

        still_open = await conn.fetch("select cart_id, customer_phone from carts where closed_at is null")
        assert [tuple(row) for row in still_open] == [("c3", PHONE)]
        await conn.execute("delete from carts")


async def test_who_goes_on_with_another_cart_leaves_the_first(shop: Shop, conn: Connection) -> None:
    await shop.carts(cart(0))

    folded = await shop.carts(cart(5, "c2"))

    rows = await conn.fetch("select cart_id, status, status_reason from carts order by cart_id")
    assert [tuple(row) for row in rows] == [("c1", "expired", "superseded"), ("c2", "active", None)]
    assert [event.event_type for event in folded.events] == ["cart.expired"]
    assert folded.carts == {"opened": 1, "expired": 1}


@pytest.mark.parametrize("cart_first", [True, False])
async def test_an_order_closes_its_cart_whichever_is_told_first(
    shop: Shop, conn: Connection, *, cart_first: bool
) -> None:
    if cart_first:
        await shop.carts(cart(0))
    await shop.orders(order(10, cart_id="c1"))
    if not cart_first:
        await shop.carts(cart(0))

    row = await conn.fetchrow("select status, recovered, recovered_order_id, bought_at from carts")
    assert row is not None
    assert tuple(row) == ("converted", False, "1", at(10))


async def test_an_order_without_a_cart_id_closes_its_customers_cart(shop: Shop, conn: Connection) -> None:
    await shop.carts(cart(0), cart(0, "theirs", phone=OTHER))

    await shop.orders(order(10))

    rows = await conn.fetch("select cart_id, status from carts order by cart_id")
    assert [tuple(row) for row in rows] == [("c1", "converted"), ("theirs", "active")]


async def test_an_order_after_a_reminder_is_its_revenue_which_follows_refunds(
    shop: Shop, conn: Connection
) -> None:
    await shop.carts(cart(0))
    await conn.execute("update carts set status = 'abandoned', reminder_1_sent_at = $1", at(5))

    folded = await shop.orders(order(10, cart_id="c1", placed_at=at(10)))
    repeated = await shop.orders(order(10, cart_id="c1", placed_at=at(10)))
    await shop.orders(refund("5.80"))

    row = await conn.fetchrow("select status, recovered_order_id, recovered_revenue from carts")
    assert row is not None
    assert tuple(row) == ("recovered", "1", Decimal("20.00"))
    assert [event.event_type for event in folded.events] == ["order.created", "cart.recovered"]
    assert (repeated.events, repeated.outcomes) == ([], [FactOutcome.DUPLICATE])


async def test_an_order_in_another_currency_counts_and_its_money_does_not(
    shop: Shop, conn: Connection
) -> None:
    await shop.orders(order(0))
    await shop.orders(order(1, "2", currency="USD", total="99.00"))
    await shop.orders(order(2, "3", status="pending"))

    assert await totals_of(conn) == (2, Decimal("25.80"), "EUR")


async def test_a_customer_is_told_by_a_phone_or_by_an_id_of_the_shop(shop: Shop, conn: Connection) -> None:
    told = CustomerUpdated(customer_id="25", phone="0176 12345678", country="DE", updated_at=NOON)
    async with shop.database.transaction() as connection:
        outcomes = await fold_profiles_of_shops(connection, [told])

    folded = await shop.carts(
        cart(0, phone=None, customer_id="25"),
        cart(0, "other", phone=None, customer_id="25", shop_id="another"),
        cart(0, "typed", phone=None, customer_id="99"),
    )

    rows = await conn.fetch(
        "select shop_id, customer_phone from carts where cart_id <> 'typed' order by shop_id"
    )
    assert outcomes == [FactOutcome.APPLIED]
    assert [tuple(row) for row in rows] == [("another", None), ("default", PHONE)]
    assert folded.outcomes[1:] == [FactOutcome.UNREACHABLE] * 2


async def test_a_profile_shows_what_was_said_last_of_it(shop: Shop, conn: Connection) -> None:
    facts = [
        CustomerUpdated(wa_id=PHONE, customer_id="25", email=f"{second}@example.org", updated_at=at(second))
        for second in (1, 3, 2, 3)
    ]
    async with shop.database.transaction() as connection:
        outcomes = await fold_profiles_of_shops(connection, facts)

    assert await conn.fetchval("select email from customer_profiles") == "3@example.org"
    assert outcomes == [FactOutcome.APPLIED, FactOutcome.APPLIED, FactOutcome.LATE, FactOutcome.DUPLICATE]


async def test_a_product_and_its_stock_have_stamps_of_their_own(shop: Shop, conn: Connection) -> None:
    facts: list[ProductFact] = [
        InventoryUpdated(product_id="7", quantity=3, updated_at=at(9)),
        ProductUpdated(product_id="7", name="Mug", price="12.90", currency="EUR", updated_at=at(1)),
        ProductUpdated(product_id="7", name="Cup", updated_at=at(0)),
    ]
    async with shop.database.transaction() as connection:
        outcomes = await fold_products(connection, facts)

    row = await conn.fetchrow("select name, price, inventory_quantity from products")
    assert row is not None
    assert tuple(row) == ("Mug", Decimal("12.90"), 3)
    assert outcomes == [FactOutcome.APPLIED, FactOutcome.APPLIED, FactOutcome.LATE]


async def test_of_the_views_of_an_hour_the_first_is_kept(shop: Shop, conn: Connection) -> None:
    now = datetime.now(UTC).replace(minute=30)
    views = [view(now + timedelta(minutes=minute)) for minute in (2, 1, 3)]
    old = view(now - timedelta(days=31))

    for part in ([views[0], old], views, views[:1]):
        async with shop.database.transaction() as connection:
            await keep_views(connection, part, timedelta(days=30))

    assert await conn.fetchval("select array_agg(viewed_at) from product_views") == [views[1].viewed_at]


def view(viewed_at: datetime, customer: str = PHONE) -> KeptView:
    return KeptView("default", customer, "7", viewed_at, Decimal("12.90"), "EUR", True)


async def fill(shop: Shop, phone: str, *, second: int) -> None:
    """A cart, an order and a view of one customer."""
    await shop.orders(order(second, f"order of {phone}", phone))
    await shop.carts(cart(second + 100, f"cart of {phone}", phone))
    async with shop.database.transaction() as connection:
        await keep_views(connection, [view(datetime.now(UTC), phone)], timedelta(days=30))


async def test_what_was_another_customers_follows_a_join_once(shop: Shop, conn: Connection) -> None:
    await fill(shop, PHONE, second=0)
    await fill(shop, OTHER, second=10)
    await conn.execute("delete from customer_profiles where phone = $1", OTHER)  # as a join does

    for _ in range(2):
        async with shop.database.transaction() as connection:
            await follow_join(connection, OTHER, PHONE, TRACE)

    assert await totals_of(conn) == (2, Decimal("51.60"), "EUR")
    rows = await conn.fetch("select customer_phone, status from carts order by cart_id")
    assert [tuple(row) for row in rows] == [(PHONE, "expired"), (PHONE, "active")]
    owners = "select customer_phone from orders union select counted_phone from orders"
    assert await conn.fetchval(f"select array_agg(customer_phone) from ({owners}) as them") == [PHONE]
    assert await conn.fetchval("select array_agg(customer_phone) from product_views") == [PHONE]


async def test_an_erasure_takes_what_shops_said_along(shop: Shop, conn: Connection) -> None:
    await fill(shop, PHONE, second=0)
    await fill(shop, OTHER, second=10)

    dry = await erase(shop.database, PHONE, TABLES, by="ana", dry_run=True)
    done = await erase(shop.database, PHONE, TABLES, by="ana", dry_run=False)

    tables = ("carts", "orders", "product_views")
    assert [dry.rows[table] for table in tables] == [done.rows[table] for table in tables] == [1, 1, 1]
    for table in tables:
        assert await conn.fetchval(f"select array_agg(customer_phone) from {table}") == [OTHER]
