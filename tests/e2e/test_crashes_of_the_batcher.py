"""The batcher killed between any two of its steps: every recipient is queued, none under two messages."""

import pytest

from tests.e2e.points import after, before, before_ack, commit_to_publish, publish_to_mark
from tests.support.campaigns import (
    BATCHER,
    BULK_QUEUE,
    campaign,
    control,
    customer,
    customers,
    has_counts,
    is_state,
    launch,
    told_of,
)
from tests.support.cluster import Cluster
from tests.support.crashing import CrashPoint
from tests.support.leftovers import is_all_told, work_off
from tests.support.processes import Processes
from tests.support.waiting import until

_BATCHES = "workers.broadcast_batcher.batches:Batches"
_LAUNCHER = "workers.broadcast_batcher.launcher:Launcher"

_BATCH_POINTS = [
    pytest.param(before(f"{_BATCHES}.make_next", 2), id="before a batch"),
    pytest.param(after(f"{_BATCHES}._begin", 2), id="begun"),
    pytest.param(after(f"{_BATCHES}._claim", 2), id="claimed, not committed"),
    pytest.param(commit_to_publish("OutboundMessage"), id="commit | publish"),
    pytest.param(publish_to_mark("OutboundMessage"), id="publish | mark"),
    pytest.param(before_ack(BATCHER, 3), id="before an ack"),
]
_LAUNCH_POINTS = [
    pytest.param(after(f"{_LAUNCHER}._store"), id="stored, not committed"),
    pytest.param(commit_to_publish("campaign.updated"), id="commit | publish"),
    pytest.param(publish_to_mark("campaign.updated"), id="publish | mark"),
    pytest.param(before_ack(BATCHER), id="before the ack"),
]


@pytest.mark.parametrize("point", _BATCH_POINTS)
async def test_a_batch_goes_on_after_a_crash(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    async with cluster.running("scheduler"):
        await launch(cluster, campaign(customers(40), batch_size=10, batch_delay_ms=20))
        await processes.crash(BATCHER, point)
        async with cluster.running(BATCHER):
            await until(lambda: has_counts(cluster, {"queued": 40}))
            await until(lambda: is_all_told(cluster))
    keys: dict[str, set[str]] = {}
    for message in await cluster.take(BULK_QUEUE):
        keys.setdefault(message.routing_key or "", set()).add(str(message.headers["x-idempotency-key"]))

    assert set(keys) == {f"bulk.{customer(number)}" for number in range(40)}
    assert {len(own) for own in keys.values()} == {1}
    assert await cluster.depth("dlq-handler") == 0


@pytest.mark.parametrize("point", _LAUNCH_POINTS)
async def test_a_launch_is_whole_after_a_crash(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    await launch(cluster, campaign(customers(3000), scheduled_at="2099-01-01T00:00:00Z"))
    await processes.crash(BATCHER, point)
    async with cluster.running(BATCHER, "scheduler"):
        await until(lambda: has_counts(cluster, {"pending": 3000}))
        await until(lambda: is_all_told(cluster))
    await work_off(cluster, BATCHER)

    assert {event["new_status"] for event in told_of(cluster)} == {"scheduled"}


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(before("workers.broadcast_batcher.controller:skip_pending"), id="commit | skip"),
        pytest.param(commit_to_publish("campaign.updated"), id="skip | publish"),
        pytest.param(before_ack(BATCHER), id="before the ack"),
    ],
)
async def test_a_cancel_reaches_everyone_after_a_crash(
    cluster: Cluster, processes: Processes, point: CrashPoint
) -> None:
    async with cluster.running(BATCHER):
        await launch(cluster, campaign(customers(1500), scheduled_at="2099-01-01T00:00:00Z"))
        await until(lambda: is_state(cluster, "scheduled"))
    await control(cluster, "cancel")
    await processes.crash(BATCHER, point)
    async with cluster.running(BATCHER, "scheduler"):
        await until(lambda: has_counts(cluster, {"skipped: campaign_cancelled": 1500}))
        await until(lambda: is_all_told(cluster))
    await work_off(cluster, BATCHER)

    assert [event["new_status"] for event in told_of(cluster)][-1] == "cancelled"
