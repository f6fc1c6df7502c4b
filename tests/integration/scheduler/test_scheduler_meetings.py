"""Two schedulers in the same statement: what one has in its hands the other passes over, at once.

They meet there when a lease runs out under a job. The other one is this test's transaction, which holds the
lock of one row as a job's statement does. Nobody may wait for it: a page that a lock keeps is split, so that
in the end its other rows are worked all the same, one wait after the other.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import asyncpg
import pytest

from shared.errors import StoreMisconfigured, StoreUnavailable
from shared.observability.health import WorkerState
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from shared.postgres.lease import SCHEDULER, Lease
from shared.tasks import end_tasks
from tests.support.cluster import Cluster
from tests.support.leftovers import count
from tests.support.rows import add_campaign, add_mapping, add_message, insert
from tests.support.waiting import until
from workers.scheduler.clock import Clock, Job

_AGO: Final = timedelta(minutes=10)
#: So long may a scheduler wait for a row: whoever waits once is seen waiting.
_NEVER_S: Final = 600.0
_WAITING: Final = """
select query from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' limit 1
"""
#: Makes two rows that a job works off; gives what selects those that it has not.
Work = Callable[[Cluster], Awaitable[str]]


async def expiring(cluster: Cluster) -> str:
    for place in range(2):
        mapping_id = await add_mapping(cluster.conn, wa_id=f"49170000000{place}")
        await cluster.conn.execute(
            "update conversation_mappings set last_activity_at = now() - interval '3 days' where id = $1",
            mapping_id,
        )
    return "conversation_mappings where status = 'active'"


async def deferred(cluster: Cluster) -> str:
    for _ in range(2):
        await _defer(cluster, "rate_limit")
    return "deferred_messages where published_until is null"


async def ambiguous(cluster: Cluster) -> str:
    for _ in range(2):
        message_id = await add_message(cluster.conn, lane="bulk")
        await cluster.conn.execute(
            "insert into send_attempts (message_id, attempt, started_at, finished_at, outcome)"
            " values ($1, 1, now() - $2::interval, now() - $2::interval, 'ambiguous')",
            message_id,
            _AGO,
        )
        await _defer(cluster, "ambiguous", message_id=message_id, lane="bulk")
    return "deferred_messages"


async def unmarked(cluster: Cluster) -> str:
    for _ in range(2):
        await insert(cluster.conn, "outbox_events", event_type="conversation.closed")
    return "outbox_events where published_at is null"


async def replayable(cluster: Cluster) -> str:
    for _ in range(2):
        await insert(
            cluster.conn,
            "dead_letter_queue",
            source_queue="inbound-resolver",
            reason="lock_timeout",
            raw_body=b"{}",
        )
    await cluster.conn.execute("update dead_letter_queue set created_at = now() - $1::interval", _AGO)
    return "dead_letter_queue where status = 'pending'"


async def finished(cluster: Cluster) -> str:
    for place in range(2):
        campaign_id = await add_campaign(cluster.conn, id=f"campaign-{place}", status="running")
        recipient = {"campaign_id": campaign_id, "wa_id": "491700000001", "status": "read"}
        await insert(cluster.conn, "broadcast_recipients", **recipient)
    return "broadcast_campaigns where status = 'running'"


async def old_events(cluster: Cluster) -> str:
    for place in range(2):
        await insert(cluster.conn, "status_events", status="sent", wamid=f"wamid.{place}")
    await cluster.conn.execute("update status_events set received_at = now() - interval '40 days'")
    return "status_events"


async def old_messages(cluster: Cluster) -> str:
    for _ in range(2):
        await add_message(cluster.conn, status="sent")
    await cluster.conn.execute("update message_tracking set created_at = now() - interval '100 days'")
    return "message_tracking"


WORKS: Final[list[Work]] = [
    expiring,
    deferred,
    ambiguous,
    unmarked,
    replayable,
    finished,
    old_events,
    old_messages,
]


@pytest.mark.parametrize("work", WORKS, ids=[work.__name__ for work in WORKS])
async def test_what_another_scheduler_has_in_its_hands_holds_up_nothing_else(
    cluster: Cluster, work: Work
) -> None:
    cluster.durations = replace(cluster.durations, lock_wait_s=_NEVER_S)
    rows = await work(cluster)
    async with in_hand(cluster, rows), cluster.running("scheduler"):
        await until(lambda: _are_left_without_waiting(cluster, rows, 1))

    async with cluster.running("scheduler"):
        await until(lambda: _are_left(cluster, rows, 0))


@asynccontextmanager
async def in_hand(cluster: Cluster, rows: str) -> AsyncIterator[None]:
    """One of the rows is locked until the block ends."""
    connection = await asyncpg.connect(cluster.database_url)
    try:
        async with connection.transaction():
            await connection.execute(f"select from {rows} limit 1 for update")
            yield
    finally:
        await connection.close()


async def _are_left_without_waiting(cluster: Cluster, rows: str, left: int) -> bool:
    waiting = await cluster.conn.fetchval(_WAITING)
    assert waiting is None, f"waits for what another has in its hands: {waiting}"
    return await _are_left(cluster, rows, left)


async def _are_left(cluster: Cluster, rows: str, left: int) -> bool:
    return await count(cluster, rows) == left


async def _defer(cluster: Cluster, reason: str, **values: object) -> None:
    place = {"queue": "outbound-sender", "exchange": "wa.outbound", "routing_key": "reply.conv-1"}
    row: dict[str, object] = {
        **place,
        "body": b"{}",
        "reason": reason,
        "not_before": datetime.now(UTC) - _AGO,
    }
    headers = '{"x-attempt": 1, "correlation_id": "trace-1", "idempotency_key": "key-1"}'
    await insert(cluster.conn, "deferred_messages", **row, headers=headers, **values)


async def test_a_job_that_ends_after_the_lease_was_lost_says_nothing_of_a_replica_that_waits(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a replica whose job is at work while another takes the lease
    database, metrics = Database(cluster.database_url), Metrics()
    state = WorkerState("scheduler", metrics)
    began, lost = asyncio.Event(), asyncio.Event()
    lease = Lease(database, SCHEDULER, uuid4(), 60)
    clock = Clock(lease, state, metrics, renew_s=0.02, on_loss=lost.set)

    async def work() -> None:
        began.set()
        await lost.wait()
        raise StoreMisconfigured("a right is missing")

    running = [asyncio.create_task(it) for it in (clock.keep_lease(), clock.run(Job("a job", 0, work)))]
    try:
        await until(began.is_set)
        assert b"wabus_scheduler_lease 1.0" in metrics.expose()

        await cluster.conn.execute("update leases set owner = gen_random_uuid()")
        await until(lambda: "a job: a right is missing" in caplog.text)

        assert state.not_ready == {WorkerState.STARTING}
        assert b"wabus_scheduler_lease 0.0" in metrics.expose()
        assert _jobs(metrics) == {"wabus_job_failures_total": 0.0}
    finally:
        await end_tasks(running)
        await database.close()


@pytest.mark.parametrize("error", [StoreUnavailable("it is away"), ZeroDivisionError("a defect")])
async def test_when_a_job_ended_well_and_how_often_it_failed(database_url: str, error: Exception) -> None:
    database, metrics = Database(database_url), Metrics()
    clock = Clock(
        Lease(database, SCHEDULER, uuid4(), 60),
        WorkerState("scheduler", metrics),
        metrics,
        renew_s=1,
        on_loss=lambda: None,
    )
    fails, turns = True, 0

    async def work() -> None:
        nonlocal turns
        turns += 1
        if fails:
            raise error

    running = [asyncio.create_task(it) for it in (clock.keep_lease(), clock.run(Job("a job", 0.02, work)))]
    try:
        await until(lambda: turns > 2)
        failing = _jobs(metrics)
        fails = False
        await until(lambda: _jobs(metrics)[_LAST] > failing[_LAST])
    finally:
        await end_tasks(running)
        await database.close()

    assert failing["wabus_job_failures_total"] >= 2
    assert failing["wabus_job_interval_seconds"] == 0.02


_LAST: Final = "wabus_job_last_success_timestamp_seconds"


def _jobs(metrics: Metrics) -> dict[str, float]:
    """What is shown of the only job."""
    return {
        sample.name: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.labels.get("name") == "a job"
    }
