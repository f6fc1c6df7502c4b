"""The notifier and the sender's gate as workers: what is due goes, and what was taken back does not."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.commerce.notices.ids import client_message_id
from shared.commerce.notices.planning import take_back
from shared.payloads import OutboundMessage, encode
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.notices import ANA, add_cart, plan, wants_marketing
from tests.support.rows import only_row
from tests.support.sending import Sender
from tests.support.waiting import until

BOTH = ("marketing", "utility")
TEMPLATE = {"name": "cart_1", "language": "en", "components": []}


@pytest.fixture
def shops_file(tmp_path: Path) -> str:
    """One shop that never sleeps."""
    said = {"en": {"template": TEMPLATE}}
    chosen = {
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "phone_number_id": "1001",
        "quiet_hours": "00:00-00:00",
        "messages": {"cart_reminder_1": said},
    }
    path = tmp_path / "shops.json"
    path.write_text(json.dumps({"default": chosen}))
    return str(path)


async def plan_on(cluster: Cluster, **changes: Any) -> Any:
    database = Database(cluster.database_url)
    try:
        [notice] = await plan(database, **changes)
    finally:
        await database.close()
    return notice


async def status_of(cluster: Cluster) -> str:
    row = await only_row(cluster.conn, "select coalesce(skip_reason, status) as what from notification_log")
    return str(row["what"])


async def is_status(cluster: Cluster, status: str) -> bool:
    return await status_of(cluster) == status


async def nudge(cluster: Cluster) -> None:
    await cluster.publish("wa.jobs", "notify.due", {})


async def test_a_due_notice_reaches_the_customer_and_its_row_follows_the_message(
    sender: Sender, shops_file: str
) -> None:
    cluster = sender.cluster
    await wants_marketing(cluster.conn)
    cart = await add_cart(cluster.conn)
    notice = await plan_on(cluster, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")

    async with (
        sender.with_statuses(),
        cluster.running("scheduler", "notifier", "status-updater", SHOPS_FILE=shops_file),
        sender.running(),
    ):
        await until(lambda: is_status(cluster, "read"))
        messages = await sender.sandbox.messages(ANA)

    assert len(messages) == 1
    row = await only_row(cluster.conn, "select * from notification_log")
    assert row["wamid"] is not None
    assert row["message_id"] == (await sender.row(client_message_id(notice, 1)))["id"]
    assert await cluster.conn.fetchval("select reminder_1_sent_at from carts") is not None
    told = [(item["old_status"], item["new_status"]) for item in cluster.told("notification.updated")]
    assert told[0] == ("pending", "queued")
    assert told[-1][1] == "read"


async def test_a_nudge_for_what_is_decided_already_does_nothing(cluster: Cluster, shops_file: str) -> None:
    await wants_marketing(cluster.conn)
    await plan_on(cluster)

    async with cluster.running("notifier", "notifier", SHOPS_FILE=shops_file):
        for _ in range(10):
            await nudge(cluster)
        await until(lambda: is_status(cluster, "queued"))
    messages = await cluster.take("outbound-sender.bulk")

    assert [message.type for message in messages] == ["OutboundMessage"]


async def test_whatever_else_comes_to_the_notifier_is_dead(cluster: Cluster) -> None:
    async with cluster.running("notifier"):
        await cluster.publish("wa.jobs", "notify.anything", {})
        await until(lambda: has_letters(cluster))
    [letter] = await cluster.take("dlq-handler")

    assert letter.headers["x-wabus-reason"] == "invalid_payload"


async def has_letters(cluster: Cluster) -> bool:
    return await cluster.depth("dlq-handler") > 0


async def test_a_shops_file_that_is_wrong_ends_the_notifier_before_it_begins(
    cluster: Cluster, tmp_path: Path
) -> None:
    path = tmp_path / "shops.json"
    path.write_text('{"default": {"currency": "euro"}}')

    with pytest.raises(BaseExceptionGroup, match="unhandled"):
        async with cluster.running("notifier", SHOPS_FILE=str(path)):
            pass


async def queue_by_hand(cluster: Cluster, **changes: Any) -> Any:
    """A notice whose message waits for the sender, as the notifier leaves it."""
    notice = await plan_on(cluster, **changes)
    await cluster.conn.execute(
        "update notification_log set status = 'queued', attempt = 1, not_before = null, reserved_at = now()"
    )
    return notice


async def ask(sender: Sender, notice: Any, **more: Any) -> None:
    message = OutboundMessage.model_validate(
        {
            "wa_id": ANA,
            "phone_number_id": "1001",
            "client_message_id": client_message_id(notice, 1),
            "notification_id": str(notice),
            "category": "marketing",
            "template": TEMPLATE,
        }
        | more
    )
    await sender.cluster.publish("wa.outbound", f"bulk.{ANA}", encode(message))


async def test_what_a_purchase_took_back_after_it_was_queued_is_not_sent(sender: Sender) -> None:
    cluster = sender.cluster
    await wants_marketing(cluster.conn)
    cart = await add_cart(cluster.conn)
    notice = await queue_by_hand(cluster, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")
    database = Database(cluster.database_url)
    async with database.transaction() as connection:
        await take_back(connection, reason="converted", cart=cart)
    await database.close()

    async with sender.running():
        await ask(sender, notice)
        await sender.until_worked()

    assert await sender.sandbox.messages(ANA) == []
    assert await status_of(cluster) == "converted"
    assert await cluster.conn.fetchval("select count(*) from message_tracking") == 0


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"expires_at": "2026-01-01T00:00:00Z"}, "pending"),
        ({}, "sent"),
    ],
)
async def test_what_is_late_at_the_gate_is_decided_anew(
    sender: Sender, changes: Mapping[str, object], status: str
) -> None:
    cluster = sender.cluster
    await wants_marketing(cluster.conn)
    notice = await queue_by_hand(cluster)

    async with sender.running():
        await ask(sender, notice, **changes)
        await until(lambda: is_status(cluster, status))

    assert len(await sender.sandbox.messages(ANA)) == (status == "sent")
    assert (await cluster.conn.fetchval("select reserved_at from notification_log") is None) is (
        status == "pending"
    )


async def test_a_reply_that_comes_after_the_cart_was_left_stops_its_reminder_at_the_gate(
    sender: Sender,
) -> None:
    cluster = sender.cluster
    await wants_marketing(cluster.conn)
    cart = await add_cart(cluster.conn)
    notice = await queue_by_hand(cluster, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")

    async with cluster.running("inbound-resolver"), sender.running():
        inbound = {"wamid": "wamid.1", "timestamp": 1768473000, "wa_id": ANA}
        await cluster.publish("wa.inbound", ANA, inbound)
        await until(lambda: len(cluster.told("inbound.enriched")) == 1)
        await ask(sender, notice)
        await until(lambda: is_status(cluster, "replied"))

    assert await sender.sandbox.messages(ANA) == []


@pytest.mark.parametrize(
    ("word", "left"),
    [
        ("STOP", {"marketing": "opted_out", "utility": "pending"}),
        ("stop all", dict.fromkeys(BOTH, "opted_out")),
    ],
)
async def test_a_word_of_refusal_takes_back_what_waits(
    cluster: Cluster, word: str, left: Mapping[str, str]
) -> None:
    await wants_marketing(cluster.conn)
    for category in BOTH:
        await plan_on(cluster, category=category)

    async with cluster.running("inbound-resolver"):
        written_at = int(datetime.now(UTC).timestamp()) + 60  # after they said yes
        inbound = {"wamid": "wamid.1", "timestamp": written_at, "wa_id": ANA, "message_text": word}
        await cluster.publish("wa.inbound", ANA, inbound)
        await until(lambda: len(cluster.told("inbound.enriched")) == 1)

    rows = await cluster.conn.fetch(
        "select category, coalesce(skip_reason, status) as what from notification_log"
    )
    assert {row["category"]: row["what"] for row in rows} == left
