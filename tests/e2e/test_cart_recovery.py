"""A shop's cart from its fact to one reminder, and a purchase that stops the next, over real workers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster
from tests.support.notices import wants_marketing
from tests.support.program import run_wabus
from tests.support.rows import insert
from tests.support.sending import NUMBER, Sender
from tests.support.waiting import until

ANA, BEN = "491700000001", "491700000002"
WORKERS = ("shop-updater", "scheduler", "notifier", "status-updater")
SAID = {"en": {"template": {"name": "cart", "language": "en"}}}
SHOP = {
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "phone_number_id": NUMBER,
    "quiet_hours": "00:00-00:00",
    "cart": {"reminders": ["4h", "24h"], "expires": "72h"},
    "messages": {"cart_reminder_1": SAID, "cart_reminder_2": SAID},
}


def cart(token: str, phone: str) -> dict[str, Any]:
    """A cart of the Store API, as a plugin of WooCommerce sends it."""
    minor = {"currency_minor_unit": 2, "currency_code": "EUR"}
    line = {"id": 93, "name": "Mug", "quantity": 2, "prices": minor | {"price": "645"}}
    return {
        "headers": {"X-WC-Webhook-Topic": "cart.updated", "Cart-Token": token},
        "received_at": "2026-11-28T12:00:00Z",
        "body": {
            "items": [line],
            "totals": minor | {"total_price": "1290"},
            "billing_address": {"phone": phone, "country": "DE"},
        },
    }


def order(phone: str) -> dict[str, Any]:
    """What WooCommerce sends of it once it is bought: nothing of the cart but who has it."""
    body = {
        "id": 727,
        "status": "processing",
        "currency": "EUR",
        "total": "12.90",
        "date_created_gmt": "2026-11-28T12:30:00",
        "date_modified_gmt": "2026-11-28T12:30:00",
        "billing": {"first_name": "Ana", "phone": phone, "country": "DE"},
        "line_items": [{"product_id": 93, "quantity": 2, "price": 6.45, "name": "Mug"}],
    }
    return {"headers": {"X-WC-Webhook-Topic": "order.updated"}, "body": body}


def record(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


async def publish(cluster: Cluster, path: Path, *lines: dict[str, Any]) -> None:
    record(path, *lines)
    done = await run_wabus(
        "shop", "publish", str(path), "--platform", "woocommerce", environ=cluster.environment()
    )
    assert done.code == 0, done.err


async def grow_older(cluster: Cluster, hours: float) -> None:
    """As if so much time had passed for the open carts."""
    await cluster.conn.execute(
        """update carts
           set last_activity_at = last_activity_at - $1 * interval '1 hour', next_step_at = now(),
               reminder_1_sent_at = reminder_1_sent_at - $1 * interval '1 hour',
               abandoned_at = abandoned_at - $1 * interval '1 hour'
           where closed_at is null""",
        hours,
    )


async def texts(sender: Sender, customers: Sequence[str]) -> dict[str, int]:
    return {customer: len(await sender.sandbox.messages(customer)) for customer in customers}


async def test_an_idle_cart_is_reminded_of_once_and_a_purchase_stops_the_next_reminder(
    sender: Sender, tmp_path: Path
) -> None:
    cluster, customers = sender.cluster, (ANA, BEN)
    path = tmp_path / "shops.json"
    path.write_text(json.dumps({"default": SHOP}))
    for customer in customers:
        await wants_marketing(cluster.conn, customer)

    async with (
        sender.with_statuses(),
        cluster.running(*WORKERS, SHOPS_FILE=str(path)),
        sender.running(),
    ):
        recorded = tmp_path / "webhooks.jsonl"
        await publish(cluster, recorded, cart("c1", "0170 0000001"), cart("c2", "0170 0000002"))
        await until(lambda: are(cluster, "carts where status = 'active'", 2))
        await grow_older(cluster, 5)
        await until(lambda: are(cluster, "carts where reminder_1_sent_at is not null", 2))
        assert await texts(sender, customers) == {ANA: 1, BEN: 1}

        await publish(cluster, recorded, order("0170 0000001"))
        await until(lambda: are(cluster, "carts where closed_at is not null", 1))
        await grow_older(cluster, 20)
        await until(lambda: are(cluster, "carts where reminder_2_sent_at is not null", 1))
        assert await texts(sender, customers) == {ANA: 1, BEN: 2}

    assert sorted(told["cart_id"] for told in cluster.told("cart.abandoned")) == ["c1", "c2"]
    assert await cluster.conn.fetchval("select customer_phone from carts where closed_at is null") == BEN


async def test_a_purchase_takes_back_the_reminder_that_waits_and_is_confirmed(
    sender: Sender, tmp_path: Path
) -> None:
    # Given a customer whose one marketing message a day was sent 23 hours ago
    cluster = sender.cluster
    chosen = SHOP | {"caps": {"marketing": "1/24h"}}
    chosen["messages"] = {"cart_reminder_1": SAID, "order_confirmed": SAID}
    path = tmp_path / "shops.json"
    path.write_text(json.dumps({"default": chosen}))
    await wants_marketing(cluster.conn)
    await insert(
        cluster.conn,
        "notification_log",
        shop_id="default",
        kind="request",
        notification_type="news",
        dedupe_key="request:1",
        category="marketing",
        customer_phone=ANA,
        status="sent",
        reserved_at=await cluster.conn.fetchval("select now() - interval '23 hours'"),
    )
    async with cluster.running(*WORKERS, SHOPS_FILE=str(path)):
        # When their cart idles, and is bought while its reminder waits
        recorded = tmp_path / "webhooks.jsonl"
        await publish(cluster, recorded, cart("c1", "0170 0000001"))
        await until(lambda: are(cluster, "carts where status = 'active'", 1))
        await grow_older(cluster, 5)
        await until(lambda: are(cluster, "notification_log where trace <> '[]' and status = 'pending'", 1))
        await publish(cluster, recorded, order("0170 0000001"))
        await until(lambda: are(cluster, "carts where status = 'converted'", 1))
    # Then
    rows = await cluster.conn.fetch(
        "select notification_type, status, skip_reason from notification_log where kind in ('cart', 'order')"
    )
    assert sorted(map(tuple, rows)) == [
        ("cart_reminder_1", "skipped", "converted"),
        ("order_confirmed", "pending", None),
    ]


async def are(cluster: Cluster, rows: str, number: int) -> bool:
    found: int = await cluster.conn.fetchval(f"select count(*) from {rows}")
    return found == number
