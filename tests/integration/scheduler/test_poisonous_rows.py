"""One row that cannot be worked, in the table of each job: it is set aside and told of, others are worked."""

import json
from functools import partial
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from tests.support.cluster import Cluster
from tests.support.rows import add_campaign, add_mapping, add_message, insert
from tests.support.tracking import tracking
from tests.support.upkeep import read_gauge
from tests.support.waiting import until

KEPT: Final = '{"x-attempt": 1, "correlation_id": "trace-1", "idempotency_key": "key-1"}'
#: JSON that PostgreSQL keeps, and of which Python's parsers make nothing.
DEEP: Final = f'{{"deep": {"[" * 5000}{"]" * 5000}}}'
#: More than a name on the wire may have.
LONG: Final = "n" * 256
#: A time that PostgreSQL keeps and Python has no value for.
BEFORE_CHRIST: Final = "0044-03-15 12:00:00+00 BC"
IMPOSSIBLE: Final = (BEFORE_CHRIST, "infinity", "290000-01-01 00:00:00+00")


async def count(cluster: Cluster, rows: str, wanted: int, *arguments: object) -> bool:
    return bool(await cluster.conn.fetchval(f"select count(*) from {rows}", *arguments) == wanted)


async def set_aside(cluster: Cluster) -> dict[str, list[str]]:
    """Keys of what is set aside, by job."""
    found: dict[str, list[str]] = {}
    for row in await cluster.conn.fetch("select job, row_key from rows_set_aside order by row_key"):
        found.setdefault(row["job"], []).append(row["row_key"])
    return found


async def until_aside(cluster: Cluster, job: str, *keys: object) -> None:
    """Exactly these, and of no other job."""
    await until(partial(_is_aside, cluster, {job: sorted(map(str, keys))}))


async def _is_aside(cluster: Cluster, wanted: dict[str, list[str]]) -> bool:
    return await set_aside(cluster) == wanted


async def put_off(cluster: Cluster, reason: str, **values: object) -> UUID:
    row: dict[str, object] = {
        "queue": "outbound-sender.bulk",
        "exchange": "wa.outbound",
        "routing_key": "bulk.x",
        "body": b"{}",
        "headers": KEPT,
        "reason": reason,
    }
    due = await cluster.conn.fetchval("select now() - interval '1 second'")
    row_id: UUID = await insert(cluster.conn, "deferred_messages", **row | {"not_before": due} | values)
    return row_id


@pytest.mark.parametrize("headers", [DEEP, "[]", "{}"])
async def test_a_deferred_message_that_cannot_be_published(cluster: Cluster, headers: str) -> None:
    await put_off(cluster, "rate_limit")
    bad = await put_off(cluster, "rate_limit", headers=headers)
    await put_off(cluster, "rate_limit")
    async with cluster.running("scheduler"):
        await until_aside(cluster, "deferred messages", bad)
        await until(partial(_depth, cluster, "outbound-sender.bulk", 2))


async def test_a_follower_whose_row_is_locked(cluster: Cluster) -> None:
    ids = []
    for number in range(3):
        message = await add_message(cluster.conn, lane="bulk")
        place = {"phone_number_id": "1001", "customer": f"49170000000{number}", "lane": "bulk"}
        ids.append(await put_off(cluster, "earlier_message", message_id=message, not_before=None, **place))
    other = await asyncpg.connect(cluster.database_url)
    try:
        async with cluster.running("scheduler"):
            async with other.transaction():
                assert await other.fetch("select from deferred_messages where id = $1 for update", ids[1])
                await until(partial(_depth, cluster, "outbound-sender.bulk", 2))
            await until(partial(_depth, cluster, "outbound-sender.bulk", 3))
    finally:
        await other.close()


async def ambiguous(cluster: Cluster, body: bytes) -> UUID:
    message = await add_message(cluster.conn, lane="bulk")
    await cluster.conn.execute(
        "insert into send_attempts (message_id, attempt, started_at, finished_at, outcome) "
        "values ($1, 1, now() - interval '1 hour', now() - interval '1 hour', 'ambiguous')",
        message,
    )
    await put_off(cluster, "ambiguous", message_id=message, lane="bulk", body=body)
    return message


async def sent_with_status(cluster: Cluster, number: int, **event: object) -> int:
    """A message that was sent, and a status of it that waits."""
    await add_message(cluster.conn, status="sent", wamid=f"wamid.{number}")
    event_id: int = await insert(
        cluster.conn, "status_events", wamid=f"wamid.{number}", status="delivered", **event
    )
    return event_id


