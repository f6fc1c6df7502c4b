"""The scheduler on real servers."""

import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from redis.asyncio import Redis

from tests.support.cluster import Cluster
from tests.support.paces import FAST
from tests.support.proxy import Proxy
from tests.support.rows import add_mapping, add_message, insert
from tests.support.waiting import until

HOUR = timedelta(hours=1)


async def test_idle_conversations_expire_and_others_do_not(cluster: Cluster) -> None:
    await add_mapping(cluster.conn, wa_id="491700000002")
    idle = await add_mapping(cluster.conn, conversation_id="conv-1")
    await age(cluster, "conversation_mappings", "last_activity_at", "25 hours", idle)
    async with Redis.from_url(cluster.redis_url) as redis:
        await redis.mset({"mapping:wa:1001:491700000001": "x", "mapping:conv:conv-1": "x"})
        async with cluster.running("scheduler"):
            await until(lambda: len(cluster.told("conversation.expired")) == 1)
        assert await redis.exists("mapping:wa:1001:491700000001", "mapping:conv:conv-1") == 0
    [told] = cluster.told("conversation.expired")
    assert told["mapping_id"] == str(idle)
    assert told["conversation_id"] == "conv-1"
    statuses = await cluster.conn.fetch("select wa_id, status from conversation_mappings order by wa_id")

    assert [row["status"] for row in statuses] == ["expired", "active"]


async def test_of_the_hour_in_which_idling_begins_only_what_is_idle_expires(cluster: Cluster) -> None:
    """The index knows the hour of the last activity."""
    row = await cluster.conn.fetchrow(
        """select begins, extract(epoch from now() - begins)::float8 / 3600
           from (select date_trunc('hour', now()) - interval '23 hours 30 minutes' as begins) as half_past"""
    )
    assert row is not None
    begins, ttl_hours = row
    for wa_id, minutes in (("491700000001", -15), ("491700000002", 15)):
        last = begins + timedelta(minutes=minutes)
        await add_mapping(cluster.conn, wa_id=wa_id, last_activity_at=last)
    async with cluster.running("scheduler", CONVERSATION_TTL_HOURS=str(ttl_hours)):
        await until(lambda: bool(cluster.told("conversation.expired")))
    statuses = await cluster.conn.fetch("select wa_id, status from conversation_mappings order by wa_id")

    assert [row["status"] for row in statuses] == ["expired", "active"]


async def test_one_run_expires_all_that_is_idle_page_by_page(cluster: Cluster) -> None:
    cluster.durations = replace(cluster.durations, expiry_rows=3)
    for number in range(8):
        await add_mapping(cluster.conn, wa_id=f"49170000010{number}")
    await cluster.conn.execute(
        "update conversation_mappings set last_activity_at = now() - interval '25 hours' where wa_id <> $1",
        "491700000100",
    )
    async with cluster.running("scheduler", EXPIRY_JOB_INTERVAL_MINUTES="60"):
        await until(lambda: _count(cluster, "conversation_mappings where status = 'expired'", 7))


async def test_due_deferred_messages_go_back_to_their_queue_oldest_first(cluster: Cluster) -> None:
    for number in range(3):
        await defer(cluster, not_before=f"-{3 - number} seconds", body={"number": number})
    await defer(cluster, not_before="1 hour", body={"number": "later"})
    async with cluster.running("scheduler"):
        await until(lambda: _depth(cluster, "outbound-sender", 3))
    taken = await cluster.take("outbound-sender")

    assert [orjson.loads(item.body)["number"] for item in taken] == [0, 1, 2]
    assert taken[0].headers["x-wabus-routing-key"] == "reply.conv-1"
    assert taken[0].headers["x-attempt"] == 2
    assert taken[0].correlation_id == "trace-1"
    assert taken[0].headers["x-idempotency-key"] == "key-1"
    assert await cluster.conn.fetchval("select count(*) from deferred_messages") == 4


async def test_a_published_row_that_nobody_handles_is_published_again_once_its_queue_is_empty(
    cluster: Cluster,
) -> None:
    """Behind a backlog it may merely wait: its copies would make the backlog longer."""
    cluster.durations = replace(cluster.durations, deferred_claim_s=60.0)
    await defer(cluster, not_before="-1 second", body={"number": 1})
    async with cluster.running("scheduler"):
        await until(lambda: _depth(cluster, "outbound-sender", 1))
        await cluster.conn.execute(
            "update deferred_messages set published_until = now() - interval '1 minute'"
        )
        for number in (2, 3):  # then the scheduler has looked, more than once
            await defer(cluster, not_before="-1 second", body={"number": number})
            await until(partial(_depth, cluster, "outbound-sender", number))
        assert (await numbers(cluster))[:3] == [1, 2, 3]
        await until(lambda: _is_again(cluster, 1))
        await cluster.conn.execute("update deferred_messages set published_until = now() - interval '1 hour'")
        await until(lambda: _is_deep(cluster, "outbound-sender", 3))
        await cluster.conn.execute("update deferred_messages set published_until = now() - interval '1 hour'")
        await until(lambda: _is_deep(cluster, "outbound-sender", 6))  # in the end also behind itself


