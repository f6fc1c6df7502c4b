"""Pause, resume and cancel on real servers."""

import asyncio

from tests.support.campaigns import (
    BATCHER,
    BULK_QUEUE,
    become,
    campaign,
    control,
    counts,
    customers,
    has_counts,
    idle,
    is_depth,
    is_state,
    launch,
    nudge,
    state,
    ticking,
)
from tests.support.cluster import Cluster
from tests.support.rows import add_mapping, add_message, insert
from tests.support.waiting import until

T1, T2, T3 = (f"2026-01-15T10:00:0{second}Z" for second in (1, 2, 3))


async def test_a_paused_campaign_queues_nothing_until_it_is_resumed(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(4), batch_size=1, batch_delay_ms=3_600_000))
        await until(lambda: has_counts(cluster, {"queued": 1, "pending": 3}))
        await control(cluster, "pause", T1, requested_by="ana")
        await until(lambda: is_state(cluster, "paused"))
        await nudge(cluster)
        await idle(cluster)
        assert await counts(cluster) == {"queued": 1, "pending": 3}
        assert await reason(cluster) == "pause requested by ana"
        await control(cluster, "resume", T2)
        await until(lambda: has_counts(cluster, {"queued": 2, "pending": 2}))
    assert await reason(cluster) is None
    assert states_told(cluster) == ["running", "paused", "running"]
    paused = cluster.told("campaign.updated")[1]

    assert (paused["old_status"], paused["reason"]) == ("running", "pause requested by ana")


async def test_recipients_given_back_while_paused_go_out_after_the_resume(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(2)))
        await until(lambda: is_depth(cluster, BULK_QUEUE, 2))
        await control(cluster, "pause", T1)
        await until(lambda: is_state(cluster, "paused"))
        await become(cluster, "queued", "pending")
        await control(cluster, "resume", T2)
        await until(lambda: is_depth(cluster, BULK_QUEUE, 4))
    bodies = sorted(message.body for message in await cluster.take(BULK_QUEUE))

    assert bodies[0::2] == bodies[1::2]


async def test_a_message_tried_before_a_pause_fails_with_the_cancel(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(1)))
        await until(lambda: is_depth(cluster, BULK_QUEUE, 1))
        await control(cluster, "pause", T1)
        await until(lambda: is_state(cluster, "paused"))
        await become(cluster, "queued", "pending")
        customer = await cluster.conn.fetchval("select wa_id from broadcast_recipients")
        campaign_id = await cluster.conn.fetchval("select id from broadcast_campaigns")
        mapping = await add_mapping(cluster.conn, wa_id=customer)
        tried = await add_message(cluster.conn, mapping_id=mapping, campaign_id=campaign_id, lane="bulk")
        await insert(cluster.conn, "send_attempts", message_id=tried, attempt=1, outcome="failed")
        await cluster.conn.execute("update broadcast_recipients set message_id = $1", tried)
        await control(cluster, "cancel", T2)
        await until(lambda: len(cluster.told("outbound.failed")) == 1)
    assert await counts(cluster) == {"skipped: campaign_cancelled": 1}
    row = await cluster.conn.fetchrow("select status, error_code from message_tracking")

    assert row is not None
    assert tuple(row) == ("failed", "campaign_cancelled")


async def test_a_cancelled_campaign_skips_whom_it_did_not_reach(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(2500), batch_size=10, batch_delay_ms=3_600_000))
        await until(lambda: has_counts(cluster, {"queued": 10, "pending": 2490}))
        await control(cluster, "cancel", T1)
        await until(lambda: has_counts(cluster, {"queued": 10, "skipped: campaign_cancelled": 2490}))
        await control(cluster, "resume", T2)
        await nudge(cluster)
        await idle(cluster)

    assert await state(cluster) == "cancelled"
    assert states_told(cluster) == ["running", "cancelled"]


