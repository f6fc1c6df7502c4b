"""A shop's cart from its fact to one reminder, and a purchase that stops the next, over real workers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster
from tests.support.notices import wants_marketing
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


def cart(cart_id: str, wa_id: str) -> dict[str, Any]:
    item = {"product_id": "p1", "quantity": 2, "price": "6.45", "product_name": "Socks"}
    return {
        "cart_id": cart_id,
        "wa_id": wa_id,
        "items": [item],
        "currency": "EUR",
        "cart_url": f"https://shop.example/{cart_id}",
        "updated_at": "2026-11-28T00:00:00Z",
    }


async def grow_older(cluster: Cluster, hours: float) -> None:
    """As if so much time had passed for the open carts."""
    await cluster.conn.execute(
        """update carts set last_activity_at = last_activity_at - $1 * interval '1 hour', next_step_at = now(),
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
        for cart_id, customer in zip(("c1", "c2"), customers, strict=True):
            await cluster.publish("wa.shop", "cart.updated", cart(cart_id, customer))
        await until(lambda: are(cluster, "carts where status = 'active'", 2))
        await grow_older(cluster, 5)
        await until(lambda: are(cluster, "carts where reminder_1_sent_at is not null", 2))
        assert await texts(sender, customers) == {ANA: 1, BEN: 1}

        order = {
            "order_id": "17",
            "status": "processing",
            "cart_id": "c1",
            "wa_id": ANA,
            "total": "12.90",
            "currency": "EUR",
            "items": cart("c1", ANA)["items"],
            "updated_at": "2100-01-01T00:00:00Z",
        }
        await cluster.publish("wa.shop", "order.updated", order | {"updated_at": "2026-11-28T00:00:30Z"})
        await until(lambda: are(cluster, "carts where closed_at is not null", 1))
        await grow_older(cluster, 20)
        await until(lambda: are(cluster, "notification_log where status in ('sent', 'delivered', 'read')", 3))
        assert await texts(sender, customers) == {ANA: 1, BEN: 2}

    assert [told["cart_id"] for told in cluster.told("cart.abandoned")].sort() == ["c1", "c2"].sort()


async def are(cluster: Cluster, rows: str, number: int) -> bool:
    found: int = await cluster.conn.fetchval(f"select count(*) from {rows}")
    return found == number