async def test_two_replicas_publish_a_due_row_once(cluster: Cluster) -> None:
    for number in range(20):
        await defer(cluster, not_before="-1 second", body={"number": number})
    async with cluster.running("scheduler", "scheduler", "scheduler"):
        await until(lambda: _depth(cluster, "outbound-sender", 20))
        await until(lambda: _count(cluster, "leases where expires_at > now()", 1))

    assert sorted(await numbers(cluster)) == list(range(20))


async def test_another_replica_takes_over_a_lease_that_ran_out(cluster: Cluster) -> None:
    dead = uuid4()
    ends_at = await cluster.conn.fetchval("select now() + interval '1 second'")
    await cluster.conn.execute("insert into leases values ('scheduler', $1, $2)", dead, ends_at)
    await defer(cluster, not_before="-1 second", body={"number": 1})
    async with cluster.running("scheduler"):
        await until(lambda: _depth(cluster, "outbound-sender", 1))
    lease = await cluster.conn.fetchrow("select * from leases")
    assert lease is not None
    assert lease["owner"] != dead
    [message] = await cluster.take("outbound-sender")
    assert orjson.loads(message.body) == {"number": 1}
    published = "select published_until > $1 from deferred_messages"

    assert await cluster.conn.fetchval(published, ends_at + timedelta(seconds=FAST.deferred_claim_s))


async def test_events_that_nobody_marked_are_published(cluster: Cluster) -> None:
    event_id: UUID = await insert(
        cluster.conn,
        "outbox_events",
        aggregate_id="1",
        aggregate_type="conversation_mapping",
        event_type="conversation.closed",
        payload='{"event_version": 1}',
        correlation_id="trace-1",
    )
    await cluster.conn.execute("update outbox_events set claimed_until = now() - interval '1 second'")
    async with cluster.running("scheduler"):
        await until(lambda: len(cluster.told("conversation.closed")) == 1)
        await until(lambda: _no_unmarked(cluster))
    [event] = [item for item in cluster.events if item.routing_key == "conversation.closed"]

    assert event.headers["x-idempotency-key"] == str(event_id)
    assert event.correlation_id == "trace-1"


async def test_an_event_that_another_program_recorded_is_published(cluster: Cluster) -> None:
    await cluster.conn.execute(
        "insert into outbox_events (event_type, payload) values ('message.updated', '{}')"
    )
    async with cluster.running("scheduler"):
        await until(lambda: len(cluster.told("message.updated")) == 1)
        await until(lambda: _no_unmarked(cluster))

    assert cluster.events[0].type == "MessageUpdated"
    assert cluster.events[0].correlation_id


async def test_what_is_past_its_retention_goes_and_the_rest_stays(cluster: Cluster) -> None:
    conn = cluster.conn
    old, young = await add_message(conn, status="sent"), await add_message(conn, status="sent")
    await age(cluster, "message_tracking", "created_at", "91 days", old)
    for days in (29, 31):
        await conn.execute(
            "insert into status_events (wamid, status, occurred_at, received_at) "
            "values ($1, 'sent', now(), now() - $2::interval)",
            f"wamid.{days}",
            timedelta(days=days),
        )
        await conn.execute(
            "insert into send_attempts (message_id, attempt, started_at, outcome) "
            "values ($1, $2, now() - $3::interval, 'failed')",
            young,
            days,
            timedelta(days=days),
        )
    async with cluster.running("scheduler"):
        await until(lambda: _count(cluster, "send_attempts", 1))
        await until(lambda: _count(cluster, "message_tracking", 1))
        await until(lambda: _count(cluster, "status_events", 1))

    assert await conn.fetchval("select id from message_tracking") == young
    assert await conn.fetchval("select wamid from status_events") == "wamid.29"


async def test_a_campaign_that_cannot_end_yet_keeps_no_other_from_its_next_batch(cluster: Cluster) -> None:
    conn = cluster.conn
    await insert(conn, "broadcast_campaigns", id="over", status="running")
    await insert(conn, "broadcast_campaigns", id="spring", status="running")
    await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id="491700000001")
    await conn.execute("update broadcast_campaigns set next_batch_at = now() where id = 'spring'")
    async with cluster.running("scheduler"):
        async with conn.transaction():
            await conn.execute("lock table outbox_events in share mode")  # its end cannot be recorded
            await until(lambda: _has_any(cluster, "broadcast-batcher"))
        await until(lambda: _count(cluster, "broadcast_campaigns where status = 'done'", 1))