async def add_statuses(cluster: Cluster, column: str, time: str) -> int:
    """Three statuses, the second of them with this time; its id."""
    ids = [await sent_with_status(cluster, number) for number in range(3)]
    await cluster.conn.execute(f"update status_events set {column} = '{time}' where id = $1", ids[1])
    return ids[1]


@pytest.mark.parametrize("time", IMPOSSIBLE)
async def test_a_status_of_an_impossible_time(cluster: Cluster, time: str) -> None:
    bad = await add_statuses(cluster, "occurred_at", time)
    async with cluster.running("scheduler"):
        await until_aside(cluster, "unmatched statuses", bad)
        await until(partial(count, cluster, "message_tracking where status = 'delivered'", 2))


@pytest.mark.parametrize("time", IMPOSSIBLE)
async def test_a_status_of_an_impossible_time_found_by_whoever_commits_its_message(
    cluster: Cluster, time: str
) -> None:
    bad = await add_statuses(cluster, "occurred_at", time)
    async with tracking(cluster.database_url) as tracked:
        assert await tracked.tracker.apply_stored([f"wamid.{number}" for number in range(3)]) == 2

    assert await set_aside(cluster) == {"unmatched statuses": [str(bad)]}


@pytest.mark.parametrize("time", IMPOSSIBLE[1:])
async def test_a_status_received_at_an_impossible_time(cluster: Cluster, time: str) -> None:
    """It is worked as any other: when it came decides nothing."""
    await add_statuses(cluster, "received_at", time)
    async with cluster.running("scheduler"):
        await until(partial(count, cluster, "message_tracking where status = 'delivered'", 3))

    assert await set_aside(cluster) == {}


@pytest.mark.parametrize("time", IMPOSSIBLE)
async def test_an_ambiguous_send_of_an_impossible_time(cluster: Cluster, time: str) -> None:
    ids = [await ambiguous(cluster, b"{}") for _ in range(3)]
    await insert(
        cluster.conn,
        "status_events",
        wamid="wamid.1",
        message_id=ids[1],
        callback_data=f"{ids[1]}:1",
        status="sent",
    )
    await cluster.conn.execute(
        f"update send_attempts set started_at = '{time}', finished_at = '{time}' where message_id = $1",
        ids[1],
    )
    async with cluster.running("scheduler"):
        await until_aside(cluster, "ambiguous sends", ids[1])
        await until(lambda: len(cluster.told("outbound.failed")) == 2)


async def test_an_event_recorded_at_an_infinite_time(cluster: Cluster) -> None:
    """The gauges go on: how long the oldest waits is an infinite number."""
    event = await record(cluster, exchange="gone")
    await cluster.conn.execute("update outbox_events set created_at = '-infinity' where id = $1", event)

    assert await read_gauge(cluster.conn, "outbox_events") == {"": float("inf")}


async def test_an_ambiguous_send_whose_body_is_no_json(cluster: Cluster) -> None:
    await ambiguous(cluster, b"{}")
    bad = await ambiguous(cluster, b"{")
    await ambiguous(cluster, b"{}")
    async with cluster.running("scheduler"):
        await until_aside(cluster, "ambiguous sends", bad)
        await until(lambda: len(cluster.told("outbound.failed")) == 2)


async def test_a_lost_message_whose_queue_has_a_name_that_no_frame_takes(cluster: Cluster) -> None:
    ids = []
    for queue in ("outbound-sender.bulk", LONG, "outbound-sender.bulk"):
        ids.append(await add_message(cluster.conn, lane="bulk"))
        await insert(
            cluster.conn,
            "outbound_bodies",
            message_id=ids[-1],
            queue=queue,
            exchange="wa.outbound",
            routing_key="bulk.x",
            body=b"{}",
        )
    await cluster.conn.execute("update message_tracking set created_at = now() - interval '1 hour'")
    async with cluster.running("scheduler"):
        await until_aside(cluster, "lost messages", ids[1])
        await until(partial(_depth, cluster, "outbound-sender.bulk", 2))


async def add_running(cluster: Cluster, campaign_id: str, template: str | None = None) -> None:
    told = template or '{"name": "welcome", "language": "en"}'
    await add_campaign(cluster.conn, id=campaign_id, status="running", template=told)
    await insert(cluster.conn, "broadcast_recipients", campaign_id=campaign_id, wa_id="491700000001")
    await cluster.conn.execute("update broadcast_campaigns set next_batch_at = now()")


