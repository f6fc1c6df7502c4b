"""What an order is credited to, on a real database."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import orjson
import pytest

from shared.commerce.notices.crediting import credit_orders
from shared.commerce.orders.changes import OrderChange
from shared.commerce.orders.rules import OrderRow
from shared.postgres.database import Database
from tests.support.notices import ANA, add_cart
from tests.support.rows import Connection, insert, only_row

NOW = datetime.now(UTC)
ORDER = OrderRow(
    "default",
    "17",
    customer_phone=ANA,
    status="processing",
    total=Decimal("12.90"),
    currency="EUR",
    placed_at=NOW,
    source_version=0,
    source_updated_at=NOW,
    source_hash=b"h",
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, size=2)
    yield database
    await database.close()


async def add_sent(conn: Connection, days_ago: float, cart: UUID | None = None, **values: object) -> UUID:
    """A reminder that was sent, and its row of attribution."""
    notice: UUID = await insert(
        conn,
        "notification_log",
        shop_id="default",
        kind="cart",
        notification_type="cart_reminder_1",
        dedupe_key=f"request:{uuid4()}",
        category="marketing",
        cart=cart,
    )
    row: dict[str, object] = {
        "id": notice,
        "shop_id": "default",
        "customer_phone": ANA,
        "campaign_type": "cart_reminder",
        "sent_at": NOW - timedelta(days=days_ago),
    }
    await insert(conn, "reengagement", **(row | values))
    return notice


async def credit(database: Database, order: OrderRow = ORDER) -> list[dict[str, object]]:
    async with database.transaction() as connection:
        events = await credit_orders(connection, [OrderChange(None, order, NOW, NOW)])
    return [orjson.loads(item.payload) for item in events]


async def credited(conn: Connection) -> dict[UUID, str]:
    rows = await conn.fetch("select id, conversion_order_id from reengagement where converted")
    return {row["id"]: row["conversion_order_id"] for row in rows}


async def test_an_order_credits_the_latest_that_was_sent_before_it_and_tells_once(
    conn: Connection, database: Database
) -> None:
    await add_sent(conn, 31)
    await add_sent(conn, 5)
    latest = await add_sent(conn, 2)
    await add_sent(conn, -1)

    told = [await credit(database), await credit(database)]

    assert await credited(conn) == {latest: "17"}
    assert [[(item["notification_id"], item["revenue"]) for item in part] for part in told] == [
        [(str(latest), "12.90")],
        [],
    ]


async def test_the_reminder_of_its_own_cart_comes_before_a_later_one(
    conn: Connection, database: Database
) -> None:
    cart = await add_cart(conn, status="recovered", closed_at=NOW, recovered_order_id="17")
    own = await add_sent(conn, 3, cart)
    await add_sent(conn, 1)

    await credit(database)

    assert await credited(conn) == {own: "17"}


async def test_what_is_credited_already_is_credited_to_no_other_order(
    conn: Connection, database: Database
) -> None:
    only = await add_sent(conn, 1)
    await credit(database)

    assert await credit(database, replace(ORDER, order_id="18")) == []
    assert await credited(conn) == {only: "17"}


async def test_revenue_follows_what_is_told_of_the_order_later(conn: Connection, database: Database) -> None:
    await add_sent(conn, 1)
    await credit(database)

    for changed, revenue in (
        (replace(ORDER, refunded_total=Decimal("2.90")), "10.00"),
        (replace(ORDER, status="cancelled"), "0"),
    ):
        assert await credit(database, changed) == []
        row = await only_row(conn, "select converted, conversion_revenue from reengagement")
        assert (row["converted"], row["conversion_revenue"]) == (True, Decimal(revenue))


@pytest.mark.parametrize(
    "order",
    [
        replace(ORDER, status="pending"),
        replace(ORDER, customer_phone=None),
        replace(ORDER, shop_id="other"),
        replace(ORDER, customer_phone="491700000002"),
    ],
)
async def test_what_is_not_placed_or_of_others_credits_nothing(
    conn: Connection, database: Database, order: OrderRow
) -> None:
    await add_sent(conn, 1)

    assert await credit(database, order) == []
    assert await credited(conn) == {}
