"""What a shop publishes, on real servers, down to rows, totals and events."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from tests.support.cluster import Cluster
from tests.support.program import run_wabus
from tests.support.waiting import until

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
PHONE = "4917612345678"
OTHER = "4917612345679"
REFUND = {
    "order_id": "1",
    "refund_id": "r1",
    "amount": "5.00",
    "currency": "EUR",
    "occurred_at": NOON.isoformat(),
}
#: What people ask for.
ASKED = (("profile", "show", PHONE), ("cart", "list", "--phone", PHONE), ("order", "show", "default", "1"))
ITEM = {"product_id": "7", "quantity": 2, "price": "12.90"}


def cart(second: int = 0, **fields: Any) -> dict[str, Any]:
    told = {"cart_id": "c1", "items": [ITEM], "currency": "EUR", "wa_id": PHONE}
    return told | {"updated_at": (NOON + timedelta(seconds=second)).isoformat()} | fields


def order(second: int = 0, **fields: Any) -> dict[str, Any]:
    told = {"order_id": "1", "status": "processing", "total": "25.80", "currency": "EUR", "wa_id": PHONE}
    return told | {"updated_at": (NOON + timedelta(seconds=second)).isoformat()} | fields


async def tell(cluster: Cluster, key: str, *facts: dict[str, Any] | bytes) -> None:
    for fact in facts:
        await cluster.publish("wa.shop", key, fact)


async def test_a_recorded_webhook_of_an_order_is_a_row_a_total_and_an_event(
    cluster: Cluster, tmp_path: Path
) -> None:
    body = {
        "id": 727,
        "status": "processing",
        "currency": "EUR",
        "total": "29.35",
        "number": "727",
        "date_created_gmt": "2024-05-06T12:00:00",
        "date_modified_gmt": "2024-05-06T12:00:05",
        "customer_id": 0,
        "billing": {"first_name": "Ana", "phone": "0176 12345678", "country": "DE"},
        "line_items": [{"product_id": 93, "quantity": 2, "price": 14.675, "name": "Mug"}],
        "refunds": [{"id": 9, "total": "-4.35"}],
    }
    line = {"headers": {"X-WC-Webhook-Topic": "order.updated"}, "body": body}
    path = tmp_path / "webhooks.jsonl"
    path.write_bytes(orjson.dumps(line))

    async with cluster.running("shop-updater"):
        done = await run_wabus(
            "shop", "publish", str(path), "--platform", "woocommerce", environ=cluster.environment()
        )
        await until(lambda: len(cluster.told("order.created")) == 1)

    assert (done.code, done.out) == (0, "1 facts of 1 lines published\n")
    row = await cluster.conn.fetchrow("select * from orders")
    assert row is not None
    assert (row["customer_phone"], row["total"], row["refunded_total"]) == (
        PHONE,
        Decimal("29.35"),
        Decimal("4.35"),
    )
    profile = await cluster.conn.fetchrow("select total_orders, total_spent, currency from customer_profiles")
    assert profile is not None
    assert tuple(profile) == (1, Decimal("25.00"), "EUR")


async def test_a_shops_day_reaches_rows_people_and_dead_letters(cluster: Cluster) -> None:
    customer = {"customer_id": "25", "wa_id": OTHER, "email": "ana@example.org"}
    customer["updated_at"] = NOON.isoformat()
    view = {"wa_id": PHONE, "views": [{"product_id": "7", "viewed_at": datetime.now(UTC).isoformat()}]}
    async with cluster.running("shop-updater", "dlq-handler"):
        await tell(cluster, "customer.updated", customer)
        await tell(cluster, "cart.updated", cart(0), cart(1, cart_id="c2"), {"cart_id": "c3"}, b"{")
        await tell(cluster, "order.updated", order(60, cart_id="c2"), order(0, order_id="2", wa_id=OTHER))
        await tell(cluster, "order.refunded", REFUND)
        await tell(cluster, "product.updated", {"product_id": "7", "updated_at": NOON.isoformat()})
        await tell(cluster, "view", view, {"views": []})
        await until(lambda: len(cluster.told("deadletter.stored")) == 3)
        await until(lambda: is_whole(cluster))
        told = [await run_wabus(*words, "--json", environ=cluster.environment()) for words in ASKED]
        refused = await run_wabus("order", "show", "default", "lost", environ=cluster.environment())

        await run_wabus("profile", "link", PHONE, OTHER, "--yes", environ=cluster.environment())
        await until(lambda: follows(cluster))

    profile, carts, shown = (item.json for item in told)
    assert profile["shop"]["total_spent"] == "20.80"
    assert [(item["cart_id"], item["status"]) for item in carts["carts"]] == [
        ("c2", "converted"),
        ("c1", "expired"),
    ]
    assert (shown["cart_id"], shown["refunds"]["r1"]["amount"]) == ("c2", "5.00")
    assert (refused.code, refused.err) == (1, "wabus: default lost: no such order\n")
    row = await cluster.conn.fetchrow(
        "select total_orders, total_spent, email from customer_profiles where phone = $1", PHONE
    )
    assert row is not None
    assert tuple(row) == (2, Decimal("46.60"), "ana@example.org")


async def is_whole(cluster: Cluster) -> bool:
    refunded = "select refunded_total > 0 and counted_spent < total from orders where order_id = '1'"
    others = "select (select count(*) from products) = 1 and (select count(*) from product_views) = 1"
    return bool(await cluster.conn.fetchval(refunded) and await cluster.conn.fetchval(others))


async def follows(cluster: Cluster) -> bool:
    theirs = "select count(*) = 2 from orders where counted_phone = $1"
    return bool(await cluster.conn.fetchval(theirs, PHONE))


async def test_carts_that_nobody_can_be_reminded_of_expire_when_they_are_left(cluster: Cluster) -> None:
    columns = "shop_id, cart_id, items_hash, source_updated_at, source_hash, created_at, last_activity_at"
    for cart_id, opened, touched, step in (
        ("left", 73, 73, None),
        ("touched", 73, 71, None),
        ("young", 71, 71, None),
        ("awaited", 73, 73, datetime.now(UTC) + timedelta(hours=1)),
    ):
        await cluster.conn.execute(
            f"insert into carts ({columns}, next_step_at)"
            " values ('default', $1, '', now(), '', now() - $2::interval, now() - $3::interval, $4)",
            cart_id,
            timedelta(hours=opened),
            timedelta(hours=touched),
            step,
        )

    async with cluster.running("scheduler"):
        await until(lambda: len(cluster.told("cart.expired")) == 1)

    expired = await cluster.conn.fetch("select cart_id, status_reason from carts where closed_at is not null")
    assert [tuple(row) for row in expired] == [("left", "left")]
