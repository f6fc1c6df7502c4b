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
ITEM = {"product_id": "7", "quantity": 2, "price": "12.90"}


def cart(second: int = 0, **fields: Any) -> dict[str, Any]:
    told = {"cart_id": "c1", "items": [ITEM], "currency": "EUR", "wa_id": PHONE}
    return told | {"updated_at": (NOON + timedelta(seconds=second)).isoformat()} | fields


def order(second: int = 0, **fields: Any) -> dict[str, Any]:
    told = {"order_id": "1", "status": "processing", "total": "25.80", "currency": "EUR", "wa_id": PHONE}
    return told | {"updated_at": (NOON + timedelta(seconds=second)).isoformat()} | fields


async def tell(cluster: Cluster, key: str, *facts: dict[str, Any]) -> None:
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
