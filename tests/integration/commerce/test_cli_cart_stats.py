"""`wabus cart stats` as a program on a real database: carts by state, and what recovered ones brought."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.program import run_wabus
from tests.support.rows import NOON, Connection, insert


@pytest.fixture
def environ(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url}


async def add_cart(
    conn: Connection, number: int, *, closed_days_ago: float | None = None, **row: Any
) -> None:
    closed = None if closed_days_ago is None else datetime.now(UTC) - timedelta(days=closed_days_ago)
    stamp = {"source_updated_at": NOON, "source_hash": b"", "items_hash": b""}
    shop = {"shop_id": "default", "cart_id": f"c-{number}"}
    await insert(conn, "carts", **(shop | stamp | {"closed_at": closed} | row))


async def add_recovered(
    conn: Connection,
    number: int,
    revenue: str,
    currency: str,
    *,
    closed_days_ago: float = 1,
    shop: str = "default",
) -> None:
    order = f"o-{number}"
    await insert(conn, "orders", shop_id=shop, order_id=order, currency=currency)
    brought = {"recovered": True, "recovered_order_id": order, "recovered_revenue": revenue}
    state = {"status": "recovered", "reminder_1_sent_at": NOON, "currency": "EUR", "shop_id": shop}
    await add_cart(conn, number, closed_days_ago=closed_days_ago, **state, **brought)


async def test_carts_are_counted_by_state_open_ones_all_and_closed_ones_of_the_days_asked(
    conn: Connection, environ: dict[str, str]
) -> None:
    await add_cart(conn, 1, status="active", created_at=NOON)
    await add_cart(conn, 2, status="abandoned", reminder_1_sent_at=NOON)
    await add_cart(conn, 3, status="abandoned", holdout=True)
    await add_cart(conn, 4, status="expired", status_reason="left", closed_days_ago=6)
    await add_cart(conn, 5, status="expired", status_reason="left", closed_days_ago=8)
    await add_cart(conn, 6, status="expired", status_reason="deleted", closed_days_ago=1)
    await add_cart(conn, 7, status="converted", closed_days_ago=1, shop_id="other")

    told = (await run_wabus("cart", "stats", "--days", "7", "--json", environ=environ)).json
    of_other = (await run_wabus("cart", "stats", "--shop", "other", "--json", environ=environ)).json

    assert [tuple(state.values()) for state in told["states"]] == [
        ("default", "active", None, 1, 0, 0),
        ("default", "abandoned", None, 2, 1, 1),
        ("default", "expired", "deleted", 1, 0, 0),
        ("default", "expired", "left", 1, 0, 0),
        ("other", "converted", None, 1, 0, 0),
    ]
    assert told["recovered"] == []
    assert [state["shop_id"] for state in of_other["states"]] == ["other"]


async def test_what_recovered_carts_brought_is_told_for_each_currency_of_the_orders(
    conn: Connection, environ: dict[str, str]
) -> None:
    await add_recovered(conn, 1, "10.10", "EUR")
    await add_recovered(conn, 2, "0.2050", "EUR")
    await add_recovered(conn, 3, "5000", "JPY")
    await add_recovered(conn, 4, "7", "EUR", closed_days_ago=40)
    await add_recovered(conn, 5, "3", "EUR", shop="other")

    told = (await run_wabus("cart", "stats", "--json", environ=environ)).json
    shown = await run_wabus("cart", "stats", "--shop", "default", environ=environ)

    assert [tuple(line.values()) for line in told["recovered"]] == [
        ("default", "EUR", 2, "10.3050"),
        ("default", "JPY", 1, "5000"),
        ("other", "EUR", 1, "3"),
    ]
    assert shown.code == 0
    assert "10.3050" in shown.out
    assert "other" not in shown.out