async def test_a_cancel_that_overtakes_its_launch_stands(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await control(cluster, "cancel", T1)
        await until(lambda: is_state(cluster, "cancelled"))
        await launch(cluster, campaign(customers(3)))
        await until(lambda: has_counts(cluster, {"skipped: campaign_cancelled": 3}))
        await launch(cluster, campaign(customers(3)))
        await idle(cluster)
        await launch(cluster, campaign(customers(4)))
        await until(lambda: is_depth(cluster, "dlq-handler", 1))
    assert await state(cluster) == "cancelled"
    assert states_told(cluster) == ["cancelled"]
    assert await cluster.depth(BULK_QUEUE) == 0
    number = await cluster.conn.fetchval(
        "select phone_number_id from broadcast_campaigns where id = 'spring'"
    )

    assert number == "1001"


async def test_a_cancelled_draft_skips_its_recipients_at_once(cluster: Cluster) -> None:
    await insert(cluster.conn, "broadcast_campaigns", id="spring")
    await insert(cluster.conn, "broadcast_recipients", campaign_id="spring", wa_id="4917000001")
    async with cluster.running(BATCHER):
        await control(cluster, "cancel", T1)
        await until(lambda: has_counts(cluster, {"skipped: campaign_cancelled": 1}))
        await launch(cluster, campaign())
        await idle(cluster)

    assert await counts(cluster) == {"skipped: campaign_cancelled": 1}


async def test_of_controls_out_of_order_the_latest_request_wins(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, campaign(customers(1)))
        await until(lambda: is_state(cluster, "running"))
        await control(cluster, "pause", T3)
        await until(lambda: is_state(cluster, "paused"))
        await control(cluster, "resume", T2)
        await idle(cluster)
        assert await state(cluster) == "paused"
        await control(cluster, "pause", T3)
        await idle(cluster)

    assert states_told(cluster) == ["running", "paused"]


async def test_a_cancel_counts_even_if_it_was_requested_before_the_latest_control(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, campaign(customers(1)))
        await until(lambda: is_state(cluster, "running"))
        await control(cluster, "resume", T3)
        await control(cluster, "cancel", T1)
        await until(lambda: has_counts(cluster, {"skipped: campaign_cancelled": 1}))

    assert await state(cluster) == "cancelled"


async def test_a_done_campaign_stays_done(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(customers(1), message_text="to nobody"))
        await until(lambda: is_state(cluster, "done"))
        for action in ("pause", "resume", "cancel"):
            await control(cluster, action, T3)
        await idle(cluster)

    assert await state(cluster) == "done"


async def test_a_pause_before_the_launch_waits_for_it(cluster: Cluster) -> None:
    async with cluster.running(BATCHER), ticking(cluster):
        await control(cluster, "pause", T1)
        await until(lambda: is_depth(cluster, BATCHER, 0))
        await launch(cluster, campaign(customers(1), scheduled_at="2099-01-01T00:00:00Z"))
        await until(lambda: is_state(cluster, "paused"))
        await control(cluster, "resume", T2)
        await until(lambda: is_state(cluster, "scheduled"))

    assert await state(cluster) == "scheduled"


async def test_a_pause_of_a_draft_holds_its_launch(cluster: Cluster) -> None:
    await insert(cluster.conn, "broadcast_campaigns", id="spring")
    async with cluster.running(BATCHER), ticking(cluster):
        await control(cluster, "pause", T1)
        await until(lambda: is_state(cluster, "paused"))
        await launch(cluster, campaign(customers(1)))
        await until(lambda: has_counts(cluster, {"pending": 1}))
        assert await state(cluster) == "paused"
        await control(cluster, "resume", T2)
        await until(lambda: has_counts(cluster, {"queued": 1}))


async def test_a_control_of_a_campaign_that_never_comes_is_dead(cluster: Cluster) -> None:
    async with cluster.running(BATCHER):
        await control(cluster, "pause", T1)
        await until(lambda: is_depth(cluster, "dlq-handler", 1))
    [dead] = await cluster.take("dlq-handler")

    assert dead.headers["x-wabus-reason"] == "mapping_not_found"
    assert "no campaign spring" in str(dead.headers["x-wabus-error"])


async def test_controls_of_several_replicas_end_in_the_latest(cluster: Cluster) -> None:
    async with cluster.running(BATCHER, BATCHER, BATCHER, BATCH_SIZE="1", PREFETCH="1"):
        await launch(cluster, campaign(customers(1)))
        await until(lambda: is_state(cluster, "running"))
        actions = [("pause" if number % 2 else "resume", number) for number in range(30)]
        requests = (control(cluster, action, f"2026-01-15T10:00:{at:02}Z") for action, at in actions)
        await asyncio.gather(*requests)
        await until(lambda: is_latest(cluster, 29))

    assert await state(cluster) == "paused"


async def is_latest(cluster: Cluster, second: int) -> bool:
    found: float | None = await cluster.conn.fetchval(
        "select extract(second from control_at)::int from broadcast_campaigns where id = 'spring'"
    )
    return found == second


def states_told(cluster: Cluster) -> list[str]:
    told = cluster.told("campaign.updated")
    return [event["new_status"] for event in told if event["campaign_id"] == "spring"]


async def reason(cluster: Cluster) -> str | None:
    found: str | None = await cluster.conn.fetchval(
        "select status_reason from broadcast_campaigns where id = 'spring'"
    )
    return found