async def test_an_ambiguous_bulk_message_is_given_up_after_its_wait(cluster: Cluster) -> None:
    message = await ambiguous(cluster, lane="bulk")
    async with cluster.running("scheduler"):
        await until(lambda: len(cluster.told("outbound.failed")) == 1)
        await until(lambda: len(cluster.told("deadletter.stored")) == 1)
    row = await cluster.conn.fetchrow("select * from message_tracking where id = $1", message)
    assert row is not None
    assert (row["status"], row["error_code"]) == ("failed", "send_ambiguous")
    letter = await cluster.conn.fetchrow("select * from dead_letter_queue")

    assert letter is not None
    assert (letter["reason"], letter["message_id"]) == ("send_ambiguous", message)
    assert bytes(letter["raw_body"]) == b'{"client_message_id": "c-1"}'
    assert await cluster.conn.fetchval("select count(*) from deferred_messages") == 0
    assert await cluster.depth("outbound-sender.bulk") == 0


async def test_an_ambiguous_reply_goes_back_to_the_sender_once(cluster: Cluster) -> None:
    message = await ambiguous(cluster, lane="reply")
    async with cluster.running("scheduler"):
        await until(lambda: _depth(cluster, "outbound-sender", 1))
    attempt = await cluster.conn.fetchrow("select * from send_attempts where message_id = $1", message)

    assert attempt is not None
    assert (attempt["outcome"], attempt["error_code"]) == ("abandoned", "resent")
    assert cluster.told("outbound.failed") == []


async def test_an_ambiguous_message_waits_for_statuses_that_lag(cluster: Cluster) -> None:
    """What is stored now may have come before it: the one before it in a backlog."""
    await ambiguous(cluster, lane="bulk", finished="0.7 seconds")
    await hear_of_another(cluster, started="10 seconds")
    await cluster.publish("wa.status", "whatsapp", {"status": "sent"})
    await until(lambda: _depth(cluster, "status-updater", 1))
    async with cluster.running("scheduler"):
        await until(lambda: len(cluster.told("outbound.failed")) == 1)
    age_s = await cluster.conn.fetchval(
        "select extract(epoch from m.failed_at - a.finished_at) "
        "from message_tracking m join send_attempts a on a.message_id = m.id where m.failed_at is not null"
    )

    assert age_s >= cluster.durations.ambiguous_max_s


async def test_a_status_of_a_later_attempt_ends_the_wait_for_those_that_lag(cluster: Cluster) -> None:
    cluster.durations = replace(cluster.durations, ambiguous_max_s=3600.0)
    await ambiguous(cluster, lane="bulk")
    await hear_of_another(cluster, started="5 seconds")
    await cluster.publish("wa.status", "whatsapp", {"status": "sent"})
    await until(lambda: _depth(cluster, "status-updater", 1))
    async with cluster.running("scheduler"):
        await until(lambda: len(cluster.told("outbound.failed")) == 1)

    assert cluster.told("outbound.failed")[0]["error"]["code"] == "send_ambiguous"
    assert await cluster.depth("status-updater") == 1  # they lag still
    assert await _count(cluster, "dead_letter_queue where reason = 'send_ambiguous'", 1)


async def test_our_own_word_of_a_later_attempt_is_not_taken_for_the_platforms(cluster: Cluster) -> None:
    """What we recorded ourselves says nothing of how far the updaters have come."""
    cluster.durations = replace(cluster.durations, ambiguous_max_s=3600.0)
    await ambiguous(cluster, lane="bulk")
    await hear_of_another(cluster, started="5 seconds", source="wabus")
    await cluster.publish("wa.status", "whatsapp", {"status": "sent"})
    await until(lambda: _depth(cluster, "status-updater", 1))
    async with cluster.running("scheduler"):
        await until(lambda: _is_put_off_or_given_up(cluster))

    assert cluster.told("outbound.failed") == []
    assert await _count(cluster, "send_attempts where outcome = 'ambiguous'", 1)


async def test_a_proof_that_is_stored_and_not_applied_yet_is_waited_for(cluster: Cluster) -> None:
    message = await ambiguous(cluster, lane="bulk")
    event = await insert(cluster.conn, "status_events", status="sent", callback_data=f"{message}:1")
    await age(cluster, "status_events", "received_at", "25 hours", event)  # too old to be matched
    async with cluster.running("scheduler"):
        await until(lambda: _count(cluster, "deferred_messages where not_before > now()", 1))

    assert await cluster.conn.fetchval("select outcome from send_attempts") == "ambiguous"
    assert cluster.told("outbound.failed") == []