@pytest.mark.parametrize(
    ("name", "template"), [(LONG, None), ("bad", '{"name": 5}'), ("bad", "[]"), ("bad", DEEP)]
)
async def test_a_campaign_that_cannot_be_read(cluster: Cluster, name: str, template: str | None) -> None:
    await add_running(cluster, "autumn")
    await add_running(cluster, name, template)
    await add_running(cluster, "spring")
    async with cluster.running("scheduler", "broadcast-batcher"):
        await until_aside(cluster, "campaigns", name)
        await until(partial(count, cluster, "broadcast_recipients where status = 'queued'", 2))

    assert await cluster.depth("dlq-handler") == 0


async def test_a_skipped_recipient_whose_message_has_an_impossible_time(cluster: Cluster) -> None:
    ids = []
    await add_campaign(cluster.conn, status="cancelled")
    for number in range(3):
        ids.append(await add_message(cluster.conn, lane="bulk", campaign_id="spring"))
        await insert(cluster.conn, "send_attempts", message_id=ids[-1], attempt=1, outcome="failed")
        place = {"campaign_id": "spring", "wa_id": f"49170000000{number}", "message_id": ids[-1]}
        await insert(cluster.conn, "broadcast_recipients", status="skipped", skip_reason="opted_out", **place)
    await cluster.conn.execute(
        f"update message_tracking set sent_at = '{BEFORE_CHRIST}' where id = $1", ids[1]
    )
    async with cluster.running("scheduler"):
        await until_aside(cluster, "skipped recipients", ids[1])
        await until(partial(count, cluster, "message_tracking where status = 'failed'", 2))


async def record(cluster: Cluster, **values: object) -> UUID:
    row = {"event_type": "message.updated", "payload": "{}"} | values
    event: UUID = await insert(cluster.conn, "outbox_events", **row)
    return event


async def test_an_event_that_cannot_be_published(cluster: Cluster) -> None:
    await record(cluster)
    bad = [await record(cluster, routing_key=LONG), await record(cluster, correlation_id=LONG, exchange=LONG)]
    await record(cluster)
    async with cluster.running("scheduler"):
        await until_aside(cluster, "unmarked publications", *bad)
        await until(lambda: len(cluster.told("message.updated")) == 2)


async def test_an_event_for_an_exchange_that_is_not_there(cluster: Cluster) -> None:
    """It may be declared one day, so it is tried again and again; RabbitMQ closes the channel each time."""
    await record(cluster, exchange="gone")
    async with cluster.running("scheduler"):
        for number in range(1, 6):
            await record(cluster)
            await until(lambda number=number: len(set(keys(cluster))) == number)  # type: ignore[misc]


def keys(cluster: Cluster) -> list[str]:
    return [str(item.headers["x-idempotency-key"]) for item in cluster.events]


async def bury(cluster: Cluster, **values: object) -> UUID:
    row = {
        "source_queue": "status-updater",
        "exchange": "wa.status",
        "routing_key": "whatsapp",
        "reason": "database_error",
        "raw_body": b"{}",
    }
    letter: UUID = await insert(cluster.conn, "dead_letter_queue", **row | values)
    return letter


async def test_a_dead_letter_that_cannot_go_back(cluster: Cluster) -> None:
    bad = [
        await bury(cluster, source_queue="", priority=9),
        await bury(cluster, headers=DEEP, priority=9),
        await bury(cluster, metadata="[1]", priority=9),
        await bury(cluster, headers="[]", priority=9),
    ]
    ancient = await bury(cluster)
    for _ in range(3):
        await bury(cluster)
    await grow_old(cluster, "dead_letter_queue")
    await cluster.conn.execute(
        f"update dead_letter_queue set created_at = '{BEFORE_CHRIST}' where id = $1", ancient
    )
    async with cluster.running("scheduler"):
        await until_aside(cluster, "replays", *bad)
        await until(partial(_depth, cluster, "status-updater", 4))


async def test_dead_letters_whose_queue_is_gone(cluster: Cluster) -> None:
    """More than a page of them, and in front of all others: the queue may come back, so none is set aside."""
    for _ in range(60):
        await bury(cluster, source_queue="gone", priority=9)
    for _ in range(60):
        await bury(cluster)
    await grow_old(cluster, "dead_letter_queue")
    async with cluster.running("scheduler"):
        await until(partial(_depth, cluster, "status-updater", 60))

    assert await set_aside(cluster) == {}


