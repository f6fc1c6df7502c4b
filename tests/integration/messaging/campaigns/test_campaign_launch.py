"""Launching campaigns on real servers, and what is no message about a campaign."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tests.support.campaigns import (
    BATCHER,
    BULK_QUEUE,
    campaign,
    counts,
    customer,
    customers,
    has_counts,
    idle,
    is_depth,
    is_state,
    launch,
    nudge,
    ticking,
    told_of,
)
from tests.support.cluster import Cluster
from tests.support.rows import insert
from tests.support.waiting import until


async def test_a_launch_stores_the_campaign_and_its_recipients_once(cluster: Cluster) -> None:
    told = campaign([{"wa_id": "+4915100000001", "variables": {"1": "Ana"}}, *customers(3), *customers(2)])
    async with cluster.running(BATCHER):
        await launch(cluster, told)
        await until(lambda: is_state(cluster, "running"))
        await launch(cluster, told)
        await idle(cluster)
    row = await cluster.conn.fetchrow("select * from broadcast_campaigns where id = 'spring'")
    assert row is not None
    assert (row["phone_number_id"], row["category"], row["batch_size"]) == ("1001", "marketing", 50)
    rows = await cluster.conn.fetch("select wa_id, variables::text from broadcast_recipients order by id")
    assert [tuple(row) for row in rows] == [
        ("4915100000001", '{"1": "Ana"}'),
        *((customer(number), None) for number in range(3)),
    ]
    [event] = told_of(cluster)

    assert event["new_status"] == "running"
    assert "old_status" not in event


async def test_a_launch_with_odd_characters_is_stored_and_keeps_its_raw_body(cluster: Cluster) -> None:
    told = campaign([{"wa_id": customer(0), "variables": {"1": "\ud83d Ana"}}, customers(2)[1]], name="a\0b")
    raw = json.dumps(told).encode()

    async with cluster.running(BATCHER):
        await cluster.publish("wa.broadcast", "campaign.launch", raw)
        await until(lambda: is_state(cluster, "running"))

    row = await cluster.conn.fetchrow(
        """select name, metadata #>> '{mended,replaced_characters}' as replaced,
                  decode(metadata #>> '{mended,raw_body_base64}', 'base64') as raw
           from broadcast_campaigns"""
    )

    assert row is not None
    assert tuple(row) == ("a\ufffdb", "2", raw)
    assert await cluster.conn.fetchval("select count(*) from broadcast_recipients") == 2


async def test_other_content_under_the_same_id_is_dead(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, campaign(customers(2)))
        await until(lambda: is_state(cluster, "running"))
        await launch(cluster, campaign(customers(3)))
        await until(lambda: is_depth(cluster, "dlq-handler", 1))
    [dead] = await cluster.take("dlq-handler")

    assert dead.headers["x-wabus-reason"] == "state_violation"
    assert await counts(cluster) == {"pending": 2}


@pytest.mark.parametrize("is_there", [True, False], ids=["its draft first", "the recipients first"])
async def test_a_launch_uses_the_recipients_that_are_in_the_database(
    cluster: Cluster, is_there: bool
) -> None:
    if is_there:
        await insert(cluster.conn, "broadcast_campaigns", id="spring")
    await insert(cluster.conn, "broadcast_recipients", campaign_id="spring", wa_id=customer(1))
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign())
        await until(lambda: is_depth(cluster, BULK_QUEUE, 1))
    [event] = cluster.told("campaign.updated")

    assert (event["old_status"], event["new_status"]) == ("draft", "running")


async def test_a_launch_of_many_recipients_takes_them_all(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, campaign(customers(9000)))
        await until(lambda: is_state(cluster, "running"))
    assert await counts(cluster) == {"pending": 9000}


#: Bodies that no batcher can work, each with its routing key and a part of what is said of it.
_BAD: Final = {
    b"not json": ("campaign.launch", "JSON"),
    b'{"campaign_id": "x", "phone_number_id": "1"}': ("campaign.launch", "template, message_text"),
    b'{"campaign_id": "x", "phone_number_id": "1", "message_text": "hi"}': (
        "campaign.launch",
        "recipients: none",
    ),
    b'{"campaign_id": "x", "phone_number_id": "1", "message_text": "hi", "recipients": [{"wa_id": "a"}]}': (
        "campaign.launch",
        "recipients.0.wa_id",
    ),
    b'{"campaign_id": "x", "action": "pause"}': ("campaign.pause", "requested_at"),
    b'{"campaign_id": "x", "action": "cancel", "requested_at": 1768473000}': (
        "campaign.pause",
        "action: cancel",
    ),
    b"{}": ("campaign.batch", "campaign_id"),
    b'{"campaign_id": "x"}': ("campaign.stop", "routing key"),
}


async def test_a_bad_message_is_dead_and_its_neighbours_are_not(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        for number, (body, (routing_key, _)) in enumerate(_BAD.items()):
            await cluster.publish("wa.broadcast", routing_key, body)
            await launch(cluster, campaign(customers(1), campaign_id=f"neighbour {number}"))
        await until(lambda: is_depth(cluster, "dlq-handler", len(_BAD)))
        await until(lambda: _are_running(cluster, len(_BAD)))
    dead = await cluster.take("dlq-handler")

    assert {item.body for item in dead} == _BAD.keys()
    assert {item.headers["x-wabus-reason"] for item in dead} == {"invalid_payload"}
    for item in dead:
        routing_key, error = _BAD[item.body]
        assert item.headers["x-wabus-routing-key"] == routing_key
        assert error in str(item.headers["x-wabus-error"])
    assert await cluster.conn.fetchval("select count(*) from broadcast_campaigns") == len(_BAD)


async def _are_running(cluster: Cluster, count: int) -> bool:
    running = "select count(*) from broadcast_campaigns where status = 'running'"
    return bool(await cluster.conn.fetchval(running) == count)


async def test_a_scheduled_campaign_starts_when_its_time_comes(cluster: Cluster) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(2), scheduled_at=soon.isoformat()))
        await until(lambda: is_state(cluster, "scheduled"))
        await nudge(cluster)
        await idle(cluster)
        assert await counts(cluster) == {"pending": 2}
        await cluster.conn.execute("update broadcast_campaigns set next_batch_at = now() where id = 'spring'")
        await until(lambda: has_counts(cluster, {"queued": 2}))

    assert [event["new_status"] for event in told_of(cluster)] == ["scheduled", "running"]