async def test_a_proof_in_hand_while_postgresql_is_away_is_waited_for(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in no queue then, and the scheduler may be back before who has it."""
    caplog.set_level("INFO")
    cluster.durations = replace(
        cluster.durations, ambiguous_wait_s=60.0, store_probe_s=1.0, store_probe_max_s=1.0
    )
    async with (
        Proxy.before(cluster.database_url) as proxy,
        cluster.running("scheduler", "status-updater", DATABASE_URL=proxy.url(cluster.database_url)),
    ):
        await until(lambda: "this replica schedules" in caplog.text)
        proxy.refuse()
        message = await ambiguous(cluster, lane="reply", finished="1 hour")
        proof = {"wamid": "wamid.1", "status": "sent", "callback_data": f"{message}:1"}
        await cluster.publish("wa.status", "whatsapp", proof | {"timestamp": str(int(time.time()))})
        await until(lambda: "consuming pauses" in caplog.text)
        proxy.heal()
        await until(lambda: _count(cluster, "send_attempts where outcome <> 'ambiguous'", 1))
        assert await cluster.conn.fetchval("select outcome from send_attempts") == "sent"
        await until(lambda: _count(cluster, "message_tracking where status = 'sent'", 1))


async def hear_of_another(cluster: Cluster, *, started: str, source: str = "whatsapp") -> None:
    """A status of another message, whose attempt began so long ago, is stored just now."""
    other = await add_message(cluster.conn, wamid="wamid.other", status="sent")
    await cluster.conn.execute(
        "insert into send_attempts (message_id, attempt, wamid, started_at, outcome) "
        "values ($1, 1, 'wamid.other', now() - $2::text::interval, 'sent')",
        other,
        started,
    )
    event = {"status": "delivered", "wamid": "wamid.other", "message_id": other, "source": source}
    await insert(cluster.conn, "status_events", **event)


async def defer(cluster: Cluster, *, not_before: str, body: dict[str, Any]) -> None:
    await cluster.conn.execute(
        """
        insert into deferred_messages (queue, exchange, routing_key, body, headers, reason, not_before)
        values ('outbound-sender', 'wa.outbound', 'reply.conv-1', $1,
                '{"x-attempt": 2, "correlation_id": "trace-1", "idempotency_key": "key-1"}', 'rate_limit',
                now() + $2::text::interval)
        """,
        orjson.dumps(body),
        not_before,
    )


async def numbers(cluster: Cluster) -> list[int]:
    """Which deferred messages are in the sender's queue; they are taken."""
    return [orjson.loads(item.body)["number"] for item in await cluster.take("outbound-sender")]


async def _is_again(cluster: Cluster, number: int) -> bool:
    return number in await numbers(cluster)


async def ambiguous(cluster: Cluster, *, lane: str, finished: str = "10 seconds") -> UUID:
    """A message whose attempt ended so long ago that nobody knows how, and its deferred row, now due."""
    conn = cluster.conn
    message = await add_message(conn, lane=lane, client_message_id="c-1")
    await conn.execute(
        "insert into send_attempts (message_id, attempt, started_at, finished_at, outcome) "
        "values ($1, 1, now() - $2::text::interval, now() - $2::text::interval, 'ambiguous')",
        message,
        finished,
    )
    queue = "outbound-sender" if lane == "reply" else f"outbound-sender.{lane}"
    await conn.execute(
        """
        insert into deferred_messages
            (queue, exchange, routing_key, body, headers, reason, not_before, message_id, lane)
        values ($1, 'wa.outbound', 'x', '{"client_message_id": "c-1"}',
                '{"x-attempt": 1, "correlation_id": "trace-1", "idempotency_key": "key-1"}',
                'ambiguous', now(), $2, $3)
        """,
        queue,
        message,
        lane,
    )
    return message


async def age(cluster: Cluster, table: str, column: str, by: str, row: UUID) -> None:
    await cluster.conn.execute(f"update {table} set {column} = now() - interval '{by}' where id = $1", row)


async def _depth(cluster: Cluster, queue: str, count: int) -> bool:
    return await cluster.depth(queue) == count


async def _is_deep(cluster: Cluster, queue: str, least: int) -> bool:
    """A confirm that came too late is published once more."""
    return await cluster.depth(queue) >= least


async def _count(cluster: Cluster, table: str, count: int) -> bool:
    found: int = await cluster.conn.fetchval(f"select count(*) from {table}")
    return found == count


async def _is_put_off_or_given_up(cluster: Cluster) -> bool:
    """It was due when the scheduler began."""
    return not await _count(cluster, "deferred_messages where not_before <= now()", 1)


async def _no_unmarked(cluster: Cluster) -> bool:
    return await _count(cluster, "outbox_events where published_at is null", 0)


async def _has_any(cluster: Cluster, queue: str) -> bool:
    return await cluster.depth(queue) > 0