async def test_an_idle_conversation_since_an_impossible_time(cluster: Cluster) -> None:
    ids = [await add_mapping(cluster.conn, wa_id=f"49170000000{number}") for number in range(3)]
    await cluster.conn.execute(
        "update conversation_mappings set last_activity_at = now() - interval '25 hours'"
    )
    await cluster.conn.execute(
        f"update conversation_mappings set last_activity_at = '{BEFORE_CHRIST}' where id = $1", ids[1]
    )
    async with cluster.running("scheduler"):
        await until_aside(cluster, "expiry", ids[1])
        await until(lambda: len(cluster.told("conversation.expired")) == 2)


async def test_a_forgotten_message_whose_headers_are_no_object(cluster: Cluster) -> None:
    ids = [await add_message(cluster.conn, lane="bulk") for _ in range(3)]
    old = await add_message(cluster.conn, status="sent")
    for place, message in enumerate(ids):
        await put_off(cluster, "number_paused", message_id=message, headers="[1]" if place == 1 else KEPT)
    await cluster.conn.execute("update deferred_messages set not_before = now() + interval '1 day'")
    await grow_old(cluster, "message_tracking")
    async with cluster.running("scheduler"):
        await until_aside(cluster, "forgotten messages", ids[1])
        await until(partial(count, cluster, "message_tracking where id <> $1", 0, ids[1]))

    assert len(cluster.told("outbound.failed")) == 2
    assert await count(cluster, "message_tracking where id = $1", 0, old)


async def test_an_old_message_that_cannot_be_removed(cluster: Cluster) -> None:
    """With it its replay would lose what tells it from the first of its id, which is younger here."""
    conn = cluster.conn
    first = await add_message(conn, status="failed", genesys_message_id="g-1")
    old = [await add_message(conn, status="sent") for _ in range(2)]
    bad = await add_message(conn, status="failed", replay_of=first, genesys_message_id="g-1")
    await add_message(conn, status="sent", replay_of=bad, genesys_message_id="g-1")
    event = await insert(conn, "status_events", wamid="wamid.1", status="sent")
    await conn.execute(
        "update status_events set received_at = now() - interval '1 year' where id = $1", event
    )
    await conn.execute(
        "update message_tracking set created_at = now() - interval '1 year' where id = any($1)", [*old, bad]
    )
    async with cluster.running("scheduler"):
        await until_aside(cluster, "retention", bad)
        await until(partial(count, cluster, "message_tracking where id = any($1)", 0, old))
        await until(partial(count, cluster, "status_events", 0))


async def test_what_locks_keep_from_being_removed_keeps_nothing_else(cluster: Cluster) -> None:
    """Of each table one row is locked, and every other goes."""
    conn = cluster.conn
    for number in range(3):
        message = await add_message(conn, status="sent")
        await insert(conn, "status_events", wamid=f"wamid.{number}", status="sent")
        await insert(conn, "send_attempts", message_id=message, attempt=1, outcome="failed")
        await record(cluster)
        await bury(cluster, status="dismissed")
    await conn.execute("update outbox_events set published_at = now()")
    ages = {
        "message_tracking": "created_at",
        "status_events": "received_at",
        "send_attempts": "started_at",
        "outbox_events": "created_at",
        "dead_letter_queue": "created_at",
    }
    for table, column in ages.items():
        await grow_old(cluster, table, column)
    other = await asyncpg.connect(cluster.database_url)
    try:
        async with other.transaction():
            for table in ("status_events", "send_attempts", "outbox_events", "dead_letter_queue"):
                await other.fetch(f"select from {table} limit 1 for update")
            async with cluster.running("scheduler"):
                for table in ages:
                    await until(partial(count, cluster, table, 1))
    finally:
        await other.close()


async def grow_old(cluster: Cluster, table: str, column: str = "created_at") -> None:
    await cluster.conn.execute(f"update {table} set {column} = now() - interval '1 year'")


async def _depth(cluster: Cluster, queue: str, wanted: int) -> bool:
    return await cluster.depth(queue) == wanted


def test_the_texts_are_what_they_say() -> None:
    with pytest.raises(RecursionError):
        json.loads(DEEP)
