"""Messages in nobody's hands: past their retention they fail, out of their queue they come back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import aio_pika
import orjson
import pytest

from shared.running.kit import Kit
from shared.tasks import end_tasks
from tests.support.cluster import Cluster
from tests.support.paces import FAST
from tests.support.rows import add_campaign, insert
from tests.support.sending import CUSTOMER, NUMBER, Sender, text
from tests.support.tracking import add_outbound
from tests.support.waiting import until
from workers.scheduler.lost import LostJob

KEPT = {"correlation_id": "trace-1", "idempotency_key": "key-1", "x-attempt": 1}


async def forget(cluster: Cluster, days: int = 91) -> None:
    """Let all that there is grow old."""
    for table, column in (
        ("message_tracking", "created_at"),
        ("outbound_bodies", "created_at"),
        ("send_attempts", "started_at"),
    ):
        await cluster.conn.execute(f"update {table} set {column} = now() - make_interval(days => $1)", days)


async def defer(cluster: Cluster, message_id: UUID, reason: str) -> None:
    await insert(
        cluster.conn,
        "deferred_messages",
        queue="outbound-sender.bulk",
        exchange="wa.outbound",
        routing_key="bulk.x",
        body=b'{"client_message_id": "c-1"}',
        headers=orjson.dumps(KEPT).decode(),
        reason=reason,
        not_before=await cluster.conn.fetchval("select now() + interval '1 day'"),
        message_id=message_id,
    )


@pytest.mark.parametrize(
    ("attempts", "reason", "code"),
    [
        ([], None, "expired"),
        ([("failed", None)], "number_paused", "expired"),
        ([("ambiguous", None)], "ambiguous", "send_ambiguous"),
        ([(None, None)], None, "send_ambiguous"),
    ],
    ids=["queued", "deferred", "ambiguous", "left open"],
)
async def test_what_is_under_way_past_its_retention_fails_and_is_told_before_it_goes(
    cluster: Cluster, attempts: Sequence[Any], reason: str | None, code: str
) -> None:
    conn = cluster.conn
    await add_campaign(conn, id="spring", status="running", phone_number_id="1001")
    message = await add_outbound(conn, "queued", attempts=attempts, campaign_id="spring", lane="bulk")
    await insert(
        conn,
        "broadcast_recipients",
        campaign_id="spring",
        wa_id=CUSTOMER,
        status="queued",
        message_id=message,
    )
    if reason is not None:
        await defer(cluster, message, reason)
    await forget(cluster)
    async with cluster.running("scheduler"):
        await until(partial(_is, cluster, "select status = 'done' from broadcast_campaigns"))
        await until(lambda: len(cluster.told("outbound.failed")) == 1)
        await until(lambda: len(cluster.told("deadletter.stored")) == 1)
        await until(partial(_is, cluster, "select not exists (select from message_tracking)"))
    assert cluster.told("outbound.failed")[0]["error"]["code"] == code
    assert cluster.told("outbound.failed")[0]["message_id"] == str(message)
    recipient = await conn.fetchrow("select status, error_code from broadcast_recipients")
    assert recipient is not None
    assert tuple(recipient) == ("failed", code)
    letter = await conn.fetchrow("select reason, status, raw_body from dead_letter_queue")

    assert letter is not None
    assert (letter["reason"], letter["status"]) == (code, "pending")
    assert orjson.loads(letter["raw_body"])["client_message_id"] in ("c1", "c-1")
    assert await conn.fetchval("select count(*) from deferred_messages") == 0


async def test_the_attempts_and_the_body_of_what_is_under_way_are_kept(cluster: Cluster) -> None:
    conn = cluster.conn
    waiting = await add_outbound(conn, "queued", attempts=[("failed", None)], wa_id="491700000001")
    retried = await add_outbound(conn, "sent", wamid="wamid.2", wa_id="491700000002")
    sent = await add_outbound(conn, "sent", wamid="wamid.3", wa_id="491700000003")
    await defer(cluster, waiting, "number_paused")
    await defer(cluster, retried, "status_retry")
    coming = await add_outbound(conn, "queued", attempts=[("failed", None)], wa_id="491700000004")
    await cluster.publish("wa.outbound", "reply.491700000004", b"{}")  # it lies in its queue
    await forget(cluster, 31)
    async with cluster.running("scheduler"):
        gone = "select not exists (select from outbound_bodies where message_id = $1)"
        await until(lambda: conn.fetchval(gone, sent))
        gone = "select not exists (select from send_attempts where message_id = $1)"
        await until(lambda: conn.fetchval(gone, sent))
    for table in ("outbound_bodies", "send_attempts"):
        rows = await conn.fetch(f"select message_id from {table}")
        assert {row["message_id"] for row in rows} == {waiting, retried, coming}

    assert cluster.told("outbound.failed") == []


async def test_an_attempt_of_today_is_not_given_up(cluster: Cluster) -> None:
    """Its number was resumed this very moment."""
    conn = cluster.conn
    going = await add_outbound(conn, "queued", attempts=[(None, None)], wa_id="491700000001")
    await add_outbound(conn, "queued", wa_id="491700000002")
    await forget(cluster)
    await conn.execute("update send_attempts set started_at = now()")
    async with cluster.running("scheduler"):
        await until(partial(_is, cluster, "select count(*) = 1 from message_tracking"))

    assert await conn.fetchval("select id from message_tracking") == going
    assert await conn.fetchval("select outcome is null from send_attempts")


async def test_a_queued_message_that_is_in_no_queue_is_sent_once_and_so_is_what_waits_behind_it(
    sender: Sender,
) -> None:
    cluster = sender.cluster
    async with sender.running():
        await lose(sender, "lost")
        await sender.ask(text("behind"))
        await sender.until_deferred("earlier_message")
        await grow_old(cluster)
        async with cluster.running("scheduler"):
            await sender.until_status("sent", "lost")
            await sender.until_status("sent", "behind")
            await until(partial(_is, cluster, "select not exists (select from deferred_messages)"))
    ids = [(await sender.row(name))["id"] for name in ("lost", "behind")]
    sent = await sender.sandbox.messages()

    assert [item["callback_data"] for item in sent] == [f"{message_id}:1" for message_id in ids]


async def test_a_message_that_was_merely_slow_is_sent_once_however_many_copies_come(sender: Sender) -> None:
    cluster = sender.cluster
    async with sender.running():
        await lose(sender, "slow")
    await grow_old(cluster)
    async with cluster.running("scheduler"):
        await until(partial(_is, cluster, "select published_until > now() from deferred_messages"))
        for _ in range(3):
            await sender.ask(text("slow"))
        async with sender.running(2):
            await sender.until_status("sent", "slow")
            await sender.until_worked()

    assert len(await sender.sandbox.messages()) == 1


@pytest.mark.parametrize("queue", ["outbound-sender", "outbound-sender.retry.10m"])
async def test_what_may_wait_in_its_queue_or_in_a_delay_tier_is_not_lost(
    cluster: Cluster, queue: str
) -> None:
    message = await add_outbound(cluster.conn, "queued")
    async with looking(cluster) as job:
        await cluster.channel.default_exchange.publish(aio_pika.Message(b"{}"), routing_key=queue)
        await grow_old(cluster)
        assert await job.run() == 0
        await until(partial(_is_ready, cluster))  # the tier's message is in the queue of work now
        assert await job.run() == 0
        await cluster.take("outbound-sender")
        assert await job.run() == 1
        assert await job.run() == 0
    deferred = await cluster.conn.fetchrow("select message_id, reason, lane from deferred_messages")

    assert deferred is not None
    assert tuple(deferred) == (message, "lost", "reply")


async def test_what_is_young_or_deferred_or_attempted_or_back_with_its_campaign_is_not_lost(
    cluster: Cluster,
) -> None:
    conn = cluster.conn
    young = await add_outbound(conn, "queued", wa_id="491700000001")
    deferred = await add_outbound(conn, "queued", wa_id="491700000002")
    await defer(cluster, deferred, "number_paused")
    await add_outbound(conn, "queued", attempts=[("failed", None)], wa_id="491700000003")
    await add_campaign(conn, id="spring", status="paused", phone_number_id="1001")
    back = await add_outbound(conn, "queued", campaign_id="spring", lane="bulk", wa_id="491700000004")
    row = {"campaign_id": "spring", "wa_id": "491700000004", "status": "pending", "message_id": back}
    await insert(conn, "broadcast_recipients", **row)
    await grow_old(cluster)
    await conn.execute("update message_tracking set created_at = now() where id = $1", young)
    async with looking(cluster) as job:
        assert await job.run() == 0
        await conn.execute("update send_attempts set started_at = now() - interval '1 hour'")
        assert await job.run() == 1

    assert await conn.fetchval("select count(*) from deferred_messages") == 2


async def test_a_long_line_is_looked_through_page_by_page(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.scheduler.lost._ROWS", 2)
    for number in range(5):
        await add_outbound(cluster.conn, "queued", wa_id=f"49170000000{number}")
    await grow_old(cluster)
    async with looking(cluster) as job:
        assert [await job.run() for _ in range(5)] == [2, 2, 1, 0, 0]


async def lose(sender: Sender, client_id: str) -> None:
    """A message is queued, and its delivery is gone."""
    conn = sender.cluster.conn
    await insert(conn, "business_numbers", phone_number_id=NUMBER, state="paused")
    await sender.ask(text(client_id))
    await sender.until_deferred("number_paused")
    await conn.execute("delete from deferred_messages")
    await conn.execute("update business_numbers set state = 'active'")


async def grow_old(cluster: Cluster) -> None:
    await cluster.conn.execute("update message_tracking set created_at = now() - interval '16 minutes'")


@asynccontextmanager
async def looking(cluster: Cluster) -> AsyncIterator[LostJob]:
    """The scheduler's job, to be run turn by turn."""
    kit = Kit.build("scheduler", cluster.settings(), FAST)
    async with asyncio.TaskGroup() as group:
        await kit.broker.run(group)
        await until(lambda: _sees(kit))
        yield LostJob(kit.database, kit.broker, kit.metrics, FAST)
        await end_tasks(kit.broker.tasks)
    await kit.database.close()
    await kit.redis.close()


async def _sees(kit: Kit) -> bool:
    return await kit.broker.queue_state("outbound-sender") is not None


async def _is_ready(cluster: Cluster) -> bool:
    return await cluster.depth("outbound-sender") > 0


async def _is(cluster: Cluster, query: str) -> bool:
    return bool(await cluster.conn.fetchval(query))
